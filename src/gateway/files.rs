//! The files of a lease over HTTP: what its browser downloaded, and what is brought for it.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::Request,
    http::{
        HeaderValue, Method, StatusCode,
        header::{ALLOW, CONTENT_DISPOSITION, CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, stream};
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::{absent, answer, json as json_answer, plain};
use crate::{
    broker::LeaseFiles,
    browser::{Entry, FilesError},
    deadline::{Deadline, Passed},
    lease,
};

/// How long another upload to the same lease may take.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client that brings a file may stay silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How much of a file is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// Why a file was not brought.
enum Broken {
    /// The client broke off, or said nothing for too long.
    Client,
    Files(FilesError),
}

/// Answers for the list of files, or for the file that is called `name` in the request's path.
pub(super) async fn serve(files: LeaseFiles, name: Option<&str>, request: Request) -> Response {
    let Some(name) = name else {
        return match *request.method() {
            Method::GET => list(&files).await,
            _ => not_allowed("GET"),
        };
    };
    // What is not UTF-8 has no name that could be written in a list either.
    let Ok(name) = percent_decode_str(name).decode_utf8() else {
        return refused(&FilesError::Name);
    };
    match *request.method() {
        Method::GET => read(files, &name).await,
        Method::PUT => bring(&files, &name, request).await,
        Method::DELETE => match files.files().remove(&name).await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => refused(&error),
        },
        _ => not_allowed("GET, PUT, DELETE"),
    }
}

async fn list(files: &LeaseFiles) -> Response {
    let entries = match files.files().list().await {
        Ok(entries) => entries,
        Err(error) => return refused(&error.into()),
    };
    let show = |entry: &Entry| {
        let state = if entry.complete {
            "complete"
        } else {
            "in_progress"
        };
        json!({ "name": entry.name, "size": entry.size, "state": state })
    };
    let shown: Vec<_> = entries.iter().map(show).collect();
    let quota = files.files().quota();
    let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
    let page = json!({
        "files": shown,
        "bytes": bytes,
        "max_bytes": quota.bytes,
        "max_files": quota.files,
    });
    json_answer(format!("{page}\n"))
}

async fn read(files: LeaseFiles, name: &str) -> Response {
    let (file, size) = match files.files().open(name).await {
        Ok(opened) => opened,
        Err(error) => return refused(&error),
    };
    let body = Body::from_stream(pieces(files, file.take(size)));
    // A browser that is shown the address saves it, whatever it thinks it is.
    let mut response = answer(StatusCode::OK, "application/octet-stream", body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, size.into());
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The content of `file`, until the lease ends.
fn pieces(
    files: LeaseFiles,
    file: tokio::io::Take<tokio::fs::File>,
) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold((files, file), async |(files, mut file)| {
        let mut piece = Vec::with_capacity(PIECE);
        let read = tokio::select! {
            read = file.read_buf(&mut piece) => read,
            reason = files.ended() => Err(std::io::Error::other(reason.as_str())),
        };
        files.touch();
        match read {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.into()), (files, file))),
            Err(error) => Some((Err(error), (files, file))),
        }
    })
}

async fn bring(files: &LeaseFiles, name: &str, request: Request) -> Response {
    let size = request.headers().get(CONTENT_LENGTH);
    let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
    let body = request.into_body().into_data_stream();
    let brought = tokio::select! {
        brought = take(files, name, size, body) => brought,
        reason = files.ended() => return absent(lease::Error::Ended(reason)),
    };
    match brought {
        Ok(page) => (StatusCode::CREATED, json_answer(page)).into_response(),
        Err(Broken::Files(error)) => refused(&error),
        Err(Broken::Client) => plain(StatusCode::REQUEST_TIMEOUT, "the file did not come whole\n"),
    }
}

async fn take(
    files: &LeaseFiles,
    name: &str,
    size: Option<u64>,
    mut body: BodyDataStream,
) -> Result<String, Broken> {
    let turn = Deadline::after(TURN_TIMEOUT);
    let mut bringing = files.files().bring(name, size, turn).await?;
    loop {
        let piece = Deadline::after(SILENCE).bound(body.next()).await;
        match piece {
            Ok(Some(Ok(piece))) => bringing.write(&piece).await?,
            Ok(Some(Err(_))) | Err(Passed) => return Err(Broken::Client),
            Ok(None) => break,
        }
        files.touch();
    }
    let (path, size) = bringing.finish().await?;
    let page = json!({ "name": name, "size": size, "path": path.to_string_lossy() });
    Ok(format!("{page}\n"))
}

impl From<FilesError> for Broken {
    fn from(error: FilesError) -> Self {
        Self::Files(error)
    }
}

fn refused(error: &FilesError) -> Response {
    let code = match error {
        FilesError::Name => StatusCode::BAD_REQUEST,
        FilesError::Missing => StatusCode::NOT_FOUND,
        FilesError::Full(_) => StatusCode::PAYLOAD_TOO_LARGE,
        FilesError::Busy(_) => StatusCode::CONFLICT,
        FilesError::Io(error) => {
            tracing::warn!(%error, "the files of a lease cannot be served");
            return plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the files cannot be had\n",
            );
        }
    };
    plain(code, format!("{error}\n"))
}

pub(super) fn not_allowed(allowed: &'static str) -> Response {
    let allow = [(ALLOW, HeaderValue::from_static(allowed))];
    let text = format!("only {allowed} is served here\n");
    (allow, plain(StatusCode::METHOD_NOT_ALLOWED, text)).into_response()
}
