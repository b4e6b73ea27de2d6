//! What a file says of an answer beside its body.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use serde::{Deserialize, Serialize};

use super::{
    super::exchange::{Answer, Times},
    Entry, Question,
};

/// The head of an entry. The rules follow from it, and are made anew.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    url: String,
    asked_with: Vec<(String, String)>,
    /// Milliseconds since the Unix epoch.
    asked: u64,
    status: u16,
    http_2: bool,
    headers: Vec<(String, String)>,
}

/// The last millisecond of the year 9999, after which dates cannot be written (RFC 9110 §5.6.7), and what
/// reckons with them breaks.
const LATEST: u64 = 253_402_300_799_999;

impl Head {
    pub(super) fn of(entry: &Entry) -> Self {
        let asked = entry.asked.duration_since(SystemTime::UNIX_EPOCH);
        let asked = asked.unwrap_or_default().as_millis();
        Self {
            url: entry.question.uri().to_string(),
            asked_with: texts(entry.question.headers()),
            asked: u64::try_from(asked).unwrap_or_default(),
            status: entry.status.as_u16(),
            http_2: entry.version == Version::HTTP_2,
            headers: texts(&entry.headers),
        }
    }

    /// The entry with that `body`; `None` when it is not of `url`.
    pub(super) fn entry(&self, body: Bytes, url: &str) -> Option<Entry> {
        let uri: http::Uri = self.url.parse().ok()?;
        let wanted: http::Uri = url.parse().ok()?;
        let asked = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.asked))?;
        if uri != wanted || self.asked > LATEST {
            return None;
        }
        let question = Question::new(uri, headers(&self.asked_with)?);
        let answer = Answer {
            status: StatusCode::from_u16(self.status).ok()?,
            version: if self.http_2 {
                Version::HTTP_2
            } else {
                Version::HTTP_11
            },
            headers: headers(&self.headers)?,
            body,
            coded: false,
            times: Times::default(),
        };
        Some(Entry::new(&question, &answer, asked))
    }
}

/// Headers as texts, whose characters are their bytes: values need not be UTF-8.
fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_bytes().iter().map(|byte| char::from(*byte));
            (name.to_string(), value.collect())
        })
        .collect()
}

fn headers(texts: &[(String, String)]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(texts.len());
    for (name, value) in texts {
        let value: Option<Vec<u8>> = value.chars().map(|char| u8::try_from(char).ok()).collect();
        let name = HeaderName::try_from(name).ok()?;
        headers.append(name, HeaderValue::from_bytes(&value?).ok()?);
    }
    Some(headers)
}
