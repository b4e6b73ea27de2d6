//! An agent-like walk: nothing but tools, and of the pages nothing but the refs they show.

use serde_json::json;

use crate::{
    raw::{Host, no_lease},
    support::{Broker, shop::Shop},
};

/// The ref in the line of a snapshot that has `words`.
fn reference(text: &str, words: &str) -> String {
    let line = text.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("{words:?} is not in\n{text}"));
    let (_, rest) = line.split_once("[ref=").unwrap_or_else(|| panic!("{line}"));
    rest.split_once(']').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_shops_by_refs_alone() {
    let broker = Broker::start().await;
    let shop = Shop::open().await;
    let mut host = Host::greet(&broker, &["--tools", "all"]).await;
    let home = host
        .text("browser_navigate", json!({ "url": shop.url("/") }))
        .await;
    let search = reference(&home, "searchbox \"Search\"");
    host.text(
        "browser_type",
        json!({ "ref": search, "text": "number 4", "submit": true }),
    )
    .await;
    let list = host
        .text("browser_wait_for", json!({ "text": "Nothing, number 40" }))
        .await;
    let good = reference(&list, "link \"Nothing, number 42\"");
    let detail = host
        .text(
            "browser_click",
            json!({ "ref": good, "element": "the good" }),
        )
        .await;
    assert!(detail.starts_with("Clicked the good."), "{detail}");
    let fields = json!({ "fields": [
        { "name": "size", "type": "combobox", "ref": reference(&detail, "combobox \"Size\""), "value": "Large" },
        { "name": "gift", "type": "checkbox", "ref": reference(&detail, "checkbox \"As a gift\""), "value": "true" },
    ]});
    host.text("browser_fill_form", fields).await;
    let rated = host
        .text(
            "browser_click",
            json!({ "ref": reference(&detail, "button \"3 stars\"") }),
        )
        .await;
    assert!(rated.contains("button \"3 stars\" [pressed]"), "{rated}");
    let basket = host
        .text(
            "browser_click",
            json!({ "ref": reference(&detail, "Put into the basket") }),
        )
        .await;
    assert!(basket.contains("In the basket: l, as a gift"), "{basket}");
    host.text(
        "browser_click",
        json!({ "ref": reference(&basket, "link \"Checkout\"") }),
    )
    .await;
    let form = host
        .text("browser_wait_for", json!({ "text": "Card number" }))
        .await;
    let order = reference(&form, "button \"Order\"");
    let wrong = host.text("browser_click", json!({ "ref": order })).await;
    assert!(wrong.contains("Please fill in name"), "{wrong}");
    let fields = json!({ "fields": [
        { "ref": reference(&wrong, "textbox \"Name\""), "value": "Ada" },
        { "ref": reference(&wrong, "textbox \"E-mail\""), "value": "ada@example.org" },
        { "ref": reference(&wrong, "textbox \"Card number\""), "value": "4242" },
    ]});
    let filled = host.text("browser_fill_form", fields).await;
    let paid = host
        .text(
            "browser_click",
            json!({ "ref": reference(&filled, "button \"Pay\"") }),
        )
        .await;
    assert!(paid.contains("Paid with 4242"), "{paid}");
    let thanks = host.text("browser_click", json!({ "ref": order })).await;
    assert!(thanks.contains("Thank you, Ada"), "{thanks}");
    let before = host.text("browser_navigate_back", json!({})).await;
    assert!(before.contains("/checkout"), "{before}");

    let home = host
        .text("browser_navigate", json!({ "url": shop.url("/") }))
        .await;
    host.text("browser_handle_dialog", json!({ "accept": true }))
        .await;
    let asked = host
        .text(
            "browser_click",
            json!({ "ref": reference(&home, "button \"Ask me\"") }),
        )
        .await;
    assert!(
        asked.contains("confirm \"Really?\", answered by OK"),
        "{asked}"
    );
    let popup = host
        .text(
            "browser_click",
            json!({ "ref": reference(&home, "Terms in a window") }),
        )
        .await;
    assert!(popup.contains("a new tab"), "{popup}");
    let tabs = host
        .text("browser_tabs", json!({ "action": "select", "index": 1 }))
        .await;
    assert!(tabs.contains("- 1 (current): "), "{tabs}");
    let terms = host
        .text(
            "browser_wait_for",
            json!({ "text": "You agree to everything" }),
        )
        .await;
    host.text(
        "browser_click",
        json!({ "ref": reference(&terms, "button \"Close\"") }),
    )
    .await;
    let tabs = host.text("browser_tabs", json!({ "action": "list" })).await;
    assert!(!tabs.contains("- 1"), "{tabs}");
    let changed = host
        .text(
            "browser_click",
            json!({ "ref": reference(&home, "button \"Break\"") }),
        )
        .await;
    assert!(
        changed.contains("request failed: GET") && changed.contains("console error: it broke 42"),
        "{changed}"
    );
    let said = host.text("browser_console_messages", json!({})).await;
    assert!(said.contains("it broke 42"), "{said}");
    let requests = host.text("browser_network_requests", json!({})).await;
    assert!(requests.contains("/missing: 404"), "{requests}");

    let upload = host
        .text("browser_navigate", json!({ "url": shop.url("/upload") }))
        .await;
    let files =
        json!([{ "name": "a.txt", "text": "first" }, { "name": "b.txt", "base64": "c2Vjb25k" }]);
    let sent = json!({ "ref": reference(&upload, "Pictures"), "files": files });
    host.text("browser_file_upload", sent).await;
    host.text(
        "browser_wait_for",
        json!({ "text": "a.txt: first; b.txt: second" }),
    )
    .await;
    let drag = json!({ "startRef": reference(&upload, "Drag me"), "endRef": "css=#to" });
    let dropped = host.text("browser_drag", drag).await;
    assert!(dropped.contains("Dropped"), "{dropped}");
    host.text("browser_navigate", json!({ "url": shop.url("/list") }))
        .await;
    host.text("browser_wait_for", json!({ "text": "Nothing, number 0" }))
        .await;
    let more = host
        .text("browser_scroll", json!({ "down": 100_000 }))
        .await;
    assert!(more.contains("number 25"), "{more}");
    let read = host
        .text("browser_content", json!({ "format": "links" }))
        .await;
    assert!(read.contains("](http://"), "{read}");
    host.leave().await;
    no_lease(&broker).await;
    shop.close().await;
    broker.stop().await;
}
