//! What a browser is started with, beyond what every one of them is.

/// The options of one browser that a client chose. The default is what warm spares have; any
/// other needs a launch of its own.
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
    pub proxy: Option<Proxy>,
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

/// An upstream proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `scheme://host:port`.
    pub server: String,
    /// Host patterns that are reached directly.
    pub bypass: Vec<String>,
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

impl Profile {
    /// Whether a warm spare will do.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The browser's command line without its profile directory.
    pub(super) fn args(&self) -> Vec<String> {
        let mut args: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        args.push(FEATURES_OFF.into());
        args.push(FEATURES_ON.into());
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
        if let Some(proxy) = &self.proxy {
            args.push(format!("--proxy-server={}", proxy.server));
            if !proxy.bypass.is_empty() {
                args.push(format!("--proxy-bypass-list={}", proxy.bypass.join(";")));
            }
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
        let plain = Profile::default();
        assert!(plain.is_plain());
        assert_eq!(plain.args().len(), FLAGS.len() + 2);
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
        assert!(!own.is_plain());
        let args = own.args();
        assert!(args.contains(&"--accept-lang=de-CH".to_owned()));
        assert!(args.contains(&"--window-size=800,600".to_owned()));
        assert_eq!(own.envs(), [("TZ", "Europe/Zurich".to_owned())]);
    }
}
