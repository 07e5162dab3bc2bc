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
    /// At once.
    pub max_connections: usize,
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
                    if threads.len() >= self.max_connections {
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use super::*;
    use crate::lab::exchange;
    use crate::lab::serve::told::Told;
    use crate::lab::serve::{Events, listen};
    use crate::metrics::Metrics;
    use crate::tracker::{Settings, Tracker};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// The connection that has ended next, and why.
    fn ended(events: &Events) -> (u64, Option<String>) {
        loop {
            if let Event::Disconnected {
                connection, error, ..
            } = events.recv_timeout(PATIENCE).unwrap()
            {
                return (connection, error);
            }
        }
    }

    /// O19: there is a bound on connections at once. One beyond it is closed and told; when one has ended there is room again.
    #[test]
    fn a_connection_too_many_is_turned_away() {
        let told = Told {
            speed: 1.0,
            min_interval: None,
        };
        let tracker = Tracker::new(Settings::default(), Arc::new(Metrics::new(0)));
        let answerer = Box::new(exchange::honest);
        let settings = crate::http::Settings::default();
        let shared = Arc::new(Shared::new(Arc::new(tracker), settings, told, answerer, 1).unwrap());
        let socket = listen::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener {
            socket,
            address,
            acceptor: None,
            max_connections: 2,
            shared: Arc::clone(&shared),
        };
        let events = shared.publisher.subscribe();
        let thread = std::thread::spawn(move || listener.run());
        let connect = || TcpStream::connect(address).unwrap();
        let [first, _second, mut third] = [connect(), connect(), connect()];
        assert_eq!(third.read(&mut [0]).unwrap(), 0);
        let too_many = Some("too many connections at once".to_owned());
        assert_eq!(ended(&events), (3, too_many));
        drop(first);
        assert_eq!(ended(&events), (1, None));
        // The thread of the first one has told of its end, and may not have ended.
        let room = (4..).find(|number| {
            drop(connect());
            let (ended, error) = ended(&events);
            assert_eq!(ended, *number);
            error.is_none()
        });
        assert!(room.is_some());
        shared.stop.stop();
        thread.join().unwrap();
    }
}
