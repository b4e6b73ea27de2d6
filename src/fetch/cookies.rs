//! The cookies of one fetch: those the caller gives, and those origins set on the way.

use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use url::Url;

/// A cookie that is sent with a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The host it is for, with a leading dot for its subdomains too; empty for the URL's host
    /// alone.
    pub domain: String,
    /// The path it is for; empty for `/`.
    pub path: String,
    /// Over https: only.
    pub secure: bool,
    /// Not for the page's scripts.
    pub http_only: bool,
}

/// The longest name and value of a cookie together, in bytes (RFC 6265bis, section 5.6).
const LONGEST: usize = 4096;
/// The longest domain or path of one, in bytes (the same section, for attributes).
const LONGEST_ATTRIBUTE: usize = 1024;
/// So many cookies does one fetch keep, as many as browsers do for a site.
const MOST: usize = 180;

/// The cookies of one fetch. It is gone after it.
#[derive(Debug, Default)]
pub(super) struct Jar {
    store: Option<CookieStore>,
    /// How many were put into it.
    taken: usize,
}

impl Jar {
    /// The cookies that the caller gives for a fetch of `url`.
    ///
    /// # Errors
    /// Which of them is none, by its place, and why.
    pub(super) fn new(cookies: &[Cookie], url: &Url) -> Result<Self, (usize, String)> {
        let mut jar = Self::default();
        for (at, cookie) in cookies.iter().enumerate() {
            jar.give(cookie, url).map_err(|why| (at, why))?;
        }
        Ok(jar)
    }

    fn give(&mut self, cookie: &Cookie, url: &Url) -> Result<(), String> {
        if cookie.name.len() + cookie.value.len() > LONGEST {
            return Err(format!("its name and value have more than {LONGEST} bytes"));
        }
        if cookie.domain.len() > LONGEST_ATTRIBUTE || cookie.path.len() > LONGEST_ATTRIBUTE {
            return Err(format!(
                "its domain or path has more than {LONGEST_ATTRIBUTE} bytes"
            ));
        }
        let (host, shared) = match cookie.domain.strip_prefix('.') {
            Some(host) => (host, true),
            None if cookie.domain.is_empty() => (url.host_str().unwrap_or_default(), false),
            None => (cookie.domain.as_str(), false),
        };
        // It is as if that host had set it, over TLS so that it may be a secure one.
        let home = Url::parse(&format!("https://{host}/"));
        let home = home.map_err(|_| "its domain is no host".to_owned())?;
        let path = match cookie.path.as_str() {
            "" => "/",
            path => path,
        };
        if !path.starts_with('/') {
            return Err("its path does not begin with /".into());
        }
        let text = format!("{}={}", cookie.name, cookie.value);
        if cookie.name.is_empty() || !is_plain(&text) || !is_plain(path) {
            return Err("its name, value or path has what no cookie may have".into());
        }
        let mut raw = RawCookie::build((cookie.name.clone(), cookie.value.clone()))
            .path(path.to_owned())
            .secure(cookie.secure)
            .http_only(cookie.http_only);
        if shared {
            raw = raw.domain(host.to_owned());
        }
        let store = self.store.get_or_insert_with(CookieStore::default);
        let kept = store.insert_raw(&raw.build(), &home);
        self.taken += 1;
        kept.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Keeps what an answer from `url` sets.
    pub(super) fn keep(&mut self, headers: &HeaderMap, url: &Url) {
        for value in headers.get_all(header::SET_COOKIE) {
            let parsed = value
                .to_str()
                .ok()
                .map(|text| RawCookie::parse(text.to_owned()));
            let Some(Ok(cookie)) = parsed else { continue };
            // As browsers do: one that is too large, or too many, is as if it had not come.
            let large = cookie.name().len() + cookie.value().len() > LONGEST;
            if large || self.taken >= MOST {
                continue;
            }
            // A cookie for all of `com` would go to strangers.
            if cookie.domain().is_some_and(is_top_level) {
                continue;
            }
            let store = self.store.get_or_insert_with(CookieStore::default);
            // One that it refuses is not kept, as in a browser.
            if store.insert_raw(&cookie, url).is_ok() {
                self.taken += 1;
            }
        }
    }

    /// What goes to `url`, after what the caller says in a header of its own.
    pub(super) fn header(&self, url: &Url, own: Option<&HeaderValue>) -> Option<HeaderValue> {
        let store = self.store.as_ref()?;
        let pairs = store.get_request_values(url);
        let mut cookies: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if cookies.is_empty() {
            return None;
        }
        if let Some(own) = own {
            cookies.insert(0, String::from_utf8_lossy(own.as_bytes()).into_owned());
        }
        let mut value = HeaderValue::try_from(cookies.join("; ")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn is_top_level(domain: &str) -> bool {
    let domain = domain.trim_matches('.');
    let is_address = domain.parse::<std::net::IpAddr>().is_ok();
    !domain.contains('.') && !is_address && !domain.eq_ignore_ascii_case("localhost")
}

fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| (0x20..0x7f).contains(&byte) && byte != b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(name: &str, domain: &str) -> Cookie {
        Cookie {
            name: name.into(),
            value: "1".into(),
            domain: domain.into(),
            path: String::new(),
            secure: false,
            http_only: false,
        }
    }

    fn sent(jar: &Jar, url: &str) -> Option<String> {
        let value = jar.header(&Url::parse(url).unwrap(), None)?;
        let mut cookies: Vec<_> = value.to_str().unwrap().split("; ").collect();
        cookies.sort_unstable();
        Some(cookies.join(" "))
    }

    #[test]
    fn given_cookies_go_where_they_match() {
        let url = Url::parse("http://a.test:8080/x").unwrap();
        let mut secure = cookie("s", "");
        secure.secure = true;
        let mut deep = cookie("d", "");
        deep.path = "/deep".into();
        let all = [
            cookie("own", ""),
            cookie("sub", ".a.test"),
            cookie("other", "b.test"),
            secure,
            deep,
        ];
        let jar = Jar::new(&all, &url).unwrap();
        assert_eq!(sent(&jar, "http://a.test/").unwrap(), "own=1 sub=1");
        assert_eq!(
            sent(&jar, "https://a.test/deep/er").unwrap(),
            "d=1 own=1 s=1 sub=1"
        );
        assert_eq!(sent(&jar, "http://w.a.test/").unwrap(), "sub=1");
        assert_eq!(sent(&jar, "http://b.test/").unwrap(), "other=1");
        assert_eq!(sent(&jar, "http://w.b.test/"), None);
        let address = Jar::new(
            &[cookie("a", "")],
            &Url::parse("http://127.0.0.1:1/").unwrap(),
        );
        assert_eq!(
            sent(&address.unwrap(), "http://127.0.0.1:2/").unwrap(),
            "a=1"
        );
    }

    #[test]
    fn what_is_no_cookie_is_named_by_its_place() {
        let url = Url::parse("http://a.test/").unwrap();
        for wrong in [
            cookie("", ""),
            cookie("a;b", ""),
            cookie("a\r\nx", ""),
            cookie("a", "no host"),
        ] {
            let jar = Jar::new(&[cookie("fine", ""), wrong.clone()], &url);
            assert_eq!(jar.unwrap_err().0, 1, "{wrong:?}");
        }
    }

    #[test]
    fn cookies_set_on_the_way_are_kept() {
        let mut jar = Jar::default();
        let mut headers = HeaderMap::new();
        for set in [
            "a=1; Path=/",
            "b=2; Domain=test",
            "c=3; Secure",
            "d=4; Domain=x.test",
        ] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(set));
        }
        jar.keep(&headers, &Url::parse("https://a.test/").unwrap());
        assert_eq!(sent(&jar, "https://a.test/").unwrap(), "a=1 c=3");
        let own = HeaderValue::from_static("mine=0");
        let url = Url::parse("http://a.test/").unwrap();
        assert_eq!(jar.header(&url, Some(&own)).unwrap(), "mine=0; a=1");
    }

    #[test]
    fn cookies_have_the_sizes_that_browsers_allow() {
        let url = Url::parse("https://a.test/").unwrap();
        let sized = |length: usize| Cookie {
            value: "v".repeat(length - 1),
            ..cookie("n", "")
        };
        let longest = Jar::new(&[sized(LONGEST)], &url).unwrap();
        assert_eq!(
            sent(&longest, "https://a.test/").unwrap().len(),
            LONGEST + 1
        );
        assert_eq!(Jar::new(&[sized(LONGEST + 1)], &url).unwrap_err().0, 0);
        let mut far = cookie("n", "");
        far.path = format!("/{}", "p".repeat(LONGEST_ATTRIBUTE));
        assert_eq!(Jar::new(&[far], &url).unwrap_err().0, 0);

        let mut jar = Jar::default();
        let mut headers = HeaderMap::new();
        let large = format!("large={}", "v".repeat(LONGEST));
        headers.append(header::SET_COOKIE, HeaderValue::try_from(large).unwrap());
        for number in 0..2 * MOST {
            let set = HeaderValue::try_from(format!("c{number}=1")).unwrap();
            headers.append(header::SET_COOKIE, set);
        }
        jar.keep(&headers, &url);
        let kept = sent(&jar, "https://a.test/").unwrap();
        assert_eq!(kept.split(' ').count(), MOST);
        assert!(!kept.contains("large"));
    }
}
