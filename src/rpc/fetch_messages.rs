//! Between the messages of a fetch and what the broker speaks.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::{
    browser_options, convert::to_proto, fetch_content, fetch_http, fetch_page, fetch_picture,
};
use crate::{
    broker::Violation,
    fair::Party,
    fetch::{self, Format, Formats, Strategy, Verdict, Via},
    proto::{
        self, ContentVerdict, FetchContents, FetchFormat, FetchRequest, FetchResponse,
        FetchStrategy, FetchTimings,
    },
};

/// So that an answer fits the 4 MiB that gRPC clients take by default.
const USUAL_BYTES: u64 = 3584 * 1024;
const MOST_BYTES: u64 = 256 * 1024 * 1024;
const MOST_REDIRECTS: u32 = 50;
const USUAL_REDIRECTS: u32 = 10;
const MOST_HEADERS: usize = 64;
const LONGEST_HEADER: usize = 16 << 10;
/// There are eight; who names one twice is no danger, who names a million is.
const MOST_FORMATS: usize = 64;
/// As for a leased browser.
const LONGEST_USER_AGENT: usize = 1024;

/// What is to be fetched.
pub(super) fn request(message: FetchRequest) -> Result<fetch::Request, Vec<Violation>> {
    let mut wrong = Vec::new();
    let strategy = strategy(&message, &mut wrong);
    let formats = formats(&message, &mut wrong);
    let method = method(&message.method, &mut wrong);
    let headers = headers(&message.headers, &mut wrong);
    let wait = fetch_page::wait("wait_until", message.wait_until, &mut wrong);
    let viewport = message
        .viewport
        .and_then(|size| browser_options::viewport("viewport", size, &mut wrong));
    let screenshot = fetch_picture::screenshot(message.screenshot.as_ref(), &mut wrong);
    let page = fetch_page::page(&message, &mut wrong);
    fetch_page::refuse_over_http(&message, strategy, &mut wrong);
    let max_bytes = match message.max_bytes {
        0 => USUAL_BYTES,
        bytes => bytes,
    };
    check(&mut wrong, "max_bytes", max_bytes <= MOST_BYTES, || {
        format!("{max_bytes} is more than {MOST_BYTES}")
    });
    let max_redirects = message.max_redirects.unwrap_or(USUAL_REDIRECTS);
    check(
        &mut wrong,
        "max_redirects",
        max_redirects <= MOST_REDIRECTS,
        || format!("{max_redirects} is more than {MOST_REDIRECTS}"),
    );
    let cookies = fetch_http::cookies(message.cookies, &mut wrong);
    let user_agent = fetch_page::text(
        "user_agent",
        &message.user_agent,
        LONGEST_USER_AGENT,
        &mut wrong,
    );
    let proxy = fetch_http::proxy(&message.proxy_url, &mut wrong);
    let cache = fetch_http::cache(message.cache, &mut wrong);
    match fetch::Request::target(&message.url) {
        Ok(url) if wrong.is_empty() => Ok(fetch::Request {
            url,
            strategy,
            formats,
            method,
            headers,
            body: message.body,
            user_agent,
            wait,
            viewport,
            screenshot,
            max_bytes,
            max_redirects,
            cookies,
            proxy,
            cache,
            page,
            // The broker knows for whom it is.
            party: Party::default(),
        }),
        Ok(_) => Err(wrong),
        Err(problem) => {
            wrong.insert(0, Violation::new("url", problem.to_string()));
            Err(wrong)
        }
    }
}

pub(super) fn check(
    wrong: &mut Vec<Violation>,
    field: &str,
    good: bool,
    why: impl FnOnce() -> String,
) {
    if !good {
        wrong.push(Violation::new(field, why()));
    }
}

pub(super) fn unknown(wrong: &mut Vec<Violation>, field: impl Into<String>, value: i32) {
    wrong.push(Violation::new(field, format!("there is no value {value}")));
}

fn strategy(message: &FetchRequest, wrong: &mut Vec<Violation>) -> Strategy {
    match FetchStrategy::try_from(message.strategy) {
        Ok(FetchStrategy::Unspecified | FetchStrategy::Auto) => Strategy::Auto,
        Ok(FetchStrategy::Http) => Strategy::Http,
        Ok(FetchStrategy::Browser) => Strategy::Browser,
        Err(_) => {
            unknown(wrong, "strategy", message.strategy);
            Strategy::Auto
        }
    }
}

fn formats(message: &FetchRequest, wrong: &mut Vec<Violation>) -> Formats {
    if message.formats.is_empty() {
        return Formats::of(&[Format::Html]);
    }
    let count = message.formats.len();
    check(wrong, "formats", count <= MOST_FORMATS, || {
        format!("{count} formats are more than {MOST_FORMATS}")
    });
    let mut formats = Vec::new();
    for (at, value) in message.formats.iter().take(MOST_FORMATS).enumerate() {
        let field = format!("formats[{at}]");
        let later = match FetchFormat::try_from(*value) {
            Ok(FetchFormat::Raw) => Ok(Format::Raw),
            Ok(FetchFormat::Html) => Ok(Format::Html),
            Ok(FetchFormat::Text) => Ok(Format::Text),
            Ok(FetchFormat::Screenshot) => Ok(Format::Screenshot),
            Ok(FetchFormat::Pdf) => Ok(Format::Pdf),
            Ok(FetchFormat::Markdown) => Ok(Format::Markdown),
            Ok(FetchFormat::Links) => Ok(Format::Links),
            Ok(FetchFormat::Metadata) => Ok(Format::Metadata),
            Ok(FetchFormat::Unspecified) => Err("must be set".to_owned()),
            Err(_) => Err(format!("there is no value {value}")),
        };
        match later {
            Ok(format) => formats.push(format),
            Err(why) => wrong.push(Violation::new(field, why)),
        }
    }
    Formats::of(&formats)
}

fn method(text: &str, wrong: &mut Vec<Violation>) -> Method {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if text.is_empty() {
        return Method::GET;
    }
    let upper = text.to_ascii_uppercase();
    let known = KNOWN.into_iter().find(|method| method.as_str() == upper);
    known.unwrap_or_else(|| {
        let why = format!("{text:?} is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        wrong.push(Violation::new("method", why));
        Method::GET
    })
}

fn headers(
    headers: &[proto::Header],
    wrong: &mut Vec<Violation>,
) -> Vec<(HeaderName, HeaderValue)> {
    check(wrong, "headers", headers.len() <= MOST_HEADERS, || {
        format!("{} headers are more than {MOST_HEADERS}", headers.len())
    });
    let mut read = Vec::new();
    for (at, header) in headers.iter().take(MOST_HEADERS).enumerate() {
        let length = header.name.len() + header.value.len();
        if length > LONGEST_HEADER {
            let why = format!("{length} bytes are more than {LONGEST_HEADER}");
            wrong.push(Violation::new(format!("headers[{at}]"), why));
            continue;
        }
        match (
            HeaderName::try_from(&header.name),
            HeaderValue::try_from(&header.value),
        ) {
            (Ok(name), Ok(value)) => read.push((name, value)),
            (Err(_), _) => {
                let why = format!("{:?} is not a header's name", header.name);
                wrong.push(Violation::new(format!("headers[{at}].name"), why));
            }
            // The value may be a secret: it is not repeated.
            (_, Err(_)) => {
                let field = format!("headers[{at}].value");
                wrong.push(Violation::new(field, "has characters no header may have"));
            }
        }
    }
    read
}

/// What came.
pub(super) fn response(response: fetch::Response) -> FetchResponse {
    let timings = response.timings;
    let part = |took: Duration| (!took.is_zero()).then_some(took).and_then(to_proto);
    let via = match response.via {
        Via::Http => FetchStrategy::Http,
        Via::Browser => FetchStrategy::Browser,
    };
    let mut message = FetchResponse::default();
    fetch_http::answered(&response, &mut message);
    FetchResponse {
        final_url: response.final_url,
        redirects: response
            .redirects
            .into_iter()
            .map(|redirect| proto::Redirect {
                url: redirect.url,
                status: redirect.status.into(),
            })
            .collect(),
        status: response.status.into(),
        headers: response
            .headers
            .into_iter()
            .map(|(name, value)| proto::Header {
                name,
                value: String::from_utf8_lossy(&value).into_owned(),
            })
            .collect(),
        content_type: response.content_type.unwrap_or_default(),
        charset: response.charset.unwrap_or_default(),
        contents: Some(FetchContents {
            raw: response.raw,
            html: response.html,
            text: response.text,
            screenshot: response.screenshot,
            pdf: response.pdf,
            markdown: response.markdown,
            links: response.links.map(fetch_content::links),
            metadata: response.metadata.map(fetch_content::metadata),
        }),
        title: response.title.unwrap_or_default(),
        via: via.into(),
        via_reason: response.why.as_str().into(),
        via_detail: response.why_detail,
        timings: Some(FetchTimings {
            queue: part(timings.queue),
            first_byte: part(timings.first_byte),
            render: part(timings.render),
            extract: part(timings.extract),
            total: part(timings.total),
            connect: part(timings.connect),
        }),
        warnings: response
            .warnings
            .into_iter()
            .map(|warning| proto::Warning {
                code: warning.code.into(),
                message: warning.message,
            })
            .collect(),
        verdict: verdict(response.verdict).into(),
        verdict_detail: response.verdict_detail,
        download_name: response.download_name.unwrap_or_default(),
        ..message
    }
}

const fn verdict(verdict: Option<Verdict>) -> ContentVerdict {
    match verdict {
        None => ContentVerdict::Unspecified,
        Some(Verdict::Content) => ContentVerdict::Content,
        Some(Verdict::Empty) => ContentVerdict::Empty,
        Some(Verdict::LoginWall) => ContentVerdict::LoginWall,
        Some(Verdict::Blocked) => ContentVerdict::Blocked,
        Some(Verdict::ErrorPage) => ContentVerdict::ErrorPage,
        Some(Verdict::Unrendered) => ContentVerdict::Unrendered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_at_once() {
        let message = FetchRequest {
            url: "file:///etc/passwd".into(),
            strategy: 9,
            formats: vec![
                FetchFormat::Html.into(),
                FetchFormat::Unspecified.into(),
                77,
            ],
            method: "BREW".into(),
            headers: vec![proto::Header {
                name: "a b".into(),
                value: "x".into(),
            }],
            wait_until: 77,
            max_bytes: MOST_BYTES + 1,
            max_redirects: Some(51),
            ..FetchRequest::default()
        };
        let wrong = request(message).unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "url",
                "strategy",
                "formats[1]",
                "formats[2]",
                "method",
                "headers[0].name",
                "wait_until",
                "max_bytes",
                "max_redirects",
            ]
        );
    }

    #[test]
    fn a_bare_url_is_enough() {
        let message = FetchRequest {
            url: "http://a/".into(),
            ..FetchRequest::default()
        };
        let request = request(message).unwrap();
        assert_eq!(request.strategy, Strategy::Auto);
        assert!(request.formats.has(Format::Html));
        assert_eq!(request.max_bytes, USUAL_BYTES);
        assert_eq!(request.max_redirects, 10);
    }

    #[test]
    fn no_list_and_no_text_is_longer_than_it_may_be() {
        let fields = |message: FetchRequest| -> Vec<String> {
            let wrong = request(message).err().unwrap_or_default();
            wrong.into_iter().map(|one| one.field).collect()
        };
        let plain = || FetchRequest {
            url: "http://a/".into(),
            ..FetchRequest::default()
        };
        let header = |length| proto::Header {
            name: "x".into(),
            value: "y".repeat(length),
        };
        let most = FetchRequest {
            formats: vec![1; MOST_FORMATS],
            headers: vec![header(LONGEST_HEADER - 1); MOST_HEADERS],
            user_agent: "a".repeat(LONGEST_USER_AGENT),
            ..plain()
        };
        assert_eq!(fields(most), [""; 0]);
        let more = FetchRequest {
            formats: vec![1; 1_000_000],
            headers: vec![header(LONGEST_HEADER); 1000],
            user_agent: "a".repeat(LONGEST_USER_AGENT + 1),
            ..plain()
        };
        let wrong = fields(more);
        assert_eq!(wrong.len(), 3 + MOST_HEADERS, "{wrong:?}");
        assert_eq!(wrong[..3], ["formats", "headers", "headers[0]"]);
        assert_eq!(wrong.last().unwrap(), "user_agent");
        // Wrong ones are not named without end either.
        let wrong = fields(FetchRequest {
            formats: vec![77; 1_000_000],
            ..plain()
        });
        assert_eq!(wrong.len(), 1 + MOST_FORMATS);
    }
}
