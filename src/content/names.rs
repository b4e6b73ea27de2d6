//! What the names that authors give to elements say about their use. The lists hold words that
//! many sites share, never the name of a site.

use dom_query::NodeRef;

/// Words in a class or id that name something beside the content, whatever the other words are.
#[rustfmt::skip]
const BESIDE: &[&str] = &[
    "related", "recirc", "recirculation", "recommended", "recommendation", "recommendations",
    "newsletter", "newsletters", "subscribe", "signup", "share", "shares", "sharing",
    "sharebar", "sharetools", "sharedaddy", "addthis", "addtoany", "social", "socials",
    "breadcrumb", "breadcrumbs", "crumbs", "byline", "bylines", "disqus", "comments", "cookie",
    "cookies", "consent", "gdpr", "outbrain", "taboola", "promo", "promos", "promotion",
    "sponsor", "sponsored", "advert", "adverts", "advertisement", "advertising", "ads",
    "popular", "trending", "pagination", "pager", "sidebar", "readmore", "timestamp",
    "datetime", "pubdate", "copyright", "yarpp", "ratings", "donate", "donation", "toolbar",
    "paywall", "livefyre", "feedback", "teaser", "teasers", "upsell", "bio", "permalink",
    "tooltip", "popup", "modal", "hashtags", "authorbio", "seealso", "relacionadas",
    "relacionados", "compartilhar", "compartir", "skiplink", "navbar", "navigation", "infobox",
    "noprint", "mostread", "dateline", "infoline", "articleinfo", "topics", "follow", "kicker",
    "eyebrow",
];

/// Two words one after the other that do.
#[rustfmt::skip]
const PAIRS: &[(&str, &str)] = &[
    ("read", "more"), ("read", "next"), ("see", "also"), ("more", "from"), ("more", "stories"),
    ("also", "like"), ("up", "next"), ("author", "box"), ("author", "info"), ("about",
    "author"), ("author", "card"), ("author", "meta"), ("author", "name"), ("author",
    "details"), ("author", "wrapper"), ("author", "block"), ("article", "author"), ("post",
    "author"), ("entry", "author"), ("author", "profile"), ("author", "description"), ("author",
    "section"), ("entry", "meta"), ("post", "meta"), ("article", "meta"), ("meta", "data"),
    ("post", "date"), ("entry", "date"), ("article", "date"), ("publish", "date"), ("published",
    "date"), ("post", "info"), ("article", "info"), ("entry", "info"), ("post", "tags"), ("tag",
    "list"), ("tags", "list"), ("article", "tags"), ("entry", "tags"), ("tag", "links"), ("cat",
    "links"), ("entry", "footer"), ("post", "footer"), ("article", "footer"), ("entry",
    "utility"), ("sign", "up"), ("email", "alert"), ("call", "out"), ("call", "to"), ("most",
    "read"), ("ad", "unit"), ("ad", "slot"), ("ad", "container"), ("ad", "wrapper"), ("print",
    "only"), ("visually", "hidden"), ("screen", "reader"), ("sr", "only"), ("post",
    "navigation"), ("nav", "links"), ("next", "prev"), ("prev", "next"), ("whats", "next"),
    ("hide", "text"), ("in", "article"), ("reading", "time"), ("read", "time"), ("inline",
    "links"), ("article", "links"), ("story", "links"), ("video", "caption"), ("font", "size"),
    ("text", "size"), ("post", "views"), ("lead", "in"), ("date", "published"), ("published",
    "on"), ("updated", "on"), ("posted", "on"), ("posted", "by"),
];

/// Words that name the standfirst, which stands above an article and sums it up.
#[rustfmt::skip]
const STANDFIRST: &[&str] = &[
    "standfirst", "dek", "deck", "subtitle", "subheadline", "tagline", "subheading", "excerpt",
    "sottotitolo", "bajada",
];

/// Words that name the small print of a picture.
#[rustfmt::skip]
const CAPTION: &[&str] = &[
    "caption", "captions", "figcaption", "credit", "credits", "imagecaption", "photocredit",
    "imgcaption", "wp-caption-text", "copyrights", "legend",
];

/// Words before one of these names that make it another's: `page-with-sidebar`, `no-comments`.
#[rustfmt::skip]
const NEGATES: &[&str] = &[
    "with", "w", "has", "no", "not", "without", "and", "is", "enable", "show",
];

/// The words of a class or id, split where their author split them.
pub(super) fn words(node: &NodeRef<'_>) -> Vec<String> {
    let mut words = Vec::new();
    for attr in [
        "class",
        "id",
        "data-component",
        "data-testid",
        "itemprop",
        "role",
    ] {
        let Some(value) = node.attr(attr) else {
            continue;
        };
        // A class list of utility names is no description, and reading it costs time.
        let value: String = value.chars().take(300).collect();
        let mut word = String::new();
        let mut lower = false;
        for char in value.chars() {
            if (!char.is_alphanumeric() || (lower && char.is_uppercase())) && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            lower = char.is_lowercase();
            if char.is_alphanumeric() {
                word.extend(char.to_lowercase());
            }
        }
        if !word.is_empty() {
            words.push(word);
        }
        // Words of two attributes are no pair.
        words.push(String::new());
    }
    words
}

/// Whether these words name something beside the content.
pub(super) fn is_beside(words: &[String]) -> bool {
    let mut before = "";
    words.iter().any(|word| {
        let pair = PAIRS.iter().any(|(a, b)| before == *a && word == b);
        let beside = pair || (BESIDE.contains(&word.as_str()) && !NEGATES.contains(&before));
        before = word;
        beside
    })
}

/// Whether these words name the caption or the credit of a picture.
pub(super) fn is_caption(words: &[String]) -> bool {
    words.iter().any(|word| CAPTION.contains(&word.as_str()))
}

/// Whether these words name a standfirst.
pub(super) fn is_standfirst(words: &[String]) -> bool {
    words.iter().any(|word| STANDFIRST.contains(&word.as_str()))
}
