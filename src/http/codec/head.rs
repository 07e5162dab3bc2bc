//! The head of an HTTP/1.x request, read in place: the request line and the few fields that matter to a tracker (RFC 9112).
//!
//! It accepts nothing that httparse refuses (a property test compares them). Bodies are not read here: a request that has one
//! is handed on.

use memchr::memchr;

use crate::invariant::present;
use crate::net::client_address;
use crate::net::hosts::Browser;

/// What was asked to be done with the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// GET without the body of the reply.
    Head,
    /// Anything else.
    Other,
}

/// The head of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// What to do.
    pub method: Method,
    /// The path, as it came.
    pub path: &'a [u8],
    /// The query behind the first question mark, without it; empty when there is none.
    pub query: &'a [u8],
    /// Whether the client speaks HTTP/1.0 and must be told when the connection stays open.
    pub is_http_1_0: bool,
    /// Whether the client wants the connection to stay open.
    pub keeps_alive: bool,
    /// Whether a body follows, or the client expects a word before it sends one.
    pub has_body: bool,
    /// Whether a field names another origin of the request than the socket's other end (see [`client_address::is_forwarding`]).
    pub is_forwarded: bool,
    /// What is told of a browser.
    pub browser: Browser,
    /// Host and port of a target in absolute form.
    authority: Option<&'a [u8]>,
    /// Whether a length of the body is told, be it 0.
    has_length: bool,
    /// The field lines, well-formed.
    fields: &'a [u8],
    /// Bytes from the start of the buffer to the end of the head.
    pub length: usize,
}

/// What the start of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// The start of a head; whether its request line is complete.
    Partial {
        /// Whether the request line has arrived whole.
        has_request_line: bool,
    },
    /// Nothing that can become a request.
    Malformed,
    /// More than [`MAX_FIELDS`] field lines.
    TooManyFields,
    /// A whole head.
    Complete(Head<'a>),
}

/// Field lines of a request at most; the pages' side takes no more either.
pub const MAX_FIELDS: u32 = 100;

/// Whether what is no request, or too long a one, begins as HEAD does: its reply has no body either.
pub(crate) fn asks_head_only(buffer: &[u8]) -> bool {
    let start = buffer.iter().position(|byte| !b"\r\n".contains(byte));
    let rest = start.and_then(|start| buffer.get(start..));
    rest.is_some_and(|rest| rest.starts_with(b"HEAD "))
}

/// Reads the head at the start of `buffer`. Costs one pass over the head.
pub fn parse(buffer: &[u8]) -> Parsed<'_> {
    match read(buffer) {
        Ok(head) => Parsed::Complete(head),
        Err(parsed) => parsed,
    }
}

/// Bytes of the name `Accept-Language`.
const ACCEPT_LANGUAGE: usize = 15;

fn read(buffer: &[u8]) -> Result<Head<'_>, Parsed<'_>> {
    let mut rest = buffer;
    // Empty lines before a request line are to be skipped (RFC 9112, 2.2).
    while let [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..] = rest {
        rest = tail;
    }
    match rest.first() {
        Some(first) if !is_token(*first) && *first != b'\r' => return Err(Parsed::Malformed),
        _ => {}
    }
    let (line, tail) = split_line(rest).ok_or(Parsed::Partial {
        has_request_line: false,
    })?;
    let mut head = read_request_line(line).ok_or(Parsed::Malformed)?;
    head.fields = tail;
    let mut rest = tail;
    let mut closes = false;
    let mut keeps = false;
    let mut left = MAX_FIELDS;
    loop {
        let (line, tail) = split_line(rest).ok_or(Parsed::Partial {
            has_request_line: true,
        })?;
        if line.is_empty() {
            let fields = head.fields.len() - rest.len();
            let fields = present(head.fields.get(..fields), "the rest is a part of them");
            head.fields = fields.unwrap_or_default();
            head.length = buffer.len() - tail.len();
            head.keeps_alive = !closes && (keeps || !head.is_http_1_0);
            return Ok(head);
        }
        let (name, value) = split_field(line).ok_or(Parsed::Malformed)?;
        left = left.checked_sub(1).ok_or(Parsed::TooManyFields)?;
        match name.first().map(u8::to_ascii_lowercase) {
            Some(b'c') if name.eq_ignore_ascii_case(b"connection") => {
                closes |= has_word(value, b"close");
                keeps |= has_word(value, b"keep-alive");
            }
            Some(b'c' | b'e' | b'f' | b'o' | b's' | b't' | b'v' | b'x') => head.note(name, value),
            // Every client has a name and says what it accepts; only a browser's counts here.
            Some(b'u') if value.starts_with(b"Mozilla/") => head.note(name, value),
            Some(b'a') if name.len() == ACCEPT_LANGUAGE => head.note(name, value),
            _ => {}
        }
        rest = tail;
    }
}

impl<'a> Head<'a> {
    /// Takes note of a field that few clients send. Apart from the loop, which is quicker without it.
    #[cold]
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("content-length") {
            // Said twice it is refused by whoever reads bodies, whatever it says.
            self.has_body |= self.has_length || value != b"0";
            self.has_length = true;
        } else if is("transfer-encoding") || is("expect") {
            self.has_body = true;
        } else {
            self.browser.add(name, value);
            self.is_forwarded |= client_address::is_forwarding(name);
        }
    }

    /// Whom the request was sent to: the authority of an absolute target, else the field `Host`; an empty name where there are
    /// several. Costs a pass over the fields.
    pub fn host(&self) -> Option<&'a [u8]> {
        let mut hosts = self
            .fields()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        let host = hosts.next().map(|(_, host)| host);
        let host = if hosts.next().is_some() {
            Some(&b""[..])
        } else {
            host
        };
        self.authority.or(host)
    }

    /// The fields in order: name and value, the value without the blanks around it.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let (line, tail) = split_line(rest)?;
            rest = tail;
            split_field(line)
        })
    }
}

/// The first line without its end, and what follows it; nothing while no end is there.
#[inline]
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

fn read_request_line(line: &[u8]) -> Option<Head<'_>> {
    let (method, rest) = match line {
        [b'G', b'E', b'T', b' ', rest @ ..] => (Method::Get, rest),
        [b'H', b'E', b'A', b'D', b' ', rest @ ..] => (Method::Head, rest),
        _ => {
            let (method, rest) = line.split_at_checked(memchr(b' ', line)?)?;
            let is_method = !method.is_empty() && method.iter().all(|byte| is_token(*byte));
            (is_method.then_some(Method::Other)?, rest.get(1..)?)
        }
    };
    let (target, version) = rest.split_last_chunk::<9>()?;
    let is_http_1_0 = match version {
        b" HTTP/1.1" => false,
        b" HTTP/1.0" => true,
        _ => return None,
    };
    let (path, query) = match memchr(b'?', target) {
        Some(mark) => (target.get(..mark)?, target.get(mark + 1..)?),
        None => (target, &[][..]),
    };
    let (authority, path) = if path.starts_with(b"/") {
        (None, path)
    } else {
        split_authority(path)
    };
    let is_legal = path == b"/announce" || is_legal_path(path);
    if target.is_empty() || has_illegal(query) || !is_legal {
        return None;
    }
    Some(Head {
        method,
        path,
        query,
        is_http_1_0,
        keeps_alive: false,
        has_body: false,
        is_forwarded: false,
        browser: Browser::default(),
        authority,
        has_length: false,
        fields: &[],
        length: 0,
    })
}

/// The authority of a target in absolute form, as proxies send it (RFC 9112, 3.2.2), and its path. Where the authority is none
/// that is commonly seen, the target is left whole, and so is no path of the tracker.
#[cold]
fn split_authority(path: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(rest) = path.strip_prefix(b"http://") else {
        return (None, path);
    };
    let end = memchr(b'/', rest).unwrap_or(rest.len());
    let split = present(rest.split_at_checked(end), "the end was found within");
    let (authority, below) = split.unwrap_or_default();
    let mut parts = authority.splitn(2, |byte| *byte == b':');
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
    let is_common = parts
        .next()
        .is_some_and(|host| !host.is_empty() && host.iter().all(is_host))
        && parts.next().is_none_or(|port| {
            (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit)
        });
    match below {
        _ if !is_common => (None, path),
        [] => (Some(authority), b"/"),
        below => (Some(authority), below),
    }
}

/// Whether any byte cannot stand in a query: what RFC 3986 forbids, but for marks that clients send all the same and that the
/// pages' parser takes as well. Has no early exit and looks at the end twice, so that it runs over many bytes at once.
#[inline]
fn has_illegal(query: &[u8]) -> bool {
    let Some(end) = query.last_chunk::<32>() else {
        return query.iter().any(|byte| is_illegal(*byte));
    };
    let mut found = false;
    for byte in query.as_chunks::<32>().0.as_flattened() {
        found |= is_illegal(*byte);
    }
    for byte in end {
        found |= is_illegal(*byte);
    }
    found
}

#[inline]
fn is_illegal(byte: u8) -> bool {
    // One up and signed, what is no ASCII and DEL are below the controls.
    let is_outside = byte.wrapping_add(1).cast_signed() <= 0x21;
    is_outside | (byte & 0xfe == b'"') | (byte & 0xfd == b'<')
}

/// Whether all bytes can stand in a path; of a target that is none, whether they are visible ASCII.
#[cold]
fn is_legal_path(path: &[u8]) -> bool {
    path.iter()
        .all(|byte| byte.is_ascii_graphic() && !b"#<>`".contains(byte))
}

/// Splits `name: value`; nothing when the name is no token or the value has control bytes. A folded line has a blank where a
/// name begins and is refused so.
#[inline]
fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| !is_token(*byte))?;
    let (name, value) = line.split_at_checked(colon)?;
    let value = value.strip_prefix(b":")?;
    if name.is_empty() || has_control(value) {
        return None;
    }
    Some((name, value.trim_ascii()))
}

/// Whether a comma-separated list holds a word, in any case.
fn has_word(list: &[u8], word: &[u8]) -> bool {
    list.split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
}

/// Whether any byte is a control byte, but for tabs. By a table: most values are too short for more.
#[inline]
fn has_control(bytes: &[u8]) -> bool {
    let is_control = |byte: &u8| CONTROLS.get(usize::from(*byte)).copied();
    bytes.iter().any(|byte| is_control(byte).unwrap_or(true))
}

const CONTROLS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            table[byte as usize] = byte.is_ascii_control() && byte != b'\t';
        }
        byte += 1;
    }
    table
};

/// Whether a byte may stand in a method or a field name (RFC 9110, 5.6.2).
#[inline]
fn is_token(byte: u8) -> bool {
    TOKENS.get(usize::from(byte)).copied().unwrap_or(false)
}

const TOKENS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let is_mark = matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            table[byte as usize] = is_mark || byte.is_ascii_alphanumeric();
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    fn complete(text: &str) -> Head<'_> {
        match parse(text.as_bytes()) {
            Parsed::Complete(head) => head,
            other => panic!("{other:?} of {text:?}"),
        }
    }

    #[test]
    fn a_request_is_taken_apart() {
        let text =
            "GET /announce?a=b?c HTTP/1.1\r\nHost: x\r\nX-Real-IP:  1.2.3.4\t\r\n\r\nGET /next";
        let head = complete(text);
        assert_eq!((head.path, head.query), (&b"/announce"[..], &b"a=b?c"[..]));
        assert_eq!(
            (head.method, head.keeps_alive, head.has_body),
            (Method::Get, true, false)
        );
        assert_eq!(head.length, text.len() - "GET /next".len());
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(
            fields,
            [(&b"Host"[..], &b"x"[..]), (b"X-Real-IP", b"1.2.3.4")]
        );
    }

    /// P14
    #[test]
    fn the_connection_stays_open_as_version_and_field_say() {
        for (version, field, keeps) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "connection: Keep-Alive, CLOSE\r\n", false),
            ("1.1", "Connection: keep-alive\r\n", true),
            ("1.1", "Connection: closed\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: keep-alive\r\n", true),
            (
                "1.0",
                "Connection: keep-alive\r\nConnection: close\r\n",
                false,
            ),
        ] {
            let text = format!("GET / HTTP/{version}\r\n{field}\r\n");
            assert_eq!(complete(&text).keeps_alive, keeps, "{text:?}");
        }
    }

    #[test]
    fn a_body_is_noticed() {
        for (field, has_body) in [
            ("Content-Length: 0", false),
            ("Content-Length: 5", true),
            ("Content-Length: 0, 0", true),
            ("Content-Length: 0\r\nContent-Length: 0", true),
            ("Content-Length: 0\r\nTransfer-Encoding: identity", true),
            ("Transfer-Encoding: chunked", true),
            ("Expect: 100-continue", true),
            ("Content-Type: text/plain", false),
        ] {
            assert_eq!(
                complete(&format!("POST / HTTP/1.1\r\n{field}\r\n\r\n")).has_body,
                has_body,
                "{field}"
            );
        }
    }

    /// W3
    #[test]
    fn what_browsers_tell_is_noticed() {
        for fields in [
            "Sec-Fetch-Site: cross-site",
            "ORIGIN: null",
            "user-agent: Mozilla/5.0\r\nAccept-Language: ru",
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n");
            let browser = complete(&text).browser;
            assert!(browser.may_ask_for_other_site(), "{fields}");
        }
        let text = "GET / HTTP/1.1\r\nUser-Agent: uTorrent\r\nAccept: */*\r\n\r\n";
        assert!(!complete(text).browser.may_ask_for_other_site());
    }

    /// C9
    #[test]
    fn headers_of_proxies_are_noticed() {
        for (field, is_forwarded) in [
            ("X-Forwarded-For: 192.0.2.1", true),
            ("x-real-ip: 192.0.2.1", true),
            ("forwarded: for=192.0.2.1", true),
            ("X-Forwarded-Proto: https", true),
            ("Via: 1.1 cache", true),
            ("True-Client-IP: 192.0.2.1", true),
            ("CF-Connecting-IP: 192.0.2.1", true),
            ("From: a", false),
            ("Vary: a", false),
            ("TE: a", false),
            ("Cookie: a", false),
            ("X-Forward: a", false),
        ] {
            let text = format!("GET / HTTP/1.1\r\n{field}\r\n\r\n");
            assert_eq!(complete(&text).is_forwarded, is_forwarded, "{field}");
        }
    }

    /// O4
    #[test]
    fn whom_a_request_was_sent_to_is_the_target_s_before_the_field_s() {
        for (text, host) in [
            (
                "GET / HTTP/1.1\r\nA: b\r\nHOST:  a.example:80 \r\n\r\n",
                Some("a.example:80"),
            ),
            ("GET / HTTP/1.0\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Some("")),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Some("")),
            ("GET http://b:1/x HTTP/1.1\r\nHost: a\r\n\r\n", Some("b:1")),
            ("GET http://b HTTP/1.0\r\n\r\n", Some("b")),
        ] {
            assert_eq!(complete(text).host(), host.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn absolute_targets_and_bare_line_ends_are_read() {
        assert_eq!(
            complete("GET http://tracker:80/announce?x HTTP/1.1\n\n").path,
            b"/announce"
        );
        assert_eq!(
            complete("\r\n\r\nHEAD http://tracker HTTP/1.0\r\n\r\n").path,
            b"/"
        );
    }

    /// P14
    #[test]
    fn a_hundred_fields_are_fine() {
        let text = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "A-Field: of some length\r\n".repeat(100)
        );
        assert_eq!(complete(&text).fields().count(), 100);
        let text = text.replace("\r\n\r\n", "\r\nOne: more\r\n\r\n");
        assert_eq!(parse(text.as_bytes()), Parsed::TooManyFields);
    }

    #[test]
    fn every_proper_start_of_a_request_is_partial() {
        let text = "\r\nGET /announce?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        for end in 0..text.len() {
            let parsed = parse(&text.as_bytes()[..end]);
            assert!(
                matches!(parsed, Parsed::Partial { .. }),
                "{parsed:?} at {end}"
            );
        }
    }

    /// R31: the same bytes as the pages' parser refuses.
    #[test]
    fn bytes_that_cannot_stand_in_a_uri_are_malformed() {
        use actix_web::http::Uri;
        for byte in 0..=u8::MAX {
            for target in [
                [b"/a".as_slice(), &[byte], b"b/announce"].concat(),
                [b"/announce?a=".as_slice(), &[byte], b"b"].concat(),
            ] {
                let text = [b"GET ".as_slice(), &target, b" HTTP/1.1\r\n\r\n"].concat();
                let is_taken = matches!(parse(&text), Parsed::Complete(_));
                // There a fragment is cut off; nobody sends one, so here it is none.
                let is_theirs = byte != b'#' && Uri::try_from(target.as_slice()).is_ok();
                let is_line_end = byte == b'\n';
                assert!(is_taken == is_theirs || is_line_end, "{byte:#x}");
            }
        }
    }

    /// P1
    #[test]
    fn only_an_authority_that_is_one_is_taken_off_a_target() {
        for (target, path) in [
            ("http://tracker/announce", "/announce"),
            ("http://192.0.2.1:8080/a/scrape", "/a/scrape"),
            ("http://tracker:80", "/"),
            ("http://[::1]/announce", "http://[::1]/announce"),
            ("http:///announce", "http:///announce"),
            ("http://a:b@c/announce", "http://a:b@c/announce"),
            ("http://a:123456/announce", "http://a:123456/announce"),
            ("https://tracker/announce", "https://tracker/announce"),
            ("tracker/announce", "tracker/announce"),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\n\r\n");
            assert_eq!(complete(&text).path, path.as_bytes(), "{target}");
        }
    }

    #[test]
    fn garbage_is_malformed() {
        for text in [
            "\x16\x03\x01",
            "GET\r\n",
            "GET / \r\n",
            "GET /\r\n",
            "GET  HTTP/1.1\r\n",
            "GET / HTTP/2.0\r\n",
            "GET / http/1.1\r\n",
            "GET /a b HTTP/1.1\r\n",
            "GET /a\tb HTTP/1.1\r\n",
            "GET /a\x7f HTTP/1.1\r\n\r\n",
            "G(T / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n",
            "GET / HTTP/1.1\r\nname : value\r\n",
            "GET / HTTP/1.1\r\n: value\r\n",
            "GET / HTTP/1.1\r\na: b\r\n folded\r\n",
            "GET / HTTP/1.1\r\na: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\na: b\0\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Malformed, "{text:?}");
        }
    }

    #[test]
    fn a_stray_byte_is_noticed_wherever_it_stands() {
        for length in 1..100 {
            let value = vec![b'b'; length];
            assert!(!has_control(&value) && !has_illegal(&value));
            for at in 0..length {
                for stray in [b'\r', b'\n', 0, 0x1f, 0x7f] {
                    let mut odd = value.clone();
                    odd[at] = stray;
                    assert!(has_control(&odd), "{at} of {length}");
                    assert!(has_illegal(&odd), "{at} of {length}");
                }
            }
        }
    }

    fn agrees_with_httparse(bytes: &[u8]) -> Result<(), proptest::test_runner::TestCaseError> {
        if let Parsed::Complete(head) = parse(bytes) {
            let mut fields = [httparse::EMPTY_HEADER; 200];
            let mut request = httparse::Request::new(&mut fields);
            let status = request.parse(bytes);
            prop_assert_eq!(status, Ok(httparse::Status::Complete(head.length)));
            prop_assert_eq!(request.version, Some(u8::from(!head.is_http_1_0)));
            let theirs: Vec<_> = request
                .headers
                .iter()
                .map(|field| (field.name.as_bytes(), field.value))
                .collect();
            prop_assert_eq!(head.fields().collect::<Vec<_>>(), theirs);
        }
        Ok(())
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = prop_oneof![
            Just("GET "),
            Just("HEAD "),
            Just("POST "),
            Just("/announce"),
            Just("?a=b"),
            Just(" HTTP/1.1"),
            Just(" HTTP/1.0"),
            Just("\r\n"),
            Just("\n"),
            Just("\r"),
            Just(" "),
            Just("Host: a"),
            Just("Connection: close"),
            Just("x:"),
            Just(":"),
            Just("\r\n\r\n"),
            Just("Content-Length: 0"),
            Just("\t"),
            Just("a: \u{e9}"),
        ];
        prop_oneof![
            8 => known.prop_map(|text| text.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..4),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_accepted_that_httparse_refuses(pieces in proptest::collection::vec(piece(), 0..12)) {
            agrees_with_httparse(&pieces.concat())?;
            let tail: Vec<u8> = pieces.concat();
            agrees_with_httparse(&[b"GET / HTTP/1.1\r\n", &tail[..], b"\r\n\r\n"].concat())?;
        }

        #[test]
        fn well_formed_heads_are_accepted(
            query in "[!$-;=?-~]{0,60}",
            fields in proptest::collection::vec(("[A-Za-z][A-Za-z0-9-]{0,15}", "[ -~]{0,40}"), 0..20),
        ) {
            let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let text = format!("GET /announce?{query} HTTP/1.1\r\n{lines}\r\n");
            let parsed = parse(text.as_bytes());
            prop_assert!(matches!(parsed, Parsed::Complete(head) if head.query == query.as_bytes() && head.length == text.len()));
            agrees_with_httparse(text.as_bytes())?;
        }

        #[test]
        fn any_bytes_give_something(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            agrees_with_httparse(&bytes)?;
        }
    }
}
