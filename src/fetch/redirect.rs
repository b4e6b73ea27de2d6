//! What follows from a redirect, as browsers do it (Fetch standard, HTTP-redirect fetch).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{Error, Request};

/// What is asked of one origin.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

/// Headers that are another origin's business.
const SECRET: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

/// Headers about a body that is not sent again.
const OF_BODY: [HeaderName; 4] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
];

/// Whether `status` leads on when it says where to.
const fn leads_on(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301..=303 | 307 | 308)
}

impl Hop {
    /// Whether a response of `status` is on the way only, and nobody sees its body.
    pub(super) fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
        leads_on(status) && headers.contains_key(header::LOCATION)
    }

    /// Where a response of `status` leads on to; `None` when it is no redirect.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it leads to what is not fetched.
    pub(super) fn next(
        &self,
        status: StatusCode,
        location: Option<&HeaderValue>,
    ) -> Result<Option<Self>, Error> {
        let (true, Some(location)) = (leads_on(status), location) else {
            return Ok(None);
        };
        let location = String::from_utf8_lossy(location.as_bytes());
        let url = self.url.join(&location);
        let mut url = url.map_err(|error| Error::Protocol(format!("bad redirect: {error}")))?;
        Request::check(&url).map_err(|problem| Error::Protocol(format!("redirect: {problem}")))?;
        if url.fragment().is_none() {
            url.set_fragment(self.url.fragment());
        }
        let mut next = Self {
            url,
            ..self.clone()
        };
        let drops_body = match status.as_u16() {
            301 | 302 => self.method == Method::POST,
            303 => self.method != Method::GET && self.method != Method::HEAD,
            _ => false,
        };
        if drops_body {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.retain(|(name, _)| !OF_BODY.contains(name));
        }
        if next.url.origin() != self.url.origin() {
            next.headers.retain(|(name, _)| !SECRET.contains(name));
        }
        Ok(Some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Hop {
        let value = HeaderValue::from_static("x");
        Hop {
            url: Url::parse("http://a/b/c#here").unwrap(),
            method: Method::POST,
            headers: [header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT]
                .map(|name| (name, value.clone()))
                .into(),
            body: Bytes::from_static(b"body"),
        }
    }

    fn next(status: u16, location: &'static str) -> Result<Option<Hop>, Error> {
        let location = HeaderValue::from_static(location);
        post().next(StatusCode::from_u16(status).unwrap(), Some(&location))
    }

    #[test]
    fn a_post_becomes_a_get_where_browsers_do_it() {
        for status in [301, 302, 303] {
            let hop = next(status, "../d").unwrap().unwrap();
            assert_eq!(hop.url.as_str(), "http://a/d#here");
            assert_eq!((hop.method, hop.body.len()), (Method::GET, 0));
            assert_eq!(hop.headers.len(), 2, "the type went with the body");
        }
        for status in [307, 308] {
            let hop = next(status, "d").unwrap().unwrap();
            assert_eq!((hop.method, hop.body.len()), (Method::POST, 4));
        }
        assert!(next(200, "d").unwrap().is_none());
        assert!(next(304, "d").unwrap().is_none());
    }

    #[test]
    fn secrets_stay_with_their_origin() {
        let same = next(307, "http://a:80/").unwrap().unwrap();
        assert_eq!(same.headers.len(), 3);
        for other in ["http://b/", "https://a/", "http://a:81/"] {
            let hop = next(307, other).unwrap().unwrap();
            assert_eq!(hop.headers.len(), 2, "{other}");
        }
    }

    #[test]
    fn only_the_web_is_led_to() {
        let outcome = next(302, "file:///etc/passwd");
        assert!(matches!(outcome, Err(Error::Protocol(_))));
    }
}
