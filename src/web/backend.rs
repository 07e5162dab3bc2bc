//! What the pages may ask of the other parts: closures that the composition root fills, so that this component knows
//! none of them but the core.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::audit::Audit;
use crate::clock::Wall;
use crate::net::client_address::ClientAddressRules;
use crate::net::limits::Limits;
use crate::tracker::report::census::Census;
use crate::tracker::{Block, InfoHash, NewKey, Target};
use crate::watch::Watch;
use crate::web::sites::Sites;

/// An entry that the blocklist is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlock {
    /// What it blocks.
    pub target: Target,
    /// Why; at most 500 characters.
    pub reason: String,
    /// When it ends; `None` for never.
    pub expires: Option<Wall>,
    /// Whether an entry of the same target may get this reason and end.
    pub may_change: bool,
}

/// What the listed torrents are to get and to lose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TorrentListChange {
    /// Torrents to list.
    pub added: Vec<InfoHash>,
    /// Torrents to take off, after that.
    pub removed: Vec<InfoHash>,
}

impl TorrentListChange {
    /// Torrents to list.
    pub fn addition(added: Vec<InfoHash>) -> TorrentListChange {
        TorrentListChange {
            added,
            ..TorrentListChange::default()
        }
    }

    /// Torrents to take off.
    pub fn removal(removed: Vec<InfoHash>) -> TorrentListChange {
        TorrentListChange {
            removed,
            ..TorrentListChange::default()
        }
    }
}

/// What such a change did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TorrentListOutcome {
    /// Torrents that were not listed before.
    pub added: usize,
    /// Torrents that were, and are not now.
    pub removed: usize,
    /// Torrents that are listed, those of a file not counted.
    pub total: usize,
}

/// What a file of a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListFileSubject {
    /// Torrents that are served.
    Torrents,
    /// What is blocked.
    Blocklist,
}

/// A file of a list, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ListFile {
    /// What it is for.
    #[serde(skip)]
    pub subject: ListFileSubject,
    /// Where it is.
    pub path: String,
    /// Ranges of addresses of it in force.
    pub ranges: usize,
    /// Torrents of it in force.
    pub torrents: usize,
    /// When that was read, in Unix seconds; `None` when nothing of it is in force.
    pub read: Option<u64>,
    /// Why the file as it is now is not in force.
    pub fault: Option<String>,
}

/// One value of the configuration as the about page shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigurationRow {
    /// Section of the file.
    pub section: String,
    /// Key in it.
    pub key: String,
    /// Its value; stars for a secret.
    pub value: String,
    /// Where it comes from: default, file, environment, command line.
    pub origin: String,
}

/// A certificate in force.
#[derive(Clone, Debug)]
pub struct CertificateRow {
    /// Its file, as the configuration names it.
    pub file: String,
    /// When the first of its chain ends.
    pub ends: Wall,
}

/// Where the tracker listens.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    /// For HTTP.
    pub http: Vec<SocketAddr>,
    /// For HTTPS.
    pub https: Vec<SocketAddr>,
    /// For UDP.
    pub udp: Vec<SocketAddr>,
}

/// Adds routes that belong to another component (the tracker's own) to the pages' server.
pub type Routes = Arc<dyn Fn(&mut actix_web::web::ServiceConfig) + Send + Sync>;

/// Why another part did not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The blocklist has all the entries it may have.
    #[error("the blocklist is full")]
    BlocklistFull,
    /// There are as many keys as there may be.
    #[error("there are too many keys")]
    KeysFull,
    /// The listed torrents are as many as they may be.
    #[error("too many listed torrents")]
    TooManyTorrents,
    /// A reason or a blob is longer than may be kept.
    #[error("too long")]
    TooLong,
    /// The target is blocked with another reason or end, and nobody said that they are to be changed.
    #[error("it is blocked already, with another reason or end")]
    Known,
    /// Too much waits to be done already; nothing was done.
    #[error("the database is busy")]
    Busy,
    /// No answer in time; what was asked may still be done.
    #[error("the database does not answer")]
    Silent,
    /// The process is about to end; nothing was done.
    #[error("the database is closed")]
    Closed,
    /// The disk or the database on it refused.
    #[error("the database cannot be written")]
    Disk,
}

/// A call that may block until the disk has it.
type Call<In, Out> = Box<dyn Fn(In) -> Result<Out, BackendError> + Send + Sync>;

/// Stores a named blob.
type Put = Box<dyn Fn(&str, Vec<u8>) + Send + Sync>;
/// Finds a named blob.
type Find = Box<dyn Fn(&str) -> Result<Option<Vec<u8>>, BackendError> + Send + Sync>;

/// Writes something to whoever takes it, piece by piece, until that says that nobody listens; whether it was all of it.
type WritePieces = Box<dyn Fn(&mut dyn FnMut(&[u8]) -> bool) -> bool + Send + Sync>;

/// A reply in the tracker's protocol.
type Tell = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

/// All torrents as the tracker's protocol tells them.
pub struct FullScrape {
    /// Whether they are to be had.
    pub is_on: Box<dyn Fn() -> bool + Send + Sync>,
    /// Writes them. Takes long, and as long as whoever takes them.
    pub write: WritePieces,
    /// What is told to whoever may not have them.
    pub denied: Tell,
    /// What is told while somebody else is given them.
    pub busy: Tell,
}

/// Tells the certificates in force.
pub type Certificates = Box<dyn Fn() -> Vec<CertificateRow> + Send + Sync>;

/// What the pages may ask of others. Every closure may be called from any thread; those with a `Result` may take as long as
/// the disk does, and are called on threads that may wait.
pub struct Backend {
    /// Puts an entry into the blocklist; it is in force and on disk before this returns.
    pub block: Call<NewBlock, Block>,
    /// Takes the entry of this number out; whether there was one.
    pub unblock: Call<i64, bool>,
    /// Makes keys of announce addresses, in force and on disk before this returns their numbers, in the same order.
    pub make_keys: Call<Vec<NewKey>, Vec<i64>>,
    /// Revokes the keys of these numbers; the numbers of those that were in force.
    pub revoke_keys: Call<Vec<i64>, Vec<i64>>,
    /// Changes the listed torrents; it is in force and on disk before this returns.
    pub list_torrents: Call<TorrentListChange, TorrentListOutcome>,
    /// The files of lists.
    pub list_files: Box<dyn Fn() -> Vec<ListFile> + Send + Sync>,
    /// Makes a snapshot.
    pub save: Call<(), ()>,
    /// Keeps a named blob in the snapshot database. Does not wait.
    pub put: Put,
    /// Reads a named blob back.
    pub get: Find,
    /// The census that was counted last.
    pub census: Arc<ArcSwap<Census>>,
    /// The rules by which a request is given its address, in force at the moment.
    pub address_rules: Arc<ArcSwap<ClientAddressRules>>,
    /// Every value of the configuration, secrets hidden.
    pub configuration: Box<dyn Fn() -> Vec<ConfigurationRow> + Send + Sync>,
    /// Where the tracker listens.
    pub listening: Listening,
    /// All torrents at once.
    pub full_scrape: FullScrape,
    /// The certificates of TLS in force.
    pub certificates: Certificates,
    /// Routes of other components.
    pub routes: Vec<Routes>,
    /// The other sites, where there are any.
    pub sites: Option<Sites>,
    /// Who did what.
    pub audit: Audit,
    /// Requests as they are answered.
    pub watch: Arc<Watch>,
    /// How much one source may ask for, and who is banned.
    pub limits: Arc<Limits>,
    /// Ends the ban of this number; who was banned. It is over on the disk too when this returns.
    pub lift: Call<u64, Option<IpNet>>,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Backend").finish_non_exhaustive()
    }
}
