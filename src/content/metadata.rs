//! What a document says about itself.
//!
//! Several places may say the same; the first that says anything wins:
//!
//! | what | order |
//! |---|---|
//! | title | Open Graph, Twitter, JSON-LD headline, `<title>`, first `<h1>` |
//! | description | Open Graph, `<meta name=description>`, Twitter, JSON-LD |
//! | canonical | `<link rel=canonical>`, Open Graph, JSON-LD |
//! | language | `<html lang>`, `Content-Language`, JSON-LD, Open Graph locale |
//! | authors | JSON-LD, `<meta name=author>` and its kin, `rel=author`, `itemprop=author` |
//! | published, modified | JSON-LD, `article:*` and other meta, `itemprop`, the first `<time>` |
//! | site name | Open Graph, JSON-LD publisher, `application-name` |
//! | image | Open Graph, Twitter, JSON-LD |
//! | kind | JSON-LD, Open Graph |

use std::collections::HashMap;

use dom_query::Document;
use url::Url;

use super::{base, json_ld::JsonLd, tree::collapse};

/// What a document says about itself. Texts have no white space at their ends and no line breaks;
/// what it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The title, without what the site adds to it where the document tells that.
    pub title: Option<String>,
    /// One or two sentences on what it is about.
    pub description: Option<String>,
    /// The address it wants to be known by, absolute.
    pub canonical: Option<String>,
    /// Its language as a BCP 47 tag, as in `en` or `pt-BR`.
    pub language: Option<String>,
    /// Those who wrote it, in its order, each once.
    pub authors: Vec<String>,
    /// When it was published, as the document writes it: ISO 8601 in most.
    pub published: Option<String>,
    /// When it was last changed, likewise.
    pub modified: Option<String>,
    /// The site it belongs to.
    pub site_name: Option<String>,
    /// The picture that stands for it, absolute.
    pub image: Option<String>,
    /// What it is: a type of schema.org as in `NewsArticle`, else of Open Graph as in `article`.
    pub kind: Option<String>,
}

/// No text of a document's own description is longer.
const LONGEST: usize = 2_000;
const MOST_AUTHORS: usize = 50;

/// Reads what a document says about itself.
pub(super) fn read(document: &Document, base: Option<&Url>) -> Metadata {
    let meta = Meta::read(document);
    let ld = JsonLd::read(document);
    let one = |selector: &str, attr: &str| {
        let found = document.select(selector);
        found
            .nodes()
            .iter()
            .find_map(|node| clean(&node.attr(attr)?))
    };
    let text = |selector: &str| {
        let found = document.select(selector);
        found.nodes().iter().find_map(|node| clean(&node.text()))
    };
    let address = |found: Option<String>| base::absolute(base, &found?).map(String::from);
    Metadata {
        title: meta
            .first(&["og:title", "twitter:title"])
            .or_else(|| ld.text(&["headline"]).and_then(|text| clean(&text)))
            .or_else(|| text("head title, title"))
            .or_else(|| ld.text(&["name"]))
            .or_else(|| text("h1")),
        description: meta
            .first(&["og:description", "description", "twitter:description"])
            .or_else(|| ld.text(&["description"]).and_then(|text| clean(&text)))
            .or_else(|| meta.first(&["dc.description", "dcterms.description", "abstract"])),
        canonical: address(one("link[rel~='canonical']", "href"))
            .or_else(|| address(meta.first(&["og:url"])))
            .or_else(|| address(ld.text(&["url", "mainEntityOfPage"]))),
        language: one("html", "lang")
            .or_else(|| one("html", "xml:lang"))
            .or_else(|| meta.first(&["content-language", "language", "dc.language"]))
            .or_else(|| ld.text(&["inLanguage"]))
            .or_else(|| meta.first(&["og:locale"]))
            .and_then(|tag| language(&tag)),
        authors: authors(document, &meta, &ld),
        published: ld
            .text(&["datePublished", "dateCreated", "uploadDate"])
            .or_else(|| {
                meta.first(&[
                    "article:published_time",
                    "og:published_time",
                    "datepublished",
                    "pubdate",
                    "publishdate",
                    "publish-date",
                    "date",
                    "dc.date",
                    "dc.date.issued",
                    "dcterms.created",
                    "dcterms.date",
                    "sailthru.date",
                    "parsely-pub-date",
                    "citation_publication_date",
                    "article.published",
                    "originalpublicationdate",
                ])
            })
            .or_else(|| one("[itemprop='datePublished']", "datetime"))
            .or_else(|| one("[itemprop='datePublished']", "content"))
            .or_else(|| {
                one(
                    "time[pubdate], article time[datetime], main time[datetime]",
                    "datetime",
                )
            })
            .or_else(|| one("time[datetime]", "datetime")),
        modified: ld
            .text(&["dateModified"])
            .or_else(|| {
                meta.first(&[
                    "article:modified_time",
                    "og:updated_time",
                    "datemodified",
                    "last-modified",
                    "lastmod",
                    "dcterms.modified",
                    "dc.date.modified",
                    "revised",
                ])
            })
            .or_else(|| one("[itemprop='dateModified']", "datetime"))
            .or_else(|| one("[itemprop='dateModified']", "content")),
        site_name: meta
            .first(&["og:site_name"])
            .or_else(|| ld.text(&["publisher"]))
            .or_else(|| {
                meta.first(&[
                    "application-name",
                    "dc.publisher",
                    "twitter:app:name:iphone",
                ])
            }),
        image: address(meta.first(&["og:image", "og:image:url", "og:image:secure_url"]))
            .or_else(|| address(meta.first(&["twitter:image", "twitter:image:src"])))
            .or_else(|| address(ld.text(&["image", "thumbnailUrl"]))),
        kind: ld.kind().or_else(|| meta.first(&["og:type"])),
    }
}

fn authors(document: &Document, meta: &Meta, ld: &JsonLd) -> Vec<String> {
    let mut found = ld.names("author");
    if found.is_empty() {
        found = ld.names("creator");
    }
    if found.iter().all(|name| is_address(name)) {
        found = meta.all(&[
            "author",
            "article:author_name",
            "dc.creator",
            "dcterms.creator",
            "parsely-author",
            "sailthru.author",
            "citation_author",
            "byl",
            "article:author",
        ]);
    }
    for selector in [
        "[rel~='author']",
        "[itemprop='author'] [itemprop='name']",
        "[itemprop='author']",
    ] {
        if found.iter().all(|name| is_address(name)) {
            let nodes = document.select(selector);
            let names = nodes.nodes().iter().filter_map(|node| clean(&node.text()));
            found = names.filter(|name| name.split(' ').count() <= 6).collect();
        }
    }
    let mut authors: Vec<String> = Vec::new();
    for name in found {
        let name = name
            .strip_prefix("By ")
            .or(name.strip_prefix("by "))
            .unwrap_or(&name)
            .trim();
        let known = authors
            .iter()
            .any(|author| author.eq_ignore_ascii_case(name));
        if !known && !name.is_empty() && !is_address(name) && authors.len() < MOST_AUTHORS {
            authors.push(name.to_owned());
        }
    }
    authors
}

/// Some name an author only by a page.
fn is_address(name: &str) -> bool {
    name.starts_with("http:") || name.starts_with("https:") || name.starts_with('/')
}

/// A language as a BCP 47 tag: Open Graph writes `en_US`.
fn language(tag: &str) -> Option<String> {
    let tag = tag.split([',', ';']).next()?.trim().replace('_', "-");
    let fits = |char: char| char.is_ascii_alphanumeric() || char == '-';
    let is_tag = (2..=35).contains(&tag.len()) && tag.chars().all(fits);
    (is_tag && tag.starts_with(|char: char| char.is_ascii_alphabetic())).then_some(tag)
}

fn clean(text: &str) -> Option<String> {
    let text: String = collapse(text).chars().take(LONGEST).collect();
    Some(text).filter(|text| !text.is_empty())
}

/// The `<meta>` elements by their names, lower case.
#[derive(Debug)]
struct Meta(HashMap<String, Vec<String>>);

impl Meta {
    fn read(document: &Document) -> Self {
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for node in document.select("meta[content]").nodes() {
            let Some(content) = node.attr("content").and_then(|content| clean(&content)) else {
                continue;
            };
            // An element may be of two vocabularies at once.
            for attr in ["property", "name", "itemprop", "http-equiv"] {
                let Some(name) = node.attr(attr) else {
                    continue;
                };
                for name in name.split_whitespace() {
                    let values = found.entry(name.to_ascii_lowercase()).or_default();
                    if values.len() < MOST_AUTHORS {
                        values.push(content.clone());
                    }
                }
            }
        }
        Self(found)
    }

    fn first(&self, names: &[&str]) -> Option<String> {
        names
            .iter()
            .find_map(|name| self.0.get(*name)?.first().cloned())
    }

    /// All values of the first name that has any.
    fn all(&self, names: &[&str]) -> Vec<String> {
        names
            .iter()
            .find_map(|name| self.0.get(*name).cloned())
            .unwrap_or_default()
    }
}
