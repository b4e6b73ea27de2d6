//! The connections of the HTTP client, counted where they are made and by the requests they carry.
//!
//! A connection is *open* from the moment it can carry a request until its socket is closed. It is
//! *active* while at least one request uses it, from its sending until the body has been read or
//! given up, and *idle* otherwise. Over HTTP/1.1 an active connection serves one request; over
//! HTTP/2 many share it, and it still counts once.
//!
//! The client's connector tells of every socket that comes up ([`Connections::opened`]), every answer
//! names the socket that it came over ([`Connections::used`]), and the kernel knows which of them
//! are still there.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use hyper_util::client::legacy::connect::HttpInfo;
use parking_lot::Mutex;
use procfs::net::TcpState;
use tokio::time::Instant;

/// How many connections there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Those that carry at least one request.
    pub active: u64,
    /// Those that are kept for the next one.
    pub idle: u64,
    /// Those ever opened.
    pub opened: u64,
    /// Requests that were answered over a connection that had carried one before, or carried another.
    pub reused: u64,
}

/// All connections of one fetcher, whatever proxy they go through; clones share one.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Mutex<State>>);

/// How often the kernel is asked which sockets are there, to count the idle ones. It goes through
/// the table of all the machine's connections for that, which takes milliseconds however few there
/// are.
const OFTEN: Duration = Duration::from_secs(2);
/// The same while there seem to be too many, and each request pays for it with its connection.
const AT_THE_LIMIT: Duration = Duration::from_millis(200);

/// The two ends of a socket.
type Ends = (SocketAddr, SocketAddr);

#[derive(Debug, Default)]
struct State {
    open: HashMap<Ends, Connection>,
    /// Connections that are coming up.
    connecting: u64,
    /// Requests without an answer yet, whether their connection is there or not.
    sending: u64,
    opened: u64,
    reused: u64,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    /// What it took to come by: name, socket, proxy and TLS.
    took: Duration,
    /// Requests that use it now, and that ever did.
    users: u64,
    uses: u64,
}

impl Connections {
    /// A connection is coming up, until what this gives is dropped.
    pub(super) fn connecting(&self) -> Connecting {
        self.0.lock().connecting += 1;
        Connecting(self.clone())
    }

    /// A connection has come up and `took` so long.
    pub(super) fn opened(&self, info: Option<&HttpInfo>, took: Duration) {
        let mut state = self.0.lock();
        state.opened += 1;
        let Some(info) = info else {
            return;
        };
        let connection = Connection {
            took,
            users: 0,
            uses: 0,
        };
        // A pair of ends comes again only once its first socket is gone.
        let ends = (info.local_addr(), info.remote_addr());
        state.open.insert(ends, connection);
    }

    /// A request is sent, and has no answer until what this gives is dropped.
    pub(super) fn sending(&self) -> Sending {
        let mut state = self.0.lock();
        state.sending += 1;
        Sending {
            all: self.clone(),
            opened: state.opened,
        }
    }

    /// An answer comes over the connection of `info`, until what this gives is dropped.
    pub(super) fn used(&self, info: Option<&HttpInfo>) -> Option<Use> {
        let info = info?;
        let ends = (info.local_addr(), info.remote_addr());
        let mut state = self.0.lock();
        let connection = state.open.get_mut(&ends)?;
        connection.users += 1;
        connection.uses += 1;
        let (first, took) = (connection.uses == 1, connection.took);
        state.reused += u64::from(!first);
        Some(Use {
            all: self.clone(),
            ends,
            connect: first.then_some(took),
        })
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        let mut state = self.0.lock();
        state.look(OFTEN);
        let in_use = state.open.values().filter(|one| one.users > 0).count() as u64;
        let free = state.open.len() as u64 - in_use;
        // Those that wait for an answer have a connection each that is free by the table, but for
        // those that share one over HTTP/2.
        let answering = state.sending.saturating_sub(state.connecting).min(free);
        ConnectionCounts {
            active: in_use + answering,
            idle: free - answering,
            opened: state.opened,
            reused: state.reused,
        }
    }

    /// Whether more than `limit` are open: each host may keep some, and hosts are many.
    pub(super) fn exceed(&self, limit: usize) -> bool {
        let mut state = self.0.lock();
        if state.open.len() > limit {
            state.look(AT_THE_LIMIT);
        }
        state.open.len() > limit
    }
}

impl State {
    /// Forgets the connections whose sockets are gone, if that is not known since less than `often`:
    /// nothing tells when one is closed, so the kernel is asked.
    fn look(&mut self, often: Duration) {
        let now = Instant::now();
        let fresh = |at: Instant| now.saturating_duration_since(at) < often;
        if self.open.is_empty() || self.looked.is_some_and(fresh) {
            return;
        }
        if let Some(there) = established() {
            self.open
                .retain(|ends, connection| connection.users > 0 || there.contains(ends));
            self.looked = Some(now);
        }
    }
}

/// The sockets that the kernel has; `None` where it does not say.
fn established() -> Option<HashSet<Ends>> {
    let four = procfs::net::tcp().ok()?;
    // A kernel may be without IPv6.
    let six = procfs::net::tcp6().unwrap_or_default();
    let open = four.into_iter().chain(six);
    let open = open.filter(|one| one.state == TcpState::Established);
    Some(
        open.map(|one| (plain(one.local_address), plain(one.remote_address)))
            .collect(),
    )
}

/// An IPv4 address is one, even where the kernel writes it as IPv6.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A connection that is coming up.
#[derive(Debug)]
pub(super) struct Connecting(Connections);

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.0.lock().connecting -= 1;
    }
}

/// A request without an answer yet.
#[derive(Debug)]
pub(super) struct Sending {
    all: Connections,
    opened: u64,
}

impl Sending {
    /// Whether it went over a connection that had been there before: none has come up since.
    pub(super) fn reuses(&self) -> bool {
        let state = self.all.0.lock();
        state.opened == self.opened && state.opened > 0
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.all.0.lock().sending -= 1;
    }
}

/// An answer's use of a connection, until dropped.
#[derive(Debug)]
pub(super) struct Use {
    all: Connections,
    ends: Ends,
    /// How long the connection took to come by, when nobody used it before.
    pub(super) connect: Option<Duration>,
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(connection) = self.all.0.lock().open.get_mut(&self.ends) {
            connection.users = connection.users.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &Connections) -> (u64, u64, u64, u64) {
        let counts = all.counts();
        (counts.active, counts.idle, counts.opened, counts.reused)
    }

    #[tokio::test]
    async fn a_connection_counts_while_the_kernel_has_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let all = Connections::default();
        let coming = all.connecting();
        let sending = all.sending();
        assert_eq!(counts(&all), (0, 0, 0, 0));
        let socket = tower::Service::call(&mut connector, uri.parse().unwrap());
        let socket = socket.await.unwrap();
        let mut extras = http::Extensions::new();
        hyper_util::client::legacy::connect::Connection::connected(&socket).get_extras(&mut extras);
        let info = extras.get::<HttpInfo>();
        assert!(info.is_some());
        all.opened(info, Duration::from_millis(7));
        drop(coming);
        assert!(!sending.reuses());
        assert_eq!(counts(&all), (1, 0, 1, 0), "it waits for its answer");
        let first = all.used(info).unwrap();
        drop(sending);
        let second = all.used(info).unwrap();
        assert_eq!(first.connect, Some(Duration::from_millis(7)));
        assert_eq!(second.connect, None);
        assert_eq!(counts(&all), (1, 0, 1, 1), "shared, it counts once");
        drop(first);
        drop(second);
        assert_eq!(counts(&all), (0, 1, 1, 1));
        assert!(all.sending().reuses());
        assert!(all.exceed(0) && !all.exceed(1));
        drop(socket);
        while counts(&all).1 > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(counts(&all), (0, 0, 1, 1));
    }
}
