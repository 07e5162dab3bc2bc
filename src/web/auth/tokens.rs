//! Tokens for the API, in a file that only the owner reads: one a line, hashed. The pages and `retracker token` both write
//! it, so it is read again whenever it has changed, and changed under a lock that both take.
//!
//! A line is `number TAB created TAB hash TAB name`, of a token that may everything for ever, as every token was before there were
//! scopes; else `scope,end,hash` stands for the hash (end `-` for none), which a program of then passes over, and so refuses.
//! The last line is `last TAB number`, the highest number ever given, so that none is given again when its token is revoked: a page
//! that was opened before would revoke another token than it shows. A program of before that line passes it over.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::secrets::random_hex;
use crate::clock::Wall;
use crate::regular_file::whole::{self, Manner, Owner};
use crate::regular_file::{self, Use, folder_of};
use crate::web::view::language::moment;

/// The file's name.
const FILE: &str = "retracker.tokens";
/// The file whose lock is held by who changes the tokens. It stays, for removing it would let two processes lock two files of one name.
const LOCK_FILE: &str = "retracker.tokens-lock";
/// What the line of the highest number begins with.
const LAST: &str = "last\t";
/// How often the lock is tried, and the pause between: 2 seconds in all.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Tokens kept at most.
pub const MAX_TOKENS: usize = 100;
/// Bytes of the file at most: all tokens with the longest names, ten times over.
const MAX_BYTES: u64 = 512 << 10;
/// Characters of a name at most.
pub const NAME_CHARACTERS: usize = 60;

/// Why a token is not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is empty, long or holds what steers a terminal.
    #[error("a name has 1 to {NAME_CHARACTERS} characters on one line")]
    Name,
    /// The end lies in the past.
    #[error("the end lies in the past")]
    End,
    /// There are [`MAX_TOKENS`].
    #[error("there are {MAX_TOKENS} tokens already; revoke one first")]
    TooMany,
    /// Somebody else holds the lock all the time that it is waited for.
    #[error("the tokens are being changed by another process; try again")]
    Busy,
    /// The file is there and cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// The file cannot be written, or the system gives no random numbers.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// What a token opens; each opens what those before it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Reads figures and lists.
    Read,
    /// Changes the blocklist.
    Block,
    /// Everything there is.
    Admin,
}

impl Scope {
    /// All, from the least to the most.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Block, Scope::Admin];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Block => "block",
            Scope::Admin => "admin",
        }
    }

    /// What [`Scope::name`] gives.
    pub fn from_name(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A token to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// What it is for.
    pub name: &'a str,
    /// What it opens.
    pub scope: Scope,
    /// When it ends; `None` for never.
    pub expires: Option<Wall>,
}

impl NewToken<'_> {
    /// As the audit has it.
    pub fn in_words(&self) -> String {
        let (name, scope) = (self.name.trim(), self.scope.name());
        match self.expires {
            Some(end) => format!("{name} ({scope} until {})", moment(end)),
            None => format!("{name} ({scope})"),
        }
    }
}

/// What comes of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is that of a token in force.
    Token(Token),
    /// It is that of a token that has ended.
    Expired,
    /// It is no token's.
    Nobody,
}

/// One token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number, which no other token of the file ever has.
    pub number: u64,
    /// When it was made.
    pub created: Wall,
    /// What it is for, in the operator's words.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
    /// When it ends; `None` for never.
    pub expires: Option<Wall>,
    hash: String,
}

impl Token {
    /// Whether it has ended.
    pub fn has_expired(&self, now: Wall) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// What tells it from every other token, also from one that gets its number after it; no secret.
    pub(super) fn mark(&self) -> &str {
        self.hash.get(..16).unwrap_or(&self.hash)
    }

    fn line(&self) -> String {
        let created = self.created.0;
        let hash = match (self.scope, self.expires) {
            (Scope::Admin, None) => self.hash.clone(),
            (scope, None) => format!("{},-,{}", scope.name(), self.hash),
            (scope, Some(end)) => format!("{},{},{}", scope.name(), end.0, self.hash),
        };
        format!("{}\t{created}\t{hash}\t{}", self.number, self.name)
    }
}

/// Which file it is, when it was written and how long it is, to see whether it has changed.
type Stamp = Option<(u64, SystemTime, u64)>;

/// What is in the file.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// Oldest first.
    tokens: Vec<Token>,
    /// The highest number that was ever given; 0 before the first.
    last: u64,
}

impl Kept {
    /// Lines that do not parse are passed over.
    fn parse(text: &str) -> Kept {
        let tokens: Vec<Token> = text.lines().filter_map(parse).take(MAX_TOKENS).collect();
        let told = text.lines().filter_map(|line| line.strip_prefix(LAST));
        let told = told.filter_map(|number| number.parse().ok());
        let last = tokens.iter().map(|token| token.number).chain(told).max();
        Kept {
            last: last.unwrap_or(0),
            tokens,
        }
    }

    fn text(&self) -> String {
        let tokens = self.tokens.iter();
        let lines: String = tokens.map(|token| token.line() + "\n").collect();
        format!("{lines}{LAST}{}\n", self.last)
    }
}

/// All tokens of one state folder.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    loaded: Mutex<(Stamp, Kept)>,
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
        self.kept().map(|kept| kept.tokens)
    }

    fn kept(&self) -> io::Result<Kept> {
        let kept = self.read();
        if kept.is_ok() {
            self.is_told.store(false, Ordering::Relaxed);
        }
        kept.map_err(|error| {
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

    fn read(&self) -> io::Result<Kept> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match std::fs::metadata(&self.path) {
            Ok(about) => Some((about.ino(), about.modified()?, about.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if stamp.is_none() {
            *loaded = (None, Kept::default());
        } else if loaded.0 != stamp {
            let text = regular_file::read(&self.path, MAX_BYTES)?;
            let text = String::from_utf8(text).map_err(io::Error::other)?;
            *loaded = (stamp, Kept::parse(&text));
        }
        Ok(loaded.1.clone())
    }

    /// Makes a token; returns what its owner has to send, which is not kept.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn create(&self, new: &NewToken<'_>, now: Wall) -> Result<String, TokenError> {
        let name = new.name.trim();
        let is_good = (1..=NAME_CHARACTERS).contains(&name.chars().count());
        if !is_good || name.contains(crate::shown::steers) {
            return Err(TokenError::Name);
        }
        if new.expires.is_some_and(|end| end <= now) {
            return Err(TokenError::End);
        }
        let _lock = self.lock()?;
        let mut kept = self.kept_anew()?;
        if kept.tokens.len() >= MAX_TOKENS {
            return Err(TokenError::TooMany);
        }
        let secret = format!("rt_{}", random_hex::<32>()?);
        let number = kept.last.checked_add(1);
        let number = number.ok_or_else(|| io::Error::other("no number is left for a token"))?;
        kept.last = number;
        kept.tokens.push(Token {
            number,
            created: now,
            name: name.to_owned(),
            scope: new.scope,
            expires: new.expires,
            hash: hash(&secret),
        });
        self.write(&kept)?;
        Ok(secret)
    }

    /// Removes a token; returns it, if there was one.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is being changed by another process all the time.
    pub fn revoke(&self, number: u64) -> Result<Option<Token>, TokenError> {
        let is_it = |token: &Token| token.number == number;
        // Where there is none, nothing is made for it either.
        if !self.kept_anew()?.tokens.iter().any(is_it) {
            return Ok(None);
        }
        let _lock = self.lock()?;
        let mut kept = self.kept_anew()?;
        let Some(at) = kept.tokens.iter().position(is_it) else {
            return Ok(None);
        };
        let revoked = kept.tokens.remove(at);
        self.write(&kept)?;
        Ok(Some(revoked))
    }

    /// Whose secret this is. Looks at every token, whichever it is.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn admit(&self, secret: &str, now: Wall) -> io::Result<Admission> {
        let given = hash(secret);
        let mut found = Admission::Nobody;
        for token in self.list()? {
            if bool::from(token.hash.as_bytes().ct_eq(given.as_bytes())) {
                found = if token.has_expired(now) {
                    Admission::Expired
                } else {
                    Admission::Token(token)
                };
            }
        }
        Ok(found)
    }

    /// What is in the file, read in any case: what is changed is never what was remembered.
    fn kept_anew(&self) -> Result<Kept, TokenError> {
        self.forget();
        self.kept().map_err(TokenError::Unreadable)
    }

    fn forget(&self) {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).0 = None;
    }

    /// Takes the lock that everybody holds from before the file is read until the changed one is in its place. It ends with the
    /// returned file, or with the process, however that ends; threads of one process keep each other out as processes do.
    fn lock(&self) -> Result<File, TokenError> {
        let mut make = DirBuilder::new();
        make.recursive(true)
            .mode(0o750)
            .create(folder_of(&self.path))?;
        let path = folder_of(&self.path).join(LOCK_FILE);
        let file = open_lock(&path).map_err(|error| {
            let text = match regular_file::denied(&path, Use::Write) {
                Some(denied) => denied.to_string(),
                None => format!("{}: {error}", path.display()),
            };
            io::Error::new(error.kind(), text)
        })?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Err(TokenError::Busy)
    }

    /// Puts a file with this in the place of the other. Only under the lock.
    fn write(&self, kept: &Kept) -> io::Result<()> {
        // Whoever still writes has the lock.
        whole::remove_unfinished(&self.path, None)?;
        let written = whole::write(
            &self.path,
            kept.text().as_bytes(),
            Manner::Secret(Owner::OfFolder),
        );
        // One that is in its place, and may not last, is to be read too.
        self.forget();
        written
    }
}

/// Opens the file of the lock, or makes it, for the owner only. No link is followed and no FIFO waited for.
fn open_lock(path: &Path) -> io::Result<File> {
    // A network's file system locks only what is open for writing.
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(regular_file::without_following())
        .open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is no regular file",
    ))
}

/// Where the tokens of a state folder are.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

fn parse(line: &str) -> Option<Token> {
    let mut fields = line.splitn(4, '\t');
    let number = fields.next()?.parse().ok()?;
    let created = Wall(fields.next()?.parse().ok()?);
    let rights: Vec<&str> = fields.next()?.split(',').collect();
    let (scope, expires, hash) = match rights.as_slice() {
        [hash] => (Scope::Admin, None, *hash),
        [scope, "-", hash] => (Scope::from_name(scope)?, None, *hash),
        [scope, end, hash] => {
            let end = Wall(end.parse().ok()?);
            (Scope::from_name(scope)?, Some(end), *hash)
        }
        _ => return None,
    };
    Some(Token {
        number,
        created,
        name: fields.next()?.to_owned(),
        scope,
        expires,
        hash: Some(hash).filter(|hash| hash.len() == 64)?.to_owned(),
    })
}

fn hash(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> NewToken<'_> {
        NewToken {
            name,
            scope: Scope::Admin,
            expires: None,
        }
    }

    fn is_admitted(tokens: &Tokens, secret: &str) -> bool {
        matches!(tokens.admit(secret, Wall(9)), Ok(Admission::Token(_)))
    }

    #[test]
    fn a_token_is_admitted_until_it_is_revoked_also_by_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let (tokens, other) = (Tokens::new(folder.path()), Tokens::new(folder.path()));
        let one = tokens.create(&named("grafana"), Wall(5)).unwrap();
        let two = other.create(&named("script"), Wall(6)).unwrap();
        assert!(
            is_admitted(&tokens, &one)
                && is_admitted(&tokens, &two)
                && !is_admitted(&tokens, "rt_")
        );
        let names: Vec<String> = tokens.list().unwrap().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["grafana", "script"]);
        assert_eq!(other.revoke(1).unwrap().unwrap().name, "grafana");
        assert_eq!(other.revoke(1).unwrap(), None);
        assert!(!is_admitted(&tokens, &one) && is_admitted(&tokens, &two));
    }

    /// Makes one, as often as it takes: a loaded machine may let nobody have the lock in time, which is told and changes nothing.
    fn create(tokens: &Tokens, name: &str) -> String {
        loop {
            match tokens.create(&named(name), Wall(5)) {
                Err(TokenError::Busy) => {}
                made => return made.unwrap(),
            }
        }
    }

    /// The number of the token with this name.
    fn number(tokens: &Tokens, name: &str) -> u64 {
        let listed = tokens.list().unwrap();
        listed.iter().find(|t| t.name == name).unwrap().number
    }

    /// W13: the pages write from several threads, and `retracker token` from another process, which is another `Tokens`.
    #[test]
    fn tokens_made_and_revoked_at_once_are_all_there_and_all_gone() {
        let folder = tempfile::tempdir().unwrap();
        let all = [Tokens::new(folder.path()), Tokens::new(folder.path())];
        let kept: Vec<(String, String)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8_usize)
                .map(|thread| {
                    let (tokens, other) = (&all[thread % 2], &all[(thread + 1) % 2]);
                    scope.spawn(move || {
                        let mut kept = Vec::new();
                        for turn in 0..5 {
                            let stays = format!("{thread} {turn} stays");
                            kept.push((create(tokens, &stays), stays));
                            let goes = format!("{thread} {turn} goes");
                            let secret = create(tokens, &goes);
                            let number = number(other, &goes);
                            let revoked = loop {
                                match other.revoke(number) {
                                    Err(TokenError::Busy) => {}
                                    revoked => break revoked.unwrap(),
                                }
                            };
                            assert_eq!(revoked.unwrap().name, goes);
                            assert!(!is_admitted(other, &secret) && !is_admitted(tokens, &secret));
                        }
                        kept
                    })
                })
                .collect();
            let joined = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            joined.collect()
        });
        assert_eq!(kept.len(), 40);
        for (secret, name) in &kept {
            assert!(is_admitted(&all[0], secret), "{name}");
        }
        let listed = all[0].list().unwrap();
        assert_eq!(listed.len(), 40, "{listed:?}");
        let mut numbers: Vec<u64> = listed.iter().map(|token| token.number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 40);
        let names = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [FILE, LOCK_FILE]);
    }

    /// W13: a page that was opened before shows a token that is gone; its button must not end another.
    #[test]
    fn a_number_is_never_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        for name in ["one", "two"] {
            tokens.create(&named(name), Wall(5)).unwrap();
        }
        tokens.revoke(2).unwrap();
        let again = Tokens::new(folder.path());
        again.create(&named("three"), Wall(5)).unwrap();
        assert_eq!(number(&again, "three"), 3);
        assert_eq!(tokens.revoke(2).unwrap(), None);
        for number in [1, 3] {
            assert!(tokens.revoke(number).unwrap().is_some());
        }
        again.create(&named("four"), Wall(5)).unwrap();
        assert_eq!(number(&tokens, "four"), 4);
        // Written by hand: the highest there is; none is left after it.
        let path = folder.path().join(FILE);
        std::fs::write(&path, format!("{LAST}{}\n", u64::MAX)).unwrap();
        let made = tokens.create(&named("five"), Wall(5));
        assert!(matches!(made, Err(TokenError::File(_))), "{made:?}");
    }

    /// W13
    #[test]
    fn a_lock_that_is_not_given_is_told_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let secret = tokens.create(&named("x"), Wall(5)).unwrap();
        let held = Tokens::new(folder.path()).lock().unwrap();
        let made = tokens.create(&named("y"), Wall(5));
        assert!(matches!(made, Err(TokenError::Busy)));
        assert!(matches!(tokens.revoke(1), Err(TokenError::Busy)));
        assert!(is_admitted(&tokens, &secret));
        assert_eq!(tokens.list().unwrap().len(), 1);
        drop(held);
        assert!(tokens.revoke(1).unwrap().is_some());
    }

    /// W13: what a process that was killed has left is removed, and a link in the place of the lock is not followed.
    #[test]
    fn leftovers_are_removed_and_a_link_is_no_lock() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let left = folder.path().join(format!("{FILE}.unfinished-1-0"));
        std::fs::write(&left, "7\thalf").unwrap();
        tokens.create(&named("x"), Wall(5)).unwrap();
        assert!(!left.exists());
        let lock = folder.path().join(LOCK_FILE);
        let mode = std::fs::metadata(&lock).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(&lock).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &lock).unwrap();
        let made = tokens.create(&named("y"), Wall(5));
        assert!(matches!(made, Err(TokenError::File(_))), "{made:?}");
        assert!(!elsewhere.exists());
        assert_eq!(tokens.list().unwrap().len(), 1);
    }

    #[test]
    fn the_file_holds_no_secret_and_odd_lines_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let secret = tokens.create(&named("x"), Wall(5)).unwrap();
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&secret[3..]));
        std::fs::write(&path, format!("\nnonsense\n7\tx\ty\tz\n{text}")).unwrap();
        assert!(is_admitted(&tokens, &secret));
        assert_eq!(tokens.list().unwrap().len(), 1);
    }

    #[test]
    fn names_that_would_break_the_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        for name in ["", "  ", "a\tb", "a\nb", "\u{202e}ab", &"x".repeat(61)] {
            let made = tokens.create(&named(name), Wall(5));
            assert!(matches!(made, Err(TokenError::Name)), "{name:?}");
        }
    }

    #[test]
    fn tokens_have_a_bound_and_a_file_that_cannot_be_read_is_no_wrong_token() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let secret = tokens.create(&named("x"), Wall(5)).unwrap();
        for _ in 1..MAX_TOKENS {
            tokens.create(&named("x"), Wall(5)).unwrap();
        }
        let made = tokens.create(&named("x"), Wall(5));
        assert!(matches!(made, Err(TokenError::TooMany)));
        let path = folder.path().join(FILE);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(tokens.admit(&secret, Wall(9)).is_err());
        let made = tokens.create(&named("x"), Wall(5));
        assert!(matches!(made, Err(TokenError::Unreadable(_))));
    }

    /// W13: the file of before there were scopes.
    #[test]
    fn a_token_without_a_scope_may_everything_and_ends_never() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let secret = "rt_old";
        let line = format!("7\t1700000000\t{}\told script\n", hash(secret));
        std::fs::write(folder.path().join(FILE), &line).unwrap();
        let Ok(Admission::Token(token)) = tokens.admit(secret, Wall(u64::MAX)) else {
            panic!("admitted");
        };
        assert_eq!((token.scope, token.expires), (Scope::Admin, None));
        // It is written back as it was.
        tokens.create(&named("x"), Wall(5)).unwrap();
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(text.starts_with(&line), "{text}");
    }

    /// W13
    #[test]
    fn scope_and_end_are_kept_and_what_is_no_scope_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let new = NewToken {
            name: "grafana",
            scope: Scope::Read,
            expires: Some(Wall(100)),
        };
        let secret = tokens.create(&new, Wall(5)).unwrap();
        let again = Tokens::new(folder.path());
        let Ok(Admission::Token(token)) = again.admit(&secret, Wall(99)) else {
            panic!("admitted");
        };
        assert_eq!((token.scope, token.expires), (Scope::Read, Some(Wall(100))));
        assert_eq!(again.admit(&secret, Wall(100)).unwrap(), Admission::Expired);
        let late = tokens.create(&new, Wall(100));
        assert!(matches!(late, Err(TokenError::End)));
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for rights in ["root,-,", "read,,", "read,x,", ",,", "read,", "read,-,1,"] {
            std::fs::write(&path, text.replace("read,100,", rights)).unwrap();
            let odd = Tokens::new(folder.path());
            assert_eq!(
                odd.admit(&secret, Wall(9)).unwrap(),
                Admission::Nobody,
                "{rights}"
            );
        }
    }

    /// W13: scopes are ordered by what they open.
    #[test]
    fn scopes_go_by_their_names() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
        }
        assert!(Scope::Read < Scope::Block && Scope::Block < Scope::Admin);
        assert_eq!(Scope::from_name("Admin"), None);
    }
}
