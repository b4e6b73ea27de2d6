//! The dashboard.

use std::collections::BTreeSet;

use berth::metrics::TABLE;
use serde_json::Value;

use crate::{
    files::{self, list, str},
    promql::{self, template_labels},
    scrape::Scrape,
};

fn dashboard() -> Value {
    serde_json::from_str(&files::text("deploy/grafana/berth.json")).unwrap()
}

fn panels() -> Vec<Value> {
    let dashboard = dashboard();
    let panels = list(&dashboard["panels"]).clone();
    // A collapsed row would have panels of its own, which nothing here looks at.
    assert!(panels.iter().all(|panel| panel["collapsed"] != true));
    panels
}

/// The panels that show something.
fn charts() -> Vec<Value> {
    let all = panels().into_iter();
    all.filter(|panel| panel["type"] != "row").collect()
}

/// The expression with what Grafana puts in.
fn filled(expr: &str) -> String {
    let filled = expr
        .replace("$__rate_interval", "5m")
        .replace("$job", "berth")
        .replace("$instance", ".*");
    assert!(!filled.contains('$'), "{expr}");
    filled
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_for_what_there_is_and_for_all_of_it() {
    let scrape = Scrape::take().await;
    let (mut wrong, mut shown) = (Vec::new(), BTreeSet::new());
    for panel in charts() {
        let title = str(&panel["title"]);
        assert!(!list(&panel["targets"]).is_empty(), "{title} shows nothing");
        for target in list(&panel["targets"]) {
            let expr = str(&target["expr"]);
            match promql::check(&filled(expr), &scrape) {
                Err(why) => wrong.push(format!("{title}: {why}")),
                Ok(query) => {
                    for label in template_labels(str(&target["legendFormat"])) {
                        if !query.labels.contains(&label) {
                            wrong.push(format!("{title}: no label {label} for the legend"));
                        }
                    }
                    shown.extend(query.metrics.iter().filter_map(|name| promql::metric(name)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for def in TABLE {
        assert!(shown.contains(def.name), "{} is not shown", def.name);
    }
}

#[test]
fn whoever_imports_it_chooses_the_data() {
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"]["list"]);
    let source = &variables[0];
    assert_eq!(
        (&source["name"], &source["type"]),
        (&"datasource".into(), &"datasource".into())
    );
    let wanted = "${datasource}";
    for variable in &variables[1..] {
        assert_eq!(
            variable["datasource"]["uid"], wanted,
            "{}",
            variable["name"]
        );
    }
    for panel in charts() {
        assert_eq!(panel["datasource"]["uid"], wanted, "{}", panel["title"]);
        for target in list(&panel["targets"]) {
            assert_eq!(target["datasource"]["uid"], wanted, "{}", panel["title"]);
            let expr = str(&target["expr"]);
            assert!(
                expr.contains(r#"job=~"$job", instance=~"$instance""#),
                "{expr}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_variables_are_filled_from_what_there_is() {
    let scrape = Scrape::take().await;
    let dashboard = dashboard();
    let mut seen = 0;
    for variable in &list(&dashboard["templating"]["list"])[1..] {
        let query = str(&variable["query"]);
        let inner = query.strip_prefix("label_values(").unwrap();
        let (series, label) = inner.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        let asked = promql::check(&filled(series), &scrape).unwrap();
        assert!(asked.labels.contains(label), "{query}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn panels_have_numbers_and_places_of_their_own() {
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels() {
        let title = str(&panel["title"]);
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is taken"
        );
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{title} is out of the grid");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} lies on another");
        }
        let mut letters = BTreeSet::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert!(letters.insert(str(&target["refId"]).to_owned()), "{title}");
        }
    }
    assert!(ids.len() > 20);
}
