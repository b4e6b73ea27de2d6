//! That what is too much is refused in few words, by the whole broker.

use berth::proto::{AcquireRequest, FetchRequest, Header};
use tonic::Code;

use super::support::{Broker, acquire, broker::fields, reason};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_refused_in_few_words() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let url = broker.site.url("/");
    let fetch = || FetchRequest {
        url: url.clone(),
        ..FetchRequest::default()
    };
    let header = |name: &str| Header {
        name: name.into(),
        value: String::new(),
    };
    for (field, message) in [
        (
            "formats",
            FetchRequest {
                formats: vec![77; 4_000_000],
                ..fetch()
            },
        ),
        (
            "headers",
            FetchRequest {
                headers: vec![header("a b"); 500_000],
                ..fetch()
            },
        ),
        (
            "method",
            FetchRequest {
                method: "B".repeat(4_000_000),
                ..fetch()
            },
        ),
        (
            "time_zone",
            FetchRequest {
                time_zone: "é".repeat(2_000_000),
                ..fetch()
            },
        ),
    ] {
        let refused = broker.fetches().fetch(message).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert_eq!(reason(&refused), "BAD_REQUEST");
        assert_eq!(fields(&refused)[0], field);
        let length = refused.message().len() + refused.details().len();
        assert!(length < 8 << 10, "{field}: {length} bytes");
    }
    let labels = (0..100_000)
        .map(|n| (n.to_string(), "x".repeat(16)))
        .collect();
    let request = AcquireRequest {
        labels,
        ..AcquireRequest::default()
    };
    let refused = acquire(&mut broker.leases(), request).await.unwrap_err();
    assert_eq!(fields(&refused), ["labels"]);

    let http = reqwest::Client::new();
    let long = "x".repeat(20 << 10);
    let addresses = broker.server.addresses();
    for port in [addresses.gateway, addresses.ops] {
        let answer = http
            .get(format!("http://{port}/lease/{long}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 431, "{port}");
    }
    drop(http);
    broker.stop().await;
}
