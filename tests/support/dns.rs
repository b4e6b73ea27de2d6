//! A DNS server on loopback that says what a test wants said (RFC 1035), and changes its mind.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{net::UdpSocket, task::JoinHandle};

/// The answers to one name: one list of addresses per question for IPv4, the last of them for ever.
type Turns = Vec<Vec<IpAddr>>;

/// The server, up until dropped. Nothing it says may be kept: its TTLs are 0.
pub struct Dns {
    pub address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    serving: JoinHandle<()>,
}

impl Dns {
    /// A server that knows `names`; any other does not exist.
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    pub async fn start(names: &[(&str, &[&[&str]])]) -> Self {
        let read = |turn: &&[&str]| turn.iter().map(|text| text.parse().unwrap()).collect();
        let names: HashMap<String, Turns> = names
            .iter()
            .map(|(name, turns)| ((*name).to_owned(), turns.iter().map(read).collect()))
            .collect();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::<Mutex<HashMap<String, usize>>>::default();
        let counts = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            let mut question = [0; 1500];
            loop {
                let (size, from) = socket.recv_from(&mut question).await.unwrap();
                let answer = answer(&question[..size], &names, &counts);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self {
            address,
            asked,
            serving,
        }
    }

    /// How often the IPv4 addresses of `name` were asked for.
    pub fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock();
        asked.get(name).copied().unwrap_or_default()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer(
    question: &[u8],
    names: &HashMap<String, Turns>,
    asked: &Mutex<HashMap<String, usize>>,
) -> Vec<u8> {
    const HEADER: usize = 12;
    let (mut at, mut labels) = (HEADER, Vec::new());
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let end = at + 5;
    let turns = names.get(&name);
    let turn = {
        let mut asked = asked.lock();
        let count = asked.entry(name).or_default();
        // A client asks for both kinds at once: the turn is that of IPv4.
        let turn = *count;
        *count += usize::from(kind == 1);
        turn
    };
    let addresses = match turns {
        Some(turns) if kind == 1 => &turns[turn.min(turns.len() - 1)],
        Some(turns) => &turns[0],
        None => &Vec::new(),
    };
    let wanted = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) if kind == 1 => Some(address.octets().to_vec()),
        IpAddr::V6(address) if kind == 28 => Some(address.octets().to_vec()),
        _ => None,
    });
    let wanted: Vec<_> = wanted.collect();
    let mut said = question[..2].to_vec();
    // An answer, recursion available; NXDOMAIN for what is not known.
    said.extend([0x81, if turns.is_some() { 0x80 } else { 0x83 }]);
    said.extend([0, 1, 0, u8::try_from(wanted.len()).unwrap(), 0, 0, 0, 0]);
    said.extend(&question[HEADER..end]);
    for address in wanted {
        said.extend([0xc0, 12]);
        said.extend(kind.to_be_bytes());
        said.extend([0, 1, 0, 0, 0, 0, 0, u8::try_from(address.len()).unwrap()]);
        said.extend(address);
    }
    said
}
