//! Content over both ways: Markdown, links, metadata, and what is no HTML.

use berth::fetch::{Error, Format, Response, Strategy};

use super::{origin::Origin, rig::Rig};

const WANTED: [Format; 3] = [Format::Markdown, Format::Links, Format::Metadata];

fn markdown(response: &Response) -> &str {
    response.markdown.as_deref().unwrap()
}

#[tokio::test]
async fn content_is_the_same_whichever_way_it_came() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    for strategy in [Strategy::Http, Strategy::Browser] {
        let got = rig
            .get(&origin.url("/paper"), strategy, &WANTED)
            .await
            .unwrap();
        let text = markdown(&got);
        assert!(text.starts_with("# On lending"), "{text}");
        assert!(text.contains("## Why deadlines"), "{text}");
        assert!(
            text.contains("```rust\nlet lease = acquire().await;\n```"),
            "{text}"
        );
        let link = format!("[the terms]({})", origin.url("/terms"));
        assert!(text.contains(&link), "{text}");
        assert!(
            !text.contains("Home") && !text.contains("cookies"),
            "{text}"
        );
        let links = got.links.as_ref().unwrap();
        let terms = links
            .links
            .iter()
            .find(|link| link.url == origin.url("/terms"))
            .unwrap();
        assert_eq!(
            (terms.text.as_str(), terms.rel.as_str()),
            ("the terms", "nofollow")
        );
        let metadata = got.metadata.as_ref().unwrap();
        assert_eq!(metadata.description.as_deref(), Some("How to lend"));
        assert_eq!(metadata.language.as_deref(), Some("en"));
        assert_eq!(metadata.authors, ["A. Lender"]);
        assert!(got.html.is_none(), "it was not asked for");
    }
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn what_is_no_html_has_its_own_markdown() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    let got = rig
        .get(&origin.url("/json"), Strategy::Auto, &WANTED)
        .await
        .unwrap();
    assert!(markdown(&got).starts_with("```json"), "{}", markdown(&got));
    assert!(got.links.is_none() && got.metadata.is_none());
    let got = rig
        .get(&origin.url("/news"), Strategy::Auto, &WANTED)
        .await
        .unwrap();
    assert!(
        markdown(&got).contains("[First news]"),
        "{}",
        markdown(&got)
    );
    let got = rig
        .get(&origin.url("/picture"), Strategy::Auto, &WANTED)
        .await
        .unwrap();
    assert!(got.markdown.is_none());
    assert!(got.warnings.iter().any(|one| one.code == "no_content_read"));
    rig.end().await;
}

#[tokio::test]
async fn a_document_beyond_measure_is_refused_or_read() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    let deep = rig.get(&origin.url("/deep"), Strategy::Http, &WANTED).await;
    assert!(
        matches!(deep, Ok(_) | Err(Error::TooComplex(_))),
        "{deep:?}"
    );
    let wide = rig.get(&origin.url("/wide"), Strategy::Http, &WANTED).await;
    assert!(matches!(wide, Err(Error::TooComplex(_))), "{wide:?}");
    rig.end().await;
}
