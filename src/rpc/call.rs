//! What is the same for every call: who calls, from where, and until when.

use std::{str::FromStr, time::Duration};

use tonic::{Extensions, Request, Status, metadata::MetadataMap};

use super::{observe::Authority, status};
use crate::{auth::Caller, broker::Violation, deadline::Deadline};

/// What is known of a call beside its message.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// By when to answer: the caller's deadline less what the answer's way takes.
    pub(super) deadline: Deadline,
    /// How long the caller said it waits.
    pub(super) timeout: Option<Duration>,
    /// Who calls.
    pub(super) caller: Caller,
    /// The host the caller reached us by.
    pub(super) authority: Option<String>,
}

impl Call {
    /// Reads a call; one without a deadline gets `otherwise`, and none may have more than `most`.
    pub(super) fn of<T>(
        request: &Request<T>,
        otherwise: Duration,
        most: Duration,
    ) -> Result<Self, Status> {
        let timeout = timeout(request.metadata())
            .map_err(|why| status::invalid(vec![Violation::new("grpc-timeout", why)]))?;
        let authority = request.extensions().get::<Authority>();
        Ok(Self {
            deadline: Deadline::after(timeout.map_or(otherwise, answer_within).min(most)),
            timeout,
            caller: caller(request.extensions()),
            authority: authority.map(|authority| authority.0.clone()),
        })
    }
}

/// Who calls, as found out before the call came here.
pub(super) fn caller(extensions: &Extensions) -> Caller {
    let caller = extensions.get::<Caller>();
    caller.cloned().unwrap_or_else(Caller::anonymous)
}

/// The transport answers CANCELLED at the deadline, and the client's own timer runs out then: what
/// is to be said must be said a little earlier.
fn answer_within(timeout: Duration) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(200);
    timeout.saturating_sub((timeout / 10).clamp(SHORTEST, LONGEST))
}

/// Reads `grpc-timeout`: at most eight digits and a unit (the gRPC over HTTP/2 protocol,
/// "Timeout").
pub(super) fn timeout(metadata: &MetadataMap) -> Result<Option<Duration>, String> {
    let Some(value) = metadata.get("grpc-timeout") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let parsed = text.len().checked_sub(1).and_then(|unit| {
        let (digits, unit) = (text.get(..unit)?, text.get(unit..)?);
        let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let count = u64::from_str(digits).ok().filter(|_| plain)?;
        Some(match unit {
            "H" => Duration::from_secs(count * 3600),
            "M" => Duration::from_secs(count * 60),
            "S" => Duration::from_secs(count),
            "m" => Duration::from_millis(count),
            "u" => Duration::from_micros(count),
            "n" => Duration::from_nanos(count),
            _ => return None,
        })
    });
    match parsed {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(format!(
            "not a timeout: {text:?}; wanted such as 500m or 30S"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Duration>, String> {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", text.parse().unwrap());
        timeout(&metadata)
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        assert_eq!(timeout(&MetadataMap::new()), Ok(None));
        assert_eq!(read("400m"), Ok(Some(Duration::from_millis(400))));
        assert_eq!(read("2S"), Ok(Some(Duration::from_secs(2))));
        assert_eq!(
            read("99999999H").unwrap().unwrap().as_secs(),
            359_999_996_400
        );
        for wrong in ["", "m", "1", "-1S", "+1S", "123456789m", "1x", "1 S", "ä"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_answer_has_time_for_its_way() {
        let of = |millis| answer_within(Duration::from_millis(millis)).as_millis();
        assert_eq!(of(10_000), 9_800);
        assert_eq!(of(1_000), 900);
        assert_eq!(of(20), 15);
        assert_eq!(of(1), 0);
    }
}
