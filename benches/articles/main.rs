//! How well the main content is found: `cargo bench --bench articles`.
//!
//! The measure is the public article extraction benchmark (181 pages with the text of the article
//! written down by people): `BERTH_ARTICLES` names a clone of
//! <https://github.com/scrapinghub/article-extraction-benchmark>. Precision, recall and F1 are
//! computed as its `evaluate.py` does, from runs of four words. Without the variable there is
//! nothing to measure, and that is said.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod measure;

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use berth::content::{Limits, Want, read_html};
use flate2::read::GzDecoder;
use measure::{Score, mean, score};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// A page of the benchmark.
struct Page {
    id: String,
    html: String,
    /// The text that people found in it.
    truth: String,
}

fn main() {
    let Some(folder) = std::env::var_os("BERTH_ARTICLES") else {
        println!(
            "BERTH_ARTICLES names no clone of the article extraction benchmark: nothing to measure"
        );
        return;
    };
    let pages = pages(Path::new(&folder));
    let want = Want {
        text: true,
        ..Want::default()
    };
    let mut scores = Vec::new();
    let (mut total, mut worst) = (0.0_f64, 0.0_f64);
    for page in &pages {
        let began = Instant::now();
        let content = read_html(&page.html, None, want, &Limits::default(), &|| false).unwrap();
        let took = began.elapsed().as_secs_f64() * 1000.0;
        total += took;
        worst = worst.max(took);
        scores.push((
            half(&page.id),
            score(&page.truth, &content.text.unwrap().text),
        ));
    }
    println!("| pages | number | F1 | precision | recall |\n|---|---|---|---|---|");
    row(
        "developed on",
        scores
            .iter()
            .filter(|(half, _)| *half == 0)
            .map(|(_, score)| score),
    );
    row(
        "held back",
        scores
            .iter()
            .filter(|(half, _)| *half == 1)
            .map(|(_, score)| score),
    );
    row("all", scores.iter().map(|(_, score)| score));
    #[allow(clippy::cast_precision_loss)]
    let mean = total / pages.len() as f64;
    println!("\n{mean:.1} ms a page, {worst:.0} ms at worst, on one core");
}

fn row<'a>(what: &str, scores: impl Iterator<Item = &'a Score>) {
    let scores: Vec<_> = scores.collect();
    let mean = mean(&scores);
    let (f1, precision, recall) = (mean.f1(), mean.precision, mean.recall);
    println!(
        "| {what} | {} | {f1:.4} | {precision:.4} | {recall:.4} |",
        scores.len()
    );
}

/// Which half of the benchmark a page is in, by chance but always the same: the rules were developed
/// on the first.
fn half(id: &str) -> u8 {
    Sha256::digest(id).last().unwrap() % 2
}

fn pages(folder: &Path) -> Vec<Page> {
    let truth = fs::read_to_string(folder.join("ground-truth.json")).unwrap();
    let truth: BTreeMap<String, serde_json::Value> = serde_json::from_str(&truth).unwrap();
    let page = |(id, truth): (String, serde_json::Value)| {
        let file = fs::File::open(folder.join(format!("html/{id}.html.gz"))).unwrap();
        let mut html = Vec::new();
        GzDecoder::new(file).read_to_end(&mut html).unwrap();
        Page {
            html: String::from_utf8_lossy(&html).into_owned(),
            truth: truth["articleBody"].as_str().unwrap_or_default().to_owned(),
            id,
        }
    };
    truth.into_iter().map(page).collect()
}
