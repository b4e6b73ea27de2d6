//! The body of an answer: read up to a bound, its codings undone.
//!
//! Whatever the codings, at most the bound and one buffer are held at once: a bomb is given up
//! where it crosses the bound.

use std::{io, time::Duration};

use async_compression::{
    tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder},
    zstd::DParameter,
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use reqwest::Body;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio_util::io::StreamReader;

use super::Error;
use crate::deadline::Deadline;

/// What the client says it understands.
pub(super) const ACCEPT_ENCODING: &str = "gzip, deflate, br, zstd";

/// A coding of a body (RFC 9110 §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// A length that is announced is believed as far as it costs little to be lied to, in bytes.
const TRUSTED: u64 = 1 << 20;

/// So many bytes are decoded between two looks at whether others want the thread.
const TURN: usize = 256 << 10;

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// So large may it be, in bytes, decoded.
    pub(super) bytes: u64,
    /// So long may the origin be silent.
    pub(super) silence: Duration,
    pub(super) deadline: Deadline,
}

/// The codings of an answer in the order in which they were applied; `None` when one of them is
/// not known, and the body is best left as it is.
///
/// # Errors
/// [`Error::Protocol`] when there are more than anybody needs.
pub(super) fn codings(headers: &HeaderMap) -> Result<Option<Vec<Coding>>, Error> {
    const MOST: usize = 4;
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let Ok(value) = value.to_str() else {
            return Ok(None);
        };
        for word in value.split(',').map(str::trim) {
            codings.push(match word.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                _ => return Ok(None),
            });
        }
    }
    if codings.len() > MOST {
        let many = format!("{} codings of one body", codings.len());
        return Err(Error::Protocol(many));
    }
    Ok(Some(codings))
}

/// Reads a body.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Timeout`], [`Error::Protocol`].
///
/// # Cancel safety
/// Yes: the connection is closed.
pub(super) async fn read(
    mut body: Body,
    codings: &[Coding],
    limits: Limits,
) -> Result<Bytes, Error> {
    if !codings.is_empty() {
        return decode(body, codings, limits).await;
    }
    let size = body.size_hint();
    if size.lower() > limits.bytes {
        return Err(limits.too_large());
    }
    let Some(first) = limits.next(&mut body).await? else {
        return Ok(Bytes::new());
    };
    limits.check(first.len())?;
    let Some(second) = limits.next(&mut body).await? else {
        return Ok(first);
    };
    let expected = usize::try_from(size.lower().min(TRUSTED)).unwrap_or_default();
    let mut whole = BytesMut::with_capacity(expected.max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        limits.check(whole.len() + chunk.len())?;
        whole.extend_from_slice(&chunk);
        next = limits.next(&mut body).await?;
    }
    Ok(whole.freeze())
}

impl Limits {
    const fn too_large(self) -> Error {
        Error::TooLarge { limit: self.bytes }
    }

    const fn check(self, size: usize) -> Result<(), Error> {
        if size as u64 > self.bytes {
            return Err(self.too_large());
        }
        Ok(())
    }

    /// The next part of a body; `None` at its end.
    async fn next(self, body: &mut Body) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = self.deadline.within(self.silence).bound(body.frame()).await;
            let Ok(frame) = frame else {
                let what = if self.deadline.has_passed() {
                    "the body did not end before the deadline".into()
                } else {
                    let silence = humantime::format_duration(self.silence);
                    format!("silent for {silence} within the body")
                };
                return Err(Error::Timeout { what });
            };
            let Some(frame) = frame.transpose().map_err(|error| Error::of_http(&error))? else {
                return Ok(None);
            };
            // What is no data is trailers, which nobody asked for.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

type Reader = Box<dyn AsyncBufRead + Send + Unpin>;

async fn decode(body: Body, codings: &[Coding], limits: Limits) -> Result<Bytes, Error> {
    let parts: std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> =
        Box::pin(stream::try_unfold(body, move |mut body| async move {
            let part = limits.next(&mut body).await.map_err(io::Error::other)?;
            Ok(part.map(|part| (part, body)))
        }));
    let mut reader: Reader = Box::new(StreamReader::new(parts));
    let failed = |error: io::Error| match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Protocol(format!("the body cannot be decoded: {error}")),
    };
    // Nothing is a valid body in no coding, and common: answers to HEAD, 204, 304.
    if reader.fill_buf().await.map_err(failed)?.is_empty() {
        return Ok(Bytes::new());
    }
    for coding in codings.iter().rev() {
        reader = undo(*coding, reader).await.map_err(failed)?;
    }
    let mut whole = BytesMut::with_capacity(16 << 10);
    let mut turn = TURN;
    while reader.read_buf(&mut whole).await.map_err(failed)? > 0 {
        limits.check(whole.len())?;
        if whole.len() > turn {
            turn = whole.len() + TURN;
            tokio::task::yield_now().await;
            if limits.deadline.has_passed() {
                let what = "the body was not decoded before the deadline".into();
                return Err(Error::Timeout { what });
            }
        }
        whole.reserve(16 << 10);
    }
    Ok(whole.freeze())
}

async fn undo(coding: Coding, mut reader: Reader) -> io::Result<Reader> {
    const BUFFER: usize = 16 << 10;
    /// Browsers take windows of 8 MiB (RFC 9659).
    const WINDOW_LOG: u32 = 23;
    Ok(match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
        Coding::Brotli => {
            let decoder = BrotliDecoder::new(reader);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
        Coding::Zstd => {
            let mut decoder =
                ZstdDecoder::with_params(reader, &[DParameter::window_log_max(WINDOW_LOG)]);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
        // Some mean the format with a header, as they should, and some the one without.
        Coding::Deflate if has_zlib_header(reader.fill_buf().await?) => {
            let decoder = ZlibDecoder::new(reader);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
        Coding::Deflate => {
            let decoder = DeflateDecoder::new(reader);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    })
}

/// RFC 1950 §2.2; a single byte that could begin one is taken for one.
fn has_zlib_header(start: &[u8]) -> bool {
    match start {
        [method, flags, ..] => {
            method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0
        }
        [method] => method & 0x0f == 8,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&'static str]) -> Result<Option<Vec<Coding>>, Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        codings(&headers)
    }

    #[test]
    fn codings_are_read_in_their_order() {
        assert_eq!(of(&[]).unwrap(), Some(vec![]));
        assert_eq!(of(&["identity"]).unwrap(), Some(vec![]));
        assert_eq!(
            of(&["gzip, BR", "x-gzip,,deflate"]).unwrap(),
            Some(vec![
                Coding::Gzip,
                Coding::Brotli,
                Coding::Gzip,
                Coding::Deflate
            ])
        );
        assert_eq!(of(&["gzip, rot13"]).unwrap(), None);
        assert!(of(&["gzip,gzip,gzip,gzip,gzip"]).is_err());
    }

    #[test]
    fn both_kinds_of_deflate_are_told_apart() {
        for header in [[0x78, 0x01], [0x78, 0x9c], [0x78, 0xda]] {
            assert!(has_zlib_header(&header));
        }
        assert!(!has_zlib_header(&[0x78, 0x00]));
        assert!(!has_zlib_header(&[0x4b, 0x04]));
        assert!(!has_zlib_header(&[]));
    }
}
