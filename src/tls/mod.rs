//! TLS by rustls with ring: certificates chosen by the name that a client asks for, and the session of one connection.
//!
//! Bytes in, bytes out: no socket, no thread, no file is opened here. Handshakes are bounded by whoever has the sockets.

mod certificate;
mod choice;
mod session;
mod validity;

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;

pub use certificate::{Certificate, Files, Unusable};
use choice::CertificateChoice;
pub use session::{Fault, MAX_HELD, Session, Version};

/// The protocol that is agreed on by ALPN, with those who ask for one.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Tickets that a client is sent in TLS 1.3. One: clients that announce come back on one connection.
const TICKETS: usize = 1;

/// What begins sessions: cheap to copy, shared by all workers.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    choice: Arc<CertificateChoice>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Acceptor")
            .field("certificates", &self.certificates())
            .finish_non_exhaustive()
    }
}

impl Acceptor {
    /// TLS 1.2 and 1.3 with these certificates; the first one is for who names none of theirs.
    ///
    /// # Errors
    /// When the system has no random bytes for the key of tickets.
    pub fn new(certificates: Vec<Certificate>) -> Result<Acceptor, NoTls> {
        let choice = Arc::new(CertificateChoice::new(certificates));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| NoTls)?;
        let mut config = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::<CertificateChoice>::clone(&choice));
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        // What is remembered of a client travels with it, sealed: no state per client here.
        config.ticketer = ring::Ticketer::new().map_err(|_| NoTls)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = TICKETS;
        Ok(Acceptor {
            config: Arc::new(config),
            choice,
        })
    }

    /// A session for one connection.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn session(&self) -> Result<Session, Fault> {
        Session::new(&self.config)
    }

    /// Puts other certificates in force for the handshakes from now on. Connections and tickets stay.
    pub fn replace(&self, certificates: Vec<Certificate>) {
        self.choice.replace(certificates);
    }

    /// The certificates in force, in the order of the configuration.
    pub fn certificates(&self) -> Arc<Vec<Certificate>> {
        self.choice.certificates()
    }
}

/// There is no TLS: the system has no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes for TLS")]
pub struct NoTls;
