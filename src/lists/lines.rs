//! A file of one entry a line, read within bounds: a line at a time, so that a list of a million entries takes no more memory than what is
//! made of it. What is wrong is told by file and line; what a line holds is not repeated, for it may be anything.

use std::fmt::{self, Display};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::regular_file;

/// Bad lines of a file that are told one by one.
const BAD_LINES_TOLD: usize = 20;

/// What is read of a file at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// What is read of a file at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of a line; one that is longer is of another kind of file.
    pub line_bytes: usize,
    /// Entries.
    pub entries: usize,
}

/// Why nothing of a file is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    file: PathBuf,
    /// The first bad lines, or what keeps the file from being read.
    faults: Vec<String>,
    /// Bad lines beyond those.
    more: usize,
    is_unreadable: bool,
}

impl Refused {
    fn unread(file: &Path, error: &io::Error) -> Refused {
        Refused {
            file: file.to_owned(),
            faults: vec![format!("{}: cannot be read: {error}", file.display())],
            more: 0,
            is_unreadable: true,
        }
    }

    /// Which file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether it could not be read, and nothing in it is known to be wrong.
    pub fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// A line for each fault, as `FILE:LINE: what is wrong`; at most 21.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let file = self.file.display();
        let more = (self.more > 0).then(|| format!("{file}: {} more lines like that", self.more));
        self.faults.iter().cloned().chain(more)
    }
}

/// The first fault, and how many there are.
impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.faults.first().map(String::as_str);
        f.write_str(first.unwrap_or_default())?;
        match self.faults.len().saturating_sub(1) + self.more {
            0 => Ok(()),
            more => write!(f, ", and {more} more bad lines"),
        }
    }
}

/// Hands every line that is not blank to `take`, without the blanks around it; comments are `take`'s to know. It says whether the line was
/// an entry, or what is wrong with it. Returns the number of entries.
///
/// # Errors
/// The file is no regular one, cannot be read, is past a bound, or has bad lines; all of it has been looked at then, as far as the
/// bounds go.
pub fn each<E: Display>(
    path: &Path,
    bounds: Bounds,
    mut take: impl FnMut(&[u8]) -> Result<bool, E>,
) -> Result<usize, Refused> {
    let unread = |error| Refused::unread(path, &error);
    // One byte more than may be there tells that there is more.
    let file = regular_file::open(path).map_err(unread)?;
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file.take(bounds.bytes + 1));
    let mut refused = Refused {
        file: path.to_owned(),
        faults: Vec::new(),
        more: 0,
        is_unreadable: false,
    };
    if let Some(kind) = no_text(file.fill_buf().map_err(unread)?) {
        refused.add(1, &kind);
        return Err(refused);
    }
    let (mut line, mut entries, mut bytes) = (Vec::new(), 0, 0_u64);
    for number in 1_u64.. {
        line.clear();
        let most = bounds.line_bytes as u64 + 1;
        let read = (&mut file).take(most).read_until(b'\n', &mut line);
        let read = read.map_err(unread)? as u64;
        if read == 0 {
            break;
        }
        bytes += read;
        let end = if bytes > bounds.bytes {
            Some(format!("{} bytes are the most", bounds.bytes))
        } else if read == most && !line.ends_with(b"\n") {
            let most = bounds.line_bytes;
            Some(format!("a line of more than {most} bytes"))
        } else {
            None
        };
        if let Some(fault) = end {
            refused.add(number, &fault);
            break;
        }
        let text = if number == 1 {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line)
        } else {
            &line
        };
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match take(text) {
            Ok(is_entry) => entries += usize::from(is_entry),
            Err(fault) => refused.add(number, &fault),
        }
        if entries > bounds.entries {
            refused.add(number, &format!("{} entries are the most", bounds.entries));
            break;
        }
    }
    if refused.faults.is_empty() {
        Ok(entries)
    } else {
        Err(refused)
    }
}

/// What a file is that begins like this, where it is none of text but one that lists are often published as.
fn no_text(beginning: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 7] = [
        (b"\x1f\x8b", "packed with gzip: unpack it (gunzip) first"),
        (b"PK\x03\x04", "a zip archive: unpack it (unzip) first"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
        (
            b"\xff\xff\xff\xffP2B",
            "a binary list (P2B): a list of text is needed, as P2P plaintext",
        ),
        (b"\xfd7zXZ\0", "packed with xz: unpack it (unxz) first"),
        (b"\xff\xfe", "text of 16 bits a character: save it as UTF-8"),
        (b"\xfe\xff", "text of 16 bits a character: save it as UTF-8"),
    ];
    let kind = KINDS.iter().find(|(sign, _)| beginning.starts_with(sign));
    kind.map(|(_, words)| *words)
}

impl Refused {
    fn add(&mut self, number: u64, fault: &impl Display) {
        if self.faults.len() < BAD_LINES_TOLD {
            let file = self.file.display();
            self.faults.push(format!("{file}:{number}: {fault}"));
        } else {
            self.more += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 100,
        line_bytes: 20,
        entries: 3,
    };

    fn taken(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    /// How many entries there are and the lines that were taken, or what is wrong.
    fn read(text: &[u8]) -> (Option<usize>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l");
        std::fs::write(&path, text).unwrap();
        let mut taken = Vec::new();
        let entries = each(&path, BOUNDS, |line| {
            if line.starts_with(b"bad") {
                return Err("bad as can be");
            }
            taken.push(String::from_utf8_lossy(line).into_owned());
            Ok(!line.starts_with(b"#"))
        });
        let folder = format!("{}/", folder.path().display());
        match entries {
            Ok(entries) => (Some(entries), taken),
            Err(refused) => {
                let lines = refused.lines();
                (None, lines.map(|line| line.replace(&folder, "")).collect())
            }
        }
    }

    /// O21, O22
    #[test]
    fn lines_come_without_what_is_around_them() {
        let text = b"\xef\xbb\xbf a b\t\r\n\n# c\n   \nd";
        assert_eq!(read(text), (Some(2), taken(&["a b", "# c", "d"])));
        assert_eq!(read(b""), (Some(0), Vec::new()));
        // What a bound still lets through.
        let text = b"12345678901234567890\n1\n2";
        assert_eq!(
            read(text),
            (Some(3), taken(&["12345678901234567890", "1", "2"]))
        );
        assert!(read("x\n".repeat(3).as_bytes()).0 == Some(3));
        assert!(read(&[b'\n'; 100]).0 == Some(0));
    }

    /// O21, O22: what is wrong is told by its line, and nothing of such a file is taken.
    #[test]
    fn what_is_wrong_is_told_by_file_and_line() {
        for (text, expected) in [
            (
                &b"a\nbad one\n\nbad two\n"[..],
                vec!["l:2: bad as can be", "l:4: bad as can be"],
            ),
            (
                b"123456789012345678901\n",
                vec!["l:1: a line of more than 20 bytes"],
            ),
            (b"1\n2\n3\n4\nbad\n", vec!["l:4: 3 entries are the most"]),
            (&[b'\n'; 101], vec!["l:101: 100 bytes are the most"]),
        ] {
            assert_eq!(read(text), (None, taken(&expected)));
        }
        let (_, many) = read("bad\n".repeat(25).as_bytes());
        assert_eq!(many.len(), 21);
        assert_eq!(many[20], "l: 5 more lines like that");
    }

    /// O21, O22
    #[test]
    fn what_is_no_regular_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for path in [fifo, folder.path().to_owned(), folder.path().join("none")] {
            let refused = each(&path, BOUNDS, |_| Ok::<bool, &str>(true)).unwrap_err();
            assert!(refused.is_unreadable());
            assert_eq!(refused.lines().count(), 1);
            assert!(refused.to_string().contains(": cannot be read: "));
        }
    }
}
