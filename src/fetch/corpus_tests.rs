//! How often the rules are right about the pages of `tests/corpus`, and that `docs/auto.md` says so.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use bytes::Bytes;
use serde::Deserialize;
use url::Url;

use super::{
    CacheState, Request,
    exchange::Times,
    http::Brought,
    judge::{Read, Reading, judge},
};

#[derive(Deserialize)]
struct Manifest {
    page: Vec<Page>,
}

/// What somebody who looks at the page says of it.
#[derive(Deserialize)]
struct Page {
    name: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(rename = "type", default = "html")]
    kind: String,
    needs_browser: bool,
    verdict: String,
    /// Why the rules err on it, for they do.
    hard: Option<String>,
}

const fn ok() -> u16 {
    200
}

fn html() -> String {
    "text/html; charset=utf-8".into()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the rules say: whether the page needs a browser, and the verdict on it as it came.
fn said(page: &Page) -> (bool, &'static str) {
    let folder = root().join("tests/corpus/pages");
    let brought = Brought {
        final_url: format!("http://gazette.example/{}", page.name),
        host: Some("gazette.example".into()),
        redirects: Vec::new(),
        status: page.status,
        headers: Vec::new(),
        content_type: Some(page.kind.clone()),
        body: Bytes::from(fs::read(folder.join(&page.name)).unwrap()),
        coded: false,
        protocol: "HTTP/1.1",
        retry_after: None,
        cache: CacheState::Miss,
        age: None,
        times: Times::default(),
        cookies_set: false,
    };
    let request = Request::get(Url::parse(&brought.final_url).unwrap());
    let how = Reading {
        text: true,
        title: true,
    };
    let read = Read::of(&brought, how);
    let (why, _) = judge(&request, &brought, &read);
    let (verdict, _) = read.verdict(&request, &brought).parts();
    (
        why.needs_browser(),
        verdict.map_or("none", |verdict| verdict.as_str()),
    )
}

/// Of what was said and of what is so, how much is both.
#[derive(Default)]
struct Score {
    right: u32,
    said: u32,
    is: u32,
}

impl Score {
    fn count(&mut self, said: bool, is: bool) {
        self.right += u32::from(said && is);
        self.said += u32::from(said);
        self.is += u32::from(is);
    }

    fn row(&self, name: &str) -> String {
        let of = |all: u32| f64::from(self.right) / f64::from(all.max(1));
        let (precision, recall) = (of(self.said), of(self.is));
        format!("| {name} | {} | {precision:.3} | {recall:.3} |", self.is)
    }
}

#[test]
fn the_rules_are_as_good_as_the_docs_say() {
    let manifest = fs::read_to_string(root().join("tests/corpus/manifest.toml")).unwrap();
    let pages = toml::from_str::<Manifest>(&manifest).unwrap().page;
    let mut needs = Score::default();
    let mut verdicts = BTreeMap::<String, Score>::new();
    let mut wrong = Vec::new();
    for page in &pages {
        let (browser, verdict) = said(page);
        needs.count(browser, page.needs_browser);
        for name in [verdict, &page.verdict] {
            verdicts.entry(name.to_owned()).or_default();
        }
        for (name, score) in &mut verdicts {
            score.count(verdict == name, page.verdict == *name);
        }
        let is_right = browser == page.needs_browser && verdict == page.verdict;
        if is_right == page.hard.is_some() {
            wrong.push(format!("{}: browser {browser}, {verdict}", page.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "right where it is said to be hard, or the other way round:\n{}",
        wrong.join("\n")
    );
    let hard = pages.iter().filter(|page| page.hard.is_some()).count();
    let mut table = format!(
        "{} pages, {hard} of them hard.\n\n| | pages | precision | recall |\n|---|---|---|---|\n{}\n",
        pages.len(),
        needs.row("needs a browser")
    );
    for (name, score) in verdicts.iter().filter(|(name, _)| *name != "none") {
        writeln!(table, "{}", score.row(&format!("`{name}`"))).unwrap();
    }
    let docs = fs::read_to_string(root().join("docs/auto.md")).unwrap();
    assert!(docs.contains(&table), "docs/auto.md does not say:\n{table}");
    assert!(
        f64::from(needs.right) >= 0.9 * f64::from(needs.is),
        "{table}"
    );
    assert!(
        f64::from(needs.right) >= 0.9 * f64::from(needs.said),
        "{table}"
    );
}
