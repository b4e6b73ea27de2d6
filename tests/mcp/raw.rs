//! A host that speaks JSON-RPC over the shim's standard streams, and nothing of a library.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::support::{BOUND, Broker, berth, until};

pub const REVISION: &str = "2025-11-25";

/// A shim and its host.
pub struct Host {
    pub child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    next: u64,
    /// Messages that answered nothing.
    pub notes: Vec<Value>,
}

/// The command of a shim of `broker`.
pub fn shim(broker: &Broker, flags: &[&str]) -> Command {
    let mut command = berth();
    command
        .args(["mcp", "--endpoint", &broker.endpoint()])
        .args(flags);
    command
}

impl Host {
    /// Starts a shim and says hello.
    pub async fn greet(broker: &Broker, flags: &[&str]) -> Self {
        let mut host = Self::start(shim(broker, flags));
        host.initialize(REVISION).await;
        host
    }

    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            stdin,
            stdout,
            next: 0,
            notes: Vec::new(),
        }
    }

    pub async fn initialize(&mut self, revision: &str) -> Value {
        let hello = json!({
            "protocolVersion": revision,
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = self.ask("initialize", hello).await;
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.write(&ready).await;
        answer["result"].clone()
    }

    async fn write(&mut self, message: &Value) {
        let line = format!("{message}\n");
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    /// Sends a request and returns its number.
    pub async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        let id = self.next;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
        id
    }

    pub async fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
            .await;
    }

    /// The next message.
    pub async fn read(&mut self) -> Value {
        let line = timeout(BOUND, self.stdout.next_line()).await;
        let line = line.expect("a message in time").unwrap();
        serde_json::from_str(&line.expect("the shim is there")).expect("only JSON-RPC")
    }

    /// The answer to a request.
    pub async fn answer(&mut self, id: u64) -> Value {
        loop {
            let message = self.read().await;
            if message["id"] == id {
                return message;
            }
            self.notes.push(message);
        }
    }

    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.answer(id).await
    }

    /// The result of a tool.
    pub async fn tool(&mut self, name: &str, arguments: Value) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        let answer = self.ask("tools/call", params).await;
        assert!(answer.get("result").is_some(), "{answer}");
        answer["result"].clone()
    }

    /// The text that a tool answers when all is well.
    pub async fn text(&mut self, name: &str, arguments: Value) -> String {
        let result = self.tool(name, arguments).await;
        let text = said(&result);
        assert_ne!(result["isError"], true, "{text}");
        assert!(result["structuredContent"].is_object(), "{result}");
        text
    }

    /// What a tool says when it fails.
    pub async fn failure(&mut self, name: &str, arguments: Value) -> String {
        let result = self.tool(name, arguments).await;
        let text = said(&result);
        assert_eq!(result["isError"], true, "{text}");
        text
    }

    /// Closes its end, as a host that ends in order, and waits for the shim's end.
    pub async fn leave(mut self) {
        drop(self.stdin.take());
        let ended = timeout(BOUND, self.child.wait()).await;
        assert!(ended.expect("it ends").unwrap().success());
    }
}

pub fn said(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

/// Waits until no lease is left, and says how long that took.
pub async fn no_lease(broker: &Broker) -> std::time::Duration {
    until("the browser is given back", async || {
        broker.status().await.leases.is_empty()
    })
    .await
}
