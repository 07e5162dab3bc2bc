//! A file of keys of announce addresses (`keys_file`, O16): a key a line, as a site's own database exports them.
//!
//! `KEY until=2027-01-31 addresses=3 torrents=100 a label`: all but the key may be left out, and `#` begins a comment. For the key
//! itself its SHA-256 may stand, as `sha256:` and 64 hex digits, so that the file holds no secret.

use std::collections::HashSet;
use std::path::Path;

use time::{Date, Month};

use super::lines::{self, Bounds, Refused};
use crate::clock::Wall;
use crate::tracker::{
    KeyDigest, KeyLimits, MAX_ADDRESSES, MAX_KEY_BYTES, MAX_KEYS, MAX_LABEL, MAX_SESSIONS,
    MIN_KEY_BYTES, NewKey,
};

const BOUNDS: Bounds = Bounds {
    bytes: 128 << 20,
    line_bytes: 1_000,
    entries: MAX_KEYS,
};

/// Why a line is no key; what stands in it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(
        "a key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} letters, digits, dashes and underscores, or is `sha256:` and 64 hex digits"
    )]
    Key,
    #[error("the same key stands above")]
    Twice,
    #[error("`until=` needs a date, as 2027-01-31: the last day (UTC) that the key is good for")]
    Until,
    #[error("`addresses=` needs a number from 0 (no limit) to {MAX_ADDRESSES}")]
    Addresses,
    #[error("`torrents=` needs a number from 0 (no limit) to {MAX_SESSIONS}")]
    Torrents,
    #[error("a label has {MAX_LABEL} characters at most, and none that is not seen")]
    Label,
}

/// Reads the keys of a file.
///
/// # Errors
/// The file cannot be read, is past a bound or has bad lines.
pub fn read(path: &Path) -> Result<Vec<NewKey>, Refused> {
    let (mut keys, mut known) = (Vec::new(), HashSet::new());
    lines::each(path, BOUNDS, |line| {
        let Some(key) = key(line)? else {
            return Ok(false);
        };
        if !known.insert(key.digest) {
            return Err(Fault::Twice);
        }
        keys.push(key);
        Ok(true)
    })?;
    Ok(keys)
}

/// The key of one line; `None` for a comment.
fn key(line: &[u8]) -> Result<Option<NewKey>, Fault> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let line = str::from_utf8(line).map_err(|_| Fault::Label)?.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let (word, mut rest) = split_word(line);
    let mut key = NewKey {
        digest: digest(word).ok_or(Fault::Key)?,
        label: String::new(),
        expires: None,
        limits: KeyLimits::default(),
    };
    loop {
        let (word, behind) = split_word(rest);
        if let Some(day) = word.strip_prefix("until=") {
            key.expires = Some(end_of(day).ok_or(Fault::Until)?);
        } else if let Some(most) = word.strip_prefix("addresses=") {
            key.limits.addresses = limit(most, MAX_ADDRESSES).ok_or(Fault::Addresses)?;
        } else if let Some(most) = word.strip_prefix("torrents=") {
            key.limits.torrents = limit(most, MAX_SESSIONS).ok_or(Fault::Torrents)?;
        } else {
            break;
        }
        rest = behind;
    }
    if !is_label(rest) {
        return Err(Fault::Label);
    }
    key.label = rest.to_owned();
    Ok(Some(key))
}

/// Whether a text can be a key's label.
fn is_label(text: &str) -> bool {
    text.chars().count() <= MAX_LABEL && !text.contains(crate::shown::steers)
}

/// The first word and what follows it, without the blanks between.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn digest(word: &str) -> Option<KeyDigest> {
    if let Some(hex) = word.strip_prefix("sha256:") {
        let mut bytes = [0; 32];
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
            return None;
        };
        if pairs.len() != bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let pair = str::from_utf8(pair).ok()?;
            // A sign is no digit.
            let is_hex = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(pair, 16).ok().filter(|_| is_hex)?;
        }
        return bytes.first_chunk().copied().map(KeyDigest::from_bytes);
    }
    // What needs no escape in a path.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    KeyDigest::of(word.as_bytes()).filter(|_| word.bytes().all(is_plain))
}

/// The end of a day.
fn end_of(day: &str) -> Option<Wall> {
    let mut parts = day.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let end = date.next_day()?.midnight().assume_utc().unix_timestamp();
    u64::try_from(end).ok().map(Wall)
}

fn limit(text: &str, most: usize) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number as usize <= most).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    /// Of [`KEY`], by sha256sum.
    const HEX: &str = "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9";

    fn line(text: &str) -> Result<Option<NewKey>, Fault> {
        key(text.replace("KEY", KEY).replace("HEX", HEX).as_bytes())
    }

    /// O16
    #[test]
    fn a_line_has_a_key_and_what_it_may() {
        let plain = line("KEY").unwrap().unwrap();
        assert_eq!(plain.digest, KeyDigest::of(KEY.as_bytes()).unwrap());
        assert_eq!((plain.label.as_str(), plain.expires), ("", None));
        assert_eq!(line("sha256:HEX").unwrap().unwrap(), plain);
        let full = "KEY  until=2027-01-31\ttorrents=100 addresses=3  anna k. # since May";
        let full = line(full).unwrap().unwrap();
        // date -ud 2027-02-01 +%s
        assert_eq!(full.expires, Some(Wall(1_801_440_000)));
        assert_eq!(full.label, "anna k.");
        let limits = KeyLimits {
            addresses: 3,
            torrents: 100,
        };
        assert_eq!(full.limits, limits);
        let named = line("KEY анна until=never").unwrap().unwrap();
        assert_eq!(
            (named.label.as_str(), named.expires),
            ("анна until=never", None)
        );
        assert_eq!(line("# KEY"), Ok(None));
    }

    /// O16
    #[test]
    fn what_is_wrong_with_a_line_is_told() {
        let long = format!("KEY {}", "x".repeat(MAX_LABEL + 1));
        for (text, fault) in [
            ("short", Fault::Key),
            ("KEYKEYKEY", Fault::Key),
            ("KEY/x", Fault::Key),
            ("sha256:abc", Fault::Key),
            ("sha256:+1HEX", Fault::Key),
            ("KEY until=2027-02-30", Fault::Until),
            ("KEY until=soon", Fault::Until),
            ("KEY addresses=-1", Fault::Addresses),
            ("KEY addresses=1001", Fault::Addresses),
            ("KEY torrents=", Fault::Torrents),
            ("KEY a\u{7}b", Fault::Label),
            ("KEY \u{202e}ab", Fault::Label),
            (&long, Fault::Label),
        ] {
            assert_eq!(line(text), Err(fault), "{text}");
        }
    }

    /// O16: no key is ever repeated where something is told of it.
    #[test]
    fn a_file_is_taken_whole_or_not_and_no_key_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let other = KEY.replace('0', "x");
        std::fs::write(&path, format!("{KEY} anna\n\n{other}\n")).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        std::fs::write(&path, format!("{KEY}\n{KEY}\n{other} until=x\n")).unwrap();
        let refused = read(&path).unwrap_err();
        let lines: Vec<String> = refused.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("keys:2: the same key stands above"));
        let shown = format!("{lines:?} {refused} {refused:?}");
        assert!(!shown.contains(KEY) && !shown.contains(&other));
    }
}
