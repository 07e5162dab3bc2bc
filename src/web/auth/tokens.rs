//! Tokens for the API, in a file that only the owner reads: one a line, hashed. The pages and `retracker token` both write
//! it, so it is read again whenever it has changed.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::secrets::random_hex;
use crate::clock::Wall;
use crate::regular_file::{self, Use};

/// The file's name.
const FILE: &str = "retracker.tokens";
/// Tokens kept at most.
pub const MAX_TOKENS: usize = 100;
/// Bytes of the file at most: all tokens with the longest names, ten times over.
const MAX_BYTES: u64 = 512 << 10;
/// Characters of a name at most.
pub const NAME_CHARACTERS: usize = 60;

/// Why a token is not made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is empty, long or has control characters.
    #[error("a name has 1 to {NAME_CHARACTERS} characters on one line")]
    Name,
    /// There are [`MAX_TOKENS`].
    #[error("there are {MAX_TOKENS} tokens already; revoke one first")]
    TooMany,
    /// The file is there and cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// The file cannot be written, or the system gives no random numbers.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// One token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub created: Wall,
    /// What it is for, in the operator's words.
    pub name: String,
    hash: String,
}

/// When the file was written and how long it is, to see whether it has changed.
type Stamp = Option<(SystemTime, u64)>;

/// All tokens of one state folder.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    loaded: Mutex<(Stamp, Vec<Token>)>,
    /// Whether it has been told that the file cannot be read, since it could be last.
    is_told: AtomicBool,
}

impl Tokens {
    /// Looks at the file in `folder`, which need not exist.
    pub fn new(folder: &Path) -> Tokens {
        Tokens {
            path: file(folder),
            loaded: Mutex::default(),
            is_told: AtomicBool::new(false),
        }
    }

    /// All tokens, oldest first. Lines that do not parse are passed over.
    ///
    /// # Errors
    /// When the file is there and cannot be read; the error names it, and whose it is.
    pub fn list(&self) -> io::Result<Vec<Token>> {
        let tokens = self.read();
        if tokens.is_ok() {
            self.is_told.store(false, Ordering::Relaxed);
        }
        tokens.map_err(|error| {
            let text = match regular_file::denied(&self.path, Use::Read) {
                Some(denied) => denied.to_string(),
                None => format!("{}: {error}", self.path.display()),
            };
            io::Error::new(error.kind(), text)
        })
    }

    /// Says in the log that the file cannot be read, once until it can be again: anybody can ask with something for a token.
    pub fn tell_unreadable(&self, error: &io::Error) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            log::error!("the tokens of the API cannot be read, so none is admitted: {error}");
        }
    }

    fn read(&self) -> io::Result<Vec<Token>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match std::fs::metadata(&self.path) {
            Ok(about) => Some((about.modified()?, about.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if stamp.is_none() {
            *loaded = (None, Vec::new());
        } else if loaded.0 != stamp {
            let text = regular_file::read(&self.path, MAX_BYTES)?;
            let text = String::from_utf8(text).map_err(io::Error::other)?;
            let tokens = text.lines().filter_map(parse).take(MAX_TOKENS).collect();
            *loaded = (stamp, tokens);
        }
        Ok(loaded.1.clone())
    }

    /// Makes a token; returns what its owner has to send, which is not kept.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn create(&self, name: &str, now: Wall) -> Result<String, TokenError> {
        let name = name.trim();
        let is_good = (1..=NAME_CHARACTERS).contains(&name.chars().count());
        if !is_good || name.chars().any(char::is_control) {
            return Err(TokenError::Name);
        }
        let mut tokens = self.list().map_err(TokenError::Unreadable)?;
        if tokens.len() >= MAX_TOKENS {
            return Err(TokenError::TooMany);
        }
        let secret = format!("rt_{}", random_hex::<32>()?);
        tokens.push(Token {
            number: tokens.last().map_or(1, |last| last.number + 1),
            created: now,
            name: name.to_owned(),
            hash: hash(&secret),
        });
        self.write(&tokens)?;
        Ok(secret)
    }

    /// Removes a token; whether there was one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn revoke(&self, number: u64) -> Result<bool, TokenError> {
        let mut tokens = self.list().map_err(TokenError::Unreadable)?;
        let before = tokens.len();
        tokens.retain(|token| token.number != number);
        if tokens.len() == before {
            return Ok(false);
        }
        self.write(&tokens)?;
        Ok(true)
    }

    /// Whether this is the secret of a token.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn admit(&self, secret: &str) -> io::Result<bool> {
        let given = hash(secret);
        let tokens = self.list()?;
        let matches = tokens
            .iter()
            .map(|token| token.hash.as_bytes().ct_eq(given.as_bytes()));
        let is_one = matches.fold(subtle::Choice::from(0), |any, one| any | one);
        Ok(is_one.into())
    }

    fn write(&self, tokens: &[Token]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            let mut make = DirBuilder::new();
            make.recursive(true).mode(0o750).create(folder)?;
        }
        let fresh = self.path.with_extension("tokens-new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        for token in tokens {
            let (number, created) = (token.number, token.created.0);
            writeln!(file, "{number}\t{created}\t{}\t{}", token.hash, token.name)?;
        }
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        // Two writes within the clock's grain would look alike.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).0 = None;
        Ok(())
    }
}

/// Where the tokens of a state folder are.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

fn parse(line: &str) -> Option<Token> {
    let mut fields = line.splitn(4, '\t');
    Some(Token {
        number: fields.next()?.parse().ok()?,
        created: Wall(fields.next()?.parse().ok()?),
        hash: fields.next().filter(|hash| hash.len() == 64)?.to_owned(),
        name: fields.next()?.to_owned(),
    })
}

fn hash(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_admitted_until_it_is_revoked_also_by_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let (tokens, other) = (Tokens::new(folder.path()), Tokens::new(folder.path()));
        let one = tokens.create("grafana", Wall(5)).unwrap();
        let two = other.create("script", Wall(6)).unwrap();
        assert!(
            tokens.admit(&one).unwrap()
                && tokens.admit(&two).unwrap()
                && !tokens.admit("rt_").unwrap()
        );
        let names: Vec<String> = tokens.list().unwrap().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["grafana", "script"]);
        assert!(other.revoke(1).unwrap() && !other.revoke(1).unwrap());
        assert!(!tokens.admit(&one).unwrap() && tokens.admit(&two).unwrap());
    }

    #[test]
    fn the_file_holds_no_secret_and_odd_lines_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let secret = tokens.create("x", Wall(5)).unwrap();
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&secret[3..]));
        std::fs::write(&path, format!("\nnonsense\n7\tx\ty\tz\n{text}")).unwrap();
        assert!(tokens.admit(&secret).unwrap());
        assert_eq!(tokens.list().unwrap().len(), 1);
    }

    #[test]
    fn names_that_would_break_the_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        for name in ["", "  ", "a\tb", "a\nb", &"x".repeat(61)] {
            let made = tokens.create(name, Wall(5));
            assert!(matches!(made, Err(TokenError::Name)), "{name:?}");
        }
    }

    #[test]
    fn tokens_have_a_bound_and_a_file_that_cannot_be_read_is_no_wrong_token() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let secret = tokens.create("x", Wall(5)).unwrap();
        for _ in 1..MAX_TOKENS {
            tokens.create("x", Wall(5)).unwrap();
        }
        let made = tokens.create("x", Wall(5));
        assert!(matches!(made, Err(TokenError::TooMany)));
        let path = folder.path().join(FILE);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(tokens.admit(&secret).is_err());
        let made = tokens.create("x", Wall(5));
        assert!(matches!(made, Err(TokenError::Unreadable(_))));
    }
}
