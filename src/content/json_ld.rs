//! What a document says of itself in JSON-LD.

use dom_query::Document;
use serde_json::{Map, Value};

use super::tree::collapse;

/// The types of things that a page is about, best first.
const TYPES: &[&str] = &[
    "newsarticle",
    "article",
    "blogposting",
    "reportagenewsarticle",
    "techarticle",
    "scholarlyarticle",
    "liveblogposting",
    "report",
    "discussionforumposting",
    "recipe",
    "product",
    "qapage",
    "howto",
    "videoobject",
    "event",
    "book",
    "movie",
    "course",
    "jobposting",
    "webpage",
    "itempage",
    "collectionpage",
    "aboutpage",
    "profilepage",
    "faqpage",
    "website",
];

/// The description of the page's main thing, and of all things the same block describes.
#[derive(Debug, Default)]
pub(super) struct JsonLd {
    things: Vec<Map<String, Value>>,
    main: Option<usize>,
}

/// Blocks, and things in a graph, that are looked at.
const MOST: usize = 200;

impl JsonLd {
    /// Reads the blocks of a document. A block that is no JSON is passed over.
    pub(super) fn read(document: &Document) -> Self {
        let mut found = Self::default();
        for script in document.select("script[type*='ld+json']").nodes() {
            let text = script.text();
            let text = text
                .trim()
                .trim_start_matches("<!--")
                .trim_end_matches("-->");
            let text = text.trim().trim_end_matches(';');
            let value = serde_json::from_str(text).or_else(|_| {
                // Line breaks within strings are the usual fault.
                serde_json::from_str(&text.replace(['\n', '\r', '\t'], " "))
            });
            if let Ok(value) = value {
                found.add(value);
            }
        }
        let rank = |thing: &Map<String, Value>| {
            let types = strings(thing.get("@type"));
            let rank = |kind: &String| {
                let kind = kind
                    .rsplit(['/', ':'])
                    .next()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                TYPES.iter().position(|known| *known == kind)
            };
            types.iter().filter_map(rank).min()
        };
        let ranked = found
            .things
            .iter()
            .enumerate()
            .filter_map(|(at, thing)| Some((rank(thing)?, at)));
        found.main = ranked.min().map(|(_, at)| at);
        found
    }

    fn add(&mut self, value: Value) {
        let mut left = vec![value];
        while let Some(value) = left.pop() {
            match value {
                Value::Array(values) => left.extend(values.into_iter().rev()),
                Value::Object(mut thing) if self.things.len() < MOST => {
                    left.extend(thing.remove("@graph"));
                    self.things.push(thing);
                }
                _ => {}
            }
        }
    }

    fn main(&self) -> Option<&Map<String, Value>> {
        self.things.get(self.main?)
    }

    /// A text of the main thing, by the first of these names that has one.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        let main = self.main()?;
        names
            .iter()
            .find_map(|name| self.named(main.get(*name)).into_iter().next())
    }

    /// The names of the people or bodies under `name` of the main thing.
    pub(super) fn names(&self, name: &str) -> Vec<String> {
        self.main()
            .map(|main| self.named(main.get(name)))
            .unwrap_or_default()
    }

    /// What kind of thing the page is about, as in `NewsArticle`.
    pub(super) fn kind(&self) -> Option<String> {
        let types = strings(self.main()?.get("@type"));
        let kind = types.into_iter().next()?;
        kind.rsplit(['/', ':']).next().map(str::to_owned)
    }

    /// The texts of a value: its own, those of a list, the names or addresses of things, also of
    /// those it only points at by `@id`.
    fn named(&self, value: Option<&Value>) -> Vec<String> {
        let list = match value {
            Some(Value::Array(values)) => values.iter().take(MOST).collect(),
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let text = |value: &Value| -> Option<String> {
            let thing = match value {
                Value::String(text) => return clean(text),
                Value::Object(thing) => thing,
                _ => return None,
            };
            let own = own_name(thing);
            own.or_else(|| {
                let id = thing.get("@id")?;
                own_name(
                    self.things
                        .iter()
                        .find(|thing| thing.get("@id") == Some(id) && own_name(thing).is_some())?,
                )
            })
        };
        list.into_iter().filter_map(text).collect()
    }
}

fn own_name(thing: &Map<String, Value>) -> Option<String> {
    ["name", "url", "contentUrl", "@value"]
        .iter()
        .find_map(|key| strings(thing.get(*key)).into_iter().next())
}

fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => clean(text).into_iter().collect(),
        Some(Value::Array(values)) => values
            .iter()
            .take(MOST)
            .filter_map(Value::as_str)
            .filter_map(clean)
            .collect(),
        _ => Vec::new(),
    }
}

fn clean(text: &str) -> Option<String> {
    // Some sites escape the text for HTML before they write it as JSON.
    let text = if text.contains('&') && text.contains(';') {
        Document::fragment(text.chars().take(10_000).collect::<String>())
            .text()
            .to_string()
    } else {
        text.to_owned()
    };
    Some(collapse(&text)).filter(|text| !text.is_empty())
}
