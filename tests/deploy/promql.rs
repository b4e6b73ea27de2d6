//! What a PromQL expression asks for, held against the table of metrics.

use std::{collections::BTreeSet, convert::Infallible};

use berth::metrics::{Def, Kind, TABLE};
use promql_parser::{
    label::MatchOp,
    parser::{self, Expr, LabelModifier, VectorSelector},
    util::{ExprVisitor, walk_expr},
};

use crate::scrape::Scrape;

/// Labels that Prometheus gives to every series of a target.
const TARGET: [&str; 2] = ["job", "instance"];

/// What is known of an expression after it was checked.
pub struct Query {
    pub metrics: BTreeSet<String>,
    /// The labels that its series have at most.
    pub labels: BTreeSet<String>,
}

/// Reads an expression, and says what is wrong with it.
pub fn check(expr: &str, scrape: &Scrape) -> Result<Query, String> {
    let expr = parser::parse(expr).map_err(|error| format!("{expr}: {error}"))?;
    let mut parts = Parts::default();
    let Ok(_) = walk_expr(&mut parts, &expr);
    if parts.selectors.is_empty() {
        return Err("it asks for nothing".into());
    }
    let mut query = Query {
        metrics: BTreeSet::new(),
        labels: TARGET.map(str::to_owned).into(),
    };
    for selector in &parts.selectors {
        let name = selector.name.as_deref().ok_or("a selector has no name")?;
        let labels = labels_of(name)?;
        matchers(selector, name, &labels, scrape)?;
        query.metrics.insert(name.to_owned());
        query.labels.extend(labels);
    }
    for grouped in &parts.grouped {
        if !query.labels.contains(grouped) {
            return Err(format!("nothing in it has the label {grouped}"));
        }
    }
    Ok(query)
}

/// The labels that a series of this name has.
fn labels_of(name: &str) -> Result<BTreeSet<String>, String> {
    let mut labels: BTreeSet<_> = TARGET.map(str::to_owned).into();
    // Prometheus makes it for each target.
    if name == "up" {
        return Ok(labels);
    }
    let (def, suffix) = find(name).ok_or_else(|| format!("there is no metric {name}"))?;
    labels.extend(def.labels.iter().map(ToString::to_string));
    if suffix == "_bucket" {
        labels.insert("le".into());
    }
    Ok(labels)
}

/// The metric that a series belongs to, and what its name has more.
fn find(name: &str) -> Option<(&'static Def, &'static str)> {
    let plain = TABLE.iter().find(|def| def.name == name);
    // A histogram has no series of its own name.
    if let Some(def) = plain {
        return (!matches!(def.kind, Kind::Histogram(_))).then_some((def, ""));
    }
    ["_bucket", "_sum", "_count"]
        .into_iter()
        .find_map(|suffix| {
            let base = name.strip_suffix(suffix)?;
            let def = TABLE.iter().find(|def| def.name == base)?;
            matches!(def.kind, Kind::Histogram(_)).then_some((def, suffix))
        })
}

/// The name of the metric that a series belongs to.
pub fn metric(series: &str) -> Option<&'static str> {
    find(series).map(|(def, _)| def.name)
}

fn matchers(
    selector: &VectorSelector,
    name: &str,
    labels: &BTreeSet<String>,
    scrape: &Scrape,
) -> Result<(), String> {
    for matcher in &selector.matchers.matchers {
        if !labels.contains(&matcher.name) {
            return Err(format!("{name} has no label {}", matcher.name));
        }
        if TARGET.contains(&matcher.name.as_str()) {
            continue;
        }
        // Each value that is spelled out must be one that the program uses.
        let values: Vec<_> = match matcher.op {
            MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
            MatchOp::Equal | MatchOp::NotEqual => vec![matcher.value.as_str()],
        };
        for value in values {
            if !scrape.has(name, &matcher.name, value) {
                return Err(format!("{name} has no {}={value:?}", matcher.name));
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Parts {
    selectors: Vec<VectorSelector>,
    /// The labels that are grouped by, ignored or matched on.
    grouped: Vec<String>,
}

impl ExprVisitor for Parts {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        let modifier = match expr {
            Expr::VectorSelector(selector) => {
                self.selectors.push(selector.clone());
                None
            }
            Expr::MatrixSelector(matrix) => {
                self.selectors.push(matrix.vs.clone());
                None
            }
            Expr::Aggregate(aggregate) => aggregate.modifier.as_ref(),
            Expr::Binary(binary) => binary
                .modifier
                .as_ref()
                .and_then(|one| one.matching.as_ref()),
            _ => None,
        };
        if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = modifier {
            self.grouped.extend(labels.labels.iter().cloned());
        }
        Ok(true)
    }
}

/// The names in a template: `{{ $labels.check }}` or a legend's `{{check}}`.
pub fn template_labels(text: &str) -> Vec<String> {
    let places = text.split("{{").skip(1);
    let places = places.filter_map(|place| place.split("}}").next());
    let words = places.map(str::trim);
    let labels = words.filter(|word| !word.starts_with("$value"));
    labels
        .map(|word| word.trim_start_matches("$labels.").to_owned())
        .collect()
}

#[test]
fn what_is_wrong_is_found() {
    let scrape = Scrape::of("berth_browsers{state=\"idle\"} 1\nberth_leases_active 0\n");
    let wrong = |expr: &str| check(expr, &scrape).err().unwrap_or_default();
    assert_eq!(wrong("berth_browsers{state=\"idle\"}"), "");
    assert_eq!(wrong("sum by (state) (rate(berth_browsers[5m]))"), "");
    assert!(wrong("berth_browser").contains("no metric"));
    assert!(wrong("berth_lease_held_seconds").contains("no metric"));
    assert!(wrong("berth_leases_active{state=\"idle\"}").contains("no label state"));
    assert!(wrong("berth_browsers{state=~\"idle|lent\"}").contains("state=\"lent\""));
    assert!(wrong("sum by (reason) (berth_browsers)").contains("label reason"));
    assert!(wrong("berth_browsers / on (kind) berth_browsers").contains("label kind"));
    assert!(!wrong("berth_browsers{").is_empty());
    assert!(!wrong("1 + 1").is_empty());
}
