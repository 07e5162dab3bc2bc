//! All torrents as one scrape (BEP 48 with no info hash): whether a request asks for it, its bytes, and what is told to whoever gets
//! none. Who may have it, and how it travels, is the pages' business: it takes long and fits in no buffer of a worker.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::LiveSettings;
use super::codec::reply::Retry;
use super::codec::{query, reply};
use super::settings::Settings;
use crate::clock::Clock;
use crate::tracker::Tracker;

/// Bytes that are handed on at a time, up to one torrent more.
const PIECE: usize = 16 * 1024;

/// How long the writing rests after each piece, which takes about as long to write: who announces meanwhile finds a core, and an
/// idle machine loses a second for each million torrents.
const REST: Duration = Duration::from_micros(100);

/// The one path of it.
const PATH: &[u8] = b"/scrape";

/// Whether a scrape by this path and query is one of all torrents, and there is such a thing.
pub(super) fn is_asked(settings: &Settings, path: &[u8], query: &[u8]) -> bool {
    settings.full_scrape && path == PATH && !query::names_info_hash(query)
}

/// Tells all torrents.
#[derive(Clone, Debug)]
pub struct FullScrape {
    tracker: Arc<Tracker>,
    clock: Clock,
    live: Arc<ArcSwap<LiveSettings>>,
}

impl FullScrape {
    pub(super) fn new(
        tracker: Arc<Tracker>,
        clock: Clock,
        live: Arc<ArcSwap<LiveSettings>>,
    ) -> FullScrape {
        FullScrape {
            tracker,
            clock,
            live,
        }
    }

    /// Whether it is to be had (`full_scrape`).
    pub fn is_on(&self) -> bool {
        self.live.load().settings.full_scrape
    }

    /// Hands the reply to `take`, piece by piece, until that says that nobody listens; whether it was all of it.
    ///
    /// The torrents are those of the beginning, sorted as bencode wants its keys; those that are blocked or gone by the time that
    /// their turn comes are left out. Keeps 20 bytes a torrent; holds one shard of the swarms at a time, and none while
    /// `take` does its work, which may last.
    pub fn write(&self, take: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let mut hashes = self.tracker.info_hashes();
        hashes.sort_unstable();
        let mut out = Vec::with_capacity(PIECE + reply::SCRAPED_LENGTH);
        reply::begin_scrape(&mut out);
        let mut now = self.clock.now();
        for hash in &hashes {
            if let Some(counts) = self.tracker.scrape_known(hash, now) {
                reply::scraped(&mut out, hash, &counts);
            }
            if out.len() >= PIECE {
                if !take(&out) {
                    return false;
                }
                out.clear();
                std::thread::sleep(REST);
                now = self.clock.now();
            }
        }
        reply::end_scrape(&mut out);
        take(&out)
    }

    /// What is told to whoever may not have it.
    pub fn denied(&self) -> Vec<u8> {
        self.failure(
            "a scrape of all torrents is for admins and tokens",
            Retry::Never,
        )
    }

    /// What is told while somebody else is given it.
    pub fn busy(&self) -> Vec<u8> {
        self.failure(
            "another scrape of all torrents is under way",
            Retry::Minutes(1),
        )
    }

    fn failure(&self, reason: &str, retry: Retry) -> Vec<u8> {
        let settings = self.tracker.settings();
        let min_interval = settings.min_interval(settings.announce_interval);
        let mut out = Vec::new();
        reply::failure(&mut out, reason, min_interval, retry);
        out
    }
}
