//! The metrics of a broker, as Prometheus reads them.

use std::collections::BTreeSet;

use crate::support::Broker;

/// The label values that there are, by series and label.
pub struct Scrape {
    values: BTreeSet<(String, String, String)>,
}

impl Scrape {
    /// That of a broker that has fetched once by each way. What counts is complete from the start; what
    /// measures durations is there once something was measured.
    pub async fn take() -> Self {
        let broker = Broker::start().await;
        broker.fetch_both_ways().await;
        let (code, text) = broker.ops("/metrics").await;
        assert_eq!(code, 200);
        broker.stop().await;
        let scrape = Self::of(&text);
        assert!(scrape.values.len() > 50, "{text}");
        scrape
    }

    /// That of the text of an answer. No value of ours has a comma or a quote in it.
    pub fn of(text: &str) -> Self {
        let mut values = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, rest)) = line.split_once('{') else {
                continue;
            };
            let (labels, _) = rest.split_once('}').unwrap();
            for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once('=').unwrap();
                let value = value.trim_matches('"').to_owned();
                values.insert((name.to_owned(), label.to_owned(), value));
            }
        }
        Self { values }
    }

    pub fn has(&self, series: &str, label: &str, value: &str) -> bool {
        let wanted = (series.to_owned(), label.to_owned(), value.to_owned());
        self.values.contains(&wanted)
    }
}
