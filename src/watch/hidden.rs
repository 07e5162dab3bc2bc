//! Texts of a request as they may be shown: without keys of announce addresses, without secrets of clients, and of a bounded length.
//!
//! What is known to be no secret is shown, and nothing else: an address of another tracker may carry its member's key under any name, and
//! clients announce to the wrong place.

use serde::Serialize;

/// What stands for what is not shown.
const HIDDEN: &str = "***";

/// Bytes of a path at most that are shown.
const MAX_PATH: usize = 200;
/// Longest folder of a path that is shown: keys are four times as long.
const MAX_FOLDER: usize = 8;
/// Bytes of names and values at most that are shown of a query, and how many of them.
const MAX_QUERY: usize = 2_048;
const MAX_PARAMETERS: usize = 64;
/// Bytes of a header at most that are shown.
const MAX_HEADER: usize = 256;
/// The longest name of an unknown parameter that is shown.
const MAX_NAME: usize = 20;

/// Names that a path of the tracker ends in.
const NAMES: [&[u8]; 4] = [b"announce", b"announce.php", b"scrape", b"scrape.php"];

/// Parameters whose values are no secrets: those of BEP 3, 7, 8, 21, 23 and 48, and of clients that say more about themselves.
const SHOWN: [&[u8]; 24] = [
    b"info_hash",
    b"peer_id",
    b"port",
    b"uploaded",
    b"downloaded",
    b"left",
    b"event",
    b"numwant",
    b"num_peers",
    b"compact",
    b"no_peer_id",
    b"ip",
    b"ipv4",
    b"ipv6",
    b"corrupt",
    b"redundant",
    b"supportcrypto",
    b"requirecrypto",
    b"cryptoport",
    b"hide",
    b"azver",
    b"azhttp",
    b"azudp",
    b"natmapped",
];

/// Those of them that may have any byte in them.
const BINARY: [&[u8]; 2] = [b"info_hash", b"peer_id"];

/// A decoded path without what may be a key: only the tracker's own names are shown, and short folders of letters.
pub fn path(decoded: &[u8]) -> String {
    let decoded = decoded.split(|byte| *byte == b'?').next();
    let decoded = decoded.unwrap_or_default();
    let segments: Vec<&str> = decoded
        .split(|byte| *byte == b'/')
        .map(|segment| segment_of(segment).unwrap_or(HIDDEN))
        .collect();
    cut(segments.join("/"), MAX_PATH).0
}

fn segment_of(segment: &[u8]) -> Option<&str> {
    let is_plain = segment.len() <= MAX_FOLDER && segment.iter().all(u8::is_ascii_alphabetic);
    let text = str::from_utf8(segment).ok();
    text.filter(|_| is_plain || NAMES.contains(&segment))
}

/// The value of a header, shortened.
pub fn header(value: &[u8]) -> String {
    let value = value.get(..MAX_HEADER).unwrap_or(value);
    String::from_utf8_lossy(value).into_owned()
}

/// One parameter as it came, still encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    name: String,
    /// None when it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Whether there is more to it than is shown.
    #[serde(skip_serializing_if = "is_false")]
    hidden: bool,
}

/// The parameters of a query, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShownQuery {
    parameters: Vec<Parameter>,
    /// Whether there were more than are shown.
    #[serde(skip_serializing_if = "is_false")]
    truncated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks for it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A query as it may be shown. `secret` is a name that says nothing to anybody, and is not to be shown; empty for none.
pub fn query(query: &[u8], secret: &[u8]) -> ShownQuery {
    let mut shown = ShownQuery::default();
    let mut room = MAX_QUERY;
    // As some clients write them; a question mark that belongs to a value begins a name that means nothing.
    let pairs = query.split(|byte| *byte == b'&' || *byte == b'?');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        if shown.parameters.len() >= MAX_PARAMETERS || room == 0 {
            shown.truncated = true;
            break;
        }
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        let (parameter, is_cut) = parameter(name, parts.next(), secret, room);
        let value = parameter.value.as_ref().map_or(0, String::len);
        room = room.saturating_sub(parameter.name.len() + value);
        shown.truncated |= is_cut;
        shown.parameters.push(parameter);
    }
    shown
}

/// One parameter, in so much room; whether there was too little.
fn parameter(name: &[u8], value: Option<&[u8]>, secret: &[u8], room: usize) -> (Parameter, bool) {
    let is_secret = !secret.is_empty() && name == secret;
    let lower = name.to_ascii_lowercase();
    let is_known = !is_secret && SHOWN.contains(&lower.as_slice());
    let may_be_shown = |value: &[u8]| BINARY.contains(&lower.as_slice()) || !value.contains(&b'/');
    let shown = value.filter(|value| is_known && may_be_shown(value));
    let is_word = (1..=MAX_NAME).contains(&name.len())
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    // What has no value may be a value itself.
    let is_named =
        is_known || (is_word && !is_secret && value.is_some_and(|value| !value.is_empty()));
    let name = if is_named {
        String::from_utf8_lossy(name).into_owned()
    } else {
        HIDDEN.to_owned()
    };
    let left = room.saturating_sub(name.len());
    let text = shown.map(|value| cut(String::from_utf8_lossy(value).into_owned(), left));
    let (text, is_cut) = text.map_or((None, false), |(text, is_cut)| (Some(text), is_cut));
    let parameter = Parameter {
        hidden: !is_named || (value.is_some() && text.is_none()),
        name,
        value: text,
    };
    (parameter, is_cut)
}

/// At most so many bytes of a text, and whether it was longer.
fn cut(mut text: String, most: usize) -> (String, bool) {
    let is_longer = text.len() > most;
    text.truncate(text.floor_char_boundary(most));
    (text, is_longer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    /// O30, O16
    #[test]
    fn a_path_is_shown_without_what_may_be_a_key() {
        for (there, shown) in [
            ("/announce", "/announce"),
            ("/bt/announce.php/", "/bt/announce.php/"),
            ("/KEY/announce", "/***/announce"),
            ("/announce/KEY", "/announce/***"),
            ("/bt/scrape.php/KEY/", "/bt/scrape.php/***/"),
            ("/KEY?KEY", "/***"),
            ("/member17/announce", "/***/announce"),
            ("/passkeyofmine/announce", "/***/announce"),
            ("", ""),
        ] {
            assert_eq!(path(there.replace("KEY", KEY).as_bytes()), shown, "{there}");
        }
        assert!(path("/a".repeat(500).as_bytes()).len() <= MAX_PATH);
    }

    fn shown(text: &str) -> String {
        let shown = query(text.replace("KEY", KEY).as_bytes(), b"sweep_now");
        let parameters = shown.parameters.iter().map(|parameter| {
            let value = parameter.value.as_deref().map(|value| format!("={value}"));
            let hidden = if parameter.hidden { "!" } else { "" };
            format!("{}{}{hidden}", parameter.name, value.unwrap_or_default())
        });
        parameters.collect::<Vec<_>>().join(" ")
    }

    /// O30, O16
    #[test]
    fn values_are_shown_where_they_are_known_to_be_no_secrets() {
        for (there, expected) in [
            (
                "info_hash=%aa%2f/&peer_id=-qB&port=1",
                "info_hash=%aa%2f/ peer_id=-qB port=1",
            ),
            ("Port=1&port=2&&compact", "Port=1 port=2 compact"),
            ("key=KEY&port=1", "key! port=1"),
            ("passkey=KEY?info_hash=%aa", "passkey! info_hash=%aa"),
            ("compact=1?KEY", "compact=1 ***!"),
            ("KEY&KEY=1&x=", "***! ***! ***!"),
            ("sweep_now=1&sweep_now", "***! ***!"),
            ("compact=1/KEY/announce&port=", "compact! port="),
            ("a%62c=1", "***!"),
        ] {
            assert_eq!(shown(there), expected, "{there}");
        }
    }

    /// O30
    #[test]
    fn a_long_query_is_cut() {
        let long = format!("info_hash={}&port=1", "%aa".repeat(1_000));
        let cut = query(long.as_bytes(), b"");
        assert!(cut.truncated);
        assert_eq!(cut.parameters.len(), 1);
        let length = cut.parameters[0].value.as_ref().unwrap().len();
        assert_eq!(length + "info_hash".len(), MAX_QUERY);
        let many = query("port=1&".repeat(100).as_bytes(), b"");
        assert!(many.truncated && many.parameters.len() == MAX_PARAMETERS);
        assert!(!query(b"port=1", b"").truncated);
    }

    proptest! {
        /// O30
        #[test]
        fn any_bytes_are_shown_within_their_bounds_and_a_key_never(
            before in proptest::collection::vec(any::<u8>(), 0..3_000),
            separator in "[?&/=]|x=|key=|/announce",
        ) {
            let mut bytes = before;
            bytes.extend_from_slice(separator.as_bytes());
            let query = query(&[&bytes, KEY.as_bytes()].concat(), b"");
            let length: usize = query.parameters.iter()
                .map(|parameter| parameter.name.len() + parameter.value.as_ref().map_or(0, String::len))
                .sum();
            prop_assert!(length <= MAX_QUERY + MAX_PARAMETERS * MAX_NAME);
            bytes.extend_from_slice(b"/");
            let path = path(&[&bytes, KEY.as_bytes(), b"/announce"].concat());
            prop_assert!(path.len() <= MAX_PATH && !path.contains(KEY), "{}", path);
            prop_assert!(header(&bytes).chars().count() <= MAX_HEADER);
        }
    }
}
