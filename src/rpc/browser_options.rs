//! What a client may have a browser started with.

use crate::{
    broker::Violation,
    browser::{Profile, Viewport},
    egress::{Detour, Rule, Upstream},
    proto,
};

const LONGEST_USER_AGENT: usize = 1024;
const LONGEST_LOCALE: usize = 256;
const MOST_BYPASSES: usize = 64;
const MOST_RULES: usize = 256;

/// The profile that `options` ask for; what is wrong with them goes to `wrong`.
pub(super) fn profile(options: proto::BrowserOptions, wrong: &mut Vec<Violation>) -> Profile {
    reserved(&options, wrong);
    let mut text = |field: &str, text: String, longest: usize, good: fn(char) -> bool| {
        let sound = text.len() <= longest && text.chars().all(good);
        if !sound {
            let why = format!("must be at most {longest} bytes of the characters allowed there");
            wrong.push(Violation::new(format!("browser.{field}"), why));
        }
        Some(text).filter(|text| sound && !text.is_empty())
    };
    let user_agent = text("user_agent", options.user_agent, LONGEST_USER_AGENT, |c| {
        c == ' ' || c.is_ascii_graphic()
    });
    let locale = text("locale", options.locale, LONGEST_LOCALE, |c| {
        c.is_ascii_alphanumeric() || "-,;=. ".contains(c)
    });
    let time_zone = text("time_zone", options.time_zone, 64, |c| {
        c.is_ascii_alphanumeric() || "/_+-".contains(c)
    });
    Profile {
        user_agent,
        locale,
        time_zone,
        viewport: options
            .viewport
            .and_then(|size| viewport("browser.viewport", size, wrong)),
        proxy: options.proxy.and_then(|one| proxy(&one, wrong)),
        egress_allow: egress_allow(&options.egress_allow, wrong),
    }
}

/// What a later version will do is refused, not ignored: a client that relies on it must know.
fn reserved(options: &proto::BrowserOptions, wrong: &mut Vec<Violation>) {
    for (field, set) in [
        ("extra_headers", !options.extra_headers.is_empty()),
        ("block_resources", !options.block_resources.is_empty()),
    ] {
        if set {
            let why = "not in this version; leave it empty";
            wrong.push(Violation::new(format!("browser.{field}"), why));
        }
    }
}

/// The size out of the message's field `field`.
pub(super) fn viewport(
    field: &str,
    size: proto::Viewport,
    wrong: &mut Vec<Violation>,
) -> Option<Viewport> {
    let before = wrong.len();
    for (side, value) in [("width", size.width), ("height", size.height)] {
        if !(1..=10_000).contains(&value) {
            let why = format!("{value} is not in 1 to 10000");
            wrong.push(Violation::new(format!("{field}.{side}"), why));
        }
    }
    let scale = match size.device_scale_factor {
        0.0 => 1.0,
        scale => scale,
    };
    if !(0.1..=8.0).contains(&scale) {
        let why = format!("{scale} is not in 0.1 to 8");
        wrong.push(Violation::new(format!("{field}.device_scale_factor"), why));
    }
    (wrong.len() == before).then_some(Viewport {
        width: size.width,
        height: size.height,
        scale,
    })
}

/// What the lease is narrowed to.
fn egress_allow(rules: &[String], wrong: &mut Vec<Violation>) -> Vec<Rule> {
    if rules.len() > MOST_RULES {
        let why = format!("{} rules are more than {MOST_RULES}", rules.len());
        wrong.push(Violation::new("browser.egress_allow", why));
        return Vec::new();
    }
    let mut read = |(at, text): (usize, &String)| {
        let rule = text.parse::<Rule>();
        let why = |error: crate::egress::ParseError| {
            let field = format!("browser.egress_allow[{at}]");
            wrong.push(Violation::new(field, error.to_string()));
        };
        rule.map_err(why).ok()
    };
    let rules = rules.iter().enumerate();
    rules.filter_map(&mut read).collect()
}

/// A lease's proxy. What is wrong with it is told without it: it may hold a password.
fn proxy(proxy: &proto::Proxy, wrong: &mut Vec<Violation>) -> Option<Detour> {
    let before = wrong.len();
    let server = match Upstream::parse(&proxy.server) {
        // A browser's own way with SOCKS: the proxy looks names up.
        Ok(upstream) => Some(upstream.told_names()),
        Err(why) => {
            wrong.push(Violation::new("browser.proxy.server", why));
            None
        }
    };
    if proxy.bypass.len() > MOST_BYPASSES {
        let why = format!("must be at most {MOST_BYPASSES} patterns such as *.internal");
        wrong.push(Violation::new("browser.proxy.bypass", why));
        return None;
    }
    for (at, pattern) in proxy.bypass.iter().enumerate() {
        if let Err(why) = Detour::check(pattern) {
            let field = format!("browser.proxy.bypass[{at}]");
            wrong.push(Violation::new(field, why));
        }
    }
    let server = server.filter(|_| wrong.len() == before)?;
    Detour::new(server, &proxy.bypass).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: proto::BrowserOptions) -> Result<Profile, Vec<String>> {
        let mut wrong = Vec::new();
        let profile = profile(options, &mut wrong);
        if wrong.is_empty() {
            Ok(profile)
        } else {
            Err(wrong.into_iter().map(|one| one.field).collect())
        }
    }

    #[test]
    fn nothing_asked_for_is_a_plain_browser() {
        let plain = read(proto::BrowserOptions::default()).unwrap();
        assert_eq!(plain, Profile::default());
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let options = proto::BrowserOptions {
            viewport: Some(proto::Viewport {
                width: 0,
                height: 600,
                device_scale_factor: 9.0,
            }),
            user_agent: "two\nlines".into(),
            time_zone: "../etc passwd".into(),
            proxy: Some(proto::Proxy {
                server: "ftp://proxy".into(),
                bypass: vec!["a b".into()],
            }),
            block_resources: vec!["image".into()],
            egress_allow: vec!["example.org".into(), "http://example.org".into()],
            ..proto::BrowserOptions::default()
        };
        assert_eq!(
            read(options).unwrap_err(),
            [
                "browser.block_resources",
                "browser.user_agent",
                "browser.time_zone",
                "browser.viewport.width",
                "browser.viewport.device_scale_factor",
                "browser.proxy.server",
                "browser.proxy.bypass[0]",
                "browser.egress_allow[1]",
            ]
        );
    }

    #[test]
    fn where_it_may_go_needs_no_launch() {
        let profile = read(proto::BrowserOptions {
            proxy: Some(proto::Proxy {
                server: "socks5://me:secret@127.0.0.1:1080".into(),
                bypass: vec!["*.internal".into(), "<local>".into()],
            }),
            egress_allow: vec!["*.example.org:443".into()],
            ..proto::BrowserOptions::default()
        });
        let profile = profile.unwrap();
        assert!(!profile.needs_launch() && !format!("{profile:?}").contains("secret"));
        let proxy = profile.proxy.unwrap();
        assert_eq!(proxy.upstream().target().to_string(), "127.0.0.1:1080");
        assert!(proxy.upstream().has_credentials());
        let many = proto::BrowserOptions {
            egress_allow: vec!["example.org".into(); 257],
            ..proto::BrowserOptions::default()
        };
        assert_eq!(read(many).unwrap_err(), ["browser.egress_allow"]);
    }
}
