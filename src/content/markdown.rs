//! Content as Markdown.

use dom_query::{Document, NodeRef};
use html_to_markdown_rs::{
    ConversionOptions, InlineDataMedia, PreprocessingOptions, UrlEscapeStyle, convert,
};
use url::Url;

use super::{
    base,
    tree::{Step, collapse, name, walk},
};

/// Writes the content as Markdown under its title, if it has one. It changes the document: links
/// become absolute, pictures that load late get their addresses, code its language.
///
/// `None` when the converter fails.
pub(super) fn write(content: &Document, base: Option<&Url>, title: Option<&str>) -> Option<String> {
    links(content, base);
    pictures(content, base);
    code(content);
    content.select("iframe, object, embed").remove();
    escape(content);
    let options = ConversionOptions {
        escape_asterisks: true,
        escape_underscores: true,
        autolinks: false,
        extract_metadata: false,
        bullets: "-".to_owned(),
        br_in_tables: true,
        compact_tables: true,
        inline_data_media: InlineDataMedia::DropElement,
        url_escape_style: UrlEscapeStyle::Angle,
        include_blockquote_citations: false,
        expand_abbreviations: false,
        preprocessing: PreprocessingOptions {
            enabled: false,
            ..PreprocessingOptions::default()
        },
        ..ConversionOptions::default()
    };
    let body = convert(&content.html(), options)
        .ok()?
        .content
        .unwrap_or_default();
    let body = body.replace(BACKSLASH, "\\");
    let body = body.trim();
    let Some(title) = title.map(collapse).filter(|title| !title.is_empty()) else {
        return Some(body.to_owned());
    };
    let has_one = body.lines().any(|line| line.starts_with("# "));
    if has_one {
        return Some(body.to_owned());
    }
    Some(format!("# {title}\n\n{body}").trim_end().to_owned())
}

/// Escapes what Markdown would take for markup in text. The converter sees to stars, underlines and
/// starts of lines; what it does to the rest spoils plain hyphens and full stops, too.
fn escape(content: &Document) {
    walk(content.root(), |step| {
        let Step::Enter(node) = step else { return true };
        if node.is_text() {
            let text = node.text();
            if text.contains(['<', '[', ']', '`']) {
                node.set_text(escaped(&text));
            }
            return false;
        }
        !matches!(&*name(&node), "pre" | "code" | "kbd" | "samp")
    });
}

/// Stands for the backslashes until the converter is through, which would escape them again. It is
/// no character of any text.
const BACKSLASH: char = '\u{fdd0}';

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().filter(|char| *char != BACKSLASH).peekable();
    while let Some(char) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        let markup = match char {
            '<' => next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'),
            char => matches!(char, '[' | ']' | '`'),
        };
        if markup {
            out.push(BACKSLASH);
        }
        out.push(char);
    }
    out
}

fn links(content: &Document, base: Option<&Url>) {
    for link in content.select("a").nodes() {
        let href = link.attr("href").unwrap_or_default();
        let seen = !link.text().trim().is_empty()
            || link.descendants_it().any(|node| node.has_name("img"));
        match base::absolute(base, &href).filter(|_| seen) {
            Some(url) => link.set_attr("href", url.as_str()),
            // Without an address to follow its text is all there is.
            None => link.rename("span"),
        }
    }
}

/// Attributes that hold a picture's address until a script loads it.
const LATE: [&str; 6] = [
    "data-src",
    "data-lazy-src",
    "data-original",
    "data-url",
    "data-hi-res-src",
    "data-srcset",
];

fn pictures(content: &Document, base: Option<&Url>) {
    for picture in content.select("img").nodes() {
        let own = picture
            .attr("src")
            .and_then(|src| base::absolute(base, &src));
        let late = || {
            LATE.iter()
                .find_map(|attr| base::absolute(base, first_of_set(&picture.attr(attr)?)))
        };
        let set = || base::absolute(base, first_of_set(&picture.attr("srcset")?));
        let tiny = ["width", "height"].iter().any(|side| {
            picture
                .attr(side)
                .is_some_and(|size| matches!(size.trim(), "0" | "1"))
        });
        match own.or_else(late).or_else(set).filter(|_| !tiny) {
            Some(url) => {
                let alt = collapse(&picture.attr("alt").unwrap_or_default());
                picture.remove_all_attrs();
                picture.set_attr("src", url.as_str());
                picture.set_attr("alt", &alt);
            }
            None => picture.remove_from_parent(),
        }
    }
}

/// The first address of a `srcset`.
fn first_of_set(set: &str) -> &str {
    set.trim().split([' ', ',']).next().unwrap_or_default()
}

/// Gives blocks of code the form that names their language, and takes out line numbers.
fn code(content: &Document) {
    content.select("td.gutter, td.code-gutter, td.lineno, td.linenos, .line-numbers-rows, pre .lineno, pre .linenos").remove();
    for block in content.select("pre").nodes() {
        let inner = block.descendants_it().find(|node| node.has_name("code"));
        let around = block.ancestors(Some(2));
        let near = inner.into_iter().chain([*block]).chain(around);
        let Some(language) = near.filter_map(|node| language(&node)).next() else {
            continue;
        };
        let class = format!("language-{language}");
        if let Some(inner) = inner {
            inner.set_attr("class", &class);
        } else {
            block.set_attr("class", &class);
            let text = block.text();
            block.set_html("<code></code>");
            if let Some(inner) = block.first_child() {
                inner.set_attr("class", &class);
                inner.set_text(text);
            }
        }
    }
}

/// The language that the classes of an element name, in one of the ways that highlighters do.
fn language(node: &NodeRef<'_>) -> Option<String> {
    if !matches!(&*name(node), "pre" | "code" | "div" | "figure" | "td") {
        return None;
    }
    let data = ["data-lang", "data-language"]
        .iter()
        .find_map(|attr| node.attr(attr));
    let class = node.attr("class").unwrap_or_default();
    let mut words = class.split_whitespace();
    let prefixed = |word: &str| {
        let prefixes = ["language-", "lang-", "highlight-source-", "brush:"];
        prefixes
            .iter()
            .find_map(|prefix| word.strip_prefix(prefix))
            .filter(|rest| !rest.is_empty())
            .map(str::to_owned)
    };
    let named = data
        .map(|data| data.to_string())
        .or_else(|| words.clone().find_map(prefixed))
        .or_else(|| {
            // `sourceCode rust`, `brush: js`, `highlight python`.
            words.find(|word| matches!(*word, "sourceCode" | "brush:" | "highlight" | "hljs"))?;
            words.next().map(str::to_owned)
        })?;
    let fits =
        |char: char| char.is_ascii_alphanumeric() || matches!(char, '+' | '#' | '-' | '_' | '.');
    let named = named.trim().trim_end_matches(';').to_ascii_lowercase();
    let none = matches!(
        &*named,
        "none" | "plain" | "plaintext" | "text" | "undefined"
    );
    (!named.is_empty() && named.len() <= 24 && named.chars().all(fits) && !none).then_some(named)
}
