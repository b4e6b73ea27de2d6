//! However a message is sent, it is judged whole.

use super::*;

fn piece(text: &str, opcode: Data, last: bool) -> Message {
    Message::Frame(Frame::message(text.to_owned(), OpCode::Data(opcode), last))
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_message_is_sent_it_is_judged_whole() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let navigate = json!({
        "id": 1001, "method": "Page.navigate", "sessionId": page, "params": {"url": "file:///etc/passwd"},
    })
    .to_string();
    let harmless = json!({"id": 1002, "method": "Browser.getVersion"}).to_string();
    // In pieces of one byte, with pings between them.
    for text in [&navigate, &harmless] {
        let last = text.len() - 1;
        for (at, char) in text.chars().enumerate() {
            let opcode = if at == 0 { Data::Text } else { Data::Continue };
            let frame = piece(&char.to_string(), opcode, at == last);
            client.socket.send(frame).await.unwrap();
            if at % 10 == 0 {
                client.socket.send(Message::Ping("x".into())).await.unwrap();
            }
        }
    }
    // An end that carries nothing.
    let empty = json!({"id": 1003, "method": "Browser.getVersion"}).to_string();
    client
        .socket
        .send(piece(&empty, Data::Text, false))
        .await
        .unwrap();
    client
        .socket
        .send(piece("", Data::Continue, true))
        .await
        .unwrap();
    let mut answers = Vec::new();
    while answers.len() < 3 {
        let message = client.next().await.unwrap();
        if message["id"].is_number() {
            answers.push(message);
        }
    }
    let of = |id: u64| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(denied(of(1001)).as_deref(), Some("scheme"));
    assert!(of(1002)["result"]["product"].is_string());
    assert!(of(1003)["result"]["product"].is_string());

    // What is no command: an answer without a number, or with the one it had, and no end.
    for (message, id) in [
        (Message::binary(harmless.clone()), Value::Null),
        (
            Message::binary(&b"\xd8\x5a\x00\x00\x00\x01\xbf"[..]),
            Value::Null,
        ),
        (Message::text("nonsense"), Value::Null),
        (Message::text("[]"), Value::Null),
        (Message::text(""), Value::Null),
        (Message::text(format!("{harmless}{harmless}")), 1002.into()),
        (
            Message::text(r#"{"id":9,"method":"Browser.getVersion","method":"Page.navigate"}"#),
            9.into(),
        ),
        (
            Message::text(
                r#"{"id":9,"method":"Page.navigate","params":{"url":"about:blank","url":"file:///x"}}"#,
            ),
            9.into(),
        ),
        (
            Message::text(r#"{"id":99999999999,"method":"Browser.getVersion"}"#),
            Value::Null,
        ),
        (
            Message::text(format!(
                r#"{{"id":9,"method":"Page.navigate","params":{}{}}}"#,
                "[".repeat(9000),
                "]".repeat(9000)
            )),
            9.into(),
        ),
    ] {
        let shown = format!("{message:.60?}");
        client.socket.send(message).await.unwrap();
        let answer = client.next().await.unwrap();
        assert_eq!(denied(&answer).as_deref(), Some("malformed"), "{shown}");
        assert_eq!(answer["id"], id, "{shown}");
    }
    assert_eq!(
        client.evaluate(&page, "6 * 7").await,
        42,
        "the session lives"
    );

    // Longer than the browser takes: told by the head alone.
    let address = broker.server.addresses().gateway;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let path = lease.cdp_url.split_once("/lease/").unwrap().1;
    let head = format!(
        "GET /lease/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(
        !answer.contains("extensions"),
        "nothing is compressed: {answer}"
    );
    let mut long = vec![0x81, 0xff];
    long.extend((policy::MAX_MESSAGE as u64 + 1).to_be_bytes());
    long.extend([0; 4]);
    stream.write_all(&long).await.unwrap();
    let mut end = Vec::new();
    timeout(BOUND, stream.read_to_end(&mut end))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((end[0], &end[2..4]), (0x88, &1009_u16.to_be_bytes()[..]));
    drop(stream);

    // A long one that is not too long, in one frame.
    let long = "y".repeat(20 << 20);
    assert_eq!(
        client.evaluate(&page, &format!("'{long}'.length")).await,
        long.len()
    );
    broker.release(&lease).await;
    drop(client);
    broker.stop().await;
}
