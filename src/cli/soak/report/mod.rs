//! The report: one HTML file that needs nothing beside itself.

mod graph;

use std::collections::BTreeMap;

use self::graph::{Graph, Line};
use super::{
    dir::Mishap,
    growth::{Growth, of_gauge, of_p95, parts, run_length, warm_up},
    kind::{Fault, Kind},
    record::{Ended, Gap, Record, gaps},
    sample::{Gauge, Sample},
    show::time,
    stats::whole,
    tally::Totals,
    verdict::{Criterion, Verdict},
};

const STYLE: &str = include_str!("style.css");
const MIB: f64 = 1.0 / 1_048_576.0;

/// The whole file.
pub(super) fn render(
    samples: &[Sample],
    record: Option<&Record>,
    criteria: &[Criterion],
    mishaps: &[Mishap],
) -> String {
    let totals = Totals::of(samples);
    let seconds = record.map_or(5.0, |record| record.sample_s);
    let gaps = gaps(samples, seconds);
    let has = |wanted| criteria.iter().any(|one| one.verdict == wanted);
    let (class, word) = if has(Verdict::Fail) {
        ("fail", "a criterion fails")
    } else if has(Verdict::Inconclusive) {
        ("inconclusive", "none fails, not all can be told")
    } else {
        ("pass", "every criterion holds")
    };
    let rows: String = criteria.iter().map(row).collect();
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content='width=device-width, initial-scale=1'>\
         <title>Berth soak: {word}</title><style>{STYLE}</style></head><body><main>\n\
         <header><h1>Berth soak</h1><p class='verdict {class}'>{word}</p></header>\n{}\n\
         <h2>Criteria</h2>\n<section class=criteria>{rows}</section>\n\
         <h2>Over time</h2><p class=note>Time is time of load. Shaded: the warm-up of each part, left out of \
         fits. Dashed upright: the run was resumed. Where a graph has more samples than it can show, the line \
         is their middle and the band reaches from least to most.</p>\n<section class=graphs>{}</section>\n\
         <h2>Faults injected</h2>\n{}\n{}{}\n</main></body></html>\n",
        summary(samples, record, &totals),
        graphs(samples, &gaps),
        faults(&totals),
        missing(&gaps, record),
        wrong(mishaps),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn row(one: &Criterion) -> String {
    let word = one.verdict.word();
    let class = word.replace(' ', "-");
    let details: String = one
        .details
        .iter()
        .map(|detail| format!("<li>{}</li>", escape(detail)))
        .collect();
    let details = if details.is_empty() {
        details
    } else {
        format!("<ul>{details}</ul>")
    };
    format!(
        "<article class={class}><h3><span class=badge>{word}</span> {}</h3><p>{}</p>{details}</article>\n",
        escape(one.name),
        escape(&one.found)
    )
}

fn fact(value: &str, name: &str) -> String {
    format!("<div><dd>{value}</dd><dt>{name}</dt></div>")
}

fn summary(samples: &[Sample], record: Option<&Record>, totals: &Totals) -> String {
    let run = run_length(samples);
    let mut facts = fact(&time(run), "of load");
    if let Some(record) = record {
        let planned = time(record.planned_s);
        let unfinished = if record.finished {
            "planned"
        } else {
            "planned; it was not finished"
        };
        facts += &fact(&planned, unfinished);
        facts += &fact(&record.concurrency.to_string(), "callers");
        facts += &fact(&record.seed.to_string(), "seed");
    }
    let rate = whole(totals.work) / run.max(1.0);
    facts += &fact(&totals.work.to_string(), "calls outside faults");
    facts += &fact(&format!("{rate:.1}"), "calls a second");
    facts += &fact(&totals.injected().to_string(), "faults injected");
    facts += &fact(
        &(totals.errors + totals.surprises).to_string(),
        "unexplained failures",
    );
    format!("<dl class=facts>{facts}</dl>")
}

fn graphs(samples: &[Sample], gaps: &[Gap]) -> String {
    let run = run_length(samples);
    let warm = |(begin, length, _): &(f64, f64, &[Sample])| (*begin, begin + warm_up(run, *length));
    let warm_ups: Vec<_> = parts(samples).iter().map(warm).collect();
    let resumed = gaps.iter().filter(|gap| gap.resumed);
    let cuts: Vec<_> = resumed.map(|gap| gap.after).collect();
    let draw = |title: &str, unit: &str, lines: Vec<Line>, fit: Option<(Growth, f64)>| {
        let (warm_ups, cuts) = (warm_ups.clone(), cuts.clone());
        Graph {
            title,
            unit,
            lines,
            fit,
            run,
            warm_ups,
            cuts,
        }
        .draw()
    };
    let line = |name: &str, figure: &dyn Fn(&Sample) -> Option<f64>| Line {
        name: name.to_owned(),
        points: samples
            .iter()
            .filter_map(|sample| figure(sample).map(|value| (sample.elapsed, value)))
            .collect(),
    };
    let gauge = |name: &str, gauge: Gauge, scale: f64| {
        line(name, &move |sample: &Sample| {
            sample.gauge(gauge).map(|value| value * scale)
        })
    };
    let fit = |which, scale| of_gauge(samples, which).map(|growth| (growth, scale));
    let mut all = [
        draw(
            "File descriptors",
            "of the broker",
            vec![gauge("open", Gauge::Fds, 1.0)],
            fit(Gauge::Fds, 1.0),
        ),
        draw(
            "Resident memory",
            "of the broker, MiB",
            vec![gauge("resident", Gauge::Rss, MIB)],
            fit(Gauge::Rss, MIB),
        ),
        draw(
            "Browsers' memory",
            "all trees, PSS, MiB",
            vec![gauge("together", Gauge::Pss, MIB)],
            None,
        ),
        draw(
            "Processes",
            "below the broker",
            vec![
                gauge("living", Gauge::Processes, 1.0),
                gauge("zombies", Gauge::Zombies, 1.0),
            ],
            None,
        ),
        draw(
            "Browsers",
            "as the broker counts",
            vec![
                gauge("browsers", Gauge::Browsers, 1.0),
                gauge("directories", Gauge::Directories, 1.0),
            ],
            None,
        ),
        draw(
            "Under way",
            "",
            vec![
                gauge("leases", Gauge::Leases, 1.0),
                gauge("contexts", Gauge::Contexts, 1.0),
                gauge("waiting", Gauge::Waiting, 1.0),
            ],
            None,
        ),
        draw(
            "Processor",
            "of the broker itself, % of a core",
            vec![gauge("used", Gauge::Cpu, 1.0)],
            None,
        ),
        draw(
            "Kept answers and connections",
            "",
            vec![
                gauge("cache, KiB", Gauge::CacheBytes, 1.0 / 1024.0),
                gauge("connections", Gauge::HttpConnections, 1.0),
            ],
            None,
        ),
        draw(
            "Calls and failures",
            "in each sample",
            vec![
                line("calls", &|sample| Some(whole(sample.work))),
                line("faults", &|sample| Some(whole(sample.faults.iter().sum()))),
                line("unexplained failures", &|sample| {
                    Some(whole(sample.errors + sample.surprises))
                }),
            ],
            None,
        ),
    ]
    .concat();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.timed()) {
        let share = |pick: fn(&super::sample::Latency) -> f64| {
            move |sample: &Sample| {
                let seen = sample.latency(kind);
                (seen.count > 0).then(|| pick(&seen))
            }
        };
        let lines = vec![
            line("p50", &share(|seen| seen.p50)),
            line("p95", &share(|seen| seen.p95)),
        ];
        let fit = of_p95(samples, kind).map(|growth| (growth, 1.0));
        all += &draw(&format!("Latency: {}", kind.title()), "ms", lines, fit);
    }
    all
}

fn faults(totals: &Totals) -> String {
    let row = |fault: Fault| {
        let count = totals.faults[fault as usize];
        format!(
            "<tr><td class=number>{count}</td><td>{}</td></tr>",
            escape(fault.title())
        )
    };
    let kind = |kind: Kind| {
        let count = totals.done[kind as usize];
        format!(
            "<tr><td class=number>{count}</td><td>{}</td></tr>",
            kind.title()
        )
    };
    format!(
        "<div class=tables><table><tr><th>times<th>fault, and what must follow</tr>{}</table>\
         <table><tr><th>done<th>work</tr>{}<tr><td class=number>{}</td><td>failed, explained by a kill of ours</td></tr>\
         <tr><td class=number>{}</td><td>failed, unexplained</td></tr></table></div>",
        Fault::ALL.map(row).concat(),
        Kind::ALL.map(kind).concat(),
        totals.explained,
        totals.errors,
    )
}

/// A moment for people: date and time, UTC.
fn moment(unix_ms: u64) -> String {
    let since = std::time::Duration::from_millis(unix_ms);
    let moment = std::time::UNIX_EPOCH.checked_add(since);
    let text = moment.map(|moment| humantime::format_rfc3339_seconds(moment).to_string());
    text.unwrap_or_default()
}

fn missing(gaps: &[Gap], record: Option<&Record>) -> String {
    let ends = record
        .iter()
        .flat_map(|record| record.parts.iter().enumerate());
    let ends = ends.map(|(nr, part)| {
        let how = match &part.ended {
            Some(Ended::Done) => "ran to its end".to_owned(),
            Some(Ended::Signal(signal)) => format!("was ended by {signal}"),
            Some(Ended::BrokerDied(how)) => format!("ended as the broker died: {how}"),
            None => "was cut: nobody has written down how".to_owned(),
        };
        format!(
            "<li>Part {}, begun {}, {}.</li>",
            nr + 1,
            moment(part.begun_unix_ms),
            escape(&how)
        )
    });
    let gap = |gap: &Gap| {
        let (at, from, long) = (time(gap.after), moment(gap.from_unix_ms), time(gap.seconds));
        let why = if gap.resumed {
            "the run was interrupted"
        } else {
            "samples stalled"
        };
        format!("<li>After {at} of load, from {from}, for {long}: {why}.</li>")
    };
    let listed: String = gaps.iter().map(gap).collect();
    let listed = if listed.is_empty() {
        "<li>There is no gap in the samples.</li>".into()
    } else {
        listed
    };
    format!(
        "<h2>Parts and gaps</h2><ul>{}{listed}</ul>",
        ends.collect::<String>()
    )
}

/// What was not as it must be: the same things together, the most frequent first.
fn wrong(mishaps: &[Mishap]) -> String {
    const MOST: usize = 30;
    if mishaps.is_empty() {
        return String::new();
    }
    let mut groups: BTreeMap<(&str, String), (usize, u64)> = BTreeMap::new();
    for mishap in mishaps {
        // Numbers tell the same things apart.
        let plain: String = mishap
            .why
            .chars()
            .map(|c| if c.is_ascii_digit() { '#' } else { c })
            .collect();
        let seen = groups
            .entry((&mishap.step, plain))
            .or_insert((0, mishap.unix_ms));
        seen.0 += 1;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let row = |((step, why), (count, first)): &((&str, String), (usize, u64))| {
        let (step, why, first) = (escape(step), escape(why), moment(*first));
        format!(
            "<tr><td class=number>{count}</td><td>{step}</td><td>{why}</td><td>{first}</td></tr>"
        )
    };
    let rows: String = groups.iter().take(MOST).map(row).collect();
    format!(
        "<h2>Unexplained failures</h2><div class=tables><table><tr><th>times<th>step<th>why (digits as #)<th>first</tr>{rows}</table></div>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::soak::verdict::judge;

    fn samples() -> Vec<Sample> {
        let sample = |(nr, part): (u32, u64)| {
            let mut sample = Sample {
                part,
                unix_ms: 1_700_000_000_000 + u64::from(nr) * 5000 + part * 100_000,
                elapsed: f64::from(nr) * 5.0,
                work: 20,
                ..Sample::default()
            };
            sample.set(Gauge::Fds, Some(50.0 + f64::from(nr % 3)));
            sample.latency[0].count = 3;
            sample.latency[0].p95 = 12.0;
            sample
        };
        (1..=400)
            .map(|nr| (nr, 1 + u64::from(nr > 200)))
            .map(sample)
            .collect()
    }

    #[test]
    fn it_is_one_file_that_names_every_verdict_gap_and_failure() {
        let samples = samples();
        let criteria = judge(&samples, None);
        let mishap = |why: &str| Mishap {
            unix_ms: 1_700_000_000_000,
            step: "http".into(),
            why: why.into(),
        };
        let mishaps = [mishap("status 500 <b>"), mishap("status 501 <b>")];
        let html = render(&samples, None, &criteria, &mishaps);
        for one in &criteria {
            assert!(html.contains(&escape(one.name)), "{}", one.name);
        }
        assert!(html.contains("the run was interrupted"));
        assert!(html.contains("status ### &lt;b&gt;") && !html.contains("<b>\""));
        assert!(
            html.contains("<polygon class='band c0'"),
            "many samples become a band"
        );
        for asset in [
            "http://", "https://", "<link", "src=", "<script", "url(", "NaN", "inf",
        ] {
            assert!(!html.replace("http_", "").contains(asset), "{asset}");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    }

    #[test]
    fn an_empty_run_has_a_report_too() {
        let html = render(&[], None, &judge(&[], None), &[]);
        assert!(html.contains("There is no gap") && !html.contains("<svg"));
    }
}
