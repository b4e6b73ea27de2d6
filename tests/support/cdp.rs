//! A CDP client of the barest kind: a websocket and JSON.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig, protocol::frame::CloseFrame},
};

use super::BOUND;

pub struct Cdp {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
}

impl Cdp {
    pub async fn connect(url: &str) -> Self {
        let mut config = WebSocketConfig::default();
        config.max_message_size = None;
        config.max_frame_size = None;
        let connected = connect_async_with_config(url, Some(config), true);
        let (socket, _) = timeout(BOUND, connected).await.unwrap().unwrap();
        Self { socket, next: 0 }
    }

    /// Sends a command and returns its whole answer; events on the way are thrown away.
    pub async fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        let id = self.send(session, method, params).await;
        loop {
            let message = self.next().await.unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }

    pub async fn send(&mut self, session: Option<&str>, method: &str, params: Value) -> u64 {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
        self.next
    }

    /// The next message; `None` once the socket has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(BOUND, self.socket.next())
                .await
                .expect("a message in time")?
            {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Attaches to the first page and returns its session.
    pub async fn page(&mut self) -> String {
        let targets = self.call(None, "Target.getTargets", json!({})).await;
        let infos = targets["result"]["targetInfos"].as_array().unwrap().clone();
        let page = infos
            .iter()
            .find(|target| target["type"] == "page")
            .unwrap();
        let params = json!({"targetId": page["targetId"], "flatten": true});
        let attached = self.call(None, "Target.attachToTarget", params).await;
        attached["result"]["sessionId"].as_str().unwrap().to_owned()
    }

    /// The value of an expression in a page.
    pub async fn evaluate(&mut self, session: &str, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call(Some(session), "Runtime.evaluate", params).await;
        answer["result"]["result"]["value"].clone()
    }

    /// How the socket was closed: its code and reason. `None` when it was cut.
    pub async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            match timeout(BOUND, self.socket.next())
                .await
                .expect("an end in time")
            {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return Some((code.into(), reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}
