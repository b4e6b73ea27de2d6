//! What short texts say that only point elsewhere or speak about the page itself. The lists hold
//! what many sites write, in the languages that most pages are in.

/// What a heading or label says above something beside the content.
#[rustfmt::skip]
const LABELS: &[&str] = &[
    "related", "related articles", "related stories", "related posts", "related news", "related
    content", "related links", "related topics", "related coverage", "related story", "related
    article", "read more", "read next", "see also", "see more", "more", "more on this", "more on
    this story", "recommended", "recommended for you", "recommended stories", "recommended
    reading", "you may also like", "you might also like", "also read", "don't miss", "up next",
    "trending", "trending now", "trending stories", "most popular", "most read", "popular",
    "latest", "latest news", "top stories", "about the author", "about the authors", "author",
    "about", "comments", "leave a comment", "leave a reply", "share", "share this", "share this
    article", "share this story", "sharing is caring", "newsletter", "tags", "topics",
    "advertisement", "advert", "sponsored", "subscribe", "sign up", "follow us", "story
    continues", "something to consider", "contact", "contact us", "more stories", "more news",
    "editors' picks", "editor's picks", "what to read next", "promoted", "source", "sources",
    "originally published", "leia também", "leia mais", "veja também", "saiba mais", "lee
    también", "lea también", "te puede interesar", "relacionadas", "mehr zum thema", "lesen sie
    auch", "das könnte sie auch interessieren", "à lire aussi", "lire aussi", "sur le même
    sujet", "leggi anche", "lees ook", "関連記事", "read also", "also on", "more like this",
    "further reading", "popular stories", "like this",
];

/// How such a label starts when it goes on.
#[rustfmt::skip]
const LABEL_STARTS: &[&str] = &["more great ", "more from ", "more in ", "related: ", "mais de "];

/// How a line starts that only points elsewhere, or says who made the page and when.
#[rustfmt::skip]
const POINTERS: &[&str] = &[
    "read more", "read:", "read also", "also read", "see also", "see more", "related:", "related
    ", "more:", "more on ", "watch:", "listen:", "don't miss", "click here", "recommended:",
    "must read", "up next", "next:", "leia também", "leia mais", "veja também", "saiba mais",
    "lee también", "mehr:", "lesen sie", "lire aussi", "à lire", "leggi anche", "lees ook",
    "see:", "photos:", "gallery:", "video:", "play video", "view gallery", "sign up",
    "subscribe", "follow ", "join our", "join us", "get the latest", "download ", "share ",
    "tweet ", "have a tip", "want more", "want to ", "like us on", "find us on", "contact ",
    "email ", "write to ", "reach ", "support ", "source:", "sources:", "via ", "copyright",
    "©", "(c)", "all rights reserved", "tags:", "filed under", "posted in", "published ", "first
    published", "last updated", "updated ", "posted ", "comments", "post comment", "leave a ",
    "this article was", "this story was", "this article originally", "originally published",
    "this post", "this material may not", "image:", "image credit", "photo:", "photo by",
    "credit:", "advertisement", "advert", "sponsored", "report a typo", "editing by", "reporting
    by", "about the author", "get access to", "get notified", "for more ", "tell us ", "if you
    enjoyed", "if you liked", "sharing is caring", "by ", "view author",
];

/// What a line holds that names those who helped, or offers something.
#[rustfmt::skip]
const CREDITS: &[&str] = &[
    "contributed to this report", "contributed to this story", "contributed reporting",
    "additional reporting", "contributed to this article", "is a freelance", "can be reached
    at", "may be reached at", "on twitter at", "follow him", "follow her", "follow them",
    "follow us", "newsletter", "posted in", "affiliate link", "your inbox", "all rights
    reserved", "click here",
];

/// Whether a short text only labels what comes after it, which is beside the content.
pub(super) fn is_label(text: &str) -> bool {
    let text = plain(text);
    let text = text.trim_matches(|char: char| !char.is_alphanumeric());
    LABELS.contains(&text)
        || (text.len() < 60 && LABEL_STARTS.iter().any(|start| text.starts_with(start)))
}

/// Whether a short text only points elsewhere or speaks about the page itself.
pub(super) fn is_pointer(text: &str) -> bool {
    let text = plain(text);
    let starts =
        text.trim_start_matches(|char: char| !char.is_alphanumeric() && char != '©' && char != '(');
    CREDITS.iter().any(|credit| text.contains(credit))
        || POINTERS.iter().any(|pointer| starts.starts_with(pointer))
}

/// A text in lower case, with the plain apostrophe.
fn plain(text: &str) -> String {
    text.replace('’', "'").to_lowercase()
}
