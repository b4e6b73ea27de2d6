//! The alert rules.

use std::{collections::BTreeSet, fs, process::Command};

use berth::proto::ErrorReason;
use serde_json::Value;

use crate::{
    files::{self, list, str, yaml},
    promql::{self, template_labels},
    scrape::Scrape,
};

const RULES: &str = "deploy/prometheus/berth.rules.yml";
const RUNBOOK: &str = "docs/runbook.md";

/// Every alert there is to be: the runbook has a heading for each.
const ALERTS: [&str; 14] = [
    "BerthBrowserCrashes",
    "BerthCanaryFailing",
    "BerthDiskFull",
    "BerthDown",
    "BerthFetchErrors",
    "BerthFileDescriptors",
    "BerthLeak",
    "BerthMemoryGrowth",
    "BerthNoBrowsers",
    "BerthPoolSaturated",
    "BerthQueueFull",
    "BerthRestarting",
    "BerthUnhealthy",
    "BerthZombies",
];

fn alerts() -> Vec<Value> {
    let rules = yaml(RULES);
    let groups = list(&rules["groups"]).iter();
    groups
        .flat_map(|group| list(&group["rules"]).clone())
        .collect()
}

#[test]
fn they_are_the_agreed_ones() {
    let alerts = alerts();
    let mut names: Vec<_> = alerts.iter().map(|alert| str(&alert["alert"])).collect();
    names.sort_unstable();
    assert_eq!(names, ALERTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn they_ask_for_what_there_is() {
    let scrape = Scrape::take().await;
    let mut wrong = Vec::new();
    for alert in alerts() {
        let name = str(&alert["alert"]);
        match promql::check(str(&alert["expr"]), &scrape) {
            Err(why) => wrong.push(format!("{name}: {why}")),
            Ok(query) => {
                let annotations = alert["annotations"].as_object().unwrap().values();
                for label in annotations.flat_map(|text| template_labels(str(text))) {
                    if !query.labels.contains(&label) {
                        wrong.push(format!("{name}: it has no label {label} to tell"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_says_how_bad_it_is_and_what_to_do() {
    let runbook = fs::read_to_string(files::path(RUNBOOK)).unwrap_or_else(|error| {
        panic!("{RUNBOOK}: {error}; every alert points to a heading in it")
    });
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    let anchors: BTreeSet<_> = headings.map(anchor).collect();
    for alert in alerts() {
        let name = str(&alert["alert"]);
        let severity = str(&alert["labels"]["severity"]);
        assert!(["warning", "critical"].contains(&severity), "{name}");
        for told in ["summary", "description"] {
            let told = str(&alert["annotations"][told]);
            assert!(told.len() > 20, "{name}: {told:?}");
        }
        let url = str(&alert["annotations"]["runbook_url"]);
        let anchor = url
            .strip_prefix(&format!("{RUNBOOK}#"))
            .unwrap_or_else(|| panic!("{name}: {url}"));
        assert_eq!(anchor, name.to_lowercase());
        assert!(anchors.contains(anchor), "{RUNBOOK} has no {anchor}");
    }
}

#[test]
fn every_reason_of_an_error_has_its_row() {
    let runbook = fs::read_to_string(files::path(RUNBOOK)).unwrap();
    let rows: Vec<_> = runbook
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let reasons = (1..100).filter_map(|number| ErrorReason::try_from(number).ok());
    let reasons: Vec<_> = reasons
        .filter_map(|reason| reason.as_str_name().strip_prefix("ERROR_REASON_"))
        .collect();
    assert!(reasons.len() > 20, "{reasons:?}");
    for reason in reasons {
        let row = format!("| `{reason}` |");
        assert!(
            rows.iter().any(|line| line.starts_with(&row)),
            "{RUNBOOK}: {reason}"
        );
    }
}

/// The anchor of a heading, as it is made for pages.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

#[test]
fn the_disk_is_full_when_health_says_so() {
    let limit = berth::config::Config::default().health_disk_degraded;
    let alerts = alerts();
    let full = alerts
        .iter()
        .find(|alert| alert["alert"] == "BerthDiskFull");
    let expr = str(&full.unwrap()["expr"]);
    assert_eq!(expr, format!("berth_disk_free_bytes < {limit}"));
}

#[test]
fn prometheus_takes_them() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!("skipped: there is no promtool here");
        return;
    }
    for (what, file) in [
        ("check", RULES),
        ("test", "deploy/prometheus/berth.rules.test.yml"),
    ] {
        let output = Command::new("promtool")
            .args([what, "rules"])
            .arg(files::path(file))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
    }
}

/// Without promtool, at least: what the unit tests expect is what the rules say.
#[test]
fn the_unit_tests_are_of_these_rules() {
    let tests = yaml("deploy/prometheus/berth.rules.test.yml");
    let alerts = alerts();
    let mut seen = 0;
    for test in list(&tests["tests"]) {
        for case in list(&test["alert_rule_test"]) {
            let alert = alerts.iter().find(|one| one["alert"] == case["alertname"]);
            let alert = alert.unwrap_or_else(|| panic!("no alert {}", case["alertname"]));
            for expected in list(&case["exp_alerts"]) {
                seen += 1;
                assert_eq!(
                    expected["exp_labels"]["severity"],
                    alert["labels"]["severity"]
                );
                let told = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
                assert_eq!(
                    told(&expected["exp_annotations"]),
                    told(&alert["annotations"])
                );
            }
        }
    }
    assert!(seen > 0);
}
