//! A connection of the load over HTTP: TCP, or TLS over it. The authority is given, and no other is believed.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

/// What a client of an https:// address knows.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Believes the authorities of that file, of the host of a URL; goes on from sessions of before if it `resumes`.
    pub(super) fn new(authorities: &Path, host: &str, resumes: bool) -> anyhow::Result<Tls> {
        let shown = || authorities.display().to_string();
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(authorities).with_context(shown)? {
            roots
                .add(authority.with_context(shown)?)
                .with_context(shown)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        // Behind the last colon is the port, unless that is one of an address of v6.
        let name = match host.rsplit_once(':') {
            Some((name, _)) if !host.ends_with(']') => name,
            _ => host,
        };
        let name = name.trim_matches(['[', ']']).to_owned();
        Ok(Tls {
            config: Arc::new(config),
            name: ServerName::try_from(name)?,
        })
    }

    /// Begins TLS on a connection.
    pub(super) fn over(&self, socket: TcpStream) -> io::Result<Stream> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let connection = connection.map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, socket))))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// One connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Whether it may have more than was read last: records that have come with others.
    pub(super) const fn is_sealed(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Whether its session goes on from another; `None` without TLS, and before that is known.
    pub(super) fn is_resumed(&self) -> Option<bool> {
        let Stream::Tls(stream) = self else {
            return None;
        };
        let kind = stream.conn.handshake_kind()?;
        Some(kind == HandshakeKind::Resumed)
    }

    /// Whether TLS itself has something to send.
    pub(super) fn holds_back(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.conn.wants_write(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(room),
            Stream::Tls(stream) => stream.read(room),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Plain(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.sock.as_fd(),
        }
    }
}
