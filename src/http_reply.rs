//! Replies of HTTP/1.x that somebody else sent (RFC 9112): what a head says, and the body behind it as far as it has come. Heads and
//! the sizes of chunks are read by httparse; what is a fault, and what is waited for, is for whoever asked to decide.

use std::borrow::Cow;

use httparse::Status;

/// Fields of a head at most.
const MAX_FIELDS: usize = 64;

/// What matters of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// 200 for one that is in order.
    pub(crate) status: u16,
    /// The words behind the status, which may be missing.
    pub(crate) reason: &'a str,
    /// Bytes of the head with its empty line: where the body begins.
    pub(crate) length: usize,
    /// Where the body ends.
    pub(crate) framing: Framing,
    /// Whether the server says that the connection ends with this reply.
    pub(crate) closes: bool,
    /// `Location`.
    pub(crate) location: Option<&'a [u8]>,
    /// In what the body is packed; none for `identity`.
    pub(crate) encoding: Option<&'a [u8]>,
}

/// Where a body ends (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With an empty chunk.
    Chunked,
    /// With the connection.
    Connection,
}

/// What is no head of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    /// Other bytes, or more than [`MAX_FIELDS`] fields.
    #[error("no HTTP reply")]
    Syntax(#[from] httparse::Error),
    /// A length that is no number.
    #[error("a bad Content-Length")]
    Length,
}

/// A body as far as it has come, its chunks put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) state: BodyState,
}

/// How much of a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// All of it.
    Whole,
    /// There is to be more.
    Partial,
    /// It goes on with what is no chunk.
    Broken,
}

impl<'a> Head<'a> {
    /// Reads the head that `received` begins with; none while it is not whole.
    ///
    /// # Errors
    /// When no more bytes would make it one.
    pub(crate) fn read(received: &'a [u8]) -> Result<Option<Head<'a>>, BadHead> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut reply = httparse::Response::new(&mut fields);
        let Status::Complete(length) = reply.parse(received)? else {
            return Ok(None);
        };
        let (mut content_length, mut is_chunked) = (None, false);
        let mut closes = reply.version == Some(0);
        let (mut location, mut encoding) = (None, None);
        for field in reply.headers.iter() {
            let (is, value) = (
                |name| field.name.eq_ignore_ascii_case(name),
                field.value.trim_ascii(),
            );
            if is("content-length") {
                content_length.get_or_insert(value);
            } else if is("transfer-encoding") {
                is_chunked |= has_token(value, "chunked");
            } else if is("connection") {
                closes = has_token(value, "close") || closes && !has_token(value, "keep-alive");
            } else if is("location") {
                location.get_or_insert(value);
            } else if is("content-encoding") {
                encoding.get_or_insert(value);
            }
        }
        let framing = match content_length {
            _ if is_chunked => Framing::Chunked,
            Some(digits) => Framing::Length(number(digits).ok_or(BadHead::Length)?),
            None => Framing::Connection,
        };
        Ok(Some(Head {
            // A head that is read whole has a status.
            status: reply.code.unwrap_or_default(),
            reason: reply.reason.unwrap_or_default(),
            length,
            framing,
            closes,
            location,
            encoding: encoding.filter(|encoding| !encoding.eq_ignore_ascii_case(b"identity")),
        }))
    }

    /// The body behind this head in what was received; `has_ended` says whether the connection has. Copies nothing but chunks.
    pub(crate) fn body<'b>(&self, received: &'b [u8], has_ended: bool) -> Body<'b> {
        let rest = received.get(self.length..).unwrap_or_default();
        let (bytes, is_whole) = match self.framing {
            Framing::Chunked => return dechunked(rest),
            Framing::Length(length) => match rest.get(..length) {
                Some(body) => (body, true),
                None => (rest, false),
            },
            Framing::Connection => (rest, has_ended),
        };
        Body {
            bytes: Cow::Borrowed(bytes),
            state: if is_whole {
                BodyState::Whole
            } else {
                BodyState::Partial
            },
        }
    }
}

/// Whether a list of tokens, each perhaps with parameters, has this one.
pub(crate) fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|byte| matches!(byte, b',' | b';'))
        .any(|there| there.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Chunks put together (RFC 9112, 7.1). Whatever stands behind the empty one is not looked at.
fn dechunked(mut rest: &[u8]) -> Body<'static> {
    let mut bytes = Vec::new();
    let state = loop {
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(Status::Complete(line)) => line,
            Ok(Status::Partial) => break BodyState::Partial,
            Err(_) => break BodyState::Broken,
        };
        if size == 0 {
            break BodyState::Whole;
        }
        let chunk = rest.get(start..).unwrap_or_default();
        let chunk_and_rest = usize::try_from(size).ok();
        let Some((chunk, behind)) = chunk_and_rest.and_then(|size| chunk.split_at_checked(size))
        else {
            bytes.extend_from_slice(chunk);
            break BodyState::Partial;
        };
        bytes.extend_from_slice(chunk);
        rest = match behind {
            [b'\r', b'\n', behind @ ..] => behind,
            [] | [b'\r'] => break BodyState::Partial,
            _ => break BodyState::Broken,
        };
    };
    Body {
        bytes: Cow::Owned(bytes),
        state,
    }
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<usize> {
    let digits = str::from_utf8(digits).ok()?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    const OK: &str = "HTTP/1.1 200 OK\r\n";

    fn head(text: &str) -> Head<'_> {
        Head::read(text.as_bytes()).unwrap().unwrap()
    }

    fn body(text: &str, has_ended: bool) -> (String, BodyState) {
        let body = head(text).body(text.as_bytes(), has_ended);
        (
            String::from_utf8(body.bytes.into_owned()).unwrap(),
            body.state,
        )
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = "HTTP/1.1 302 Found\r\nlocation:  /b \r\nContent-Encoding: GZIP\r\nContent-LENGTH: 12\r\n\r\nd";
        let found = head(text);
        assert_eq!((found.status, found.reason), (302, "Found"));
        assert_eq!(found.location, Some(&b"/b"[..]));
        assert_eq!(found.encoding, Some(&b"GZIP"[..]));
        assert_eq!(found.framing, Framing::Length(12));
        assert_eq!(&text[found.length..], "d");
        for end in 0..found.length {
            assert_eq!(Head::read(&text.as_bytes()[..end]), Ok(None), "{end}");
        }
        assert_eq!(head("HTTP/1.1 200\r\n\r\n").reason, "");
        let identity = format!("{OK}Content-Encoding: identity\r\n\r\n");
        assert_eq!(head(&identity).encoding, None);
    }

    #[test]
    fn what_is_no_head_is_told_apart() {
        for text in [
            "garbage\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx\r\n\r\n",
        ] {
            let read = Head::read(text.as_bytes());
            assert!(matches!(read, Err(BadHead::Syntax(_))), "{text}");
        }
        for length in ["-1", "+1", "", "1, 1", "99999999999999999999999"] {
            let text = format!("{OK}Content-Length: {length}\r\n\r\n");
            assert_eq!(
                Head::read(text.as_bytes()),
                Err(BadHead::Length),
                "{length}"
            );
        }
        let fields = "A: b\r\n".repeat(MAX_FIELDS + 1);
        let read = format!("{OK}{fields}\r\n");
        assert!(Head::read(read.as_bytes()).is_err());
    }

    #[test]
    fn whether_the_connection_ends_is_told_by_version_and_field() {
        for (version, field, closes) in [
            ("1.1", "", false),
            ("1.0", "", true),
            ("1.1", "Connection: Close\r\n", true),
            ("1.1", "Connection: upgrade, close\r\n", true),
            ("1.1", "Connection: upgrade\r\n", false),
            ("1.0", "connection: keep-alive\r\n", false),
        ] {
            let text = format!("HTTP/{version} 200 OK\r\n{field}\r\n");
            assert_eq!(head(&text).closes, closes, "{text}");
        }
    }

    #[test]
    fn bodies_end_where_their_heads_say() {
        use BodyState::{Broken, Partial, Whole};
        let length = format!("{OK}Content-Length: 2\r\n\r\n");
        let chunked = format!("{OK}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n");
        let open = format!("{OK}\r\n");
        for (head, sent, has_ended, bytes, state) in [
            (&length, "d", true, "d", Partial),
            (&length, "de", false, "de", Whole),
            (&length, "def", false, "de", Whole),
            (&open, "de", false, "de", Partial),
            (&open, "de", true, "de", Whole),
            (&chunked, "1;x=y\r\nd\r\n1\r\ne\r\n", true, "de", Partial),
            (&chunked, "1\r\nd\r\n0\r\n\r\n", false, "d", Whole),
            (&chunked, "5\r\nde", true, "de", Partial),
            (&chunked, "1\r\nde", true, "d", Broken),
            (&chunked, "1\r\nd", true, "d", Partial),
            (&chunked, "x\r\nd", true, "", Broken),
            (&chunked, "ffffffffffffffff\r\nd", true, "d", Partial),
        ] {
            let text = format!("{head}{sent}");
            assert_eq!(body(&text, has_ended), (bytes.to_owned(), state), "{text}");
        }
    }

    #[test]
    fn tokens_are_found_whatever_their_case_and_place() {
        assert!(has_token(b"deflate, GZIP;q=1", "gzip"));
        assert!(!has_token(b"gzipped", "gzip") && !has_token(b"", "gzip"));
    }

    fn head_text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
            Just(b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n".to_vec()),
            any::<Vec<u8>>(),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_reply_or_none(head in head_text(), rest in any::<Vec<u8>>(), has_ended: bool) {
            let sent = [head, rest].concat();
            if let Ok(Some(head)) = Head::read(&sent) {
                prop_assert!(head.length <= sent.len());
                drop(head.body(&sent, has_ended));
            }
        }

        #[test]
        fn chunks_give_back_what_was_cut_up(chunks in proptest::collection::vec("[a-z]{1,20}", 0..9)) {
            let mut text = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
            for chunk in &chunks {
                text.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
            }
            text.push_str("0\r\n\r\n");
            prop_assert_eq!(body(&text, false), (chunks.concat(), BodyState::Whole));
        }
    }
}
