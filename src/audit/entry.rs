//! One entry: who, from where, what, and what about; on one line each, as JSON in the file and as words in the log.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::shown;

/// Characters of a name at most, as it is kept.
const NAME_CHARACTERS: usize = 64;
/// Characters of what an entry is about at most, as it is kept.
const ABOUT_CHARACTERS: usize = 200;

/// What kind of somebody did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Who has logged in to the pages.
    User,
    /// A program with a token.
    Token,
    /// A tool on the command line of this machine.
    Tool,
    /// The service manager, or whoever sent a signal.
    Signal,
    /// Who has not shown to be anybody.
    Stranger,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A login.
    Login,
    /// A login with a wrong name or password.
    LoginFailed,
    /// A login that was refused unseen.
    LockedOut,
    /// An entry came into the blocklist.
    Block,
    /// An entry left the blocklist.
    Unblock,
    /// A ban was ended before its time.
    BanLifted,
    /// Torrents were listed.
    List,
    /// Torrents were taken off the list.
    Delist,
    /// A token was made.
    TokenMade,
    /// A token was used for the first time.
    TokenUsed,
    /// A token was revoked.
    TokenRevoked,
    /// Keys of announce addresses were made.
    KeysMade,
    /// Keys of announce addresses were revoked.
    KeysRevoked,
    /// A configuration came into force.
    Reload,
    /// A configuration was refused; the old one stays.
    ReloadRefused,
    /// The database of a Flask retracker was imported.
    Import,
    /// Requests were watched as they were answered.
    Watch,
    /// Everything is told to the other trackers again.
    SitesResend,
    /// What was known from one other tracker only was dropped.
    SiteForgotten,
}

/// As the file and the API have it.
impl fmt::Display for Actor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// As the file and the API have it.
impl fmt::Display for Deed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

impl Deed {
    const fn words(self) -> &'static str {
        match self {
            Deed::Login => "logged in",
            Deed::LoginFailed => "failed to log in",
            Deed::LockedOut => "was locked out of the login",
            Deed::Block => "blocked",
            Deed::Unblock => "unblocked",
            Deed::BanLifted => "lifted the ban of",
            Deed::List => "listed",
            Deed::Delist => "took off the list",
            Deed::TokenMade => "made the token",
            Deed::TokenUsed => "was used for the first time",
            Deed::TokenRevoked => "revoked the token",
            Deed::KeysMade => "made the keys",
            Deed::KeysRevoked => "revoked the keys",
            Deed::Reload => "reloaded the configuration",
            Deed::ReloadRefused => "brought a configuration that was refused:",
            Deed::Import => "imported",
            Deed::Watch => "watches requests:",
            Deed::SitesResend => "had everything told to the other trackers again",
            Deed::SiteForgotten => "forgot the tracker",
        }
    }
}

/// One entry. Its texts are on one line, escaped, and of a bounded length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, or when first.
    pub time: Wall,
    /// What kind of somebody.
    pub actor: Actor,
    /// Its name; empty for a stranger.
    pub who: String,
    /// From which address; empty where there is none.
    pub from: String,
    /// What.
    pub deed: Deed,
    /// On or with what; empty where the deed says all.
    pub about: String,
    /// How often.
    pub count: u32,
    /// When last.
    pub last: Wall,
}

impl Entry {
    /// Something that was done once.
    pub fn new(deed: Deed, actor: Actor, who: &str, about: &str, now: Wall) -> Entry {
        Entry {
            time: now,
            actor,
            who: line(who, NAME_CHARACTERS),
            from: String::new(),
            deed,
            about: line(about, ABOUT_CHARACTERS),
            count: 1,
            last: now,
        }
    }

    /// The same from an address.
    #[must_use]
    pub fn from(self, ip: IpAddr) -> Entry {
        Entry {
            from: ip.to_string(),
            ..self
        }
    }

    /// Whether both tell of the same series of failures, at different times.
    pub(super) fn is_same_failure(&self, other: &Entry) -> bool {
        (self.time, self.deed, &self.from) == (other.time, other.deed, &other.from)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.actor, self.who.as_str()) {
            (Actor::User, who) => write!(out, "user {who}")?,
            (Actor::Token, who) => write!(out, "token {who}")?,
            (Actor::Tool, who) => write!(out, "{who} on the command line")?,
            (Actor::Signal, who) => write!(out, "{who}")?,
            (Actor::Stranger, "") => out.write_str("somebody")?,
            (Actor::Stranger, who) => write!(out, "somebody as {who}")?,
        }
        if !self.from.is_empty() {
            write!(out, " from {}", self.from)?;
        }
        write!(out, " {}", self.deed.words())?;
        if !self.about.is_empty() {
            write!(out, " {}", self.about)?;
        }
        if self.count > 1 {
            write!(out, " ({} times)", self.count)?;
        }
        Ok(())
    }
}

/// The text on one line with what steers escaped, cut to so many characters.
fn line(text: &str, characters: usize) -> String {
    // What is cut off anyway need not be escaped first.
    let head: String = text.chars().take(characters + 1).collect();
    let escaped = shown::on_one_line(&format_args!("{head}"));
    if escaped.chars().nth(characters).is_none() {
        return escaped;
    }
    let mut cut: String = escaped.chars().take(characters - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W12, R20
    #[test]
    fn what_an_entry_holds_is_one_line_of_a_bounded_length() {
        let evil = "a\nlogin\x1b[2J\u{202e}".repeat(100);
        let entry = Entry::new(Deed::Block, Actor::User, &evil, &evil, Wall(7));
        let json = serde_json::to_string(&entry).unwrap();
        for text in [entry.to_string(), json.clone()] {
            assert!(!text.contains(shown::steers), "{text}");
        }
        assert!(json.len() < 1_000, "{}", json.len());
        assert_eq!(entry.about.chars().count(), ABOUT_CHARACTERS);
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
    }

    /// W12
    #[test]
    fn an_entry_says_who_from_where_and_what() {
        let ip = "192.0.2.7".parse().unwrap();
        let entry = Entry::new(
            Deed::Block,
            Actor::User,
            "anna",
            "10.0.0.0/8 (spam)",
            Wall(7),
        );
        assert_eq!(
            entry.from(ip).to_string(),
            "user anna from 192.0.2.7 blocked 10.0.0.0/8 (spam)"
        );
        let entry = Entry::new(Deed::TokenMade, Actor::Tool, "root", "grafana", Wall(7));
        assert_eq!(
            entry.to_string(),
            "root on the command line made the token grafana"
        );
    }
}
