//! The connection to an engine: TCP or TLS, with deadlines that hold for whole calls. A socket's own time-outs are per system call,
//! and an engine that hangs in the middle of a reply would stretch them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::EngineError;
use crate::clock::Clock;

/// Most bytes of a file of certificates.
const MAX_CA_FILE: u64 = 1 << 20;

/// A socket that gives up at a deadline, or when nothing has come for a while.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    clock: Clock,
    deadline: Duration,
    idle: Duration,
}

impl Socket {
    fn patience(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_sub(self.clock.elapsed());
        let patience = left.min(self.idle);
        if patience.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(patience)
    }
}

fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Socket {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(Some(self.patience()?))?;
        self.tcp.read(to).map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(Some(self.patience()?))?;
        self.tcp.write(from).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

/// How engines are spoken to over TLS.
pub(crate) type Tls = Arc<ClientConfig>;

/// Trusts the certificates of a file in PEM, and no others.
///
/// # Errors
/// In words, without the file's name.
pub(crate) fn tls(ca_file: &Path) -> Result<Tls, String> {
    let length = std::fs::metadata(ca_file).map_err(|error| error.to_string())?;
    if length.len() > MAX_CA_FILE {
        return Err("larger than any file of certificates".into());
    }
    let pem = std::fs::read(ca_file).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| "not certificates in PEM")?;
        roots
            .add(certificate)
            .map_err(|_| "a certificate that cannot be trusted")?;
    }
    if roots.is_empty() {
        return Err("no certificate in it".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Wire {
    /// Connects within `patience`. The handshake of TLS is made with the first call.
    pub(super) fn open(
        addresses: &[SocketAddr],
        tls: Option<(&Tls, ServerName<'static>)>,
        clock: Clock,
        patience: Duration,
    ) -> Result<Wire, EngineError> {
        let deadline = clock.elapsed() + patience;
        let mut failed = EngineError::Unresolved;
        for (tried, address) in addresses.iter().enumerate() {
            // So that one that does not answer leaves time for the others.
            let others = u32::try_from(addresses.len() - tried).unwrap_or(1).max(1);
            let left = deadline.saturating_sub(clock.elapsed()) / others;
            if left.is_zero() {
                return Err(EngineError::TimedOut);
            }
            let tcp = match TcpStream::connect_timeout(address, left) {
                Ok(tcp) => tcp,
                Err(error) => {
                    failed = EngineError::of(&timed_out(error));
                    continue;
                }
            };
            // Batches are small and must not wait for one another.
            tcp.set_nodelay(true)
                .map_err(|error| EngineError::of(&error))?;
            let socket = Socket {
                tcp,
                clock,
                deadline,
                idle: patience,
            };
            let Some((config, name)) = tls else {
                return Ok(Wire::Plain(socket));
            };
            let connection = ClientConnection::new(Arc::clone(config), name);
            let connection = connection.map_err(|_| EngineError::Tls("no TLS for this name"))?;
            return Ok(Wire::Tls(Box::new(StreamOwned::new(connection, socket))));
        }
        Err(failed)
    }

    /// From now on everything has to be done within `most`, and something has to come every `idle`.
    pub(super) fn allow(&mut self, most: Duration, idle: Duration) {
        let socket = match self {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &mut stream.sock,
        };
        socket.deadline = socket.clock.elapsed() + most;
        socket.idle = idle;
    }
}

impl Read for Wire {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(to),
            Wire::Tls(stream) => stream.read(to),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.write(from),
            Wire::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}
