//! What callers get, and what no document does to them.

use url::Url;

use super::*;

const PARAGRAPH: &str = "This is a paragraph of the article, long enough for anyone to take it for \
     one, with a comma or two, and it ends as a sentence does.";

fn page(body: &str) -> String {
    let paragraphs: String = (1..5).map(|n| format!("<p>{n}. {PARAGRAPH}</p>")).collect();
    format!(
        "<!doctype html><html lang=en><head><title>T | Site</title></head><body>\
         <nav class=menu><a href=/>Home</a> <a href=/about>About</a></nav>\
         <div id=cookie-banner><p>We value your privacy. Accept all cookies?</p><button>Accept</button></div>\
         <article><h1>The title</h1>{paragraphs}{body}<p>{PARAGRAPH}</p></article>\
         <footer>Copyright</footer></body></html>"
    )
}

fn all(html: &str) -> Content {
    let url = Url::parse("https://example.org/blog/post").unwrap();
    read_html(html, Some(&url), Want::ALL, &Limits::default(), &|| false).unwrap()
}

fn markdown(body: &str) -> String {
    all(&page(body)).markdown.unwrap().text
}

/// Runs on a stack of the size that threads for blocking work have.
fn on_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .unwrap();
    thread.join().unwrap()
}

#[test]
fn the_page_around_the_content_is_left_out() {
    let body = "<div class='share-buttons'><a href=//x.example>Tweet</a></div>\
         <div class=related-articles><h3>Related</h3><ul><li><a href=/1>One other story</a></li></ul></div>\
         <div hidden>Unseen</div><div style='display: none'>Unseen</div>";
    let content = all(&page(body));
    let markdown = content.markdown.unwrap().text;
    assert!(markdown.starts_with("# The title\n\n1"), "{markdown}");
    for no in [
        "Home",
        "cookies",
        "Tweet",
        "Related",
        "One other",
        "Unseen",
        "Copyright",
    ] {
        assert!(!markdown.contains(no), "{no} in {markdown}");
    }
    let text = content.text.unwrap().text;
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(!text.contains("The title"), "{text}");
}

#[test]
fn tables_and_lists_keep_their_form() {
    let md = markdown(
        "<table><thead><tr><th>Name</th><th>Size</th></tr></thead><tbody>\
         <tr><td>a|b</td><td><a href=x>1</a></td></tr></tbody></table>\
         <ul><li>one<ul><li>two</li></ul></li></ul><ol start=3><li>three</li></ol>",
    );
    assert!(md.contains("| Name | Size |\n| --- | --- |\n"), "{md}");
    assert!(
        md.contains("| a\\|b | [1](https://example.org/blog/x) |"),
        "{md}"
    );
    assert!(md.contains("- one\n") && md.contains("  - two"), "{md}");
    assert!(md.contains("3. three"), "{md}");
}

#[test]
fn code_keeps_its_lines_and_language() {
    for block in [
        "<pre><code class='language-rust hljs'>fn main() {\n    x();\n}</code></pre>",
        "<div class='highlight highlight-source-rust'><pre><span>fn</span> main() {\n    x();\n}</pre></div>",
        "<pre data-lang=rust>fn main() {\n    x();\n}</pre>",
        "<pre class='brush: rust'>fn main() {\n    x();\n}</pre>",
    ] {
        let md = markdown(block);
        assert!(
            md.contains("```rust\nfn main() {\n    x();\n}\n```"),
            "{block}: {md}"
        );
    }
    let md = markdown("<p>Call <code>a_b(*c)</code> now.</p>");
    assert!(md.contains("`a_b(*c)`"), "{md}");
    let md =
        markdown("<p>Not [a](link), &lt;b&gt;, a_b, 2*3*4, `x` \\*: on-line 3.5 (a) 1 &lt; 2!</p>");
    let plain = r"Not \[a\](link), \<b>, a\_b, 2\*3\*4, \`x\` \\\*: on-line 3.5 (a) 1 < 2!";
    assert!(md.contains(plain), "{md}");
}

#[test]
fn links_and_pictures_are_absolute() {
    let md = markdown(
        "<p>A sentence with <a href=../up?a=1>a link</a>, <a href='javascript:x()'>no link</a>, \
         and <a href=#note>a note</a> in it.</p>\
         <figure><img src='data:image/gif;base64,R0' data-src='/i/p.png' alt='A picture'>\
         <figcaption>What it shows</figcaption></figure><img src=/t.gif width=1 height=1>",
    );
    assert!(
        md.contains("[a link](https://example.org/up?a=1), no link, and a note in"),
        "{md}"
    );
    assert!(
        md.contains("![A picture](https://example.org/i/p.png)"),
        "{md}"
    );
    assert!(
        md.contains("What it shows") && !md.contains("t.gif"),
        "{md}"
    );
    let based = page("<p>A sentence with <a href=x>a link</a> in it, and some words.</p>");
    let based = based.replace("<title>", "<base href='https://other.example/d/'><title>");
    assert!(
        all(&based)
            .markdown
            .unwrap()
            .text
            .contains("(https://other.example/d/x)")
    );
}

#[test]
fn what_a_page_says_of_itself_is_read_in_its_order() {
    let html = r#"<html lang="pt_BR"><head><title>Title | Site</title>
        <meta property="og:title" content="OG &amp; title"><meta name="description" content=" a
        b "><meta property="og:site_name" content="Site"><link rel="canonical" href="/c">
        <meta name="author" content="Meta Author"><meta property="og:image" content="/i.png">
        <meta property="article:published_time" content="2020-01-01">
        <script type="application/ld+json">{"@context":"https://schema.org","@graph":[
          {"@type":"WebSite","name":"Web site"},
          {"@type":["NewsArticle"],"headline":"H","datePublished":"2024-02-03T04:05:06Z",
           "dateModified":"2024-03-01","author":[{"@id":"\#a"},{"name":"By Second"},{"name":"ann"}]},
          {"@id":"\#a","@type":"Person","name":"Ann"}]}</script>
        <script type="application/ld+json">{broken</script></head><body><time datetime="1999"></body>"#;
    let said = all(&html.replace("\\#", "#")).metadata.unwrap();
    assert_eq!(said.title.as_deref(), Some("OG & title"));
    assert_eq!(said.description.as_deref(), Some("a b"));
    assert_eq!(said.canonical.as_deref(), Some("https://example.org/c"));
    assert_eq!(said.language.as_deref(), Some("pt-BR"));
    assert_eq!(said.authors, ["Ann", "Second"]);
    assert_eq!(said.published.as_deref(), Some("2024-02-03T04:05:06Z"));
    assert_eq!(said.modified.as_deref(), Some("2024-03-01"));
    assert_eq!(said.site_name.as_deref(), Some("Site"));
    assert_eq!(said.image.as_deref(), Some("https://example.org/i.png"));
    assert_eq!(said.kind.as_deref(), Some("NewsArticle"));
    let bare =
        all("<title>T</title><p>By <a rel=author>Bob</a> <time datetime=2001-02-03>x</time>");
    let bare = bare.metadata.unwrap();
    assert_eq!(
        (bare.title.as_deref(), bare.authors),
        (Some("T"), vec!["Bob".to_owned()])
    );
    assert_eq!(bare.published.as_deref(), Some("2001-02-03"));
    assert_eq!(all("").metadata, Some(Metadata::default()));
}

#[test]
fn no_depth_overflows_the_stack() {
    on_small_stack(|| {
        let deep = |tag: &str, times| format!("{}{}", tag.repeat(times), page(""));
        let mut pages = vec![deep("<div>", 100_000), deep("<b>", 100_000)];
        for tag in [
            "<ul><li>",
            "<blockquote>",
            "<table><tr><td>",
            "<span>",
            "<svg><g>",
            "<a href=x>",
            "<font size=1>",
            "<section><p>",
            "<button><p>",
            "<math><mi><td>",
            "<a =\">",
        ] {
            pages.push(deep(tag, 5_000));
        }
        for deep in pages {
            let tag: String = deep.chars().take(20).collect();
            let limits = Limits {
                max_elements: 10_000_000,
                ..Limits::default()
            };
            let read = read_html(&deep, None, Want::ALL, &limits, &|| false);
            let answered = match &read {
                Ok(content) => content.text.is_some(),
                Err(error) => matches!(error, Error::TooDeep { .. } | Error::TooLarge { .. }),
            };
            assert!(answered, "{tag}: {read:?}");
        }
    });
}

#[test]
fn no_size_is_read_without_bound() {
    let huge = "<p>words </p>".repeat(50_000_000 / 13);
    let read = read_html(&huge, None, Want::ALL, &Limits::default(), &|| false);
    assert!(matches!(read, Err(Error::TooLarge { what: "bytes", .. })));
    let many = "<i></i>".repeat(200_000);
    let read = read_html(&many, None, Want::ALL, &Limits::default(), &|| false);
    assert!(matches!(
        read,
        Err(Error::TooLarge {
            what: "elements",
            ..
        })
    ));
    let limits = Limits {
        max_output: 300,
        ..Limits::default()
    };
    let content = read_html(&page(""), None, Want::ALL, &limits, &|| false).unwrap();
    let (markdown, text) = (content.markdown.unwrap(), content.text.unwrap());
    assert!(markdown.truncated && markdown.text.len() <= 300);
    assert!(text.truncated && text.text.len() <= 300);
}

#[test]
fn it_stops_when_told() {
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let read = read_html(&page(""), None, Want::ALL, &Limits::default(), &stop);
    assert_eq!(read, Err(Error::Stopped));
}

fn converted(body: &[u8], content_type: &str) -> Result<Converted, Error> {
    let url = Url::parse("https://example.org/feed").unwrap();
    let content_type = Some(content_type).filter(|text| !text.is_empty());
    convert(body, content_type, Some(&url), &Limits::default(), &|| {
        false
    })
}

#[test]
fn feeds_become_lists() {
    let rss = br#"<?xml version="1.0"?><rss version="2.0"><channel><title>News &amp; more</title><link>https://example.org</link><description>All of it</description>
        <item><title>One [1]</title><link>/one</link><pubDate>Sat, 03 Feb 2024 04:05:06 GMT</pubDate><description>&lt;p&gt;About &lt;b&gt;one&lt;/b&gt;&lt;/p&gt;</description></item>
        <item><title>Two</title></item></channel></rss>"#;
    let feed = converted(rss, "text/xml; charset=utf-8").unwrap();
    assert_eq!(feed.title.as_deref(), Some("News & more"));
    assert_eq!(
        feed.markdown.text,
        "# News & more\n\nAll of it\n\n- [One \\[1\\]](https://example.org/one) (2024-02-03): About one\n- Two"
    );
    let atom = br#"<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title><id>1</id><updated>2024-01-01T00:00:00Z</updated>
        <entry><id>2</id><title>E</title><updated>2024-01-02T00:00:00Z</updated><link rel="self" href="/s"/><link href="https://example.org/e"/></entry></feed>"#;
    let atom = converted(atom, "application/atom+xml").unwrap();
    assert_eq!(
        atom.markdown.text,
        "# A\n\n- [E](https://example.org/e) (2024-01-02)"
    );
    let json = br#"{"version":"https://jsonfeed.org/version/1.1","title":"J","items":[{"id":"1","url":"https://example.org/j","content_text":"Hi","title":"I"}]}"#;
    let json = converted(json, "application/json").unwrap();
    assert_eq!((json.kind, json.title.as_deref()), (Kind::Feed, Some("J")));
    assert!(
        json.markdown.text.contains("- [I](https://example.org/j)"),
        "{}",
        json.markdown.text
    );
    let broken = converted(b"<rss><channel>", "application/rss+xml").unwrap();
    assert!(broken.markdown.text.contains("rss"));
}

#[test]
fn texts_are_given_as_they_are() {
    let json = converted(br#"{"b":1,"a":["x"]}"#, "application/ld+json").unwrap();
    assert_eq!(
        json.markdown.text,
        "```json\n{\n  \"b\": 1,\n  \"a\": [\n    \"x\"\n  ]\n}\n```"
    );
    let fence = converted(br#"{"a":"```"}"#, "").unwrap();
    assert!(
        fence.markdown.text.starts_with("````json\n"),
        "{}",
        fence.markdown.text
    );
    let broken = converted(b"{oops", "application/json").unwrap();
    assert_eq!(broken.markdown.text, "```json\n{oops\n```");
    let plain = converted("\u{feff}a < b\n  c".as_bytes(), "text/plain").unwrap();
    assert_eq!(plain.markdown.text, "a < b\n  c");
    assert_eq!(
        converted(b"<a><b/></a>", "application/xml")
            .unwrap()
            .markdown
            .text,
        "```xml\n<a><b/></a>\n```"
    );
    assert_eq!(
        converted(b"\x89PNG\0", "image/png"),
        Err(Error::Unsupported)
    );
    assert_eq!(converted(b"<!doctype html>", ""), Err(Error::Unsupported));
    assert_eq!(kind(b"<!doctype html>", None), Some(Kind::Html));
    assert_eq!(kind(b"\x00\x01", Some("application/octet-stream")), None);
    assert_eq!(
        converted(&b"[".repeat(100_000), "application/json")
            .unwrap()
            .kind,
        Kind::Json
    );
}

/// A PDF of one page that shows `text`; its table of offsets is right.
fn pdf(text: &str) -> Vec<u8> {
    let stream = format!("BT /F1 24 Tf 72 720 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{stream}\nendstream", stream.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
        "<< /Title (A report) >>".to_owned(),
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut offsets = String::new();
    for (at, object) in objects.iter().enumerate() {
        offsets.push_str(&format!("{:010} 00000 n \n", file.len()));
        file.push_str(&format!("{} 0 obj\n{object}\nendobj\n", at + 1));
    }
    let start = file.len();
    let count = objects.len() + 1;
    file.push_str(&format!(
        "xref\n0 {count}\n0000000000 65535 f \n{offsets}trailer\n<< /Size {count} /Root 1 0 R /Info 6 0 R >>\nstartxref\n{start}\n%%EOF\n"
    ));
    file.into_bytes()
}

#[test]
fn a_pdf_gives_its_text_layer() {
    let file = pdf("Hello from a PDF");
    let read = converted(&file, "application/pdf").unwrap();
    assert_eq!(read.markdown.text, "Hello from a PDF");
    assert_eq!(read.title.as_deref(), Some("A report"));
    let limits = Limits {
        max_output: 5,
        ..Limits::default()
    };
    let cut = convert(&file, None, None, &limits, &|| false).unwrap();
    assert!(cut.markdown.truncated && cut.markdown.text.len() <= 5);
}

#[test]
fn a_damaged_pdf_is_an_error_and_no_panic() {
    on_small_stack(|| {
        let file = pdf("Hello");
        let malformed = Err(Error::Malformed { format: "PDF" });
        for body in [
            &b"%PDF-1.7\n"[..],
            b"%PDF-",
            &file[..file.len() / 2],
            b"no PDF at all",
        ] {
            assert_eq!(converted(body, "application/pdf"), malformed);
        }
        // Whatever byte is wrong, there is an answer.
        for at in (0..file.len()).step_by(7) {
            let mut file = file.clone();
            file[at] = b'(';
            let _ = converted(&file, "application/pdf");
        }
        let nested = String::from_utf8(file).unwrap().replace(
            "/Title (A report)",
            &format!("/Title {}", "[".repeat(100_000)),
        );
        let _ = converted(nested.as_bytes(), "application/pdf");
    });
}

#[test]
fn text_that_is_slow_to_write_is_refused() {
    let read = |html: String| read_html(&html, None, Want::ALL, &Limits::default(), &|| false);
    let slow = "& ".repeat(200_000);
    for html in [
        format!("<p>{slow}"),
        format!("<textarea>{slow}</textarea>"),
        format!("<p title='{slow}'>x"),
        format!("<p>{}", "< ".repeat(500_000)),
    ] {
        let refused = read(html);
        assert!(
            matches!(refused, Err(Error::TooLarge { .. })),
            "{refused:?}"
        );
    }
    let props = "{&quot;a&quot;: &quot;b &amp; c&quot;}, ".repeat(1_000);
    let code = "if (a && b) {}\n".repeat(50_000);
    let fine = format!("<p data-props=\"{props}\">x<script>{code}</script>");
    assert!(read(fine).is_ok());
}
