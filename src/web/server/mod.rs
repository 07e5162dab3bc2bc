//! The thread that actix-web runs on, and the way of a connection onto it.

pub(super) mod connection;
mod fault;
mod permits;
pub(super) mod reader;
mod reply;
pub(super) mod request;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use actix_service::{IntoServiceFactory, ServiceFactory, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::auth::{guard, sessions};
use super::client::Client;
use super::monitor::{health, sampler};
use super::{Backend, Dependencies, Settings, State, routes};
use crate::metrics::{Failure, Gauge, Transport};
use crate::supervise;
use crate::supervise::Exit;
use connection::{HandedOver, converse};
use permits::{PageLimiter, PagePermit};

/// The running pages.
#[derive(Debug)]
pub struct Running {
    connections: mpsc::Sender<(HandedOver, PagePermit)>,
    limiter: Arc<PageLimiter>,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("State").finish_non_exhaustive()
    }
}

/// Starts the pages' thread. A made password is shown on the console once.
///
/// # Errors
/// When the templates, the password or the files beside the database are not in order, or the system gives no thread.
pub fn start(
    settings: Settings,
    dependencies: Dependencies,
    backend: Backend,
    ends: Sender<Exit>,
) -> io::Result<Running> {
    let state = Arc::new(State::new(settings, dependencies, backend)?);
    let most = state.settings.max_connections.max(1);
    let limiter = PageLimiter::new(most, state.settings.max_connections_per_address);
    let limiter = Arc::new(limiter);
    // As long as there are places, so that one who has a place always finds room.
    let (connections, queue) = mpsc::channel(limiter.all());
    let (stop, stopped) = oneshot::channel();
    let own = Arc::clone(&state);
    let thread = supervise::start("web", ends, move || {
        actix_rt::System::with_tokio_rt(runtime).block_on(serve(own, queue, stopped))
    })?;
    Ok(Running {
        connections,
        limiter,
        state,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Running {
    /// A closure that hands a connection to the pages; it never waits. Places are given out here, before anything else is
    /// done for a connection; one that finds none is told so and closed.
    pub fn acceptor(&self) -> Arc<dyn Fn(HandedOver) + Send + Sync> {
        let (connections, limiter) = (self.connections.clone(), Arc::clone(&self.limiter));
        let state = Arc::clone(&self.state);
        Arc::new(move |handed| {
            let origin = state.backend.origin.load();
            let client = Client::of_bytes(&origin, handed.peer.ip(), &handed.read);
            let refused = match limiter.take(client) {
                Some(permit) => match connections.try_send((handed, permit)) {
                    Ok(()) => return,
                    Err(TrySendError::Full((handed, _)) | TrySendError::Closed((handed, _))) => {
                        handed
                    }
                },
                None => handed,
            };
            let counters = state.metrics.spare();
            counters.failed(Transport::Http, Failure::Connections);
            refused.refuse();
        })
    }

    /// A closure that tells how the process is (`true`: also whether all is restored; `true`: to an admin): whether all is
    /// well, and JSON. It does not need the pages' thread.
    pub fn reports(&self) -> Arc<dyn Fn(bool, bool) -> (bool, String) + Send + Sync> {
        let state = Arc::clone(&self.state);
        Arc::new(move |asks_ready, is_admin| health::report(&state, asks_ready, is_admin))
    }

    /// Finishes the requests in flight and ends the thread.
    pub fn stop(mut self) {
        // Dropping the sender ends the wait for it as well.
        drop(self.stop.take());
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            log::error!("the pages' thread ended in a panic");
        }
    }
}

/// How long requests in flight may take at the stop.
const STOP_LIMIT: std::time::Duration = std::time::Duration::from_secs(3);

async fn serve(
    state: Arc<State>,
    mut queue: mpsc::Receiver<(HandedOver, PagePermit)>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    let app = App::new()
        .app_data(Data::from(Arc::clone(&state)))
        .configure(|config| routes::configure(config, &state))
        .wrap(sessions::middleware(&state))
        .wrap(from_fn(sessions::sift))
        .wrap(from_fn(guard::protect));
    let factory = map_config(app.into_factory(), |()| AppConfig::default());
    let pages = factory.new_service(()).await;
    let pages = std::rc::Rc::new(pages.map_err(|()| "the pages cannot be set up".to_owned())?);
    let sampling = actix_rt::spawn(sampler::run(Arc::clone(&state)));
    // Every connection has a copy of the sender, so the receiver learns when the last one has ended.
    let (open, mut all_ended) = mpsc::channel::<()>(1);
    loop {
        let handed = tokio::select! {
            _ = &mut stopped => break,
            handed = queue.recv() => handed,
        };
        let Some((handed, permit)) = handed else {
            break;
        };
        let (pages, state, open) = (std::rc::Rc::clone(&pages), Arc::clone(&state), open.clone());
        actix_rt::spawn(async move {
            let own = Arc::clone(&state);
            // A task of its own, so that a panic ends one request and is counted.
            let work = actix_rt::spawn(async move { converse(&own, &*pages, handed).await });
            if work.await.is_err_and(|error| error.is_panic()) {
                state.metrics.raise(Gauge::Panics, 1);
                log::error!("a page panicked");
            }
            drop((permit, open));
        });
    }
    drop(open);
    drop(tokio::time::timeout(STOP_LIMIT, all_ended.recv()).await);
    sampling.abort();
    sampler::keep(&state);
    Ok(())
}

/// A runtime for one thread. Nothing of ours uses its blocking threads ([`super::jobs`]); should a library do, it gets one.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(1);
    // actix asks for the runtime itself and has no word for a failure; this ends the thread, and so the process in order.
    #[expect(
        clippy::expect_used,
        reason = "at the start, before anything is served"
    )]
    builder.build().expect("no runtime for the pages")
}
