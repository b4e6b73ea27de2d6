//! Metrics are those of the documentation.

use super::*;

/// Name, type, labels and meaning of every metric in the documentation.
fn documented() -> BTreeMap<String, [String; 3]> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/HEALTH_MONITORING.md");
    let docs = fs::read_to_string(docs).unwrap();
    let table = docs
        .split("| name | type | labels | meaning |")
        .nth(1)
        .unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else {
            panic!("four cells: {row}");
        };
        let cell = |text: &str| text.replace('`', "");
        (cell(name), [cell(kind), cell(labels), meaning.to_owned()])
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn c22_no_metric_vanishes_or_appears_undocumented() {
    let broker = Broker::with(|config| config.canary_interval = Duration::from_millis(200)).await;
    // A histogram shows with its first value.
    broker
        .admin()
        .get_status(GetStatusRequest {})
        .await
        .unwrap();
    let lease = lease(&broker).await;
    broker.release(&lease).await;
    broker.fetch_both_ways().await;
    until("a canary has passed", async || {
        metric(&broker, "berth_canary_runs_total{result=\"ok\"}").await > 0.0
    })
    .await;
    let (code, text) = broker.ops("/metrics").await;
    assert_eq!(code, 200);
    let after = |mark: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
        let pairs = lines.map(|line| line.split_once(' ').unwrap());
        pairs
            .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
            .collect()
    };
    let (helps, types) = (after("# HELP "), after("# TYPE "));
    let documented = documented();
    let mut names: Vec<_> = TABLE.iter().map(|def| def.name.to_owned()).collect();
    names.sort();
    assert_eq!(types.keys().cloned().collect::<Vec<_>>(), names, "exported");
    assert_eq!(
        documented.keys().cloned().collect::<Vec<_>>(),
        names,
        "documented"
    );
    for def in TABLE {
        let name = def.name;
        let kind = match def.kind {
            Kind::Counter | Kind::ObservedCounter(_) => "counter",
            Kind::Gauge(_) => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let mut labels = def.labels.to_vec();
        labels.sort_unstable();
        assert_eq!(types[name], kind, "{name}");
        assert_eq!(helps[name], def.help, "{name}");
        let row = [kind.to_owned(), labels.join(", "), def.help.to_owned()];
        assert_eq!(documented[name], row, "{name}");
        let series = text.lines().filter(|line| {
            let end = line.find(['{', ' ']).unwrap_or(0);
            let full = &line[..end];
            let plain = full.strip_suffix("_bucket").or(full.strip_suffix("_sum"));
            let plain = plain
                .or(full.strip_suffix("_count"))
                .filter(|_| kind == "histogram");
            full == name || plain == Some(name)
        });
        let mut any = false;
        for line in series {
            any = true;
            let inside = line
                .split_once('{')
                .and_then(|(_, rest)| rest.rsplit_once('}'));
            let mut found: Vec<_> = inside
                .map(|(inside, _)| inside)
                .unwrap_or_default()
                .split(',')
                .filter_map(|pair| pair.split_once('=').map(|(label, _)| label))
                .filter(|label| *label != "le")
                .collect();
            found.sort_unstable();
            assert_eq!(found, labels, "{line}");
        }
        assert!(any, "{name} has no series");
    }
    // Closed sets: a scrape does not grow with what callers say.
    assert!(
        text.lines().count() < 1500,
        "{} lines",
        text.lines().count()
    );
    broker.stop().await;
}
