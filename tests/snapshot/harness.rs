//! A tracker with its snapshot thread in a folder of its own, started and stopped as the process does it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use retracker::clock::{Clock, Seconds, Wall};
use retracker::metrics::{Gauge, Metrics};
use retracker::snapshot;
use retracker::snapshot::{Found, Mailbox, Moment, Summary};
use retracker::supervise::Exit;
use retracker::tracker::{
    Announce, AnnounceContext, Event, InfoHash, ListOptions, PeerId, PeerList, Refusal,
    ScrapeReply, Settings, Tracker,
};

/// A running tracker.
pub(crate) struct Node {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) mailbox: Mailbox,
    pub(crate) clock: Clock,
    pub(crate) summary: Summary,
    pub(crate) found: Option<Found>,
    pub(crate) ends: Receiver<Exit>,
    thread: Option<JoinHandle<()>>,
}

/// Snapshots only on demand and at the stop.
pub(crate) fn on_demand(file: &Path) -> snapshot::Settings {
    snapshot::Settings {
        file: file.to_owned(),
        interval: Duration::ZERO,
    }
}

/// The usual name in a folder.
pub(crate) fn file_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("retracker.sqlite")
}

/// An empty core.
pub(crate) fn empty() -> Arc<Tracker> {
    Arc::new(Tracker::new(Settings::default(), Arc::new(Metrics::new(1))))
}

impl Node {
    /// Starts with the clocks of the machine.
    pub(crate) fn start(settings: &snapshot::Settings) -> Result<Node, snapshot::Error> {
        let clock = Clock::start();
        Node::start_at(settings, clock, Moment::of(&clock))
    }

    /// Starts with clocks that show `moment`.
    pub(crate) fn start_at(
        settings: &snapshot::Settings,
        clock: Clock,
        moment: Moment,
    ) -> Result<Node, snapshot::Error> {
        Node::start_with(settings, clock, moment, snapshot::Links::default())
    }

    /// Starts tied to other parts by `links`.
    pub(crate) fn start_with(
        settings: &snapshot::Settings,
        clock: Clock,
        moment: Moment,
        links: snapshot::Links,
    ) -> Result<Node, snapshot::Error> {
        let tracker = empty();
        let restored = snapshot::open(settings, moment.wall)?.restore(&tracker, moment);
        let summary = restored.summary().clone();
        let found = restored.found().cloned();
        let (report, ends) = channel();
        let (mailbox, thread) = restored
            .start(Arc::clone(&tracker), clock, links, report)
            .unwrap();
        Ok(Node {
            tracker,
            mailbox,
            clock,
            summary,
            found,
            ends,
            thread: Some(thread),
        })
    }

    /// Stops in order: last snapshot, end of the thread.
    pub(crate) fn stop(mut self) -> Exit {
        self.mailbox.stop();
        self.thread.take().unwrap().join().unwrap();
        self.ends.recv().unwrap()
    }

    /// Announces peer `number` of torrent `number / 10`.
    pub(crate) fn announce(&self, number: u32) -> Result<(), Refusal> {
        self.announce_as(hash(number / 10), address(number), 6881, Event::Started)
    }

    /// Announces one peer, a seeder.
    pub(crate) fn announce_as(
        &self,
        info_hash: InfoHash,
        ip: IpAddr,
        port: u16,
        event: Event,
    ) -> Result<(), Refusal> {
        let announce = Announce {
            info_hash,
            peer_id: peer_id(port),
            key: None,
            ip,
            inner_ip: None,
            is_reported: false,
            port,
            is_seeder: true,
            downloaded: 0,
            event,
            num_want: Some(0),
            options: ListOptions::default(),
        };
        let mut rng = fastrand::Rng::with_seed(1);
        let mut turn = AnnounceContext {
            now: self.clock.now(),
            rng: &mut rng,
            counters: self.tracker.metrics().counters(0),
        };
        let mut list = PeerList::default();
        self.tracker
            .announce(&announce, &mut turn, &mut list)
            .map(drop)
    }

    /// What a scrape says at the moment.
    pub(crate) fn scrape(&self, hash: InfoHash) -> ScrapeReply {
        self.tracker.scrape(&hash, self.clock.now())
    }

    pub(crate) fn gauge(&self, gauge: Gauge) -> u64 {
        self.tracker.metrics().gauge(gauge)
    }
}

/// The info hash of torrent `number`.
pub(crate) fn hash(number: u32) -> InfoHash {
    let mut bytes = [0x5a; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    InfoHash(bytes)
}

/// The address of peer `number`, one for each.
pub(crate) fn address(number: u32) -> IpAddr {
    let [_, b, c, d] = number.to_be_bytes();
    [10, b, c, d].into()
}

pub(crate) fn peer_id(port: u16) -> PeerId {
    let mut id = *b"-qB4520-abcdefghijkl";
    id[18..].copy_from_slice(&port.to_be_bytes());
    PeerId(id)
}

/// Clocks that show a moment of 2027 in no known boot.
pub(crate) fn moment(wall: u64) -> Moment {
    Moment {
        now: Seconds::START,
        wall: Wall(wall),
        boot: None,
    }
}

/// Whether SQLite finds the database sound.
pub(crate) fn is_sound(file: &Path) -> bool {
    let connection = rusqlite::Connection::open(file).unwrap();
    let verdict = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    verdict.is_ok_and(|verdict| verdict == "ok")
}

/// Files in the folder of `file` whose names hold `part`.
pub(crate) fn files_with(file: &Path, part: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().unwrap().to_string_lossy().contains(part));
    found.sort();
    found
}
