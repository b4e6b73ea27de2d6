//! What a browser is started with, beyond what every one of them is.

use crate::egress::{Detour, Route, Rule};

/// The options of one browser that a client chose. The default is what warm spares have; where it may
/// go is told a running one, anything else needs a launch of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// The `User-Agent` of every request and of `navigator.userAgent`.
    pub user_agent: Option<String>,
    /// Language tags in the order of preference, for `Accept-Language` and `navigator.languages`.
    pub locale: Option<String>,
    /// IANA name of the time zone that pages see.
    pub time_zone: Option<String>,
    /// Width and height of the window in CSS pixels, and device pixels per CSS pixel.
    pub viewport: Option<Viewport>,
    /// The proxy for every request, with the hosts that go around it.
    pub proxy: Option<Detour>,
    /// Where it may go only, of where any browser may; empty for no such limit.
    pub egress_allow: Vec<Rule>,
}

/// The size of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Viewport {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
    /// Device pixels per CSS pixel.
    pub scale: f64,
}

/// The flags of every browser. None of them changes what a page can do; each keeps the browser
/// from doing what nobody asked for (looking up its maker's hosts, writing, asking, animating).
const FLAGS: [&str; 27] = [
    "--headless",
    "--remote-debugging-pipe",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-field-trial-config",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--disable-renderer-backgrounding",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
    "--use-mock-keychain",
];

/// Features nobody asked for, each of which starts work or asks hosts on its own.
const FEATURES_OFF: &str = "--disable-features=AutofillServerCommunication,CertificateTransparencyComponentUpdater,\
MediaRouter,OptimizationHints,Translate,DialMediaRouteProvider,InterestFeedContentSuggestions";

/// The network stack lives in the browser's own process, which saves a process and some 25 MiB a
/// browser. Its process has no sandbox on Linux anyway.
const FEATURES_ON: &str = "--enable-features=NetworkServiceInProcess2";

/// What keeps a browser from going around its egress proxy. Not even what is on this machine is
/// reached directly; no name is looked up by the browser itself; WebRTC and QUIC send no datagrams.
/// The switch for WebRTC has one name in Chromium and another in Chrome.
const ENCLOSING: [&str; 5] = [
    ALWAYS,
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
];

/// Without it, loopback is reached directly.
const ALWAYS: &str = "--proxy-bypass-list=<-loopback>";

impl Profile {
    /// Whether no warm spare will do.
    #[must_use]
    pub fn needs_launch(&self) -> bool {
        let Self {
            user_agent,
            locale,
            time_zone,
            viewport,
            proxy,
            egress_allow: _,
        } = self;
        let words = [user_agent, locale, time_zone];
        // Spares were told that their egress proxy speaks SOCKS.
        let is_http = |proxy: &Detour| proxy.upstream().is_http();
        proxy.as_ref().is_some_and(is_http)
            || viewport.is_some()
            || words.iter().any(|word| word.is_some())
    }

    /// The way of its connections, where that of any browser is `usual`; `None` for the same.
    pub(super) fn route(&self, usual: &Route) -> Option<Route> {
        let through = self
            .proxy
            .as_ref()
            .map(|proxy| usual.through(proxy.clone()));
        match self.egress_allow.as_slice() {
            [] => through,
            allow => Some(through.as_ref().unwrap_or(usual).narrowed(allow.to_vec())),
        }
    }

    /// The browser's command line without its profile directory. Its egress proxy is at `proxy`, a
    /// URL.
    pub(super) fn args(&self, proxy: &str) -> Vec<String> {
        let mut args: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        args.push(FEATURES_OFF.into());
        args.push(FEATURES_ON.into());
        args.push(format!("--proxy-server={proxy}"));
        args.extend(ENCLOSING.map(String::from));
        if let Some(user_agent) = &self.user_agent {
            args.push(format!("--user-agent={user_agent}"));
        }
        if let Some(locale) = &self.locale {
            args.push(format!("--accept-lang={locale}"));
            args.push(format!("--lang={locale}"));
        }
        if let Some(view) = self.viewport {
            args.push(format!("--window-size={},{}", view.width, view.height));
            args.push(format!("--force-device-scale-factor={}", view.scale));
        }
        args
    }

    /// The browser's environment beyond ours.
    pub(super) fn envs(&self) -> Vec<(&'static str, String)> {
        let zone = self.time_zone.clone().map(|zone| ("TZ", zone));
        zone.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_added() {
        let proxy = "socks5://127.0.0.1:7";
        let plain = Profile::default();
        assert!(!plain.needs_launch());
        let usual = plain.args(proxy);
        assert_eq!(usual.len(), FLAGS.len() + 3 + ENCLOSING.len());
        assert!(usual.contains(&"--proxy-server=socks5://127.0.0.1:7".to_owned()));
        assert!(plain.envs().is_empty());
        let own = Profile {
            locale: Some("de-CH".into()),
            time_zone: Some("Europe/Zurich".into()),
            viewport: Some(Viewport {
                width: 800,
                height: 600,
                scale: 2.0,
            }),
            ..Profile::default()
        };
        assert!(own.needs_launch());
        let args = own.args(proxy);
        assert!(args.contains(&"--accept-lang=de-CH".to_owned()));
        assert!(args.contains(&"--window-size=800,600".to_owned()));
        assert_eq!(own.envs(), [("TZ", "Europe/Zurich".to_owned())]);
    }
}
