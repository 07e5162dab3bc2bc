//! The one reply of a connection to the pages: written whole, after which nothing more is said or heard.

use std::io;
use std::time::{Duration, SystemTime};

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, to_bytes};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HttpDate, TRANSFER_ENCODING,
};
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
    let mut bytes = head(reply.status(), reply.headers(), body.len(), now);
    if !is_head {
        bytes.extend_from_slice(&body);
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}

fn head(status: StatusCode, headers: &HeaderMap, length: usize, now: Wall) -> Vec<u8> {
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
    // RFC 9110, 8.6 and 15.4.5.
    if ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) {
        bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
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
