//! Entries of the blocklist, for its page and for the API: as they are shown, and as they are asked for (W4).

use actix_web::http::StatusCode;
use serde::Serialize;

use super::peers::network;
use crate::clock::Wall;
use crate::net::host_or_network;
use crate::shown;
use crate::tracker::{Block, InfoHash, Target};
use crate::web::refusal::Refusal;
use crate::web::view::language::moment;
use crate::web::{BackendError, ListFile, ListFileSubject, NewBlock, State};

/// Characters of a reason at most.
const REASON_CHARACTERS: usize = 500;
/// An entry lasts at most this many hours, if it ends at all: ten years.
const MAX_HOURS: u64 = 87_600;

/// One entry as the page and the API show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BlockRow {
    pub(super) number: i64,
    /// Address or network; nothing for a torrent.
    pub(super) ip: Option<String>,
    /// Torrent; nothing for an address.
    pub(super) info_hash: Option<String>,
    pub(super) reason: String,
    pub(super) created: u64,
    pub(super) expires: Option<u64>,
}

pub(crate) fn block_row(block: &Block) -> BlockRow {
    let (ip, info_hash) = match &block.target {
        Target::Network(network) => (Some(host_or_network(*network)), None),
        Target::Torrent(hash) => (None, Some(hash.to_string())),
    };
    BlockRow {
        number: block.number,
        ip,
        info_hash,
        reason: block.reason.clone(),
        created: block.created.0,
        expires: block.expires.map(|end| end.0),
    }
}

/// Every entry in force, newest first.
pub(crate) fn rows(state: &State) -> Vec<BlockRow> {
    let mut blocks = state.tracker.access().blocks();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.number));
    blocks.iter().map(block_row).collect()
}

/// The files of what is blocked.
pub(crate) fn files(state: &State) -> Vec<ListFile> {
    let mut files = (state.backend.list_files)();
    files.retain(|file| file.subject == ListFileSubject::Blocklist);
    files
}

/// An entry as the audit has it.
pub(crate) fn in_words(block: &NewBlock) -> String {
    let mut words = words_of(&block.target);
    if let Some(end) = block.expires {
        words.push_str(&format!(" until {}", moment(end)));
    }
    if !block.reason.is_empty() {
        words.push_str(&format!(" ({})", block.reason));
    }
    words
}

/// What an entry of this number blocks, for the audit, as long as it is there.
pub(crate) fn target_of(state: &State, number: i64) -> String {
    let blocks = state.tracker.access().blocks();
    let block = blocks.iter().find(|block| block.number == number);
    // One that is gone by itself meanwhile had a number.
    block.map_or_else(
        || format!("entry {number}"),
        |block| words_of(&block.target),
    )
}

fn words_of(target: &Target) -> String {
    match target {
        Target::Network(network) => host_or_network(*network),
        Target::Torrent(hash) => hash.to_string(),
    }
}

/// Why an entry is not taken; the names are keys of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    Nothing,
    Address,
    Hash,
    Reason,
    Expiry,
}

impl Mistake {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Mistake::Nothing => "block_nothing",
            Mistake::Address => "block_bad_address",
            Mistake::Hash => "block_bad_hash",
            Mistake::Reason => "block_bad_reason",
            Mistake::Expiry => "block_bad_expiry",
        }
    }
}

impl From<Mistake> for Refusal {
    fn from(mistake: Mistake) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            text: mistake.name(),
        }
    }
}

/// The entries that the fields of a form ask for: one for an address, one for a hash.
pub(crate) fn wanted(
    [ip, info_hash, reason, hours]: [&str; 4],
    now: Wall,
) -> Result<Vec<NewBlock>, Mistake> {
    if reason.chars().count() > REASON_CHARACTERS || reason.contains(shown::steers) {
        return Err(Mistake::Reason);
    }
    let expires = match hours {
        "" => None,
        text => {
            let hours: Option<u64> = text.parse().ok();
            let hours = hours.filter(|hours| (1..=MAX_HOURS).contains(hours));
            Some(Wall(now.0 + hours.ok_or(Mistake::Expiry)? * 3_600))
        }
    };
    let mut targets = Vec::new();
    if !ip.is_empty() {
        targets.push(Target::Network(network(ip).ok_or(Mistake::Address)?));
    }
    if !info_hash.is_empty() {
        let hash = InfoHash::from_hex(info_hash).ok_or(Mistake::Hash)?;
        targets.push(Target::Torrent(hash));
    }
    if targets.is_empty() {
        return Err(Mistake::Nothing);
    }
    let block = |target| NewBlock {
        target,
        reason: reason.to_owned(),
        expires,
        may_change: false,
    };
    Ok(targets.into_iter().map(block).collect())
}

/// Why the list was not changed, for whoever asked and for the log.
pub(crate) fn told(error: BackendError) -> Refusal {
    log::warn!("the blocklist is not changed: {error}");
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_000);

    /// W4
    #[test]
    fn addresses_networks_and_hashes_of_any_case_are_taken() {
        let upper = "AB".repeat(20);
        let blocks = wanted(["10.0.0.0/8", &upper, "spam", "2"], NOW).unwrap();
        let [network, torrent] = blocks.as_slice() else {
            panic!("two entries");
        };
        assert_eq!(
            network.target,
            Target::Network("10.0.0.0/8".parse().unwrap())
        );
        assert_eq!(torrent.target, Target::Torrent(InfoHash([0xab; 20])));
        assert_eq!(network.expires, Some(Wall(1_000 + 7_200)));
        let mapped = wanted(["::ffff:192.0.2.1", "", "", ""], NOW).unwrap();
        assert_eq!(
            mapped[0].target,
            Target::Network("192.0.2.1/32".parse().unwrap())
        );
        assert_eq!(mapped[0].expires, None);
    }

    /// R6
    #[test]
    fn what_is_no_target_is_refused() {
        let long = "x".repeat(501);
        for (fields, mistake) in [
            (["", "", "r", ""], Mistake::Nothing),
            (["999.1.1.1", "", "", ""], Mistake::Address),
            (["<script>", "", "", ""], Mistake::Address),
            (["10.0.0.0/33", "", "", ""], Mistake::Address),
            (["", "abcd", "", ""], Mistake::Hash),
            (["10.0.0.1", "", &long, ""], Mistake::Reason),
            (["10.0.0.1", "", "a\nb", ""], Mistake::Reason),
            (["10.0.0.1", "", "\u{202e}gnp.exe", ""], Mistake::Reason),
            (["10.0.0.1", "", "", "0"], Mistake::Expiry),
            (["10.0.0.1", "", "", "-1"], Mistake::Expiry),
            (
                ["10.0.0.1", "", "", "99999999999999999999"],
                Mistake::Expiry,
            ),
        ] {
            assert_eq!(wanted(fields, NOW), Err(mistake), "{fields:?}");
        }
    }
}
