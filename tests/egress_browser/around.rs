//! Nothing goes around the egress proxy: no datagram, and no connection that is not with it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use berth::proto::BrowserOptions;
use procfs::{
    net::TcpState,
    process::{FDTarget, all_processes},
};
use serde_json::json;
use tokio::{net::UdpSocket, task::JoinHandle};

use super::{
    ground::{Pages, Trap, browse, lease},
    support::{Broker, Cdp, rules, until},
};

/// Counts datagrams.
struct Datagrams {
    port: u16,
    count: Arc<AtomicUsize>,
    counting: JoinHandle<()>,
}

impl Datagrams {
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    async fn count() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let counting = tokio::spawn(async move {
            let mut datagram = [0; 2048];
            while socket.recv(&mut datagram).await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            port,
            count,
            counting,
        }
    }

    fn counted(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.counting.abort();
    }
}

/// Looks for a way to `STUN` by WebRTC and QUIC, and says what candidates there are.
const TALK: &str = "(async () => {
  const at = 'STUN', who = {username: 'u', credential: 'p'};
  const peer = new RTCPeerConnection({iceServers: [
    {urls: 'stun:' + at},
    {urls: 'turn:' + at + '?transport=udp', ...who},
    {urls: 'turn:' + at + '?transport=tcp', ...who},
  ]});
  const found = [];
  peer.onicecandidate = (e) => e.candidate && found.push(e.candidate.candidate);
  peer.createDataChannel('x');
  await peer.setLocalDescription(await peer.createOffer());
  const late = new Promise((done) => setTimeout(done, 3000));
  await Promise.race([late, new Promise((done) => {
    peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && done();
  })]);
  if (globalThis.WebTransport) {
    try {
      const quic = new WebTransport('https://' + at + '/');
      quic.closed.catch(() => {});
      await Promise.race([late, quic.ready.catch(() => {})]);
    } catch {}
  }
  await late;
  peer.close();
  return found;
})()";

/// The candidates that a page of `broker` finds at `port`.
async fn talk(broker: &Broker, pages: &Pages, port: u16) -> Vec<String> {
    let lease = lease(broker, BrowserOptions::default()).await.unwrap();
    let mut cdp = Cdp::connect(&lease.cdp_url).await;
    let page = cdp.page().await;
    let home = json!({ "url": pages.url("/blank") });
    cdp.call(Some(&page), "Page.navigate", home).await;
    until("the page is there", async || {
        cdp.evaluate(&page, "document.title").await == "blank"
    })
    .await;
    let talk = TALK.replace("STUN", &format!("127.0.0.1:{port}"));
    let found = cdp.evaluate(&page, &talk).await;
    broker.release(&lease).await;
    let found = found.as_array().unwrap().iter();
    found.map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn no_datagram_leaves() {
    let (datagrams, pages) = (Datagrams::count().await, Pages::trying(vec![]).await);
    // Even where the address itself is open.
    let broker = Broker::start().await;
    let found = talk(&broker, &pages, datagrams.port).await;
    assert_eq!(datagrams.counted(), 0, "{found:?}");
    assert!(!found.iter().any(|one| one.contains(" udp ")), "{found:?}");
    broker.stop().await;
    // The same page does talk where an operator has it so.
    let broker = Broker::with(|config| {
        config.browser_args = vec!["--force-webrtc-ip-handling-policy=default".into()];
    })
    .await;
    talk(&broker, &pages, datagrams.port).await;
    assert!(datagrams.counted() > 0);
    broker.stop().await;
}

/// The sockets of all that works below `run_dir`: where TCP connections lead, seen from here, and how
/// many others there are.
fn sockets(run_dir: &Path) -> (BTreeSet<(SocketAddr, SocketAddr)>, usize) {
    let mut inodes = BTreeSet::new();
    for process in all_processes().unwrap().flatten() {
        if !process.cwd().is_ok_and(|cwd| cwd.starts_with(run_dir)) {
            continue;
        }
        for fd in process.fd().into_iter().flatten().flatten() {
            if let FDTarget::Socket(inode) = fd.target {
                inodes.insert(inode);
            }
        }
    }
    let tcp = procfs::net::tcp().unwrap().into_iter();
    let tcp = tcp.chain(procfs::net::tcp6().unwrap());
    let connected = tcp
        .filter(|one| inodes.contains(&one.inode) && one.state != TcpState::Listen)
        .map(|one| (one.local_address, one.remote_address));
    let udp = procfs::net::udp().unwrap().into_iter();
    let udp = udp.chain(procfs::net::udp6().unwrap());
    let udp = udp.filter(|one| inodes.contains(&one.inode)).count();
    (connected.collect(), udp)
}

#[tokio::test]
async fn a_browser_has_no_socket_but_with_its_proxy() {
    let trap = Trap::set().await;
    let pages = Pages::trying(vec![
        format!("http://127.0.0.1:{}/WAY", trap.port),
        format!("http://[::1]:{}/WAY", trap.port),
        format!("https://127.0.0.2:{}/WAY", trap.port),
    ])
    .await;
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.egress_allow = rules(&format!("{},127.0.0.1:{}", pages.address, trap.port));
    })
    .await;
    let page = pages.url("/");
    let mut browsing = Box::pin(browse(&broker, &page, Some("tried")));
    let (mut seen, mut datagrams) = (BTreeSet::new(), 0);
    let mut looking = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        tokio::select! {
            browsed = &mut browsing => break drop(browsed.unwrap()),
            _ = looking.tick() => {
                let (tcp, udp) = sockets(broker.run_dir());
                seen.extend(tcp);
                datagrams = datagrams.max(udp);
            }
        }
    }
    drop(browsing);
    let until = berth::deadline::Deadline::after(super::support::BOUND);
    let party = berth::fair::Party::default();
    let seat = broker.server.pool().seat(&party, until).await.unwrap();
    let proxy = seat.browser().egress().address();
    let debugging = seat.browser().endpoint().addr;
    let with_proxy = seen.iter().filter(|(_, far)| *far == proxy).count();
    assert!(with_proxy > 0, "{seen:?}");
    let around: Vec<_> = seen
        .iter()
        .filter(|(near, far)| *far != proxy && near.port() != debugging.port())
        .collect();
    assert!(around.is_empty(), "proxy {proxy}: {around:?}");
    assert_eq!(datagrams, 0, "datagram sockets");
    assert!(trap.ways().contains("fetch"), "what is open was reached");
    drop(seat);
    broker.stop().await;
}
