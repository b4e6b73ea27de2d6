//! The CDP policy of the gateway, and the files of a lease, with real browsers.

mod domains;
mod machine;
mod messages;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod urls;

use berth::{
    broker::{MAX_DENIED, PolicyMode},
    browser::jail::Choice,
    gateway::policy::{self, Treatment},
    proto::{AcquireRequest, EndReason, Lease},
};
use futures::SinkExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::{BOUND, Broker, Cdp, acquire, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

async fn lease(broker: &Broker) -> Lease {
    acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap()
}

/// Which rule an answer says that the policy denied by; `None` when it does not.
fn denied(answer: &Value) -> Option<String> {
    let error = &answer["error"];
    let message = error["message"].as_str()?.strip_prefix("berth: ")?;
    assert_eq!(error["code"], -32000, "{answer}");
    assert!(
        message.contains("denied by the broker's CDP policy"),
        "{answer}"
    );
    let rule = message.rsplit_once('(')?.1.strip_suffix(')')?;
    Some(rule.to_owned())
}

/// The value of a series of the ops port.
async fn metric(broker: &Broker, series: &str) -> f64 {
    let (_, text) = broker.ops("/metrics").await;
    let line = text.lines().find(|line| line.starts_with(series));
    let line = line.unwrap_or_else(|| panic!("no {series}\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// What a page reads of the first of `files`, given to an input of it; the error otherwise.
async fn given(client: &mut Cdp, page: &str, files: Value) -> Result<String, Value> {
    let params = json!({"expression": "globalThis.input = Object.assign(document.createElement('input'), {type: 'file'})"});
    let made = client.call(Some(page), "Runtime.evaluate", params).await;
    let object = &made["result"]["result"]["objectId"];
    let params = json!({"files": files, "objectId": object});
    let answer = client
        .call(Some(page), "DOM.setFileInputFiles", params)
        .await;
    if !answer["error"].is_null() {
        return Err(answer);
    }
    let read = client.evaluate(page, "input.files[0].text()").await;
    Ok(read.as_str().unwrap().to_owned())
}
