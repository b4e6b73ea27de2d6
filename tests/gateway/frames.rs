//! Frames: pings, and those that break the rules.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_and_asked() {
    let options = gateway::Options {
        ping_interval: Duration::from_millis(100),
        ..gateway::Options::default()
    };
    let rig = Rig::with(options).await;
    let lease = rig.lease().await;
    let mut client = rig.connect(&lease.path).await;
    let ping = Message::Ping(b"hello"[..].into());
    client.socket.send(ping).await.unwrap();
    let (mut ponged, mut pinged) = (false, 0);
    // Longer than a silent client would be kept: reading is what answers.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        match client.next().await.unwrap() {
            Message::Pong(payload) => ponged = &payload[..] == b"hello",
            Message::Ping(_) => pinged += 1,
            other => panic!("{other}"),
        }
    }
    assert!(ponged);
    assert!(pinged >= 4, "{pinged}");
    client.call("Browser.getVersion", json!({})).await;

    let mut silent = rig.raw(&lease.path).await;
    rig.attached(&lease, 2).await;
    let begun = Instant::now();
    let mut pings = Vec::new();
    // The other one must keep answering meanwhile.
    let (read, _) = tokio::join!(silent.read_to_end(&mut pings), async {
        while begun.elapsed() < Duration::from_millis(600) {
            client.next().await.unwrap();
        }
    });
    read.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(pings.starts_with(b"\x89\x05berth"), "{pings:?}");
    rig.attached(&lease, 1).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_rules_end_the_connection() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    for bytes in [
        &b"\x81\x02{}"[..],
        b"\xc1\x82\0\0\0\0{}",
        b"\x09\x80\0\0\0\0",
        b"\x89\xfe\0\x7e\0\0\0\0",
    ] {
        let mut stream = rig.raw(&lease.path).await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer));
        read.await.unwrap().unwrap();
        assert_eq!(answer[0], 0x88, "{answer:?}");
        assert_eq!(answer[2..4], 1002_u16.to_be_bytes(), "{answer:?}");
    }
    rig.attached(&lease, 0).await;
    rig.stop().await;
}
