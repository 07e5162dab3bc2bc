//! When each token was used last: in memory, and once a minute in a file beside that of the tokens, so that no call of the API
//! waits for the disk. Only the tracker writes it; `retracker token list` reads it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::secrets::write_whole;
use super::tokens::{MAX_TOKENS, Token};
use crate::clock::Wall;
use crate::regular_file;

/// The file's name.
const FILE: &str = "retracker.tokens-used";
/// Bytes of the file at most: a line for each token, ten times over.
const MAX_BYTES: u64 = 64 << 10;

/// When tokens were used last, by what tells them apart.
type Times = BTreeMap<String, Wall>;

/// The uses of the tokens of one folder.
#[derive(Debug)]
pub struct Uses {
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    times: Times,
    has_news: bool,
}

impl Uses {
    /// Reads the file in `folder`; one that is not there or cannot be read, which the log says, is as good as none: it costs that a
    /// first use is told again.
    pub fn load(folder: &Path) -> Uses {
        let path = folder.join(FILE);
        let times = read(&path).unwrap_or_else(|error| {
            log::warn!("when tokens were used last cannot be read: {error}");
            Times::new()
        });
        Uses {
            path,
            kept: Mutex::new(Kept {
                times,
                has_news: false,
            }),
        }
    }

    /// When the token was used last, if it ever was.
    pub fn last(&self, token: &Token) -> Option<Wall> {
        self.kept().times.get(token.mark()).copied()
    }

    /// The token is used; whether it is for the first time.
    pub(crate) fn note(&self, token: &Token, now: Wall) -> bool {
        let mut kept = self.kept();
        kept.has_news = true;
        kept.times.insert(token.mark().to_owned(), now).is_none()
    }

    /// Writes the file, if there is anything new, and forgets tokens that are no more.
    ///
    /// # Errors
    /// When it cannot be written; it is tried again at the next call.
    pub(crate) fn keep(&self, tokens: &[Token]) -> io::Result<()> {
        let text: String = {
            let mut kept = self.kept();
            if !std::mem::take(&mut kept.has_news) {
                return Ok(());
            }
            let is_there = |mark: &String| tokens.iter().any(|token| token.mark() == mark);
            kept.times.retain(|mark, _| is_there(mark));
            let lines = kept.times.iter();
            lines
                .map(|(mark, time)| format!("{mark}\t{}\n", time.0))
                .collect()
        };
        let written = write_whole(&self.path, text.trim_end());
        if written.is_err() {
            self.kept().has_news = true;
        }
        written
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> io::Result<Times> {
    let bytes = match regular_file::read(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Times::new()),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let lines = text.lines().filter_map(|line| {
        let (mark, time) = line.split_once('\t')?;
        Some((mark.to_owned(), Wall(time.parse().ok()?)))
    });
    Ok(lines.take(MAX_TOKENS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::auth::tokens::{NewToken, Scope, Tokens};

    /// W12, W13
    #[test]
    fn the_first_use_is_the_first_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        for name in ["grafana", "script"] {
            let new = NewToken {
                name,
                scope: Scope::Read,
                expires: None,
            };
            tokens.create(&new, Wall(1)).unwrap();
        }
        let made = tokens.list().unwrap();
        let uses = Uses::load(folder.path());
        assert_eq!(uses.last(&made[0]), None);
        assert!(uses.note(&made[0], Wall(5)) && !uses.note(&made[0], Wall(6)));
        uses.keep(&made).unwrap();
        let again = Uses::load(folder.path());
        assert_eq!(again.last(&made[0]), Some(Wall(6)));
        assert!(!again.note(&made[0], Wall(7)) && again.note(&made[1], Wall(7)));
        // What is revoked is forgotten.
        again.keep(&made[1..]).unwrap();
        let last = Uses::load(folder.path());
        assert_eq!(
            (last.last(&made[0]), last.last(&made[1])),
            (None, Some(Wall(7)))
        );
        std::fs::write(folder.path().join(FILE), "nonsense\n\tx\n\u{7}\t5").unwrap();
        assert!(Uses::load(folder.path()).note(&made[1], Wall(8)));
    }
}
