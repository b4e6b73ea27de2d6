//! The ports of this broker and of its browsers.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrStorage};
use parking_lot::Mutex;

use super::address::special;
use crate::metrics::EgressRule;

/// The ports on this machine that belong to the broker: its own, its egress proxies' and its
/// browsers' debugging ports. Clones share one set.
#[derive(Clone, Debug, Default)]
pub struct OwnPorts(Arc<Mutex<HashMap<u16, usize>>>);

/// That a port is the broker's own. It no longer is when this is dropped.
#[derive(Debug)]
pub struct OwnPort {
    ports: OwnPorts,
    port: u16,
}

impl OwnPorts {
    /// Makes `port` one of the broker's own, until the answer is dropped.
    #[must_use = "it is the broker's own as long as this lives"]
    pub fn add(&self, port: u16) -> OwnPort {
        *self.0.lock().entry(port).or_default() += 1;
        OwnPort {
            ports: self.clone(),
            port,
        }
    }

    /// Whether a connection to `address` would end in this broker or in one of its browsers.
    pub(super) fn has(&self, address: SocketAddr) -> bool {
        let is_own = self.0.lock().contains_key(&address.port());
        is_own && is_here(address.ip())
    }
}

impl Drop for OwnPort {
    fn drop(&mut self) {
        let mut ports = self.ports.0.lock();
        if let Some(count) = ports.get_mut(&self.port) {
            *count -= 1;
            if *count == 0 {
                ports.remove(&self.port);
            }
        }
    }
}

/// Whether `address` is one of this machine. Where the interfaces cannot be read, every address that
/// is not public may be.
fn is_here(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let special = special(address);
    if matches!(
        special,
        Some(EgressRule::Loopback | EgressRule::Unspecified)
    ) {
        return true;
    }
    let Ok(interfaces) = getifaddrs() else {
        return special.is_some();
    };
    interfaces
        .filter_map(|interface| interface.address.as_ref().and_then(ip))
        .any(|own| own == address)
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_own_as_long_as_somebody_has_it() {
        let ports = OwnPorts::default();
        let at = |text: &str| ports.has(text.parse().unwrap());
        assert!(!at("127.0.0.1:7"));
        let one = ports.add(7);
        let other = ports.add(7);
        for here in [
            "127.0.0.1:7",
            "127.9.9.9:7",
            "0.0.0.0:7",
            "[::1]:7",
            "[::ffff:127.0.0.1]:7",
        ] {
            assert!(at(here), "{here}");
        }
        assert!(!at("127.0.0.1:8") && !at("1.1.1.1:7"));
        drop(one);
        assert!(at("127.0.0.1:7"), "the other has it");
        drop(other);
        assert!(!at("127.0.0.1:7"));
    }

    #[test]
    fn the_addresses_of_interfaces_are_this_machine() {
        for own in getifaddrs().unwrap() {
            if let Some(own) = own.address.as_ref().and_then(ip) {
                assert!(is_here(own), "{own}");
            }
        }
    }
}
