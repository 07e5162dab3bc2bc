//! Accepts connections, each of which has a thread.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::PollFlags;

use super::connection::Connection;
use super::shared::Shared;
use super::stop::Waited;
use crate::lab::exchange::{Event, Transport};
use crate::supervise;
use crate::tls::Acceptor;

/// Connections of one listener at once; a further one is closed.
pub const MAX_CONNECTIONS: usize = 512;

/// How long the listener rests when the system has no descriptor or thread to give.
const REST: Duration = Duration::from_millis(100);

/// One listener.
pub(super) struct Listener {
    pub socket: TcpListener,
    pub address: SocketAddr,
    pub acceptor: Option<Acceptor>,
    pub shared: Arc<Shared>,
}

impl Listener {
    /// Serves until the end, and returns when the last of its connections has ended.
    pub(super) fn run(self) {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        while self.shared.stop.wait(&self.socket, PollFlags::IN, None) != Waited::Over {
            threads.retain(|thread| !thread.is_finished());
            match self.socket.accept() {
                Ok((socket, client)) => {
                    let connection = Connection::new(
                        Arc::clone(&self.shared),
                        socket,
                        (client, self.address),
                        self.acceptor.as_ref(),
                    );
                    if threads.len() >= MAX_CONNECTIONS {
                        self.turn_away(&connection, "too many connections at once");
                        continue;
                    }
                    match self.begin(connection) {
                        Ok(thread) => threads.push(thread),
                        Err(error) => self.rest(&error),
                    }
                }
                // Somebody gave up before.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.rest(&error),
            }
        }
        for thread in threads {
            drop(thread.join());
        }
    }

    fn begin(&self, connection: Connection) -> io::Result<JoinHandle<()>> {
        // A thread that panics has told so on standard error.
        let (ends, _) = channel();
        supervise::start("lab-connection", ends, move || {
            connection.serve();
            Ok(())
        })
    }

    fn turn_away(&self, connection: &Connection, why: &str) {
        let at = self.shared.clock.moment();
        self.shared.publisher.tell(&connection.connected(at));
        self.shared.publisher.tell(&Event::Disconnected {
            connection: connection.number,
            at,
            requests: 0,
            error: Some(why.to_owned()),
        });
    }

    fn rest(&self, error: &io::Error) {
        log::warn!(
            "lab: a connection to {} cannot be served: {error}",
            self.address
        );
        self.shared.stop.sleep(REST);
    }

    /// HTTP or HTTPS.
    pub(super) fn transport(&self) -> Transport {
        if self.acceptor.is_some() {
            Transport::Https
        } else {
            Transport::Http
        }
    }
}
