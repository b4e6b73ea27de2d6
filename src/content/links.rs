//! The links of a document.

use std::collections::HashMap;

use dom_query::{Document, NodeRef};
use url::Url;

use super::{base, tree::collapse};

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads, absolute.
    pub url: String,
    /// Its text, else what its picture shows; empty when it has neither. At most 300 characters.
    pub text: String,
    /// Its `rel`, words in lower case with one space between; empty for none.
    pub rel: String,
}

/// The links of a document, in its order, each address once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The links.
    pub links: Vec<Link>,
    /// Whether there were more than the limit.
    pub truncated: bool,
}

const LONGEST_TEXT: usize = 300;

/// Reads the links. An address that comes again only gives its text to the first that had none.
pub(super) fn read(document: &Document, base: Option<&Url>, most: usize) -> Links {
    let mut found = Links::default();
    let mut known: HashMap<String, usize> = HashMap::new();
    for node in document.select("a[href], area[href]").nodes() {
        let href = node.attr("href").unwrap_or_default();
        let Some(url) = base::absolute(base, &href) else {
            continue;
        };
        let url = String::from(url);
        if let Some(at) = known.get(&url) {
            if let Some(link) = found.links.get_mut(*at).filter(|link| link.text.is_empty()) {
                link.text = text(node);
            }
            continue;
        }
        if found.links.len() >= most {
            found.truncated = true;
            break;
        }
        known.insert(url.clone(), found.links.len());
        let rel = collapse(&node.attr("rel").unwrap_or_default()).to_ascii_lowercase();
        found.links.push(Link {
            url,
            text: text(node),
            rel,
        });
    }
    found
}

fn text(link: &NodeRef<'_>) -> String {
    let alt = |node: NodeRef<'_>| node.attr("alt").filter(|_| node.has_name("img"));
    let candidates = [
        Some(link.text()),
        link.descendants_it().find_map(alt),
        link.attr("aria-label"),
        link.attr("title"),
        link.attr("alt"),
    ];
    let mut texts = candidates.into_iter().flatten().map(|text| collapse(&text));
    let text = texts.find(|text| !text.is_empty()).unwrap_or_default();
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(html: &str, most: usize) -> Links {
        let document = Document::from(html);
        let url = Url::parse("https://example.org/a/b").unwrap();
        let base = base::of(&document, Some(&url));
        read(&document, base.as_ref(), most)
    }

    #[test]
    fn links_are_absolute_and_come_once() {
        let html = "<base href='/docs/'><a href=x><img alt=''></a><a href='x' rel='NoFollow\n ugc'>The x</a>\
             <a href='#top'>up</a><a href='javascript:go()'>no</a><a href='mailto:a@b.c'>mail</a>\
             <a href='//other.example/ y'><img alt=' A picture '></a><a href='http://[bad'>bad</a>";
        let found = links(html, 10);
        let seen: Vec<_> = found
            .links
            .iter()
            .map(|link| (&*link.url, &*link.text))
            .collect();
        assert_eq!(
            seen,
            [
                ("https://example.org/docs/x", "The x"),
                ("mailto:a@b.c", "mail"),
                ("https://other.example/%20y", "A picture"),
            ]
        );
        assert!(!found.truncated);
        let cut = links(html, 2);
        assert_eq!((cut.links.len(), cut.truncated), (2, true));
        assert_eq!(
            links("<a href=/y rel='NoFollow\n ugc'>y</a>", 9).links[0].rel,
            "nofollow ugc"
        );
    }
}
