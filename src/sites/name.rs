//! The names of trackers and of their network, as they stand in the keys of an engine.

use std::fmt;
use std::str::FromStr;

/// Longest name, in bytes.
pub const MAX_NAME: usize = 32;

/// What one tracker of several is called: 1 to 32 of `a-z`, `0-9`, `-` and `_`, the first a letter or digit. The engine's rules of
/// access are patterns, so nothing that a pattern could mean is taken.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteName(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name is 1 to {MAX_NAME} of a-z, 0-9, - and _, and begins with a letter or digit")]
pub struct BadName;

impl SiteName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SiteName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<SiteName, BadName> {
        let mut bytes = text.bytes();
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let begins_well = bytes.next().is_some_and(is_plain);
        let goes_on_well = bytes.all(|byte| is_plain(byte) || byte == b'-' || byte == b'_');
        if begins_well && goes_on_well && text.len() <= MAX_NAME {
            Ok(SiteName(text.to_owned()))
        } else {
            Err(BadName)
        }
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for SiteName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The keys of one network of trackers: `rt:NETWORK:d:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(network: &SiteName) -> Keys {
        Keys {
            prefix: format!("rt:{network}:d:"),
        }
    }

    /// The stream of one tracker.
    pub(super) fn stream(&self, name: &SiteName) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Matches the streams of all trackers.
    pub(super) fn pattern(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// Whose stream a key is; `None` for a key of something else.
    pub(super) fn owner(&self, key: &[u8]) -> Option<SiteName> {
        let name = key.strip_prefix(self.prefix.as_bytes())?;
        std::str::from_utf8(name).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_nothing_that_a_pattern_could_mean() {
        for good in ["a", "msk-1", "0_x", &"x".repeat(32)] {
            assert_eq!(good.parse::<SiteName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "A",
            "-a",
            "a*",
            "a:b",
            "a b",
            "я",
            "a\n",
            &"x".repeat(33),
        ] {
            assert_eq!(bad.parse::<SiteName>(), Err(BadName), "{bad}");
        }
    }

    #[test]
    fn a_key_names_its_owner() {
        let keys = Keys::new(&"net".parse().unwrap());
        let name: SiteName = "msk".parse().unwrap();
        assert_eq!(keys.stream(&name), "rt:net:d:msk");
        assert_eq!(keys.owner(b"rt:net:d:msk"), Some(name));
        for foreign in [&b"rt:other:d:msk"[..], b"rt:net:d:", b"rt:net:d:\xff", b""] {
            assert_eq!(keys.owner(foreign), None);
        }
    }
}
