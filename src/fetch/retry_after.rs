//! `Retry-After` (RFC 9110 §10.2.3), which comes as seconds or as a date.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

/// After how long the origin wants to be asked again, counted from `now`.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // The origin's own clock is the one its date is meant by.
    let its_now = headers
        .get(header::DATE)
        .and_then(|date| date.to_str().ok());
    let its_now = its_now.and_then(|date| httpdate::parse_http_date(date).ok());
    Some(
        date.duration_since(its_now.unwrap_or(now))
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn both_forms_are_a_duration() {
        let after = |value: &'static str, date: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
            if let Some(date) = date {
                headers.insert(header::DATE, HeaderValue::from_static(date));
            }
            let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:00:00 GMT").unwrap();
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        assert_eq!(after("120", None), Some(120));
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT", None), Some(3599));
        let skewed = Some("Fri, 31 Dec 1999 23:59:00 GMT");
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT", skewed), Some(59));
        assert_eq!(after("Fri, 31 Dec 1999 22:00:00 GMT", None), Some(0));
        for wrong in ["-1", "soon", "", "99999999999999999999999"] {
            assert_eq!(after(wrong, None), None, "{wrong}");
        }
    }
}
