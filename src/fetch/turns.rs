//! Whose turn it is among many fetches: so many at once, and so many of one host.

use std::collections::{HashMap, VecDeque};

use url::Url;

/// A host and port that fetches go to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(String);

impl Host {
    /// Where `url` leads.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Self(format!("{host}:{port}"))
    }
}

/// What waits for its turn, in order of arrival; a host that has its share running is passed over.
#[derive(Debug)]
pub struct Turns<T> {
    per_host: usize,
    running: HashMap<Host, usize>,
    waiting: VecDeque<(Host, T)>,
}

impl<T> Turns<T> {
    /// Nothing yet; `per_host` of one host may run at once.
    #[must_use]
    pub fn new(per_host: usize) -> Self {
        Self {
            per_host,
            running: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Puts one at the end.
    pub fn push(&mut self, host: Host, one: T) {
        self.waiting.push_back((host, one));
    }

    /// Takes the first whose host has room. It counts as running until [`Turns::done`].
    pub fn begin(&mut self) -> Option<(Host, T)> {
        let running = &self.running;
        let has_room =
            |(host, _): &(Host, T)| running.get(host).is_none_or(|share| *share < self.per_host);
        let at = self.waiting.iter().position(has_room)?;
        let (host, one) = self.waiting.remove(at)?;
        *self.running.entry(host.clone()).or_default() += 1;
        Some((host, one))
    }

    /// One of `host` has ended.
    pub fn done(&mut self, host: &Host) {
        if let Some(running) = self.running.get_mut(host) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(host);
            }
        }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(url: &str) -> Host {
        Host::of(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_busy_host_is_passed_over_and_keeps_its_order() {
        let (a, b) = (host("http://a/x"), host("https://b:443/"));
        assert_eq!(a, host("http://A:80/y"));
        assert_eq!(b, host("https://b/"));
        let mut turns = Turns::new(2);
        for (number, host) in [&a, &a, &a, &b, &a].into_iter().enumerate() {
            turns.push(host.clone(), number);
        }
        let mut next = || turns.begin().map(|(_, number)| number);
        assert_eq!(
            [next(), next(), next(), next()],
            [Some(0), Some(1), Some(3), None]
        );
        turns.done(&a);
        assert_eq!(turns.begin().map(|(_, number)| number), Some(2));
        assert_eq!(turns.waiting(), 1);
        turns.done(&a);
        turns.done(&a);
        turns.done(&b);
        assert_eq!(turns.begin().map(|(_, number)| number), Some(4));
        turns.done(&a);
        assert!(turns.running.is_empty(), "hosts are forgotten");
    }
}
