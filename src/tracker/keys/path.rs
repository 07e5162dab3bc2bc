//! Where a key stands in the path of an announce address: `/KEY/announce`, `/announce/KEY`, and so for scrapes; over UDP (BEP 41)
//! also `/KEY` alone.

use super::MIN_KEY_BYTES;

/// The names that a path of the tracker ends in, or that a key follows.
const NAMES: [&[u8]; 4] = [b"announce", b"announce.php", b"scrape", b"scrape.php"];

/// What stands in the place of a key, however long: nothing that is shorter than any key, so that paths with other folders in
/// front (`/bt/announce`) mean what they always meant. The path is decoded, and no query stands behind it.
pub(super) fn key_in_path(path: &[u8]) -> Option<&[u8]> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut segments = path.rsplit(|byte| *byte == b'/');
    let last = segments.next()?;
    let key = if NAMES.contains(&last) {
        segments.next()?
    } else {
        last
    };
    (key.len() >= MIN_KEY_BYTES).then_some(key)
}

/// Whether a decoded path is that of an announce or a scrape with something behind the name that can only be meant as a key: which of
/// the two names it is.
pub fn name_before_key(path: &[u8]) -> Option<&[u8]> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut segments = path.rsplit(|byte| *byte == b'/');
    let key = segments.next()?;
    let name = segments.next()?;
    // In front of the name there is a slash.
    segments.next()?;
    (key.len() >= MIN_KEY_BYTES && NAMES.contains(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O16
    #[test]
    fn a_key_stands_before_or_behind_the_name() {
        let key = "0123456789abcdef0123456789abcdef";
        for (path, found) in [
            ("/KEY/announce", true),
            ("/KEY/announce/", true),
            ("/KEY/announce.php", true),
            ("/bt/KEY/scrape", true),
            ("/announce/KEY", true),
            ("/announce/KEY/", true),
            ("/bt/scrape.php/KEY", true),
            ("/KEY", true),
            ("KEY", true),
            ("/KEYKEYKEY/announce", true),
            ("/announce", false),
            ("/", false),
            ("", false),
            ("announce", false),
            ("//announce", false),
            ("/bt/announce", false),
            ("/KEY/bt/announce", false),
        ] {
            let path = path.replace("KEY", key);
            let in_path = key_in_path(path.as_bytes());
            assert_eq!(in_path.is_some(), found, "{path}");
            assert!(in_path.is_none_or(|found| found.starts_with(key.as_bytes())));
        }
        let named = |path: &str| {
            let path = path.replace("KEY", key);
            name_before_key(path.as_bytes()).map(<[u8]>::to_vec)
        };
        assert_eq!(named("/announce/KEY"), Some(b"announce".to_vec()));
        assert_eq!(named("/bt/scrape.php/KEY/"), Some(b"scrape.php".to_vec()));
        for path in ["/KEY/announce", "announce/KEY", "/announce/short", "/x/KEY"] {
            assert_eq!(named(path), None, "{path}");
        }
    }
}
