//! Streamable HTTP: a browser for each session, and none for pages of other origins.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    time::timeout,
};

use crate::{
    raw::{REVISION, no_lease, shim},
    support::{BOUND, Broker, until},
};

/// A shim that listens.
pub struct Listening {
    pub child: Child,
    pub url: String,
}

impl Listening {
    pub async fn start(broker: &Broker, flags: &[&str]) -> Self {
        let mut command = shim(broker, flags);
        command
            .args(["--http", "127.0.0.1:0"])
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next_line().await.unwrap().expect("it says where");
            if let Some((_, url)) = line.split_once("serving MCP at ") {
                break url.trim().to_owned();
            }
        };
        Self { child, url }
    }
}

/// One session.
struct Session {
    url: String,
    id: Option<String>,
    client: reqwest::Client,
    next: u64,
}

impl Session {
    async fn open(url: &str) -> Self {
        let mut session = Self {
            url: url.into(),
            id: None,
            client: reqwest::Client::new(),
            next: 0,
        };
        let hello = json!({
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        session.ask("initialize", hello).await;
        assert!(session.id.is_some(), "a session");
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let answer = session.post(&ready).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        session
    }

    fn post(&self, message: &Value) -> reqwest::RequestBuilder {
        let mut request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", REVISION)
            .body(message.to_string());
        if let Some(id) = &self.id {
            request = request.header("mcp-session-id", id);
        }
        request
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let message =
            json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
        let answer = self.post(&message).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{method}");
        if let Some(id) = answer.headers().get("mcp-session-id") {
            self.id = Some(id.to_str().unwrap().to_owned());
        }
        let text = answer.text().await.unwrap();
        // Either JSON, or events of which the last is the answer.
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let mut data = data.map(str::trim);
        let last = data.rfind(|data| !data.is_empty());
        serde_json::from_str(last.unwrap_or(&text)).unwrap()
    }

    async fn navigate(&mut self, url: &str) -> String {
        let call = json!({ "name": "browser_navigate", "arguments": { "url": url } });
        let answer = self.ask("tools/call", call).await;
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn delete(&self) {
        let delete = self.client.delete(&self.url);
        let delete = delete.header("mcp-session-id", self.id.as_ref().unwrap());
        let answer = delete.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_session_has_a_browser_of_its_own() {
    let broker = Broker::start().await;
    let mut listening = Listening::start(&broker, &[]).await;
    let mut one = Session::open(&listening.url).await;
    let mut other = Session::open(&listening.url).await;
    for session in [&mut one, &mut other] {
        let page = session.navigate(&broker.site.url("/")).await;
        assert!(page.contains("An article"), "{page}");
    }
    assert_eq!(broker.status().await.leases.len(), 2);
    one.delete().await;
    until("one is given back", async || {
        broker.status().await.leases.len() == 1
    })
    .await;
    other.navigate(&broker.site.url("/shell")).await;
    listening.child.start_kill().unwrap();
    listening.child.wait().await.unwrap();
    no_lease(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_drive_no_browser() {
    let broker = Broker::start().await;
    let mut listening = Listening::start(&broker, &["--idle-timeout", "2s"]).await;
    let mut session = Session::open(&listening.url).await;
    let list = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/list" });
    for (header, value) in [("origin", "http://evil.example"), ("host", "evil.example")] {
        let answer = session.post(&list).header(header, value).send().await;
        assert_eq!(answer.unwrap().status(), 403, "{header}");
    }
    session.navigate(&broker.site.url("/")).await;
    // A session that nobody asks any more is over, and so is its browser: what it tells ends.
    let telling = session
        .client
        .get(&session.url)
        .header("accept", "text/event-stream")
        .header("mcp-protocol-version", REVISION)
        .header("mcp-session-id", session.id.as_ref().unwrap());
    let telling = telling.send().await.unwrap();
    assert_eq!(telling.status(), 200);
    timeout(BOUND, telling.bytes()).await.unwrap().unwrap();
    no_lease(&broker).await;
    let answer = session.post(&list).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    listening.child.start_kill().unwrap();
    listening.child.wait().await.unwrap();
    broker.stop().await;
}
