//! Texts of a request as they may be shown: without keys of announce addresses, without secrets of clients, and of a bounded length.
//!
//! What is known to be no secret is shown, and nothing else: an address of another tracker may carry its member's key under any name, and
//! clients announce to the wrong place. So a value is shown where its name is known and it reads as what that name means: a number, an
//! address, a hash; of others, how long they are. Of free texts, what is shorter than any key.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::Serialize;

use crate::percent::decode;

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
const MAX_NAME: usize = 12;
/// Digits of a number at most that are shown: those of 2⁶⁴.
const MAX_DIGITS: usize = 20;
/// The longest part of a header that is shown, and the longest of letters only. No tracker is known whose keys are shorter than 16.
const MAX_PART: usize = 15;
const MAX_WORD: usize = 20;
/// The longest value that is shown, decoded: an IPv6 address with scope and port has less.
const LONGEST_DECODED: usize = 64;
/// What parts a User-Agent, and what a host. Not what a key may have within it when it is encoded or written in groups.
const BETWEEN_WORDS: &[u8] = b" /;(),";
const BETWEEN_LABELS: &[u8] = b".:";

/// Names that a path of the tracker ends in.
const NAMES: [&[u8]; 4] = [b"announce", b"announce.php", b"scrape", b"scrape.php"];
const EVENTS: [&[u8]; 4] = [b"started", b"completed", b"stopped", b"paused"];

/// What the value of a parameter is where it is shown; anything else may be a key that stands in the wrong place.
#[derive(Clone, Copy)]
enum Form {
    /// A torrent: 20 bytes, or 32 of a second version (BEP 52), encoded.
    Hash,
    /// 20 bytes, encoded.
    PeerId,
    /// An address, with or without a port.
    Address,
    /// A word of BEP 3 or 21.
    Event,
    /// Digits.
    Number,
}

impl Form {
    /// By the name of a parameter of BEP 3, 7, 8, 21, 23 or 48, or one with which clients say more about themselves; of others none.
    fn of(name: &[u8]) -> Option<Form> {
        Some(match name {
            b"info_hash" => Form::Hash,
            b"peer_id" => Form::PeerId,
            b"ip" | b"ipv4" | b"ipv6" => Form::Address,
            b"event" => Form::Event,
            b"port" | b"uploaded" | b"downloaded" | b"left" | b"numwant" | b"num_peers"
            | b"compact" | b"no_peer_id" | b"corrupt" | b"redundant" | b"supportcrypto"
            | b"requirecrypto" | b"cryptoport" | b"hide" | b"azver" | b"azhttp" | b"azudp"
            | b"natmapped" => Form::Number,
            _ => return None,
        })
    }

    /// Whether a value, still encoded, is what it should be. None at all is shown: it has nothing to hide.
    fn fits(self, value: &[u8]) -> bool {
        if value.is_empty() {
            return true;
        }
        let mut decoded = [0; LONGEST_DECODED];
        let length = decode(value, &mut decoded);
        let Some(decoded) = length.and_then(|length| decoded.get(..length)) else {
            return false;
        };
        match self {
            Form::Hash => matches!(decoded.len(), 20 | 32) && !is_text_of_key(decoded),
            Form::PeerId => decoded.len() == 20,
            Form::Address => str::from_utf8(decoded).is_ok_and(|text| {
                text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok()
            }),
            Form::Event => EVENTS.iter().any(|event| value.eq_ignore_ascii_case(event)),
            Form::Number => {
                let digits = value.strip_prefix(b"-").unwrap_or(value);
                (1..=MAX_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
            }
        }
    }
}

/// Whether bytes that should be a hash are hex digits in letters, as keys are: of hashes one in 10²¹ is so by chance.
pub(super) fn is_text_of_key(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_hexdigit)
}

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

/// The value of a User-Agent, shortened, without what is as long as a key.
pub fn user_agent(value: &[u8]) -> String {
    parts(value, BETWEEN_WORDS)
}

/// The value of a Host, shortened; of a name without labels that are as long as a key.
pub fn host(value: &[u8]) -> String {
    let literal = str::from_utf8(value).ok().and_then(|text| {
        let (address, port) = text.strip_prefix('[')?.split_once(']')?;
        let port = port.strip_prefix(':').unwrap_or(port);
        let is_whole = port.is_empty() || port.parse::<u16>().is_ok();
        (is_whole && address.parse::<Ipv6Addr>().is_ok()).then(|| text.to_owned())
    });
    literal.unwrap_or_else(|| parts(value, BETWEEN_LABELS))
}

/// A text with its long parts hidden. It is cut afterwards: what is left of a part that was cut would not look long.
fn parts(value: &[u8], between: &[u8]) -> String {
    let mut shown = String::new();
    for piece in value.split_inclusive(|byte| between.contains(byte)) {
        if shown.len() >= MAX_HEADER {
            break;
        }
        let end = piece.last().filter(|byte| between.contains(byte));
        let part = piece.get(..piece.len() - usize::from(end.is_some()));
        let part = part.unwrap_or_default();
        let is_word = part.len() <= MAX_WORD
            && part
                .iter()
                .all(|byte| byte.is_ascii_alphabetic() || *byte == b'-')
            && !part.iter().all(u8::is_ascii_hexdigit);
        if part.len() <= MAX_PART || is_word {
            shown.push_str(&String::from_utf8_lossy(part));
        } else {
            shown.push_str(HIDDEN);
        }
        shown.extend(end.map(|byte| char::from(*byte)));
    }
    cut(shown, MAX_HEADER).0
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
    /// Bytes of a value that is not shown, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
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
    let lower = name.to_ascii_lowercase();
    let has_secret = |name: &[u8]| {
        let secret = secret.to_ascii_lowercase();
        !secret.is_empty() && name.windows(secret.len()).any(|part| part == secret)
    };
    let is_secret = has_secret(&lower);
    let form = Form::of(&lower).filter(|_| !is_secret);
    let is_known = form.is_some();
    let shown = value.filter(|value| form.is_some_and(|form| form.fits(value)));
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
        length: value.filter(|_| text.is_none()).map(<[u8]>::len),
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
            let length = parameter.length.map(|length| length.to_string());
            format!(
                "{}{}{hidden}{}",
                parameter.name,
                value.unwrap_or_default(),
                length.unwrap_or_default()
            )
        });
        parameters.collect::<Vec<_>>().join(" ")
    }

    /// O30, O16
    #[test]
    fn a_value_is_shown_where_it_is_what_its_name_means() {
        let hash = "%aA/".repeat(10);
        let second = format!("{}%ff", "a".repeat(31));
        let id = "-qB4520-abcdefghijkl";
        for (there, expected) in [
            (
                format!("info_hash={hash}&info_hash={second}&peer_id={id}"),
                format!("info_hash={hash} info_hash={second} peer_id={id}"),
            ),
            (
                "Port=1&port=-1&&compact&left=18446744073709551615".into(),
                "Port=1 port=-1 compact left=18446744073709551615".into(),
            ),
            (
                "ip=192.0.2.1&IP=2001%3adb8::1&ipv6=[2001:db8::1]%3A6881&ipv4=192.0.2.1:1".into(),
                "ip=192.0.2.1 IP=2001%3adb8::1 ipv6=[2001:db8::1]%3A6881 ipv4=192.0.2.1:1".into(),
            ),
            (
                "event=started&event=Stopped&event=&event=paused&port=".into(),
                "event=started event=Stopped event= event=paused port=".into(),
            ),
            ("key=KEY&port=1".into(), "key!32 port=1".into()),
            (
                "passkey=KEY?left=1&x=y".into(),
                "passkey!32 left=1 x!1".into(),
            ),
            ("compact=1?KEY".into(), "compact=1 ***!".into()),
            ("KEY&KEY=1&x=".into(), "***! ***!1 ***!0".into()),
            (
                "sweep_now=1&sweep_now&Sweep_Now=1&my_sweep_now=1".into(),
                "***!1 ***! ***!1 ***!1".into(),
            ),
            (
                "compact=1/KEY/announce&port=1".into(),
                "compact!43 port=1".into(),
            ),
            ("a%62c=1&abcdefabcdefa=1".into(), "***!1 ***!1".into()),
            (
                "info_hash=KEY&info_hash=0123456789abcdef0123&info_hash=%3&peer_id=KEY".into(),
                "info_hash!32 info_hash!20 info_hash!2 peer_id!32".into(),
            ),
            (
                "port=0x10&left=1.5&numwant=-&downloaded=123456789012345678901&event=key".into(),
                "port!4 left!3 numwant!1 downloaded!21 event!3".into(),
            ),
        ] {
            assert_eq!(shown(&there), expected, "{there}");
        }
    }

    /// Every name that is known, and some that are not.
    const ANY_NAME: [&str; 28] = [
        "info_hash",
        "peer_id",
        "port",
        "uploaded",
        "downloaded",
        "left",
        "event",
        "numwant",
        "num_peers",
        "compact",
        "no_peer_id",
        "ip",
        "ipv4",
        "ipv6",
        "corrupt",
        "redundant",
        "supportcrypto",
        "requirecrypto",
        "cryptoport",
        "hide",
        "azver",
        "azhttp",
        "azudp",
        "natmapped",
        "key",
        "trackerid",
        "x",
        "EVENT",
    ];

    /// Ways in which a key may come.
    fn spellings(key: &str) -> [String; 5] {
        let encoded =
            |bytes: &str| -> String { bytes.bytes().map(|byte| format!("%{byte:02x}")).collect() };
        let half = encoded(&key[..4]) + &key[4..];
        [
            key.to_owned(),
            key.to_ascii_uppercase(),
            encoded(key),
            encoded(&encoded(key)),
            half,
        ]
    }

    /// O30, O16: as the value of any parameter, alone and among what may be shown.
    #[test]
    fn no_parameter_shows_a_key() {
        for name in ANY_NAME {
            for key in spellings(KEY) {
                for value in [
                    key.clone(),
                    format!("1{key}"),
                    format!("192.0.2.1/{key}"),
                    format!("started/{key}"),
                    format!("-{key}"),
                ] {
                    let text = shown(&format!("{name}={value}"));
                    assert_eq!(text, format!("{name}!{}", value.len()));
                }
                assert_eq!(
                    shown(&format!("{key}={name}")),
                    format!("***!{}", name.len())
                );
            }
        }
    }

    /// O30
    #[test]
    fn a_user_agent_is_shown_without_what_may_be_a_key() {
        for agent in [
            "qBittorrent/4.5.2",
            "Azureus 5.7.6.0;Windows 10;Java 1.8.0_121",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.109",
            "uTorrentMac/1870(43914)",
            "rtorrent/0.9.8/0.13.8",
            "BitTorrentWebDesktop/1",
        ] {
            assert_eq!(user_agent(agent.as_bytes()), agent);
        }
        for key in spellings(KEY) {
            for (there, expected) in [
                ("KEY", "***"),
                ("qBittorrent/4.5.2 (KEY)", "qBittorrent/4.5.2 (***)"),
                ("a/KEY/announce", "a/***/announce"),
                ("key=KEY;b", "***;b"),
            ] {
                let there = there.replace("KEY", &key);
                assert_eq!(user_agent(there.as_bytes()), expected, "{there}");
            }
        }
        assert_eq!(user_agent("abcdef".repeat(3).as_bytes()), "***");
        // Cut, but not in the middle of what would have been hidden.
        let late = format!("{}{KEY}", "a ".repeat(125));
        assert_eq!(user_agent(late.as_bytes()), "a ".repeat(125) + "***");
        assert_eq!(user_agent("a ".repeat(5_000).as_bytes()).len(), MAX_HEADER);
    }

    /// O30
    #[test]
    fn a_host_is_shown_without_what_may_be_a_key() {
        for shown in [
            "tracker:80",
            "192.0.2.1:6969",
            "[2001:db8:1234:5678:9abc:def0:1234:5678]:6969",
            "[2001:db8::1]",
            "tracker.internet-provider.example",
            "retracker.local",
        ] {
            assert_eq!(host(shown.as_bytes()), shown);
        }
        for key in spellings(KEY) {
            for (there, expected) in [
                ("KEY.tracker.example:80", "***.tracker.example:80"),
                ("[KEY]:80", "***:80"),
                ("[::1]KEY", "[::***"),
                ("KEY", "***"),
            ] {
                let there = there.replace("KEY", &key);
                assert_eq!(host(there.as_bytes()), expected, "{there}");
            }
        }
    }

    /// O30
    #[test]
    fn a_long_query_is_cut() {
        let hash = format!("info_hash={}&", "%aa".repeat(20));
        let cut = query(hash.repeat(60).as_bytes(), b"");
        assert!(cut.truncated && cut.parameters.len() < 60);
        let shown = cut.parameters.iter().map(|parameter| {
            parameter.name.len() + parameter.value.as_ref().map_or(0, String::len)
        });
        assert_eq!(shown.sum::<usize>(), MAX_QUERY);
        let many = query("port=1&".repeat(100).as_bytes(), b"");
        assert!(many.truncated && many.parameters.len() == MAX_PARAMETERS);
        assert!(!query(b"port=1", b"").truncated);
    }

    proptest! {
        /// O30
        #[test]
        fn any_bytes_are_shown_within_their_bounds_and_a_key_never(
            before in proptest::collection::vec(any::<u8>(), 0..3_000),
            separator in "[?&/=]|x=|key=|/announce|&ip=|&event=|&port=|&info_hash=|&peer_id=",
        ) {
            let mut bytes = before;
            bytes.extend_from_slice(separator.as_bytes());
            let bytes_and_key = [&bytes, KEY.as_bytes()].concat();
            let query = query(&bytes_and_key, b"");
            let length: usize = query.parameters.iter()
                .map(|parameter| parameter.name.len() + parameter.value.as_ref().map_or(0, String::len))
                .sum();
            prop_assert!(length <= MAX_QUERY + MAX_PARAMETERS * MAX_NAME);
            prop_assert!(!format!("{query:?}").contains(KEY), "{:?}", query);
            for text in [user_agent(&bytes_and_key), host(&bytes_and_key)] {
                prop_assert!(text.len() <= MAX_HEADER && !text.contains(KEY), "{}", text);
            }
            bytes.extend_from_slice(b"/");
            let path = path(&[&bytes, KEY.as_bytes(), b"/announce"].concat());
            prop_assert!(path.len() <= MAX_PATH && !path.contains(KEY), "{}", path);
        }
    }
}
