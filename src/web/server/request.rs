//! One request to the pages, read whole before anything else sees it: its head, and its body within a bound that stands before
//! the reading. Bodies are never decoded. What follows the request on its connection is nobody's request.

use std::net::SocketAddr;

use actix_http::{Method, Payload, Request, Uri, Version};
use actix_web::http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE,
};
use httparse::Status;
use tokio::io::{AsyncRead, AsyncWrite};

use super::fault::{Fault, Refused};
use super::reader::{MAX_BODY, RequestReader};

/// Header fields at most; as many as the tracker's own listener takes.
const MAX_FIELDS: usize = 100;
/// A head is never longer, in bytes; the tracker's own listener has a tighter bound.
const MAX_HEAD: usize = 65_536;
/// What is read of a body with the frames of its chunks, in bytes.
const MAX_FRAMED: usize = 4 * MAX_BODY;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

/// A head, and what it says of the body.
struct Head {
    request: Request,
    /// Why its body is not taken, where it is not: who asks is known all the same.
    framing: Result<Framing, Refused>,
    expects_continue: bool,
    /// Bytes that it took.
    length: usize,
}

/// Who asks.
#[derive(Debug, Default)]
pub(super) struct Asker {
    /// Whether the path is one that programs ask for, who are answered in JSON.
    pub is_program: bool,
    /// The header of a request whose head was taken and whose body was not.
    pub headers: Option<HeaderMap>,
}

/// Reads one request of `peer`, beginning with what was `read` already.
///
/// `asker` is set as far as it is known who asks, also for a request that is refused.
///
/// # Errors
/// [`Fault`]. No more than the bounds are kept in memory, however much is sent.
pub(super) async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    read: Vec<u8>,
    peer: SocketAddr,
    asker: &mut Asker,
) -> Result<Request, Fault> {
    let mut reader = RequestReader::new(stream, read, MAX_HEAD);
    let head = head(&mut reader).await;
    asker.is_program = match &head {
        Ok(head) => is_of_api(head.request.path()),
        Err(_) => names_api(reader.bytes()),
    };
    let Head {
        mut request,
        framing,
        expects_continue,
        ..
    } = head?;
    reader.allow(MAX_FRAMED);
    let has_body = framing.is_ok_and(|framing| framing != Framing::Length(0));
    if expects_continue && reader.is_empty() && has_body {
        reader.say(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = match framing {
        Ok(Framing::Length(length)) => reader.take(length).await,
        Ok(Framing::Chunked) => reader.chunks().await,
        Err(refused) => Err(refused.into()),
    };
    if body.is_err() {
        asker.headers = Some(request.head().headers.clone());
    }
    let body = body?;
    let head = request.head_mut();
    head.peer_addr = Some(peer);
    if !body.is_empty() {
        head.headers.insert(CONTENT_LENGTH, body.len().into());
        request = request.replace_payload(Payload::from(body)).0;
    }
    Ok(request)
}

/// Whether a path is one that programs ask for, who are answered in JSON.
fn is_of_api(path: &str) -> bool {
    path.starts_with("/api/")
}

/// Whether a head that is refused names such a path, as it is spelled.
fn names_api(head: &[u8]) -> bool {
    let mut lines = head.trim_ascii_start().split(|byte| *byte == b'\n');
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let target = words.nth(1).and_then(|target| str::from_utf8(target).ok());
    let target = target.and_then(split_target);
    target.is_some_and(|(_, path)| is_of_api(path))
}

/// The head at the start of the bytes.
async fn head<S: AsyncRead + AsyncWrite + Unpin>(
    reader: &mut RequestReader<'_, S>,
) -> Result<Head, Fault> {
    let mut looked_at = 0_usize;
    loop {
        if reader.bytes().len() > MAX_HEAD {
            return Err(Refused::HeadTooLong.into());
        }
        // A head ends with an empty line; looking for one costs less than parsing anew with every piece.
        let tail = reader.bytes().get(looked_at.saturating_sub(3)..);
        if tail.is_some_and(has_empty_line)
            && let Some(head) = parse(reader.bytes())?
        {
            reader.skip(head.length);
            return Ok(head);
        }
        looked_at = reader.bytes().len();
        reader.more(Refused::HeadTooLong).await?;
    }
}

fn has_empty_line(bytes: &[u8]) -> bool {
    [&b"\n\r\n"[..], b"\n\n"]
        .into_iter()
        .any(|end| memchr::memmem::find(bytes, end).is_some())
}

/// The head at the start of the bytes; nothing while it is not there whole.
fn parse(bytes: &[u8]) -> Result<Option<Head>, Refused> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let length = match parsed.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refused::HeadTooLong),
        Err(_) => return Err(Refused::Malformed),
    };
    let malformed = Refused::Malformed;
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(malformed);
    };
    let mut request = Request::new();
    let head = request.head_mut();
    head.method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed)?;
    head.version = if version == 0 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    let (authority, target) = split_target(target).ok_or(malformed)?;
    head.uri = Uri::try_from(escape(target)).map_err(|_| malformed)?;
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| malformed)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| malformed)?;
        head.headers.append(name, value);
    }
    if let Some(authority) = authority {
        let host = HeaderValue::from_str(authority).map_err(|_| malformed)?;
        head.headers.insert(HOST, host);
    }
    let hosts = head.headers.get_all(HOST).count();
    if hosts > 1 || (hosts == 0 && version == 1) {
        return Err(malformed);
    }
    let framing = framing(&head.headers, version);
    let expects_continue = expects_continue(&head.headers, version)?;
    for name in [
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        EXPECT,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        head.headers.remove(name);
    }
    Ok(Some(Head {
        request,
        framing,
        expects_continue,
        length,
    }))
}

/// The authority of a target in absolute form (RFC 9112, 3.2.2), which stands in for the field `Host`, and what follows it.
/// Nothing for a target that is neither in absolute nor in origin form.
fn split_target(target: &str) -> Option<(Option<&str>, &str)> {
    if target.starts_with('/') {
        return Some((None, target));
    }
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let is_plain = !authority.is_empty() && !authority.contains(['?', '#', '@']);
    is_plain.then_some((Some(authority), if path.is_empty() { "/" } else { path }))
}

/// Writes what may not stand in a URI as percent and digits, as the sender should have: the tracker's own listener takes such
/// bytes for what they are, and both have to see the same path and the same query.
fn escape(target: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |half: u8| {
        DIGITS
            .get(usize::from(half))
            .copied()
            .map_or('0', char::from)
    };
    let mut text = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    text
}

fn framing(headers: &HeaderMap, version: u8) -> Result<Framing, Refused> {
    let encodings = headers.get_all(CONTENT_ENCODING);
    let mut words = encodings.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    if !words.all(|word| word.trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Err(Refused::Encoded);
    }
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name);
        let first = values.next().map(HeaderValue::as_bytes);
        match values.next() {
            Some(_) => Err(Refused::Malformed),
            None => Ok(first),
        }
    };
    match (one(CONTENT_LENGTH)?, one(TRANSFER_ENCODING)?) {
        (None, None) => Ok(Framing::Length(0)),
        (None, Some(coding)) if version == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        (Some(length), None) => {
            let text = std::str::from_utf8(length).map_err(|_| Refused::Malformed)?;
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Refused::Malformed);
            }
            let length: usize = text.parse().map_err(|_| Refused::BodyTooLong)?;
            let is_short = length <= MAX_BODY;
            is_short
                .then_some(Framing::Length(length))
                .ok_or(Refused::BodyTooLong)
        }
        _ => Err(Refused::Malformed),
    }
}

fn expects_continue(headers: &HeaderMap, version: u8) -> Result<bool, Refused> {
    // An HTTP/1.0 client knows no such thing (RFC 9110, 10.1.1).
    let mut expected = headers.get_all(EXPECT).filter(|_| version == 1).peekable();
    let is_there = expected.peek().is_some();
    let mut words = expected.map(HeaderValue::as_bytes);
    if words.all(|word| word.eq_ignore_ascii_case(b"100-continue")) {
        Ok(is_there)
    } else {
        Err(Refused::Expectation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use payloads::collect;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Reads a payload to its end without another crate.
    mod payloads {
        use actix_http::Payload;
        use actix_web::body::{BodyStream, to_bytes};

        pub(super) async fn collect(payload: Payload) -> Vec<u8> {
            to_bytes(BodyStream::new(payload)).await.unwrap().to_vec()
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    }

    /// What comes of a request in pieces: method, target and body, and the word that was sent before the body.
    fn received(pieces: &[&[u8]]) -> Result<(String, Vec<u8>, Vec<u8>), Fault> {
        block_on(async {
            let (mut near, mut far) = tokio::io::duplex(1 << 20);
            let (first, rest) = pieces.split_first().unwrap();
            for piece in rest {
                far.write_all(piece).await.unwrap();
            }
            far.shutdown().await.unwrap();
            let peer = SocketAddr::from(([192, 0, 2, 1], 5_000));
            let mut request =
                receive(&mut near, first.to_vec(), peer, &mut Asker::default()).await?;
            let body = collect(request.take_payload()).await;
            drop(near);
            let mut said = Vec::new();
            far.read_to_end(&mut said).await.unwrap();
            let line = format!("{} {}", request.method(), request.uri());
            assert_eq!(request.peer_addr(), Some(peer));
            Ok((line, body, said))
        })
    }

    fn refusal(text: &[u8]) -> Option<Refused> {
        match received(&[text]) {
            Err(Fault::Refused(refused)) => Some(refused),
            _ => None,
        }
    }

    #[test]
    fn bytes_read_before_come_first_and_the_rest_follows() {
        let pieces: [&[u8]; 4] = [
            b"POST /log",
            b"in HTTP/1.1\r\nHost: x\r",
            b"\nContent-Length: 4\r\n\r\na",
            b"=bcGET / HTTP/1.1\r\n\r\n",
        ];
        let (line, body, said) = received(&pieces).unwrap();
        assert_eq!(
            (line.as_str(), body.as_slice()),
            ("POST /login", &b"a=bc"[..])
        );
        assert!(said.is_empty());
        assert_eq!(received(&[b"GET / HTTP/1.1\r\n"]).err(), Some(Fault::Gone));
    }

    /// R25
    #[test]
    fn an_encoded_or_long_body_is_refused_before_it_is_read() {
        let head = |fields: &str| format!("POST /login HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        for (fields, refused) in [
            ("Content-Encoding: gzip", Refused::Encoded),
            (
                "content-encoding: identity, br\r\nContent-Length: 3",
                Refused::Encoded,
            ),
            (
                "Content-Encoding: identity\r\nContent-Encoding: x",
                Refused::Encoded,
            ),
            ("Content-Encoding: \r\nContent-Length: 3", Refused::Encoded),
            ("Content-Length: 4097", Refused::BodyTooLong),
            (
                "Content-Length: 99999999999999999999999",
                Refused::BodyTooLong,
            ),
            ("Content-Length: +3", Refused::Malformed),
            ("Content-Length: 3\r\nContent-Length: 3", Refused::Malformed),
            ("Content-Length: 3, 3", Refused::Malformed),
            (
                "Content-Length: 3\r\nTransfer-Encoding: chunked",
                Refused::Malformed,
            ),
            ("Transfer-Encoding: gzip, chunked", Refused::Malformed),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                Refused::Malformed,
            ),
            ("Expect: gold", Refused::Expectation),
            ("Host: y", Refused::Malformed),
        ] {
            assert_eq!(refusal(head(fields).as_bytes()), Some(refused), "{fields}");
        }
        let plain = head("Content-Encoding: Identity\r\nContent-Length: 3") + "abc";
        assert_eq!(received(&[plain.as_bytes()]).unwrap().1, b"abc");
    }

    /// R25
    #[test]
    fn chunks_are_put_together_within_the_bound() {
        let head = "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let whole = format!("{head}3;x=y\r\nabc\r\n1 \r\nd\r\n0\r\nTrailer: x\r\n\r\nGET");
        for at in 0..whole.len() - 3 {
            let (first, rest) = whole.as_bytes().split_at(at);
            assert_eq!(received(&[first, rest]).unwrap().1, b"abcd", "cut at {at}");
        }
        let many = format!("{head}{}", "1\r\na\r\n".repeat(4_097));
        let long_line = format!("{head}1;{}", "x".repeat(5_000));
        let trailers = format!("{head}0\r\n{}", "a: b\r\n".repeat(10_000));
        for (text, refused) in [
            (many, Refused::BodyTooLong),
            (long_line, Refused::Malformed),
            (trailers, Refused::BodyTooLong),
            (format!("{head}1001\r\n"), Refused::BodyTooLong),
            (
                format!("{head}ffffffffffffffffff\r\n"),
                Refused::BodyTooLong,
            ),
            (format!("{head}-1\r\n"), Refused::Malformed),
            (format!("{head}\r\n"), Refused::Malformed),
            (format!("{head}1\r\nab\r\n"), Refused::Malformed),
        ] {
            let (first, rest) = text.as_bytes().split_at(head.len());
            assert_eq!(
                received(&[first, rest]).err(),
                Some(refused.into()),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_word_is_sent_before_a_body_that_waits_for_it() {
        let head =
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
        let (_, body, said) = received(&[head, b"ab"]).unwrap();
        assert_eq!(body, b"ab");
        assert_eq!(said, b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// R3
    #[test]
    fn a_hundred_header_fields_are_taken_and_no_more() {
        let with = |count: usize| {
            let fields = "X-Field: x\r\n".repeat(count - 1);
            format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
        };
        assert!(received(&[with(100).as_bytes()]).is_ok());
        assert_eq!(refusal(with(101).as_bytes()), Some(Refused::HeadTooLong));
        let long = format!("GET / HTTP/1.1\r\nHost: {}", "x".repeat(70_000));
        assert_eq!(refusal(long.as_bytes()), Some(Refused::HeadTooLong));
    }

    #[test]
    fn targets_are_taken_as_the_lean_loop_takes_them() {
        for (target, uri) in [
            ("/stat?a=b", Some("/stat?a=b")),
            ("//stat", Some("//stat")),
            (
                "/a\"b<c>?d={e}|^`#f",
                Some("/a%22b%3Cc%3E?d=%7Be%7D%7C%5E%60%23f"),
            ),
            ("HTTP://y/stat", Some("/stat")),
            ("http://y", Some("/")),
            ("http://a@y/stat", None),
            ("*", None),
            ("stat", None),
            ("ftp://y/stat", None),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            let line = received(&[text.as_bytes()]).ok().map(|(line, ..)| line);
            let wanted = uri.map(|uri| format!("GET {uri}"));
            assert_eq!(line, wanted, "{target}");
        }
    }
}
