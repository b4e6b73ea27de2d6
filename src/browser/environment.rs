//! What of the broker's environment a browser gets: what it needs to find libraries, fonts,
//! languages and its way out, and nothing else. A page that breaks into the browser reads all of
//! it, so settings, keys and tokens of the broker never go along.

use std::{
    env,
    ffi::{OsStr, OsString},
};

/// The names that are passed on.
const PASSED: [&str; 16] = [
    "PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "FONTCONFIG_FILE",
    "FONTCONFIG_PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "XDG_DATA_DIRS",
    // The helper of Chromium's sandbox where user namespaces are not allowed.
    "CHROME_DEVEL_SANDBOX",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "NO_PROXY",
];

/// Of the broker's environment, what its browsers get.
pub(super) fn passed() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(|(name, value)| is_passed(name, value))
}

fn is_passed(name: &OsStr, value: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let known = PASSED.contains(&name) || name.starts_with("LC_");
    // Chromium cannot use the password of a proxy from here; a page must not see it.
    let secret = name.ends_with("_proxy") && value.to_string_lossy().contains('@');
    known && !secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_needs_goes_along_and_secrets_do_not() {
        let is = |name: &str, value: &str| is_passed(OsStr::new(name), OsStr::new(value));
        assert!(is("PATH", "/usr/bin"));
        assert!(is("LC_ALL", "C.UTF-8"));
        assert!(is("http_proxy", "http://proxy:3128"));
        assert!(!is("http_proxy", "http://user:secret@proxy:3128"));
        for secret in ["BERTH_LOG_LEVEL", "AWS_SECRET_ACCESS_KEY", "HOME", "OTEL_X"] {
            assert!(!is(secret, "x"), "{secret}");
        }
    }
}
