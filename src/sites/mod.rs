//! Several sites, one network of swarms: what this tracker hears it tells to the others over engines (Redis or Valkey), and what they
//! tell it merges. Announces never wait for it; off by default.
//!
//! - `writer.rs` is the thread that tells, `reader.rs` the one that hears, one for each engine; `shared.rs` is what they share with the
//!   [`Handle`]. `repair.rs` is what is told again, `rendezvous.rs` who tells what is everybody's.
//! - `frame/` knows the bytes of an entry, `engine/` the engine's protocol, `engine_time.rs` its clock; `kept.rs` is what the snapshot
//!   keeps of all this.
//! - `check.rs` tries the engines for an operator.

mod block;
mod check;
mod come_back;
mod engine;
mod engine_time;
mod engine_url;
mod entry_id;
pub mod frame;
mod handle;
mod kept;
mod lag;
mod name;
mod reader;
mod rendezvous;
mod repair;
mod settings;
mod shared;
mod status;
mod writer;
mod zones_digest;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

pub use block::{BlockChange, BlockDelta, Blocklist, ListBlocks, NotTaken, TakeBlock};
pub use check::{Finding, Grade, check};
pub use engine_url::{BadEngineUrl, EngineUrl};
pub use handle::{Handle, UnknownSite};
pub use kept::Renamed;
pub use name::{BadName, MAX_NAME, SiteName};
pub use settings::{MAX_ENGINES, Settings};
pub use status::{
    Dropped, EngineState, EngineStatus, Lag, Outgoing, SiteStatus, Status, Trouble, TroubleKind,
};

use crate::clock::Clock;
use crate::supervise;
use crate::supervise::Exit;
use crate::tracker::{Origin, Tracker};
use engine::Engine;
use kept::Kept;
use reader::Reader;
use shared::Shared;
use writer::Writer;

/// Why the part cannot be started; nothing that the network could mend is among it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No engine, or more than are used.
    #[error("from one to {MAX_ENGINES} engines are used")]
    Engines,
    /// An engine is to be spoken to over TLS, and nothing says whom to trust.
    #[error("rediss:// needs ca_file")]
    NoCertificates,
    /// The certificates cannot be read.
    #[error("{}: {why}", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

/// What came of reading the logs at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Engines whose logs were read to their end.
    pub engines: usize,
    /// Engines that there are.
    pub of: usize,
    /// Changes of peers that were read.
    pub deltas: u64,
    /// How long it took.
    pub took: Duration,
}

/// The part before anything is served.
#[derive(Debug)]
pub struct Opened {
    shared: Arc<Shared>,
    tracker: Arc<Tracker>,
    blocks: Arc<Blocklist>,
    readers: Vec<Reader>,
}

/// Prepares everything; asks nothing of any engine. To be called when the snapshot has been restored: `kept` is what
/// [`Handle::kept_state`] gave it. Peers of trackers that `kept` does not know are dropped, since nothing says whose they were.
/// From now on announces note what others are to be told.
///
/// # Errors
/// See [`Error`].
pub fn open(
    settings: &Settings,
    kept: Option<&[u8]>,
    tracker: Arc<Tracker>,
    blocks: Blocklist,
    clock: Clock,
) -> Result<Opened, Error> {
    let engines = engines(settings)?;
    let kept = kept.map(|bytes| {
        let mut kept = Kept::read(bytes).unwrap_or_else(|| {
            log::warn!("sites: what was kept of the other trackers cannot be read; their logs are read from the beginning");
            Kept::default()
        });
        kept.rename(&settings.name);
        kept
    });
    let is_named = |origin: &Origin| {
        let mut kept = kept.iter().flat_map(|kept| kept.origins.values());
        kept.any(|known| known == origin)
    };
    let unnamed = (1..)
        .map_while(Origin::new)
        .filter(|origin| !is_named(origin));
    for origin in unnamed {
        tracker.forget(origin, clock.now());
    }
    let epoch = getrandom::u64().map_err(Error::Random)?;
    tracker.open_outbox();
    let shared = Arc::new(Shared::new(settings, engines, kept.as_ref(), epoch, clock));
    let blocks = Arc::new(blocks);
    let readers = (0..shared.engines.len()).map(|engine| {
        let (tracker, blocks) = (Arc::clone(&tracker), Arc::clone(&blocks));
        Reader::new(Arc::clone(&shared), tracker, blocks, engine)
    });
    let readers = readers.collect();
    Ok(Opened {
        shared,
        tracker,
        blocks,
        readers,
    })
}

/// Whose the counts are that are kept with `kept`, where the tracker was called otherwise then. To be asked before the swarms are restored.
pub fn renamed(kept: &[u8], name: &SiteName) -> Option<Renamed> {
    Kept::read(kept)?.rename(name)
}

/// Whether the part could be started: reads the certificates, and asks nothing of any engine.
///
/// # Errors
/// As [`open`].
pub fn examine(settings: &Settings) -> Result<(), Error> {
    engines(settings).map(drop)
}

fn engines(settings: &Settings) -> Result<Vec<Engine>, Error> {
    if settings.engines.is_empty() || settings.engines.len() > MAX_ENGINES {
        return Err(Error::Engines);
    }
    let tls = match &settings.ca_file {
        Some(file) => {
            let tls = engine::tls(file);
            Some(tls.map_err(|why| Error::Certificates {
                file: file.clone(),
                why,
            })?)
        }
        None => None,
    };
    if tls.is_none() && settings.engines.iter().any(EngineUrl::has_tls) {
        return Err(Error::NoCertificates);
    }
    let engines = settings.engines.iter();
    Ok(engines
        .map(|url| Engine::new(url, settings, tls.clone()))
        .collect())
}

impl Opened {
    /// Reads what the others, and this tracker itself before it was restarted, have told, for `most` at the longest; before a socket
    /// listens. An engine that refuses the connection or does not answer is not waited for: its logs are read when it is there.
    pub fn catch_up(&mut self, most: Duration) -> CaughtUp {
        let began = self.shared.clock.elapsed();
        let deadline = began + most;
        let engines = std::thread::scope(|scope| {
            let readers = self.readers.iter_mut().map(|reader| {
                let name = std::thread::Builder::new().name("sites-start".into());
                name.spawn_scoped(scope, move || reader.catch_up(deadline))
            });
            let readers: Vec<_> = readers.collect();
            let joined = readers
                .into_iter()
                .map(|reader| reader.map(std::thread::ScopedJoinHandle::join));
            joined.filter(|read| matches!(read, Ok(Ok(true)))).count()
        });
        let board = self.shared.board();
        CaughtUp {
            engines,
            of: self.readers.len(),
            deltas: board.sites.values().map(|site| site.deltas).sum(),
            took: self.shared.clock.elapsed().saturating_sub(began),
        }
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self, ends: &Sender<Exit>) -> io::Result<Running> {
        let Opened {
            shared,
            tracker,
            blocks,
            readers,
        } = self;
        let handle = Handle {
            shared: Arc::clone(&shared),
            tracker: Arc::clone(&tracker),
        };
        let mut running = Running {
            handle,
            threads: Vec::new(),
        };
        let writer = Writer::new(shared, tracker, blocks);
        let started = running.start_threads(writer, readers, ends);
        if let Err(error) = started {
            running.stop();
            return Err(error);
        }
        Ok(running)
    }
}

/// The running part.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    fn start_threads(
        &mut self,
        writer: Writer,
        readers: Vec<Reader>,
        ends: &Sender<Exit>,
    ) -> io::Result<()> {
        let writer = supervise::start("sites-out", ends.clone(), move || {
            writer.run();
            Ok(())
        });
        self.threads.push(writer?);
        for (engine, reader) in readers.into_iter().enumerate() {
            let reader = supervise::start(&format!("sites-in-{engine}"), ends.clone(), move || {
                reader.run();
                Ok(())
            });
            self.threads.push(reader?);
        }
        Ok(())
    }

    /// What other parts may ask.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Tells what has come up to now, ends the threads and waits for them: some seconds at the longest, when engines do not answer.
    pub fn stop(self) {
        self.handle.shared.stop();
        for thread in self.threads {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
pub(crate) use engine::tests::fake::Fake as FakeEngine;

#[cfg(test)]
mod tests;
