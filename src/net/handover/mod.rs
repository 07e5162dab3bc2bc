//! Connections that one listener accepted and another server serves, with the bytes that were read from them: the channel from
//! one to the other. It is made before either of them, so that neither waits for the other to start.
//!
//! The bound stands at the sender's end, before anything is done for a connection: who gets no permit is told so at once by
//! whoever accepted it. A permit is held until the connection has ended and not only until it is received, so the channel, which
//! has room for as many as there are permits, never fills because of a receiver that is slow.

mod limiter;

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::tls::Session;
use limiter::Limiter;
pub use limiter::{Limits, Permit, Source};

/// A connection whose next request another server answers.
pub struct Handover {
    /// The connection; not blocking.
    pub stream: TcpStream,
    /// The TLS that it came by, if it did; `read` is opened already.
    pub tls: Option<Box<Session>>,
    /// What has been read and not answered.
    pub read: Vec<u8>,
    /// The other end, as the socket has it: it may be a proxy.
    pub peer: SocketAddr,
    /// The listener's own permit for the connection; dropped when the connection has ended.
    pub hold: Box<dyn Send>,
}

/// What a request carries, among what its server keeps with it, that came by TLS to the tracker itself.
#[derive(Clone, Copy, Debug)]
pub struct ByTls;

impl fmt::Debug for Handover {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Handover")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Makes a channel for as many connections as the limits allow.
pub fn channel(limits: Limits) -> (Sender, Receiver) {
    let limiter = Arc::new(Limiter::new(limits));
    // As long as there are permits, so that one who has a permit always finds room.
    let (queue, received) = mpsc::channel(limiter.all());
    (Sender { queue, limiter }, Receiver(received))
}

/// The end of the channel for whoever accepts connections.
#[derive(Debug)]
pub struct Sender {
    queue: mpsc::Sender<(Handover, Permit)>,
    limiter: Arc<Limiter>,
}

impl Sender {
    /// Hands a connection over; never waits.
    ///
    /// # Errors
    /// Gives the connection back when there is no permit for its `source`, or nobody receives any more.
    pub fn send(&self, handover: Handover, source: Source) -> Result<(), Handover> {
        let Some(permit) = self.limiter.take(source) else {
            return Err(handover);
        };
        self.queue
            .try_send((handover, permit))
            .map_err(|refused| match refused {
                TrySendError::Full((handover, _)) | TrySendError::Closed((handover, _)) => handover,
            })
    }
}

/// The end of the channel for whoever serves them.
#[derive(Debug)]
pub struct Receiver(mpsc::Receiver<(Handover, Permit)>);

impl Receiver {
    /// The next connection, with its permit, which is to be kept until the work for it has ended. Nothing when the channel is
    /// closed or nobody is left to send, and all have been received.
    pub async fn receive(&mut self) -> Option<(Handover, Permit)> {
        self.0.recv().await
    }

    /// Lets nobody send any more. Who was sent before is still received.
    pub fn close(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LIMITS: Limits = Limits {
        total: 2,
        per_subscriber: 0,
    };

    fn handover() -> Handover {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Handover {
            peer: stream.local_addr().unwrap(),
            stream,
            tls: None,
            read: Vec::new(),
            hold: Box::new(()),
        }
    }

    fn source() -> Source {
        Source {
            ip: "192.0.2.1".parse().unwrap(),
            is_admin: false,
        }
    }

    fn receive(receiver: &mut Receiver) -> Option<(Handover, Permit)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(receiver.receive())
    }

    /// R30
    #[test]
    fn what_is_sent_before_anybody_receives_waits_and_the_rest_is_given_back() {
        let (sender, mut receiver) = channel(LIMITS);
        for _ in 0..2 {
            assert!(sender.send(handover(), source()).is_ok());
        }
        let third = handover();
        let peer = third.peer;
        assert_eq!(sender.send(third, source()).unwrap_err().peer, peer);
        // The permit is free when the work has ended, not when it begins.
        let (_, permit) = receive(&mut receiver).unwrap();
        assert!(sender.send(handover(), source()).is_err());
        drop(permit);
        assert!(sender.send(handover(), source()).is_ok());
    }

    #[test]
    fn a_closed_channel_takes_nobody_and_loses_nobody() {
        let (sender, mut receiver) = channel(LIMITS);
        sender.send(handover(), source()).unwrap();
        receiver.close();
        assert!(sender.send(handover(), source()).is_err());
        assert!(receive(&mut receiver).is_some());
        assert!(receive(&mut receiver).is_none());
        drop(receiver);
        let given_back = sender.send(handover(), source());
        assert!(given_back.is_err());
    }
}
