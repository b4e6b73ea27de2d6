//! The closed sets of label values.
//!
//! A label taken from an enum or a `&'static str` is a word of this program, never of a caller.
//! The lists are what the counters start at zero for.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $count:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every one there is.
            pub const ALL: [Self; $count] = [$(Self::$variant),+];

            /// The stable word of metrics and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words! {
    /// Why a browser was retired.
    Retire: 12 {
        /// It grew older than it may.
        Age = "age",
        /// It was used as often as it may be.
        Uses = "uses",
        /// Nobody wanted it.
        Idle = "idle",
        /// It opens pages much more slowly than when it was fresh.
        Drift = "drift",
        /// It failed a check.
        Unhealthy = "unhealthy",
        /// It exited by itself.
        Crashed = "crashed",
        /// Its lease ended, and what was leased is never handed out again.
        Leased = "leased",
        /// It took more memory than it may.
        Memory = "memory",
        /// It had more processes than it may.
        Processes = "processes",
        /// It used more processor time than it may.
        Cpu = "cpu",
        /// An operator retired it.
        Operator = "operator",
        /// The broker shut down.
        Drain = "drain",
    }
}

words! {
    /// Whether a browser came up.
    LaunchResult: 2 {
        /// It answered.
        Ok = "ok",
        /// It did not start, or not in time.
        Failed = "failed",
    }
}

words! {
    /// What a caller that wanted a browser was told.
    AcquireOutcome: 9 {
        /// It got one.
        Granted = "granted",
        /// None became free in time.
        Exhausted = "exhausted",
        /// Too many waited already.
        QueueFull = "queue_full",
        /// Its owner had as much as it may.
        Quota = "quota",
        /// The caller left before the answer.
        Cancelled = "cancelled",
        /// The broker shuts down.
        Draining = "draining",
        /// No browser can be started.
        Unavailable = "unavailable",
        /// The caller's deadline came first.
        Deadline = "deadline",
        /// The request made no sense.
        Invalid = "invalid",
    }
}

words! {
    /// What a caller was refused, for there was no room.
    Wanted: 4 {
        /// A browser of its own.
        Lease = "lease",
        /// Room for a page in a shared browser.
        Seat = "seat",
        /// A turn among the pages there may be at once.
        Page = "page",
        /// A turn among the HTTP requests there may be at once.
        Http = "http",
    }
}

words! {
    /// What came of asking a caller who it is.
    AuthOutcome: 8 {
        /// It has a token.
        Token = "token",
        /// It has a JSON Web Token.
        Jwt = "jwt",
        /// It has a certificate.
        Certificate = "certificate",
        /// It showed nothing.
        Missing = "missing",
        /// What it showed cannot be read.
        Malformed = "malformed",
        /// Nobody has this token, or this key.
        Unknown = "unknown",
        /// What it showed was right once.
        Expired = "expired",
        /// It is not signed, or not for this broker, or does not say who calls.
        Invalid = "invalid",
    }
}

words! {
    /// What came of reading a file that says who may call, when it had changed.
    Reload: 2 {
        /// It holds.
        Ok = "ok",
        /// It is wrong, and what it said before holds.
        Failed = "failed",
    }
}

words! {
    /// Of what an owner had as much as it may.
    QuotaKind: 4 {
        /// Leases at once.
        Leases = "leases",
        /// Fetches at once.
        Fetches = "fetches",
        /// Requests that wait for the same at once.
        Waiting = "waiting",
        /// Requests in a time.
        Rate = "rate",
    }
}

words! {
    /// What came of a look at whether a page loads.
    CanaryResult: 3 {
        /// It loaded.
        Ok = "ok",
        /// It did not.
        Failed = "failed",
        /// Browsers were busy, or none is wanted.
        Skipped = "skipped",
    }
}

words! {
    /// Which rule of the egress policy forbids a target.
    EgressRule: 13 {
        /// A port of this broker or of one of its browsers.
        OwnPort = "own_port",
        /// Where a cloud tells its machines their secrets.
        Metadata = "metadata",
        /// The operator's list.
        DenyList = "deny_list",
        /// Not among what the lease was narrowed to.
        Lease = "lease",
        /// The machine itself.
        Loopback = "loopback",
        /// A network of one's own.
        Private = "private",
        /// The link.
        LinkLocal = "link_local",
        /// Addresses that carriers share among customers.
        Cgnat = "cgnat",
        /// Many at once.
        Multicast = "multicast",
        /// This machine or none.
        Unspecified = "unspecified",
        /// Reserved for something else.
        Reserved = "reserved",
        /// No rule allows it, and nothing else is open.
        Unlisted = "unlisted",
        /// A scheme that leads to no host.
        Scheme = "scheme",
    }
}

impl EgressRule {
    /// Whether it holds whatever is allowed.
    #[must_use]
    pub const fn is_absolute(self) -> bool {
        matches!(self, Self::OwnPort | Self::Metadata)
    }

    /// Whether a rule that allows the target is all it takes.
    #[must_use]
    pub const fn is_opened_by_allowing(self) -> bool {
        matches!(
            self,
            Self::Loopback
                | Self::Private
                | Self::LinkLocal
                | Self::Cgnat
                | Self::Multicast
                | Self::Unspecified
                | Self::Reserved
                | Self::Unlisted
        )
    }

    /// The same in words, for whoever is refused.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::OwnPort => "it is a port of the broker itself",
            Self::Metadata => "metadata services are closed, whatever is allowed",
            Self::DenyList => "the operator's deny list names it",
            Self::Lease => "it is not among what this lease may reach",
            Self::Loopback => "it leads to the broker's machine",
            Self::Private => "it leads to a private network",
            Self::LinkLocal => "it leads to a link-local address",
            Self::Cgnat => "it leads to a carrier's shared addresses",
            Self::Multicast => "it leads to a multicast address",
            Self::Unspecified => "it leads to no particular address",
            Self::Reserved => "it leads to a reserved address",
            Self::Unlisted => "only what the operator allows is reachable",
            Self::Scheme => "its scheme leads out of the web",
        }
    }
}

words! {
    /// Which rule of the CDP policy a client's command broke.
    CdpRule: 8 {
        /// A URL that is not of the web.
        Scheme = "scheme",
        /// A file that is not the lease's.
        Path = "path",
        /// A way through the network that the broker's egress does not see.
        Network = "network",
        /// The machine rather than the browser.
        Machine = "machine",
        /// Code with more rights than a page's.
        Code = "code",
        /// A way around the policy.
        Bypass = "bypass",
        /// Nobody has judged it.
        Unknown = "unknown",
        /// No command at all.
        Malformed = "malformed",
    }
}

/// What the leak watch finds.
pub const LEAK_KINDS: [&str; 6] = [
    "process",
    "directory",
    "descriptor",
    "browser",
    "socket",
    "zombie",
];

/// How leases end, as in the contract.
pub const END_REASONS: [&str; 11] = [
    "released",
    "expired",
    "idle",
    "detached",
    "client_gone",
    "browser_crashed",
    "oom_killed",
    "hung_killed",
    "revoked",
    "drained",
    "policy",
];

/// What can answer a fetch.
pub const VIA: [&str; 2] = ["http", "browser"];

/// What a request can have of the cache.
pub const CACHE_RESULTS: [&str; 5] = ["hit", "miss", "revalidated", "coalesced", "bypass"];

/// How fetches end: `ok`, or the reason of the error in lower case.
pub const FETCH_OUTCOMES: [&str; 19] = [
    "ok",
    "bad_request",
    "egress_denied",
    "auth_required",
    "not_owner",
    "pool_exhausted",
    "quota_exceeded",
    "deadline",
    "cancelled",
    "draining",
    "browser_unavailable",
    "browser_lost",
    "origin_dns",
    "origin_refused",
    "origin_tls",
    "origin_timeout",
    "origin_protocol",
    "too_large",
    "page_condition",
];

/// The RPCs there are, as `package.Service/Method`.
pub const METHODS: &[&str] = &[
    "berth.v1.AdminService/Drain",
    "berth.v1.AdminService/EndLease",
    "berth.v1.AdminService/GetStatus",
    "berth.v1.AdminService/Resume",
    "berth.v1.AdminService/RetireBrowser",
    "berth.v1.AdminService/SetLogLevel",
    "berth.v1.AdminService/WatchStatus",
    "berth.v1.FetchService/Fetch",
    "berth.v1.FetchService/FetchMany",
    "berth.v1.LeaseService/Acquire",
    "berth.v1.LeaseService/Get",
    "berth.v1.LeaseService/Hold",
    "berth.v1.LeaseService/List",
    "berth.v1.LeaseService/Release",
    "berth.v1.LeaseService/Renew",
    "berth.v1.PageService/ActivatePage",
    "berth.v1.PageService/Click",
    "berth.v1.PageService/ClosePage",
    "berth.v1.PageService/Content",
    "berth.v1.PageService/Drag",
    "berth.v1.PageService/Evaluate",
    "berth.v1.PageService/Fill",
    "berth.v1.PageService/Hover",
    "berth.v1.PageService/ListPages",
    "berth.v1.PageService/Navigate",
    "berth.v1.PageService/NewPage",
    "berth.v1.PageService/Pdf",
    "berth.v1.PageService/Press",
    "berth.v1.PageService/Screenshot",
    "berth.v1.PageService/Scroll",
    "berth.v1.PageService/SelectOption",
    "berth.v1.PageService/Snapshot",
    "berth.v1.PageService/Type",
    "berth.v1.PageService/UploadFiles",
    "berth.v1.PageService/WaitFor",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::EndReason;

    #[test]
    fn end_reasons_are_those_of_leases() {
        assert_eq!(END_REASONS, EndReason::ALL.map(EndReason::as_str));
    }
}
