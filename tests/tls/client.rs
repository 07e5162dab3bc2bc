//! A client that speaks HTTP over TLS, and knows the authority of the tests only.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use socket2::{Domain, Socket, Type};

/// Longest wait for something that must happen; a test that waits so long has failed, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Both versions, the newer first.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS13, &rustls::version::TLS12];

/// A certificate of the tests.
pub(crate) fn pem(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

/// The first certificate of a file.
pub(crate) fn der(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&pem(name)).unwrap()
}

/// What a client knows and wants.
pub(crate) fn config(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(der("authority.pem")).unwrap();
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Connects without TLS, from a loopback address.
pub(crate) fn connect(ip: &str, server: SocketAddr) -> TcpStream {
    let ip: IpAddr = ip.parse().unwrap();
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// What comes until the other end closes.
pub(crate) fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    bytes
}

/// One connection over TLS.
pub(crate) struct Client {
    pub(crate) tls: ClientConnection,
    pub(crate) socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Connects from 127.0.0.1 under the name `localhost`.
    pub(crate) fn new(server: SocketAddr, config: &ClientConfig) -> Client {
        Client::from("127.0.0.1", server, config, "localhost")
    }

    /// Connects from an address, under a name or an address of the server.
    pub(crate) fn from(ip: &str, server: SocketAddr, config: &ClientConfig, name: &str) -> Client {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Client {
            tls: ClientConnection::new(Arc::new(config.clone()), name).unwrap(),
            socket: connect(ip, server),
            received: Vec::new(),
        }
    }

    /// Finishes the handshake.
    pub(crate) fn shake_hands(mut self) -> std::io::Result<Client> {
        while self.tls.is_handshaking() {
            self.tls.complete_io(&mut self.socket)?;
        }
        Ok(self)
    }

    pub(crate) fn stream(&mut self) -> rustls::Stream<'_, ClientConnection, TcpStream> {
        rustls::Stream::new(&mut self.tls, &mut self.socket)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let mut stream = self.stream();
        stream.write_all(bytes.as_ref()).unwrap();
        stream.flush().unwrap();
    }

    /// Gets a path and keeps the connection.
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.reply()
    }

    /// Reads one reply with a body.
    pub(crate) fn reply(&mut self) -> Reply {
        loop {
            if let Some(reply) = Reply::take(&mut self.received) {
                return reply;
            }
            assert!(self.receive() > 0, "closed before a reply");
        }
    }

    fn receive(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let read = self.stream().read(&mut bytes).unwrap();
        self.received.extend_from_slice(&bytes[..read]);
        read
    }

    /// Waits for the end of the connection, which must be said by `close_notify`; whether nothing came before it.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.received.is_empty() && self.receive() == 0
    }
}

/// One reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Takes a whole reply from the front of the bytes.
    fn take(bytes: &mut Vec<u8>) -> Option<Reply> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let lower = head.to_ascii_lowercase();
        let (_, length) = lower.split_once("content-length: ").unwrap_or(("", "0\r"));
        let length: usize = length.split('\r').next()?.parse().ok()?;
        let body = bytes.get(end..end + length)?.to_vec();
        bytes.drain(..end + length);
        let status = head.strip_prefix("HTTP/1.1 ")?[..3].parse().ok()?;
        Some(Reply { status, head, body })
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// A number of a bencoded body.
    pub(crate) fn number(&self, key: &str) -> u64 {
        let value: bt_bencode::Value = bt_bencode::from_slice(&self.body).unwrap();
        value[key].as_u64().unwrap()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
