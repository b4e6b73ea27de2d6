//! What happens in a page is told by the call that caused it: dialogs, consoles, failed requests, popups.

use berth::proto::{
    ActivatePageRequest, ClosePageRequest, DialogAnswer, ListPagesRequest, NewPageRequest, PageRef,
    page_event::Event,
};

use crate::{
    client::{Agent, OK, by_text, happened, page},
    support::{Broker, reason, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn dialogs_are_answered_and_told() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    let said = "document.getElementById('said').textContent";
    for (dialogs, answer) in [(None, "\"no\""), (OK, "\"yes\"")] {
        let result = agent.try_click(by_text("Ask me"), dialogs).await.unwrap();
        let told = happened(&result.events);
        let [Event::Dialog(dialog)] = told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(
            (dialog.kind.as_str(), dialog.message.as_str()),
            ("confirm", "Really?")
        );
        assert!(!result.events[0].earlier);
        assert_eq!(agent.evaluate(said).await.unwrap(), answer);
    }
    let name = Some(DialogAnswer {
        accept: true,
        prompt_text: "Ada".into(),
    });
    agent.try_click(by_text("Name me"), name).await.unwrap();
    assert_eq!(agent.evaluate(said).await.unwrap(), "\"Ada\"");
    // One that opens between two calls is the next one's.
    agent
        .evaluate("setTimeout(() => { document.title = String(confirm('Later?')) }, 50); 0")
        .await
        .unwrap();
    until("the dialog is answered", async || {
        // The call answers what is open before it looks.
        agent.evaluate("document.title").await.unwrap() == "\"false\""
    })
    .await;
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consoles_exceptions_and_failed_requests_are_told() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    let result = agent.click(by_text("Break")).await;
    let told = happened(&result.events);
    let console = told.iter().any(|one| matches!(one, Event::Console(said) if said.level == "error" && said.text == "it broke 42" && said.location.contains("http")));
    let failed = told.iter().any(|one| matches!(one, Event::RequestFailure(one) if one.status == 404 && one.url.ends_with("/missing") && one.method == "GET"));
    let thrown = told
        .iter()
        .any(|one| matches!(one, Event::Exception(one) if one.text.starts_with("Error: uncaught")));
    assert!(console && failed && thrown, "{told:?}");
    let again = agent.click(by_text("Count")).await;
    assert_eq!(again.events, [], "told once");
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_popups_come_and_go() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    let result = agent.click(by_text("Terms in a window")).await;
    let told = happened(&result.events);
    let opened = told.iter().find_map(|one| match one {
        Event::Opened(one) => Some(one.page_id.clone()),
        _ => None,
    });
    let popup = opened.unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!(
        page(&result).url,
        agent.shop.url("/"),
        "the current page stays"
    );
    let first = page(&result).id.clone();
    let lease_id = agent.lease.id.clone();
    let list = ListPagesRequest {
        lease_id: lease_id.clone(),
    };
    let pages = agent
        .pages
        .list_pages(list.clone())
        .await
        .unwrap()
        .into_inner()
        .pages;
    assert_eq!(pages.len(), 2);
    assert_eq!(
        (pages[1].id.as_str(), pages[1].opener_id.as_str()),
        (popup.as_str(), first.as_str())
    );
    let named = Some(PageRef {
        lease_id: lease_id.clone(),
        page_id: popup.clone(),
    });
    let activate = ActivatePageRequest {
        page: named.clone(),
    };
    agent.pages.activate_page(activate).await.unwrap();
    agent.see("You agree to everything").await;
    // A page that closes itself by the click.
    let closed = agent.click(by_text("Close")).await;
    assert_eq!(page(&closed).id, first);
    // Nothing stayed pressed in the page that opened it.
    agent.click(by_text("Count")).await;
    agent.click(by_text("Count")).await;
    let count = "document.getElementById('count').textContent";
    assert_eq!(agent.evaluate(count).await.unwrap(), "\"2\"");
    let close = ClosePageRequest { page: named };
    let refused = agent.pages.close_page(close).await.unwrap_err();
    assert_eq!(reason(&refused), "PAGE_NOT_FOUND");

    let url = agent.shop.url("/terms");
    let new = NewPageRequest {
        lease_id: lease_id.clone(),
        url,
        viewport: Some(berth::proto::Viewport {
            width: 400,
            height: 300,
            device_scale_factor: 2.0,
        }),
        ..NewPageRequest::default()
    };
    let new = agent.pages.new_page(new).await.unwrap().into_inner();
    assert_eq!(new.status, 200);
    let size = agent
        .evaluate("[innerWidth, innerHeight, devicePixelRatio]")
        .await
        .unwrap();
    assert_eq!(size, "[400,300,2]");
    let close = ClosePageRequest {
        page: agent.page.clone(),
    };
    let left = agent
        .pages
        .close_page(close)
        .await
        .unwrap()
        .into_inner()
        .pages;
    assert_eq!(left.len(), 1);
    assert!(left[0].current && left[0].id == first);
    agent.leave(&broker).await;
    broker.stop().await;
}
