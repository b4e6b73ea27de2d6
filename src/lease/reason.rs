//! How a lease ended: one closed set, the same in events, close codes, answers, logs and metrics.

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The client gave it back.
    Released,
    /// Its TTL ran out without a renewal, or its absolute lifetime did.
    Expired,
    /// No client traffic for the idle timeout it was granted with.
    Idle,
    /// The last CDP client left and did not come back within the detach grace.
    Detached,
    /// The client that held it vanished: crash, cut network, cancelled call.
    ClientGone,
    /// The browser exited by itself, or somebody else killed it, the kernel for memory included: a
    /// counter of the control group cannot tell whether it was the browser or one of its renderers.
    BrowserCrashed,
    /// The browser took more memory than it may, and Berth killed it.
    OomKilled,
    /// The browser no longer answered.
    HungKilled,
    /// An operator ended it.
    Revoked,
    /// The broker shut down.
    Drained,
    /// The browser took more processes or processor time than it may.
    Policy,
}

impl EndReason {
    /// Every reason, in the order of the close codes.
    pub const ALL: [Self; 11] = [
        Self::Released,
        Self::Expired,
        Self::Idle,
        Self::Detached,
        Self::ClientGone,
        Self::BrowserCrashed,
        Self::OomKilled,
        Self::HungKilled,
        Self::Revoked,
        Self::Drained,
        Self::Policy,
    ];

    /// The stable word of metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Detached => "detached",
            Self::ClientGone => "client_gone",
            Self::BrowserCrashed => "browser_crashed",
            Self::OomKilled => "oom_killed",
            Self::HungKilled => "hung_killed",
            Self::Revoked => "revoked",
            Self::Drained => "drained",
            Self::Policy => "policy",
        }
    }

    /// The code a websocket of the gateway is closed with: 4000 and up, the range RFC 6455
    /// section 7.4.2 leaves to applications.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Released => 4000,
            Self::Expired => 4001,
            Self::Idle => 4002,
            Self::Detached => 4003,
            Self::ClientGone => 4004,
            Self::BrowserCrashed => 4005,
            Self::OomKilled => 4006,
            Self::HungKilled => 4007,
            Self::Revoked => 4008,
            Self::Drained => 4009,
            Self::Policy => 4010,
        }
    }

    /// Whether the browser, not the client or the clock, was the cause.
    #[must_use]
    pub const fn lost_browser(self) -> bool {
        matches!(
            self,
            Self::BrowserCrashed | Self::OomKilled | Self::HungKilled
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_follow_the_order() {
        for (offset, reason) in (4000..).zip(EndReason::ALL) {
            assert_eq!(reason.close_code(), offset, "{reason:?}");
        }
    }
}
