//! The thread that actix-web runs on. It owns no listener: it receives connections, serves each, and ends it.

mod connection;
mod encrypted;
mod fault;
pub(super) mod reader;
pub(super) mod reply;
mod request;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use actix_http::Request;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::App;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use tokio::sync::{mpsc, oneshot};

use super::auth::{guard, sessions};
use super::monitor::{health, sampler};
use super::{Backend, Settings, State, routes};
use crate::clock::Clock;
use crate::metrics::Gauge;
use crate::net::handover::{Handover, Permit, Receiver};
use crate::supervise;
use crate::supervise::Exit;
use crate::tracker::Tracker;
use connection::converse;

/// The running pages.
#[derive(Debug)]
pub struct Running {
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("State").finish_non_exhaustive()
    }
}

/// Starts the pages' thread, which serves what comes from `connections`. A made password is shown on the console once.
///
/// # Errors
/// When the templates, the password or the files beside the database are not in order, or the system gives no thread.
pub fn start(
    settings: Settings,
    tracker: Arc<Tracker>,
    clock: Clock,
    backend: Backend,
    connections: Receiver,
    ends: Sender<Exit>,
) -> io::Result<Running> {
    let state = Arc::new(State::new(settings, tracker, clock, backend)?);
    let (stop, stopped) = oneshot::channel();
    let own = Arc::clone(&state);
    let thread = supervise::start("web", ends, move || {
        actix_rt::System::with_tokio_rt(runtime).block_on(serve(own, connections, stopped))
    })?;
    Ok(Running {
        state,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Running {
    /// A closure that tells how the process is (`true`: also whether all is restored; `true`: to an admin): whether all is
    /// well, and JSON. It does not need the pages' thread.
    pub fn reports(&self) -> Arc<dyn Fn(bool, bool) -> (bool, String) + Send + Sync> {
        let state = Arc::clone(&self.state);
        Arc::new(move |asks_ready, is_admin| health::report(&state, asks_ready, is_admin))
    }

    /// Puts in force what can be changed while running: the users.
    pub fn configure(&self, settings: &Settings) {
        self.state.set_users(&settings.users);
    }

    /// Serves the connections that were handed over by now, and ends the thread.
    pub fn stop(mut self) {
        // Dropping the sender ends the wait for it as well.
        drop(self.stop.take());
        // Who watches would go on for minutes.
        self.state.backend.watch.close();
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
    mut connections: Receiver,
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
    let pages = pages.map_err(|()| "the pages cannot be set up".to_owned())?;
    let pages = Rc::new(pages);
    let sampling = actix_rt::spawn(sampler::run(Arc::clone(&state)));
    // Every connection has a copy of the sender, so the receiver learns when the last one has ended.
    let (open, mut all_ended) = mpsc::channel::<()>(1);
    let mut is_stopping = false;
    loop {
        let received = tokio::select! {
            _ = &mut stopped, if !is_stopping => {
                // Who was handed over already is still served.
                connections.close();
                is_stopping = true;
                continue;
            }
            received = connections.receive() => received,
        };
        let Some((handover, permit)) = received else {
            break;
        };
        let (state, pages, open) = (Arc::clone(&state), Rc::clone(&pages), open.clone());
        actix_rt::spawn(async move {
            work(state, pages, handover, permit).await;
            drop(open);
        });
    }
    drop(open);
    drop(tokio::time::timeout(STOP_LIMIT, all_ended.recv()).await);
    sampling.abort();
    sampler::keep(&state);
    state.keep_uses();
    Ok(())
}

/// Serves one connection. Its permit is free when that has ended, be it in a panic.
async fn work<S, B>(state: Arc<State>, pages: Rc<S>, handover: Handover, permit: Permit)
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
{
    let own = Arc::clone(&state);
    // A task of its own, so that a panic ends one request and is counted.
    let work = actix_rt::spawn(async move { converse(&own, &*pages, handover).await });
    if work.await.is_err_and(|error| error.is_panic()) {
        state.metrics.raise(Gauge::Panics, 1);
        log::error!("a page panicked");
    }
    drop(permit);
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
