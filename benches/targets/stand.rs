//! What is measured: a whole broker in this process, and the barest of CDP clients.

use std::time::Duration;

use berth::{
    broker::{AcquireSpec, Leased},
    config::Config,
    deadline::Deadline,
    lease::EndReason,
    server::Server,
};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

pub struct Stand {
    pub server: Server,
    _run_dir: TempDir,
}

pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

impl Stand {
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let run_dir = tempfile::tempdir().unwrap();
        let anywhere = ([127, 0, 0, 1], 0).into();
        let mut config = Config {
            listen: anywhere,
            gateway_listen: anywhere,
            ops_listen: anywhere,
            run_dir: run_dir.path().to_owned(),
            // Where the origins of the measurements are.
            egress_allow: ["127.0.0.0/8", "::1"]
                .map(|rule| rule.parse().unwrap())
                .into(),
            ..Config::default()
        };
        change(&mut config);
        let server = Server::start(&config).await.unwrap();
        Self {
            server,
            _run_dir: run_dir,
        }
    }

    pub async fn acquire(&self) -> Leased {
        let broker = self.server.broker();
        broker
            .acquire(AcquireSpec::default(), soon(), false, |_| {})
            .await
            .unwrap()
    }

    pub fn end(&self, leased: Leased) {
        self.server
            .broker()
            .end(leased.grant.record.id, EndReason::Released)
            .unwrap();
    }

    pub fn url(&self, leased: &Leased) -> String {
        let gateway = self.server.addresses().gateway;
        format!("ws://{gateway}/lease/{}", leased.grant.token.reveal())
    }

    /// The browser's own address, around the gateway.
    pub fn direct_url(&self, leased: &Leased) -> String {
        let endpoint = self.server.broker().endpoint(&leased.grant.token).unwrap();
        format!("ws://{}{}", endpoint.addr, endpoint.path)
    }

    /// Waits until `warm` browsers stand by and nothing else is under way.
    pub async fn calm(&self, warm: usize) {
        self.rest(warm, 0).await;
    }

    /// The same beside one browser that stays leased.
    pub async fn calm_beside(&self, warm: usize) {
        self.rest(warm, 1).await;
    }

    async fn rest(&self, warm: usize, leased: usize) {
        loop {
            let seen = self.server.pool().seen();
            let idle = seen
                .iter()
                .filter(|one| one.state == berth::browser::State::Idle)
                .count();
            if idle >= warm && idle + leased == seen.len() {
                // What a launch leaves to do in the background.
                sleep(Duration::from_millis(150)).await;
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn stop(self) {
        self.server.shut_down().await;
    }
}

pub struct Cdp {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
}

impl Cdp {
    pub async fn connect(url: &str) -> Self {
        let mut config = WebSocketConfig::default();
        config.max_message_size = None;
        config.max_frame_size = None;
        let (socket, _) = connect_async_with_config(url, Some(config), true)
            .await
            .unwrap();
        Self { socket, next: 0 }
    }

    pub async fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
        loop {
            let message = self.next().await;
            if message["id"] == id {
                return message["result"].clone();
            }
        }
    }

    pub async fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.next().await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Attaches to a page: the first there is, or a new one in a context of its own.
    pub async fn page(&mut self, context: Option<&Value>) -> String {
        let target = match context {
            None => {
                let targets = self.call(None, "Target.getTargets", json!({})).await;
                let infos = targets["targetInfos"].as_array().unwrap();
                let page = infos
                    .iter()
                    .find(|target| target["type"] == "page")
                    .unwrap();
                page["targetId"].clone()
            }
            Some(context) => {
                let params = json!({"url": "about:blank", "browserContextId": context});
                self.call(None, "Target.createTarget", params).await["targetId"].clone()
            }
        };
        let params = json!({"targetId": target, "flatten": true});
        let attached = self.call(None, "Target.attachToTarget", params).await;
        attached["sessionId"].as_str().unwrap().to_owned()
    }

    /// Goes to `url`, waits until it is loaded, and reads its HTML.
    pub async fn read(&mut self, session: &str, url: &str) -> usize {
        self.call(Some(session), "Page.enable", json!({})).await;
        self.next += 1;
        let navigate = json!({"id": self.next, "method": "Page.navigate", "params": {"url": url},
            "sessionId": session});
        self.socket
            .send(Message::text(navigate.to_string()))
            .await
            .unwrap();
        while self.next().await["method"] != "Page.loadEventFired" {}
        let html = json!({"expression": "document.documentElement.outerHTML"});
        let read = self.call(Some(session), "Runtime.evaluate", html).await;
        read["result"]["value"].as_str().unwrap().len()
    }
}
