//! The thread that actix-web runs on, and the way of a connection onto it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use actix_http::HttpService;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::connection::{HEAD_LIMIT, Handed, Replayed, adopt};
use super::{Doors, House, Settings, State, guard, health, routes, sampler};
use crate::metrics::{Failure, Gauge, Transport};
use crate::parts::{self, End};

/// Connections that wait for the thread at most; more are closed.
const QUEUE: usize = 256;

/// The running pages.
#[derive(Debug)]
pub struct Running {
    connections: mpsc::Sender<Handed>,
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
    house: House,
    doors: Doors,
    ends: Sender<End>,
) -> io::Result<Running> {
    let state = Arc::new(State::new(settings, house, doors)?);
    let (connections, queue) = mpsc::channel(QUEUE);
    let (stop, stopped) = oneshot::channel();
    let own = Arc::clone(&state);
    let thread = parts::start("web", ends, move || {
        actix_rt::System::new().block_on(serve(own, queue, stopped))
    })?;
    Ok(Running {
        connections,
        state,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Running {
    /// A closure that hands a connection to the pages; it never waits. A connection that finds no place is closed.
    pub fn acceptor(&self) -> Arc<dyn Fn(Handed) + Send + Sync> {
        let (connections, state) = (self.connections.clone(), Arc::clone(&self.state));
        Arc::new(move |handed| {
            if connections.try_send(handed).is_err() {
                let sheet = state.metrics.sheet(usize::MAX);
                sheet.failed(Transport::Http, Failure::Connections);
            }
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
    mut queue: mpsc::Receiver<Handed>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    let data = Data::from(Arc::clone(&state));
    let app = App::new()
        .app_data(data.clone())
        .configure(|config| routes::configure(config, &state))
        .wrap(from_fn(guard::protect));
    let factory = HttpService::<Replayed<tokio::net::TcpStream>, _, _>::build()
        .keep_alive(actix_http::KeepAlive::Disabled)
        .client_request_timeout(HEAD_LIMIT)
        .h1(map_config(app.into_factory(), |()| AppConfig::default()));
    let service = factory.new_service(()).await;
    let service = std::rc::Rc::new(service.map_err(|()| "the pages cannot be set up".to_owned())?);
    let sampling = actix_rt::spawn(sampler::run(Arc::clone(&state)));
    let most = state.settings.max_connections.max(1);
    let places = Arc::new(Semaphore::new(most));
    loop {
        let handed = tokio::select! {
            _ = &mut stopped => break,
            handed = queue.recv() => handed,
        };
        let Some(handed) = handed else { break };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            let sheet = state.metrics.sheet(usize::MAX);
            sheet.failed(Transport::Http, Failure::Connections);
            continue;
        };
        let (service, state) = (std::rc::Rc::clone(&service), Arc::clone(&state));
        actix_rt::spawn(async move {
            let limit = state.settings.connection_limit;
            // A task of its own, so that a panic ends one request and is counted.
            let work = actix_rt::spawn(async move {
                let Handed {
                    stream,
                    read,
                    peer,
                    hold,
                } = handed;
                let Ok(stream) = adopt(stream, read) else {
                    return;
                };
                // A client that goes away or is too slow is no fault of ours.
                let served = service.call((stream, Some(peer)));
                drop(tokio::time::timeout(limit, served).await);
                drop(hold);
            });
            if work.await.is_err_and(|error| error.is_panic()) {
                state.metrics.raise(Gauge::Panics, 1);
                log::error!("a page panicked");
            }
            drop(place);
        });
    }
    let all = u32::try_from(most).unwrap_or(u32::MAX);
    drop(tokio::time::timeout(STOP_LIMIT, places.acquire_many(all)).await);
    sampling.abort();
    sampler::keep(&state);
    Ok(())
}
