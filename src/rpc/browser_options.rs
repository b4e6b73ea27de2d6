//! What a client may have a browser started with.

use url::Url;

use crate::{
    broker::Violation,
    browser::{Profile, Proxy, Viewport},
    proto,
};

const LONGEST_USER_AGENT: usize = 1024;
const LONGEST_LOCALE: usize = 256;
const MOST_BYPASSES: usize = 64;

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
        proxy: options.proxy.and_then(|one| proxy(one, wrong)),
    }
}

/// What a later version will do is refused, not ignored: a client that relies on it must know.
fn reserved(options: &proto::BrowserOptions, wrong: &mut Vec<Violation>) {
    for (field, set) in [
        ("extra_headers", !options.extra_headers.is_empty()),
        ("egress_allow", !options.egress_allow.is_empty()),
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

fn proxy(proxy: proto::Proxy, wrong: &mut Vec<Violation>) -> Option<Proxy> {
    let before = wrong.len();
    let why = match Url::parse(&proxy.server) {
        Err(error) => Some(format!("not a URL: {error}")),
        Ok(url) if !matches!(url.scheme(), "http" | "https" | "socks4" | "socks5") => {
            Some("the scheme must be http, https, socks4 or socks5".into())
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => Some("the host is missing".into()),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Some("credentials in the URL are not supported".into())
        }
        Ok(url) if !matches!(url.path(), "" | "/") || url.query().is_some() => {
            Some("must be scheme://host:port without a path".into())
        }
        Ok(_) => None,
    };
    if let Some(why) = why {
        wrong.push(Violation::new("browser.proxy.server", why));
    }
    let sound = |pattern: &String| {
        let good = |c: char| c.is_ascii_alphanumeric() || ".-*:[]/<>_".contains(c);
        (1..=253).contains(&pattern.len()) && pattern.chars().all(good)
    };
    if proxy.bypass.len() > MOST_BYPASSES || !proxy.bypass.iter().all(sound) {
        let why = format!("must be at most {MOST_BYPASSES} host patterns such as *.internal");
        wrong.push(Violation::new("browser.proxy.bypass", why));
    }
    (wrong.len() == before).then(|| Proxy {
        server: proxy.server.trim_end_matches('/').to_owned(),
        bypass: proxy.bypass,
    })
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
        assert!(read(proto::BrowserOptions::default()).unwrap().is_plain());
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
                "browser.proxy.bypass",
            ]
        );
    }

    #[test]
    fn a_proxy_with_credentials_is_refused() {
        let with = |server: &str| {
            read(proto::BrowserOptions {
                proxy: Some(proto::Proxy {
                    server: server.into(),
                    bypass: vec!["*.internal".into(), "<local>".into()],
                }),
                ..proto::BrowserOptions::default()
            })
        };
        let profile = with("socks5://127.0.0.1:1080").unwrap();
        assert_eq!(profile.proxy.unwrap().server, "socks5://127.0.0.1:1080");
        assert!(with("http://me:secret@proxy:3128").is_err());
    }
}
