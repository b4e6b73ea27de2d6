//! What is listed: browsers and leases, in the order somebody wants.

use std::{
    cmp::Reverse,
    time::{Duration, SystemTime},
};

use super::words::clean;
use crate::proto::{self, BrowserState};

/// A browser as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BrowserRow {
    pub(super) id: String,
    pub(super) state: BrowserState,
    pub(super) pid: i32,
    pub(super) age: Duration,
    pub(super) uses: u64,
    pub(super) contexts: u32,
    pub(super) memory: u64,
    pub(super) processes: u32,
    pub(super) fds: u32,
    /// Empty when it serves none.
    pub(super) lease: String,
}

/// A lease as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LeaseRow {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) browser: String,
    pub(super) age: Duration,
    pub(super) left: Duration,
    /// Whether a stream keeps it, so that `left` is what is left at most.
    pub(super) held: bool,
    pub(super) clients: u32,
    /// `key=value`, in the order of the keys.
    pub(super) labels: String,
}

/// What rows have in common.
pub(super) trait Row {
    /// The name that selects it.
    fn id(&self) -> &str;
}

/// The order of the browsers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BrowserOrder {
    #[default]
    Name,
    Memory,
    Age,
    Uses,
    State,
}

/// The order of the leases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LeaseOrder {
    #[default]
    Grant,
    Left,
    Owner,
}

impl BrowserRow {
    pub(super) fn of(browser: &proto::BrowserStatus) -> Self {
        Self {
            id: clean(&browser.id),
            state: browser.state(),
            pid: browser.pid,
            age: duration(browser.age),
            uses: browser.uses,
            contexts: browser.contexts,
            memory: browser.memory_bytes,
            processes: browser.processes,
            fds: browser.open_fds,
            lease: clean(&browser.lease_id),
        }
    }

    /// The word for what it does.
    pub(super) const fn state(&self) -> &'static str {
        match self.state {
            BrowserState::Unspecified => "unknown",
            BrowserState::Starting => "starting",
            BrowserState::Idle => "idle",
            BrowserState::Shared => "shared",
            BrowserState::Leased => "leased",
            BrowserState::Retiring => "retiring",
        }
    }
}

impl LeaseRow {
    /// `now` is the clock of the server that wrote the lease: ours may go wrong.
    pub(super) fn of(lease: &proto::Lease, now: SystemTime) -> Self {
        let browser = lease.browser.as_ref();
        let mut labels: Vec<_> = lease.labels.iter().collect();
        labels.sort();
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| clean(&format!("{key}={value}")))
            .collect();
        let expires = time(lease.expire_time).unwrap_or(now);
        let created = time(lease.create_time).unwrap_or(now);
        Self {
            id: clean(&lease.id),
            owner: clean(&lease.owner),
            browser: browser.map(|one| clean(&one.id)).unwrap_or_default(),
            age: now.duration_since(created).unwrap_or_default(),
            left: expires.duration_since(now).unwrap_or_default(),
            held: lease.held,
            clients: lease.attached_clients,
            labels: labels.join(" "),
        }
    }

    /// Its name in little room: what tells leases of one moment apart is at both ends.
    pub(super) fn short(&self) -> String {
        let name = self.id.strip_prefix("lease-").unwrap_or(&self.id);
        match (name.get(..8), name.get(name.len().saturating_sub(4)..)) {
            (Some(head), Some(tail)) if name.len() > 14 => format!("{head}…{tail}"),
            _ => name.to_owned(),
        }
    }
}

impl Row for BrowserRow {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Row for LeaseRow {
    fn id(&self) -> &str {
        &self.id
    }
}

impl BrowserOrder {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Name => Self::Memory,
            Self::Memory => Self::Age,
            Self::Age => Self::Uses,
            Self::Uses => Self::State,
            Self::State => Self::Name,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Memory => "memory",
            Self::Age => "age",
            Self::Uses => "uses",
            Self::State => "state",
        }
    }

    /// Names are in the order of launch already, so a stable sort keeps it among equals.
    pub(super) fn sort(self, rows: &mut [BrowserRow]) {
        match self {
            Self::Name => {}
            Self::Memory => rows.sort_by_key(|row| Reverse(row.memory)),
            Self::Age => rows.sort_by_key(|row| Reverse(row.age)),
            Self::Uses => rows.sort_by_key(|row| Reverse(row.uses)),
            Self::State => rows.sort_by_key(|row| Reverse(row.state as i32)),
        }
    }
}

impl LeaseOrder {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Grant => Self::Left,
            Self::Left => Self::Owner,
            Self::Owner => Self::Grant,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Left => "time left",
            Self::Owner => "owner",
        }
    }

    pub(super) fn sort(self, rows: &mut [LeaseRow]) {
        match self {
            Self::Grant => {}
            Self::Left => rows.sort_by_key(|row| row.left),
            Self::Owner => rows.sort_by(|one, other| one.owner.cmp(&other.owner)),
        }
    }
}

/// A time of a message; one that no clock can show counts as absent.
pub(super) fn time(time: Option<prost_types::Timestamp>) -> Option<SystemTime> {
    time.and_then(|time| time.try_into().ok())
}

/// A duration of a message; absent and negative ones are zero.
pub(super) fn duration(duration: Option<prost_types::Duration>) -> Duration {
    let duration = duration.and_then(|duration| duration.try_into().ok());
    duration.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn time_left_is_by_the_clock_of_the_server() {
        let lease = proto::Lease {
            id: "lease-0198f2c1-aaaa-7bbb-8ccc-0123456789ab".into(),
            owner: "crawler\u{7}".into(),
            labels: [("b", "2"), ("a", "<script>")]
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
            create_time: at(100),
            expire_time: at(160),
            ..proto::Lease::default()
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(118);
        let row = LeaseRow::of(&lease, now);
        assert_eq!(row.left, Duration::from_secs(42));
        assert_eq!(row.age, Duration::from_secs(18));
        assert_eq!(row.labels, "a=<script> b=2");
        assert_eq!(row.owner, "crawler�");
        assert_eq!(row.short(), "0198f2c1…89ab");
        let late = LeaseRow::of(&lease, now + Duration::from_secs(900));
        assert_eq!(late.left, Duration::ZERO);
    }

    #[test]
    fn every_order_comes_round_and_sorts() {
        let row = |id: &str, memory, age| BrowserRow {
            memory,
            age: Duration::from_secs(age),
            ..BrowserRow::of(&proto::BrowserStatus {
                id: id.into(),
                ..proto::BrowserStatus::default()
            })
        };
        let rows = [
            row("browser-1", 1, 9),
            row("browser-2", 3, 5),
            row("browser-3", 2, 7),
        ];
        let first = |order: BrowserOrder| {
            let mut rows = rows.to_vec();
            order.sort(&mut rows);
            rows[0].id.clone()
        };
        assert_eq!(first(BrowserOrder::Name), "browser-1");
        assert_eq!(first(BrowserOrder::Memory), "browser-2");
        assert_eq!(first(BrowserOrder::Age), "browser-1");
        let mut order = BrowserOrder::default();
        for _ in 0..5 {
            order = order.next();
        }
        assert_eq!(order, BrowserOrder::default());
        let order = LeaseOrder::default().next().next().next();
        assert_eq!(order, LeaseOrder::default());
    }

    #[test]
    fn what_is_missing_in_a_message_is_nothing() {
        let row = LeaseRow::of(&proto::Lease::default(), SystemTime::now());
        assert_eq!((row.left, row.browser.as_str()), (Duration::ZERO, ""));
        assert_eq!(row.short(), "");
        let browser = BrowserRow::of(&proto::BrowserStatus::default());
        assert_eq!(browser.state(), "unknown");
    }
}
