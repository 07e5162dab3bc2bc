//! Clients of the laboratory, as simple as can be: bytes out, bytes in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use retracker::lab::exchange::{Event, Exchange, Transport};
use retracker::lab::serve::{Events, Lab, Options};
use retracker::tracker::InfoHash;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longest wait for something that must happen; a test that waits so long has failed, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const HASH: InfoHash = InfoHash(*b"hhhhhhhhhhhhhhhhhhhh");

pub(crate) fn start(options: Options) -> Lab {
    Lab::start(options).unwrap()
}

/// Only one transport, on v4.
pub(crate) fn only(transport: Transport) -> Options {
    let mut options = Options::default();
    for (of, addresses) in [
        (Transport::Http, &mut options.http),
        (Transport::Https, &mut options.https),
        (Transport::Udp, &mut options.udp),
    ] {
        addresses.retain(|address| of == transport && address.is_ipv4());
    }
    options
}

pub(crate) fn address(lab: &Lab, transport: Transport) -> SocketAddr {
    let mut urls = lab.urls().iter();
    urls.find(|url| url.transport == transport).unwrap().address
}

/// The next exchange.
pub(crate) fn exchange(events: &Events) -> Exchange {
    loop {
        if let Event::Exchange(exchange) = events.recv_timeout(PATIENCE).unwrap() {
            return Exchange::clone(&exchange);
        }
    }
}

/// The next end of a connection: its requests and its error.
pub(crate) fn end(events: &Events) -> (u32, Option<String>) {
    loop {
        let event = events.recv_timeout(PATIENCE).unwrap();
        if let Event::Disconnected {
            requests, error, ..
        } = event
        {
            return (requests, error);
        }
    }
}

/// An announce of the peer with this port, without `what` follows.
pub(crate) fn target(port: u16, more: &str) -> String {
    format!(
        "/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=-XX0001-{port:012}&port={port}&uploaded=0&downloaded=0&left=1&compact=1{more}"
    )
}

pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: tester/1\r\n\r\n")
}

/// A connection, with or without TLS.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    received: Vec<u8>,
}

pub(crate) type Sealed = StreamOwned<ClientConnection, TcpStream>;

pub(crate) fn connect(address: SocketAddr) -> Connection<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Connection {
        stream,
        received: Vec::new(),
    }
}

/// Over TLS, believing these authorities.
pub(crate) fn seal(address: SocketAddr, ca_pem: Option<&str>, name: &str) -> Connection<Sealed> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = ca_pem {
        let authority = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(authority).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    Connection {
        stream: StreamOwned::new(tls, connect(address).stream),
        received: Vec::new(),
    }
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    /// One reply, which has a length: status line and body.
    pub(crate) fn reply(&mut self) -> (String, Vec<u8>) {
        loop {
            if let Some(reply) = self.take() {
                return reply;
            }
            let mut bytes = [0; 4_096];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "closed before a reply");
            self.received.extend_from_slice(&bytes[..read]);
        }
    }

    fn take(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.received.windows(4).position(|at| at == b"\r\n\r\n")? + 4;
        let text = str::from_utf8(&self.received[..head]).ok()?;
        let (_, length) = text.split_once("Content-Length: ")?;
        let length: usize = length.lines().next()?.parse().ok()?;
        if self.received.len() < head + length {
            return None;
        }
        let status = text.lines().next()?.to_owned();
        let body = self.received[head..head + length].to_vec();
        self.received.drain(..head + length);
        Some((status, body))
    }

    /// What comes until the other end closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.received);
        self.stream.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// A client of UDP.
pub(crate) struct Udp {
    pub(crate) socket: UdpSocket,
}

impl Udp {
    pub(crate) fn new(tracker: SocketAddr) -> Udp {
        let any = if tracker.is_ipv4() {
            "127.0.0.1:0"
        } else {
            "[::1]:0"
        };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(tracker).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Udp { socket }
    }

    pub(crate) fn ask(&self, datagram: &[u8]) -> Vec<u8> {
        self.socket.send(datagram).unwrap();
        self.hear()
    }

    pub(crate) fn hear(&self) -> Vec<u8> {
        let mut reply = [0; 2_048];
        let length = self.socket.recv(&mut reply).unwrap();
        reply[..length].to_vec()
    }

    /// A connection id.
    pub(crate) fn connection(&self) -> [u8; 8] {
        let reply = self.ask(&connect_datagram(7));
        assert_eq!(reply[..8], [0, 0, 0, 0, 0, 0, 0, 7]);
        reply[8..].try_into().unwrap()
    }
}

pub(crate) fn connect_datagram(transaction: u32) -> Vec<u8> {
    let mut datagram = 0x0417_2710_1980_u64.to_be_bytes().to_vec();
    datagram.extend(0_u32.to_be_bytes());
    datagram.extend(transaction.to_be_bytes());
    datagram
}

/// `started` of the peer with this port.
pub(crate) fn announce_datagram(connection: [u8; 8], port: u16) -> Vec<u8> {
    let mut datagram = connection.to_vec();
    datagram.extend([1_u32, 8].map(u32::to_be_bytes).concat());
    datagram.extend(HASH.0);
    datagram.extend(format!("-XX0001-{port:012}").bytes());
    datagram.extend([0_u64, 1, 0].map(u64::to_be_bytes).concat());
    datagram.extend([2_u32, 0, 9, 50].map(u32::to_be_bytes).concat());
    datagram.extend(port.to_be_bytes());
    datagram
}
