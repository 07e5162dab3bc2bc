//! The file of the torrents that are served: an info hash a line, of v1 or v2, with comments behind `#`.

use std::path::Path;

use super::lines::{self, Bounds, Refused};
use crate::tracker::{InfoHash, TorrentSet};

/// Four million hashes of v2 with a short comment each: 110 MB of memory.
const BOUNDS: Bounds = Bounds {
    bytes: 512 << 20,
    line_bytes: 1_000,
    entries: 4_000_000,
};

/// Reads the file.
///
/// # Errors
/// All that is wrong with it, by line.
pub(super) fn read(path: &Path) -> Result<TorrentSet, Refused> {
    let mut hashes = Vec::new();
    lines::each(path, BOUNDS, |line| {
        let Some(hash) = torrent(line)? else {
            return Ok::<bool, &str>(false);
        };
        hashes.push(hash);
        Ok(true)
    })?;
    Ok(TorrentSet::new(hashes))
}

/// What is before a comment.
fn uncommented(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| *byte == b'#');
    line.get(..end.unwrap_or(line.len()))
        .unwrap_or_default()
        .trim_ascii()
}

fn torrent(line: &[u8]) -> Result<Option<InfoHash>, &'static str> {
    let line = uncommented(line);
    if line.is_empty() {
        return Ok(None);
    }
    InfoHash::from_text(line)
        .map(Some)
        .ok_or("no info hash: 40 or 64 hex digits, or 32 or 52 characters of base32")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O21
    #[test]
    fn hashes_of_both_versions_are_read_and_what_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("torrents");
        let read_text = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path)
        };
        let v1 = "ab".repeat(20);
        let v2 = "CD".repeat(32);
        let text = format!(
            "# listed\n{v1}\n  {v2}# of v2\r\n\nMFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U # base32\n{v1}\n{}A\n",
            "7".repeat(51)
        );
        let set = read_text(&text).unwrap();
        let expected = [
            InfoHash(*b"abcdefghijklmnopqrst"),
            InfoHash([0xab; 20]),
            InfoHash([0xcd; 20]),
            InfoHash([0xff; 20]),
        ];
        assert!(set.iter().eq(expected));
        let refused = read_text(&format!("{v1}\nabcd\n{v1} name\n")).unwrap_err();
        let lines: Vec<String> = refused.lines().collect();
        let at = |number: u32| format!("{}:{number}: no info hash", path.display());
        assert!(
            lines[0].starts_with(&at(2)) && lines[1].starts_with(&at(3)),
            "{lines:?}"
        );
        assert!(read_text("").unwrap().is_empty());
    }
}
