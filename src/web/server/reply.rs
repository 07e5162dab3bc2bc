//! The one reply of a connection to the pages: written whole, or, when it is longer than may be kept, piece by piece as it comes;
//! after it nothing more is said or heard.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_web::http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HttpDate, TRANSFER_ENCODING,
};
use actix_web::http::{StatusCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::clock::Wall;

/// What a client may still say after its reply, in bytes; it is read because closing at once would make the system throw the
/// reply away.
const MAX_DRAINED: usize = 64 * 1_024;

/// Sends the reply; to a HEAD without its body.
///
/// # Errors
/// When the client is gone.
pub(super) async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    reply: HttpResponse<BoxBody>,
    is_head: bool,
    now: Wall,
) -> io::Result<()> {
    let (reply, body) = reply.into_parts();
    let body = to_bytes(body).await;
    let body = body.map_err(|error| io::Error::other(error.to_string()))?;
    let length = BodyEnd::Length(body.len());
    let mut bytes = head(reply.status(), reply.headers(), length, now);
    if !is_head {
        bytes.extend_from_slice(&body);
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// It has so many bytes.
    Length(usize),
    /// By an empty chunk (RFC 9112, 7.1).
    Chunked,
    /// By the end of the connection, to programs that know no chunks.
    UntilClose,
}

impl BodyEnd {
    /// That of a body of unknown length in reply to a request of this version.
    pub(super) fn of_stream(version: Version) -> BodyEnd {
        if version < Version::HTTP_11 {
            BodyEnd::UntilClose
        } else {
            BodyEnd::Chunked
        }
    }
}

/// How often a long reply whose reader takes nothing is looked at, whether it is over.
const LOOK: Duration = Duration::from_millis(250);

/// What a reply in pieces carries that may take longer than others. It ends when its reader closes the connection, be it between two
/// pieces that are far apart.
#[derive(Clone)]
pub(in crate::web) struct LongReply {
    /// How long it may take in all.
    pub limit: Duration,
    /// Whether its reader may still hear it. Asked four times a second while the reader does not take a piece, for nobody asks the body
    /// then.
    pub goes_on: Rc<dyn Fn() -> bool>,
}

/// The bounds of a reply in pieces.
pub(super) struct StreamBounds {
    /// How long one piece may take.
    pub piece: Duration,
    /// How long all of them may take.
    pub all: Duration,
    /// One that ends with its reader, and with the right to it.
    pub long: Option<LongReply>,
}

impl StreamBounds {
    /// Waits until the reader may hear no more.
    async fn over(&self) {
        let Some(long) = &self.long else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(LOOK).await;
            if !(long.goes_on)() {
                return;
            }
        }
    }
}

/// Whether the reply comes in pieces.
pub(super) fn is_streamed(reply: &HttpResponse<BoxBody>) -> bool {
    reply.body().size() == BodySize::Stream
}

/// Sends a reply that comes in pieces, within the bounds; to a HEAD without its body.
///
/// # Errors
/// When the client is gone, takes nothing for so long, or takes nothing and may hear no more, or the pieces break off or come for too long. What was sent then is not a whole reply, and does
/// not end as one.
pub(super) async fn stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    reply: HttpResponse<BoxBody>,
    end: BodyEnd,
    is_head: bool,
    now: Wall,
    bounds: &StreamBounds,
) -> io::Result<()> {
    let sent = pieces(stream, reply, end, is_head, now, bounds);
    let sent = tokio::time::timeout(bounds.all, sent).await;
    sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn pieces<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    reply: HttpResponse<BoxBody>,
    end: BodyEnd,
    is_head: bool,
    now: Wall,
    bounds: &StreamBounds,
) -> io::Result<()> {
    let (reply, body) = reply.into_parts();
    let mut bytes = head(reply.status(), reply.headers(), end, now);
    put(stream, &bytes, bounds).await?;
    if is_head {
        return Ok(());
    }
    let is_chunked = end == BodyEnd::Chunked;
    let mut body = pin!(body);
    loop {
        let piece = poll_fn(|context| body.as_mut().poll_next(context));
        let piece = if bounds.long.is_some() {
            tokio::select! {
                piece = piece => piece,
                () = gone(stream) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        } else {
            piece.await
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|error| io::Error::other(error.to_string()))?;
        // An empty chunk would be the end.
        if piece.is_empty() {
            continue;
        }
        bytes.clear();
        if is_chunked {
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        }
        bytes.extend_from_slice(&piece);
        if is_chunked {
            bytes.extend_from_slice(b"\r\n");
        }
        put(stream, &bytes, bounds).await?;
    }
    if is_chunked {
        put(stream, b"0\r\n\r\n", bounds).await?;
    }
    stream.flush().await
}

/// Waits until a client closes the connection, or has said more than it has to.
async fn gone<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut piece = [0; 512];
    let mut left = MAX_DRAINED;
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        left = left.saturating_sub(length);
        if left == 0 {
            return;
        }
    }
}

async fn put<S: AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
    bounds: &StreamBounds,
) -> io::Result<()> {
    tokio::select! {
        written = tokio::time::timeout(bounds.piece, stream.write_all(bytes)) => {
            written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        () = bounds.over() => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

fn head(status: StatusCode, headers: &HeaderMap, end: BodyEnd, now: Wall) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("-");
    let line = format!("HTTP/1.1 {} {reason}\r\n", status.as_str());
    let mut bytes = line.into_bytes();
    let own = [CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING];
    for (name, value) in headers.iter().filter(|(name, _)| !own.contains(name)) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    match end {
        // RFC 9110, 8.6 and 15.4.5.
        BodyEnd::Length(_)
            if [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) => {}
        BodyEnd::Length(length) => {
            bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
        }
        BodyEnd::Chunked => bytes.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        BodyEnd::UntilClose => {}
    }
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(now.0);
    let date = HttpDate::from(date);
    bytes.extend_from_slice(format!("date: {date}\r\nconnection: close\r\n\r\n").as_bytes());
    bytes
}

/// Shuts down the sending side, and reads on for a moment without looking at it.
pub(super) async fn end<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut piece = [0; 2_048];
    let mut left = MAX_DRAINED;
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        left = left.saturating_sub(length);
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(reply: HttpResponse, is_head: bool) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut bytes = Vec::new();
            send(&mut bytes, reply, is_head, Wall(784_111_777))
                .await
                .unwrap();
            String::from_utf8(bytes).unwrap()
        })
    }

    #[test]
    fn a_reply_tells_its_length_and_that_it_is_the_last() {
        let reply = || {
            let mut reply = HttpResponse::Ok();
            reply.insert_header(("Connection", "keep-alive"));
            reply
                .append_header(("Set-Cookie", "a=1"))
                .append_header(("Set-Cookie", "b=2"));
            reply.body("text")
        };
        let head = "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 4\r\n\
                    date: Sun, 06 Nov 1994 08:49:37 GMT\r\nconnection: close\r\n\r\n";
        assert_eq!(sent(reply(), false), format!("{head}text"));
        assert_eq!(sent(reply(), true), head);
        let none = sent(HttpResponse::NoContent().finish(), false);
        assert!(!none.contains("content-length"), "{none}");
    }
}
