//! The settings of what clients may do.

use super::{Kind, Preset::Text, Setting, setting};

pub(super) const SECURITY: &[Setting] = &[
    setting(
        "cdp-policy",
        Text("enforce"),
        Kind::PolicyMode(|c| &mut c.cdp_policy),
        "Whether CDP commands that reach past the leased browser are denied, or only counted and \
         logged",
    ),
    setting(
        "lease-download-quota",
        Text("1GiB"),
        Kind::Limit(1 << 20..=16 << 40, |c| &mut c.lease_download_quota),
        "A lease whose files, downloaded or brought, are larger than this together ends",
    ),
];
