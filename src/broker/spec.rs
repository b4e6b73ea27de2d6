//! What a client may ask of a lease, and what it gets.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, time::Duration};

use super::Error;
use crate::{
    browser::Profile,
    lease::{Limits, OnDisconnect},
};

/// The bounds and defaults of leases.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// The TTL when the client names none.
    pub ttl: Duration,
    /// The longest TTL a client may ask for.
    pub max_ttl: Duration,
    /// The absolute lifetime when the client names none.
    pub lifetime: Duration,
    /// The longest absolute lifetime granted.
    pub max_lifetime: Duration,
    /// The detach grace when the client names none.
    pub detach_grace: Duration,
    /// How long a caller may wait for a browser.
    pub max_wait: Duration,
    /// The files of a lease may have so many bytes together; 0 for no limit.
    pub download_quota: u64,
}

/// What a client asks for. `None` is the server's default.
#[derive(Clone, Debug, Default)]
pub struct AcquireSpec {
    /// Who asks.
    pub owner: String,
    /// Makes the request idempotent while its lease lives.
    pub request_id: Option<String>,
    /// How long to wait for a browser.
    pub wait: Option<Duration>,
    /// How long the lease lives without a renewal.
    pub ttl: Option<Duration>,
    /// How long it lives without client traffic; zero or `None` for no such limit.
    pub idle_timeout: Option<Duration>,
    /// How long it lives at most.
    pub max_lifetime: Option<Duration>,
    /// What happens when the last CDP client has left.
    pub on_disconnect: Option<OnDisconnect>,
    /// How long a client that left may stay away.
    pub detach_grace: Option<Duration>,
    /// The client's own labels.
    pub labels: BTreeMap<String, String>,
    /// What the browser is launched with.
    pub profile: Profile,
}

/// One field of a request that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path in the request, as in the proto.
    pub field: String,
    /// What is wrong and what is wanted.
    pub why: String,
}

impl Violation {
    /// A violation of `field`. Both texts may repeat what a caller sent, so both are cut: an error is
    /// answered in headers, of which clients take few kilobytes.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: cut(field.into()),
            why: cut(why.into()),
        }
    }
}

/// The longest text of a violation, in bytes.
const LONGEST_TEXT: usize = 256;

fn cut(mut text: String) -> String {
    const MARK: &str = "…";
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT - MARK.len()));
        text += MARK;
    }
    text
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_REQUEST_ID: usize = 128;
const MOST_LABELS: usize = 32;
const LONGEST_LABEL_KEY: usize = 63;
const LONGEST_LABEL_VALUE: usize = 256;

impl LeaseConfig {
    /// The limits of a lease for `spec`; `held` when a `Hold` stream will keep it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every field that is out of range.
    pub(super) fn limits(&self, spec: &AcquireSpec, held: bool) -> Result<Limits, Error> {
        let mut wrong = Vec::new();
        let ttl = spec.ttl.unwrap_or(self.ttl);
        check_range(&mut wrong, "ttl", ttl, &(SHORTEST_TTL..=self.max_ttl));
        let lifetime = spec.max_lifetime.unwrap_or(self.lifetime.max(ttl));
        if lifetime < SHORTEST_TTL {
            wrong.push(Violation::new("max_lifetime", "must be at least 1s"));
        }
        check_request_id(&mut wrong, spec.request_id.as_deref());
        check_labels(&mut wrong, &spec.labels);
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        // A held lease ends with its stream: clients of the browser may come and go.
        let unspecified = if held {
            OnDisconnect::Keep
        } else {
            OnDisconnect::Release
        };
        Ok(Limits {
            ttl,
            idle_timeout: spec.idle_timeout.filter(|idle| !idle.is_zero()),
            max_lifetime: lifetime.min(self.max_lifetime),
            on_disconnect: spec.on_disconnect.unwrap_or(unspecified),
            detach_grace: spec.detach_grace.unwrap_or(self.detach_grace),
        })
    }

    /// Passes a TTL that is in range.
    pub(super) fn check_ttl(&self, ttl: Duration) -> Result<Duration, Error> {
        let mut wrong = Vec::new();
        check_range(&mut wrong, "ttl", ttl, &(SHORTEST_TTL..=self.max_ttl));
        if wrong.is_empty() {
            Ok(ttl)
        } else {
            Err(Error::Invalid(wrong))
        }
    }
}

fn check_range(
    wrong: &mut Vec<Violation>,
    field: &str,
    value: Duration,
    range: &RangeInclusive<Duration>,
) {
    if !range.contains(&value) {
        let [value, least, most] = [value, *range.start(), *range.end()].map(humane);
        let why = format!("{value} is out of range: it must be from {least} to {most}");
        wrong.push(Violation::new(field, why));
    }
}

fn humane(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}

fn check_request_id(wrong: &mut Vec<Violation>, id: Option<&str>) {
    if id.is_some_and(|id| id.len() > LONGEST_REQUEST_ID) {
        let why = format!("must be at most {LONGEST_REQUEST_ID} bytes long");
        wrong.push(Violation::new("request_id", why));
    }
}

fn check_labels(wrong: &mut Vec<Violation>, labels: &BTreeMap<String, String>) {
    if labels.len() > MOST_LABELS {
        let why = format!("{} labels are more than {MOST_LABELS}", labels.len());
        wrong.push(Violation::new("labels", why));
        return;
    }
    for (key, value) in labels {
        if key.is_empty() || key.len() > LONGEST_LABEL_KEY {
            let why = format!("the key must be 1 to {LONGEST_LABEL_KEY} bytes long: {key:?}");
            wrong.push(Violation::new("labels", why));
        }
        if value.len() > LONGEST_LABEL_VALUE {
            let why = format!("the value must be at most {LONGEST_LABEL_VALUE} bytes long");
            wrong.push(Violation::new(format!("labels[{key}]"), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LeaseConfig {
        LeaseConfig {
            ttl: Duration::from_secs(60),
            max_ttl: Duration::from_secs(3600),
            lifetime: Duration::from_secs(3600),
            max_lifetime: Duration::from_secs(24 * 3600),
            detach_grace: Duration::from_secs(10),
            max_wait: Duration::from_secs(300),
            download_quota: 1 << 30,
        }
    }

    #[test]
    fn defaults_are_filled_in_and_caps_applied() {
        let limits = config().limits(&AcquireSpec::default(), false).unwrap();
        assert_eq!(limits.ttl, Duration::from_secs(60));
        assert_eq!(limits.idle_timeout, None);
        assert_eq!(limits.on_disconnect, OnDisconnect::Release);
        let spec = AcquireSpec {
            max_lifetime: Some(Duration::from_secs(1_000_000)),
            idle_timeout: Some(Duration::ZERO),
            ..AcquireSpec::default()
        };
        let limits = config().limits(&spec, true).unwrap();
        assert_eq!(limits.max_lifetime, config().max_lifetime);
        assert_eq!(limits.idle_timeout, None, "zero is off");
        assert_eq!(limits.on_disconnect, OnDisconnect::Keep);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let spec = AcquireSpec {
            ttl: Some(Duration::from_millis(1)),
            max_lifetime: Some(Duration::ZERO),
            request_id: Some("x".repeat(129)),
            labels: [(String::new(), "y".repeat(257))].into(),
            ..AcquireSpec::default()
        };
        let Error::Invalid(wrong) = config().limits(&spec, false).unwrap_err() else {
            panic!("not the error that names fields");
        };
        let fields: Vec<_> = wrong.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            fields,
            ["ttl", "max_lifetime", "request_id", "labels", "labels[]"]
        );
        assert!(wrong.first().unwrap().why.contains("from 1s to 1h"));
    }

    #[test]
    fn what_is_said_of_a_request_is_cut() {
        let long = Violation::new("é".repeat(200), "é".repeat(200));
        assert!(long.field.len() <= LONGEST_TEXT && long.why.len() <= LONGEST_TEXT);
        assert!(long.why.ends_with("é…"));
        let short = Violation::new("ttl", "x".repeat(LONGEST_TEXT));
        assert_eq!(short.why.len(), LONGEST_TEXT);
        let labels = (0..10_000).map(|n| (n.to_string(), "y".repeat(257)));
        let mut wrong = Vec::new();
        check_labels(&mut wrong, &labels.collect());
        assert_eq!(wrong.len(), 1, "they are not looked at one by one");
    }
}
