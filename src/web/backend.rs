//! What the pages may ask of the other parts: closures that the composition root fills, so that this component knows
//! none of them but the core.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::audit::Audit;
use crate::clock::Wall;
use crate::net::client_address::ClientAddressRules;
use crate::tracker::report::census::Census;
use crate::tracker::{Block, Target};

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

/// Tells the certificates in force.
pub type Certificates = Box<dyn Fn() -> Vec<CertificateRow> + Send + Sync>;

/// What the pages may ask of others. Every closure may be called from any thread; those with a `Result` may take as long as
/// the disk does, and are called on threads that may wait.
pub struct Backend {
    /// Puts an entry into the blocklist; it is in force and on disk before this returns.
    pub block: Call<NewBlock, Block>,
    /// Takes the entry of this number out; whether there was one.
    pub unblock: Call<i64, bool>,
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
    /// The certificates of TLS in force.
    pub certificates: Certificates,
    /// Routes of other components.
    pub routes: Vec<Routes>,
    /// Who did what.
    pub audit: Audit,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Backend").finish_non_exhaustive()
    }
}
