//! Names and versions of clients from the beginnings of peer ids (BEP 20 and common practice).

/// Codes of the style `-XX1234-` (Azureus), with the names that people know them by.
const CODES: &[(&[u8; 2], &str)] = &[
    (b"7T", "aTorrent"),
    (b"AG", "Ares"),
    (b"AR", "Arctic"),
    (b"AX", "BitPump"),
    (b"AZ", "Vuze"),
    (b"BB", "BitBuddy"),
    (b"BC", "BitComet"),
    (b"BE", "BitTorrent SDK"),
    (b"BF", "BitFlu"),
    (b"BI", "BiglyBT"),
    (b"BL", "BitLord"),
    (b"BR", "BitRocket"),
    (b"BS", "BTSlave"),
    (b"BT", "BitTorrent"),
    (b"BW", "BitWombat"),
    (b"CT", "CTorrent"),
    (b"DE", "Deluge"),
    (b"FC", "FileCroc"),
    (b"FD", "Free Download Manager"),
    (b"FG", "FlashGet"),
    (b"FL", "Folx"),
    (b"FW", "FrostWire"),
    (b"HL", "Halite"),
    (b"IL", "iLivid"),
    (b"JT", "JavaTorrent"),
    (b"KG", "KGet"),
    (b"KT", "KTorrent"),
    (b"LP", "Lphant"),
    (b"LT", "libtorrent"),
    (b"LW", "LimeWire"),
    (b"MG", "MediaGet"),
    (b"ML", "MLDonkey"),
    (b"MO", "MonoTorrent"),
    (b"MT", "MoonlightTorrent"),
    (b"PI", "PicoTorrent"),
    (b"PT", "Popcorn Time"),
    (b"QD", "QQDownload"),
    (b"SD", "Thunder"),
    (b"SM", "SoMud"),
    (b"SZ", "Shareaza"),
    (b"TB", "Torch"),
    (b"TI", "Tixati"),
    (b"TL", "Tribler"),
    (b"TN", "TorrentDotNET"),
    (b"TR", "Transmission"),
    (b"TX", "Tuxatalk"),
    (b"UE", "uTorrent Embedded"),
    (b"UM", "uTorrent Mac"),
    (b"UT", "uTorrent"),
    (b"UW", "uTorrent Web"),
    (b"WW", "WebTorrent"),
    (b"WD", "WebTorrent Desktop"),
    (b"WY", "FireTorrent"),
    (b"XL", "Xunlei"),
    (b"XF", "Xfplay"),
    (b"XT", "XanTorrent"),
    (b"bc", "BitComet"),
    (b"lt", "rTorrent"),
    (b"qB", "qBittorrent"),
    (b"st", "SharkTorrent"),
];

/// A client and its version; the version is empty when it cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientName {
    /// The program, or the beginning of the peer id when it is unknown; empty when ids are not kept.
    pub name: String,
    /// As `4.5.2`.
    pub version: String,
}

/// What the beginning of a peer id says.
pub(crate) fn recognise(prefix: &[u8; 8]) -> ClientName {
    let named = |name: &str, version: String| ClientName {
        name: name.to_owned(),
        version,
    };
    match *prefix {
        [0, 0, 0, 0, 0, 0, 0, 0] => named("", String::new()),
        [b'-', one, two, a, b, c, d, b'-'] => match name_of([one, two]) {
            Some(name) if ![a, b, c, d].iter().all(u8::is_ascii_alphanumeric) => {
                named(name, String::new())
            }
            Some("Transmission") => named("Transmission", transmission([a, b, c, d])),
            Some("BitComet") => named("BitComet", bitcomet([a, b, c, d])),
            Some(name) => named(name, dotted([a, b, c, d])),
            None => named(&printable(&prefix[1..3]), dotted([a, b, c, d])),
        },
        [b'A', b'2', b'-', ..] => named("aria2", dashed(&prefix[3..])),
        [b'M', first, b'-', ..] if first.is_ascii_digit() => {
            named("BitTorrent", dashed(&prefix[1..]))
        }
        [b'e', b'x', b'b', b'c', major, minor, ..] => {
            named("BitComet", format!("{major}.{minor:02}"))
        }
        _ => named(&printable(prefix), String::new()),
    }
}

/// Beginnings of the peer ids of the clients whose name contains `text`, in any case. A text that begins with `-` is taken
/// as such a beginning itself. Empty when no client is known by it.
pub(crate) fn prefixes(text: &str) -> Vec<Vec<u8>> {
    if text.starts_with('-') {
        return vec![text.as_bytes().iter().copied().take(20).collect()];
    }
    let wanted = text.to_lowercase();
    let named = |name: &str| name.to_lowercase().contains(&wanted);
    let codes = CODES.iter().filter(|(_, name)| named(name));
    let mut found: Vec<Vec<u8>> = codes
        .map(|(code, _)| vec![b'-', code[0], code[1]])
        .collect();
    if named("aria2") {
        found.push(b"A2-".to_vec());
    }
    if named("BitComet") {
        found.push(b"exbc".to_vec());
    }
    found
}

fn name_of(code: [u8; 2]) -> Option<&'static str> {
    CODES
        .iter()
        .find(|(known, _)| **known == code)
        .map(|(_, name)| *name)
}

/// `4520` is 4.5.2 and `0D80` is 0.13.8: one digit or letter a part, trailing zeros left out down to two parts.
fn dotted(digits: [u8; 4]) -> String {
    let mut parts: Vec<String> = digits
        .iter()
        .map_while(|digit| char::from(*digit).to_digit(36))
        .map(|part| part.to_string())
        .collect();
    while parts.len() > 2 && parts.last().is_some_and(|part| part == "0") {
        parts.pop();
    }
    parts.join(".")
}

/// `3000` is 3.00 up to version 3; `4050` is 4.0.5 from 4 on; `400B` and the like are betas of it.
fn transmission(digits: [u8; 4]) -> String {
    let [major, a, b, _] = digits.map(char::from);
    match major {
        '0'..='3' => format!("{major}.{a}{b}"),
        _ => format!("{major}.{a}.{b}"),
    }
}

/// `0190` is 1.90.
fn bitcomet(digits: [u8; 4]) -> String {
    let [tens, ones, a, b] = digits.map(char::from);
    let major = format!("{tens}{ones}");
    let major = major.trim_start_matches('0');
    format!("{}.{a}{b}", if major.is_empty() { "0" } else { major })
}

/// `1-36-0-` is 1.36.0.
fn dashed(text: &[u8]) -> String {
    let digits = text.split(|byte| *byte == b'-');
    let parts: Vec<String> = digits
        .take_while(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
        .map(printable)
        .collect();
    parts.join(".")
}

fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    /// W10
    #[test]
    fn clients_are_known_by_name_and_version() {
        let cases: [(&[u8; 8], &str, &str); 13] = [
            (b"-BC0190-", "BitComet", "1.90"),
            (b"-qB4520-", "qBittorrent", "4.5.2"),
            (b"-UT3550-", "uTorrent", "3.5.5"),
            (b"-LT2110-", "libtorrent", "2.1.1"),
            (b"-lt0D80-", "rTorrent", "0.13.8"),
            (b"-TR3000-", "Transmission", "3.00"),
            (b"-TR4050-", "Transmission", "4.0.5"),
            (b"-DE13D0-", "Deluge", "1.3.13"),
            (b"A2-1-36-", "aria2", "1.36"),
            (b"M7-10-0-", "BitTorrent", "7.10.0"),
            (b"-ZZ1000-", "ZZ", "1.0"),
            (b"hello\x00\xff<", "hello\\x00\\xff<", ""),
            (&[0; 8], "", ""),
        ];
        for (prefix, name, version) in cases {
            let client = recognise(prefix);
            assert_eq!(
                (client.name.as_str(), client.version.as_str()),
                (name, version)
            );
        }
    }

    #[test]
    fn a_name_gives_the_beginnings_of_its_peer_ids() {
        assert_eq!(prefixes("qbit"), [b"-qB".to_vec()]);
        assert_eq!(prefixes("-qB45"), [b"-qB45".to_vec()]);
        assert_eq!(prefixes("aria"), [b"A2-".to_vec()]);
        assert!(prefixes("uTorrent").len() >= 4);
        assert!(prefixes("no such client").is_empty());
    }

    proptest! {
        #[test]
        fn any_prefix_gives_printable_text(prefix in any::<[u8; 8]>()) {
            let client = recognise(&prefix);
            prop_assert!(client.name.bytes().chain(client.version.bytes()).all(|b| (0x20..0x7f).contains(&b)));
        }
    }
}
