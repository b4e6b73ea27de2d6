//! What an agent does in a shop, by references of snapshots alone, and what it sees there.

use berth::proto::{
    ContentRequest, FetchFormat, HistoryStep, ImageFormat, NavigateRequest, PdfRequest,
    ScreenshotOptions, ScreenshotRequest, ScrollRequest, SnapshotRequest, UploadFile,
    UploadFilesRequest, wait_for_request::Condition,
};

use crate::{
    client::{Agent, by_ref, by_selector, by_text, page, reference},
    support::{Broker, shop},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_shops_by_references_alone() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    assert_eq!(agent.go("/").await.status, 200);
    let home = agent.snapshot().await;
    assert!(
        home.contains("- heading \"The Test Shop\" [level=1]"),
        "{home}"
    );
    assert!(
        !home.contains("Hidden") && !home.contains("Nowhere"),
        "{home}"
    );
    let search = reference(&home, &["searchbox \"Search\""]);
    agent.type_text(by_ref(&search), "number 4", true).await;
    agent.see("Nothing, number 40").await;
    let list = agent.snapshot().await;
    let good = reference(&list, &["link \"Nothing, number 42\""]);
    let result = agent.click(by_ref(&good)).await;
    assert_eq!(page(&result).url, agent.shop.url("/good/42"));

    let detail = agent.snapshot().await;
    assert!(detail.contains("- row: Small | 1 €"), "{detail}");
    let size = reference(&detail, &["combobox \"Size\""]);
    agent.select(by_ref(&size), &["Large"]).await.unwrap();
    let gift = reference(&detail, &["checkbox \"As a gift\""]);
    agent.fill(by_ref(&gift), "true").await;
    let stars = reference(&detail, &["button \"3 stars\""]);
    agent.click(by_ref(&stars)).await;
    let add = reference(&detail, &["Put into the basket"]);
    agent.click(by_ref(&add)).await;
    // What the click asked the shop is answered: no waiting.
    let detail = agent.snapshot().await;
    assert!(detail.contains("In the basket: l, as a gift"), "{detail}");
    assert!(detail.contains("button \"3 stars\" [pressed]"), "{detail}");
    assert!(
        detail.contains("checkbox \"As a gift\" [checked]"),
        "{detail}"
    );

    let checkout = reference(&detail, &["link \"Checkout\""]);
    agent.click(by_ref(&checkout)).await;
    agent.see("Card number").await;
    let form = agent.snapshot().await;
    let order = reference(&form, &["button \"Order\""]);
    agent.click(by_ref(&order)).await;
    let form = agent.snapshot().await;
    assert!(form.contains("Please fill in name"), "{form}");
    let name = reference(&form, &["textbox \"Name\""]);
    agent.fill(by_ref(&name), "Ada").await;
    agent
        .fill(
            by_ref(&reference(&form, &["textbox \"E-mail\""])),
            "ada@example.org",
        )
        .await;
    agent
        .fill(
            by_ref(&reference(&form, &["textbox \"Delivery\""])),
            "2026-12-24",
        )
        .await;
    // In a frame of another site.
    let card = reference(&form, &["textbox \"Card number\""]);
    assert!(card.starts_with('f'), "{card}");
    agent.fill(by_ref(&card), "4242").await;
    agent
        .click(by_ref(&reference(&form, &["button \"Pay\""])))
        .await;
    agent.see("Paid with 4242").await;
    let form = agent.snapshot().await;
    assert!(form.contains("textbox \"Name\" [required]"), "{form}");
    assert!(form.contains(": Ada"), "{form}");
    assert!(form.contains(": 2026-12-24"), "{form}");
    let result = agent.click(by_ref(&order)).await;
    assert_eq!(page(&result).title, "Thanks");
    assert!(agent.snapshot().await.contains("Thank you, Ada"));
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_are_found_by_text_and_selector() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    // Exactly so goes before more than that.
    agent.click(by_text("count")).await;
    agent.click(by_text("Count")).await;
    assert_eq!(
        agent
            .evaluate("document.getElementById('count').textContent")
            .await
            .unwrap(),
        "\"2\""
    );
    agent.fill(by_text("Search"), "x").await;
    agent
        .press(by_selector("input"), "Control+a")
        .await
        .unwrap();
    agent.press(None, "Delete").await.unwrap();
    agent.type_text(None, "é+Z 9", false).await;
    assert_eq!(
        agent
            .evaluate("document.querySelector('input').value")
            .await
            .unwrap(),
        "\"é+Z 9\""
    );
    // What is disabled is waited for.
    agent.click(by_text("Wait for me")).await;
    agent.see("late").await;
    // In a shadow tree.
    agent.go("/good/1").await;
    agent.click(by_text("2 stars")).await;
    let pressed = agent.evaluate_with(
        "(one) => one.getAttribute('aria-pressed')",
        by_text("2 stars"),
    );
    assert_eq!(pressed.await.unwrap(), "\"true\"");
    agent
        .click(by_selector("fieldset button:nth-of-type(3)"))
        .await;
    // In a frame of another process.
    agent.go("/checkout").await;
    agent.see("Pay").await;
    agent.fill(by_selector("#card"), "1").await;
    agent.click(by_text("Pay")).await;
    agent.see("Paid with 1").await;
    let within = agent.evaluate_with(
        "(one) => location.hostname + one.value",
        by_selector("#card"),
    );
    assert_eq!(within.await.unwrap(), "\"localhost1\"");
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_read_in_parts_and_by_changes() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    let whole = agent.snapshot_as(SnapshotRequest::default()).await.unwrap();
    assert!(!whole.truncated && whole.next_cursor.is_empty());
    assert_eq!(whole.total_bytes as usize, whole.tree.len());
    let mut request = SnapshotRequest {
        max_bytes: 256,
        ..SnapshotRequest::default()
    };
    let mut read = String::new();
    let mut parts = 0;
    loop {
        let part = agent.snapshot_as(request.clone()).await.unwrap();
        assert!(part.tree.len() <= 256);
        read += &part.tree;
        parts += 1;
        assert_eq!(part.truncated, !part.next_cursor.is_empty());
        if !part.truncated {
            break;
        }
        request.cursor = part.next_cursor;
    }
    assert!(parts > 2, "{parts}");
    assert_eq!(read, whole.tree, "all of it, once");

    let changes = SnapshotRequest {
        changes_only: true,
        ..SnapshotRequest::default()
    };
    let same = agent.snapshot_as(changes.clone()).await.unwrap();
    assert_eq!((same.tree.as_str(), same.total_bytes), ("", 0));
    agent.click(by_text("Count")).await;
    let changed = agent.snapshot_as(changes).await.unwrap().tree;
    assert!(
        changed.contains("+") && changed.contains("status: 1"),
        "{changed}"
    );
    assert!(changed.len() < whole.tree.len() / 2, "{changed}");
    // References live as long as the document.
    let before = reference(&whole.tree, &["button \"Count\""]);
    assert_eq!(
        reference(&agent.snapshot().await, &["button \"Count\""]),
        before
    );
    // Only a part of the page.
    let part = SnapshotRequest {
        element: by_selector("nav"),
        ..SnapshotRequest::default()
    };
    let part = agent.snapshot_as(part).await.unwrap().tree;
    assert!(
        part.contains("All goods") && !part.contains("Count"),
        "{part}"
    );
    // A cursor of an earlier snapshot.
    request.cursor = "1:0".into();
    let refused = agent.snapshot_as(request).await.unwrap_err();
    assert!(
        refused.message().contains("cursor"),
        "{}",
        refused.message()
    );
    // What shows no end is told up to one, and says so.
    let endless = "document.body.innerHTML = '<p>' + 'x'.repeat(5e6) + '</p><p>end</p>'; 0";
    agent.evaluate(endless).await.unwrap();
    let first = agent.snapshot_as(SnapshotRequest::default()).await.unwrap();
    assert!(first.truncated && first.total_bytes < 4_100_000);
    let rest = SnapshotRequest {
        cursor: first.next_cursor,
        ..SnapshotRequest::default()
    };
    let rest = agent.snapshot_as(rest).await.unwrap();
    assert!(rest.tree.contains("left out") && !rest.truncated);
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_without_end_uploads_and_drags() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/list").await;
    agent.see("Nothing, number 0").await;
    let last = format!("Nothing, number {}", shop::GOODS - 1);
    let there = Condition::Text(last.clone());
    for _ in 0..20 {
        let scroll = ScrollRequest {
            page: agent.page.clone(),
            delta_y: 5000,
            ..ScrollRequest::default()
        };
        agent.pages.scroll(scroll).await.unwrap();
        if agent.wait(there.clone(), 500).await.is_ok() {
            break;
        }
    }
    agent.click(by_text(&last)).await;
    agent.see(&format!("number {}", shop::GOODS - 1)).await;

    agent.go("/upload").await;
    let file = |name: &str, content: &'static str| UploadFile {
        name: name.into(),
        content: content.into(),
    };
    let upload = UploadFilesRequest {
        page: agent.page.clone(),
        element: by_text("Pictures"),
        files: vec![file("a.txt", "first"), file("é.txt", "second")],
        ..UploadFilesRequest::default()
    };
    agent.pages.upload_files(upload.clone()).await.unwrap();
    agent.see("a.txt: first; é.txt: second").await;
    let mut wrong = upload;
    wrong.files[0].name = "../a".into();
    let refused = agent.pages.upload_files(wrong).await.unwrap_err();
    assert!(
        refused.message().contains("\"../a\""),
        "{}",
        refused.message()
    );
    agent.drag(by_text("Drag me"), by_text("Drop here")).await;
    agent.see("Dropped").await;
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_paper_contents_and_the_history() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    agent.go("/terms").await;
    let lease = agent.page.clone();
    let picture = ScreenshotRequest {
        page: lease.clone(),
        ..ScreenshotRequest::default()
    };
    let whole = agent
        .pages
        .screenshot(picture.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(whole.image.starts_with(b"\x89PNG"));
    let part = ScreenshotRequest {
        options: Some(ScreenshotOptions {
            format: ImageFormat::Jpeg.into(),
            ..ScreenshotOptions::default()
        }),
        element: by_text("Close"),
        ..picture.clone()
    };
    let part = agent.pages.screenshot(part).await.unwrap().into_inner();
    assert!(part.image.starts_with(b"\xff\xd8") && part.image.len() < whole.image.len());
    let small = ScreenshotRequest {
        max_bytes: 100,
        ..picture
    };
    let refused = agent.pages.screenshot(small).await.unwrap_err();
    assert_eq!(crate::support::reason(&refused), "TOO_LARGE");
    let print = PdfRequest {
        page: lease.clone(),
        ..PdfRequest::default()
    };
    let printed = agent.pages.pdf(print).await.unwrap().into_inner();
    assert!(printed.pdf.starts_with(b"%PDF"));

    let formats = [
        FetchFormat::Html,
        FetchFormat::Text,
        FetchFormat::Markdown,
        FetchFormat::Links,
        FetchFormat::Metadata,
    ];
    let content = ContentRequest {
        page: lease.clone(),
        formats: formats.iter().map(|one| (*one).into()).collect(),
        ..ContentRequest::default()
    };
    let content = agent.pages.content(content).await.unwrap().into_inner();
    let contents = content.contents.unwrap();
    assert!(contents.html.unwrap().starts_with("<!DOCTYPE html>"));
    assert!(contents.text.unwrap().contains("You agree to everything"));
    assert!(contents.markdown.unwrap().contains("The second paragraph"));
    assert_eq!(contents.metadata.unwrap().title, "Terms");
    assert_eq!(contents.links.unwrap().links.len(), 0);

    for (step, path) in [
        (HistoryStep::Back, "/"),
        (HistoryStep::Forward, "/terms"),
        (HistoryStep::Reload, "/terms"),
    ] {
        let request = NavigateRequest {
            page: lease.clone(),
            history: step.into(),
            ..NavigateRequest::default()
        };
        let gone = agent.pages.navigate(request).await.unwrap().into_inner();
        let url = gone.result.unwrap().page.unwrap().url;
        assert_eq!(url, agent.shop.url(path), "{step:?}");
    }
    let further = NavigateRequest {
        page: lease,
        history: HistoryStep::Forward.into(),
        ..NavigateRequest::default()
    };
    let refused = agent.pages.navigate(further).await.unwrap_err();
    assert_eq!(crate::support::reason(&refused), "PAGE_CONDITION");
    agent.leave(&broker).await;
    broker.stop().await;
}
