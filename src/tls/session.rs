//! The TLS of one connection: records that came are opened, bytes that go are sealed. Over whoever has the socket.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, HandshakeKind, ProtocolVersion, ServerConfig};

/// What is kept of records that have not come whole, in bytes: the longest record (RFC 5246, 6.2.3), which the hello of a client has
/// room in ten times over.
pub const MAX_HELD: usize = 5 + 16_384 + 2_048;

/// What sealing adds to the bytes of one record at most, and how many of them are in one.
const RECORD_OVERHEAD: usize = 64;
const RECORD_BYTES: usize = 16_384;

/// Alerts that are sent when a session fails, at most.
const MAX_ALERTS: usize = 4;

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What came is no TLS.
    #[error("what came is no TLS")]
    NoTls,
    /// Neither protocol nor cipher nor kind of certificate in common.
    #[error("nothing is in common with the client")]
    NothingInCommon,
    /// The client does not want what it was shown.
    #[error("the client refused")]
    Rejected,
    /// A message is too long to be kept.
    #[error("a message is too long")]
    TooLong,
    /// The protocol was broken: garbage, a renegotiation, a record that cannot be opened.
    #[error("the protocol was broken")]
    Broken,
}

impl Fault {
    fn of(error: &Error) -> Fault {
        match error {
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Fault::NoTls,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol | Error::General(_) => {
                Fault::NothingInCommon
            }
            Error::AlertReceived(_) => Fault::Rejected,
            Error::PeerSentOversizedRecord
            | Error::InvalidMessage(
                rustls::InvalidMessage::MessageTooLarge
                | rustls::InvalidMessage::HandshakePayloadTooLarge,
            ) => Fault::TooLong,
            _ => Fault::Broken,
        }
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// The session of one connection.
pub struct Session {
    connection: UnbufferedServerConnection,
    /// The start of a record of which the rest has not come.
    held: Vec<u8>,
    is_at_end: bool,
    stage: Stage,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is begun.
    Open,
    /// We have said that nothing more comes; what is heard is passed over.
    Closed,
    /// It has failed.
    Failed,
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session")
            .field("is_handshaking", &self.is_handshaking())
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(config: &Arc<ServerConfig>) -> Result<Session, Fault> {
        let connection = UnbufferedServerConnection::new(Arc::clone(config));
        Ok(Session {
            connection: connection.map_err(|_| Fault::Broken)?,
            held: Vec::new(),
            is_at_end: false,
            stage: Stage::Open,
        })
    }

    /// What has come and could not be opened yet, at most [`MAX_HELD`] bytes: [`Session::open`] wants it before what comes next.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Whether the handshake is not over.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the client has said that it sends no more (`close_notify`).
    pub const fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// The version agreed on.
    pub fn version(&self) -> Option<Version> {
        match self.connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some(Version::V1_2),
            ProtocolVersion::TLSv1_3 => Some(Version::V1_3),
            _ => None,
        }
    }

    /// Whether it goes on from an earlier one, by a ticket.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Takes what came, [`Session::held`] before it. What was said goes to `hear`, piece by piece; what is to be sent (handshake,
    /// alerts, tickets) behind `out`.
    ///
    /// # Errors
    /// Why the session is over; `out` has the alert that says so.
    pub fn open(
        &mut self,
        incoming: &mut [u8],
        hear: impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match self.stage {
            Stage::Open => {}
            // Behind an alert rustls expects no bytes: its debug builds stop at a second one.
            Stage::Closed => return Ok(()),
            Stage::Failed => return Err(Fault::Broken),
        }
        let opened = self.process(incoming, hear, out);
        if opened.is_err() {
            self.stage = Stage::Failed;
        }
        opened
    }

    fn process(
        &mut self,
        incoming: &mut [u8],
        mut hear: impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mut used = 0;
        loop {
            let rest = incoming.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(rest);
            let is_over = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        hear(record.map_err(|error| Fault::of(&error))?.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, out)?;
                    false
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_at_end = true;
                    false
                }
                Ok(
                    ConnectionState::WriteTraffic(_)
                    | ConnectionState::BlockedHandshake
                    | ConnectionState::Closed,
                ) => true,
                // Early data is not offered.
                Ok(_) => return Err(Fault::Broken),
                Err(error) => {
                    let rest = incoming.get_mut(used + discard..);
                    self.alert(rest.unwrap_or_default(), out);
                    return Err(Fault::of(&error));
                }
            };
            used += discard;
            if is_over {
                break;
            }
        }
        let rest = incoming.get(used..).unwrap_or_default();
        if rest.len() > MAX_HELD {
            return Err(Fault::TooLong);
        }
        if rest.is_empty() {
            // Most records come whole, and then nothing is kept of any.
            self.held = Vec::new();
        } else if self.held != rest {
            self.held = rest.to_vec();
        }
        Ok(())
    }

    /// Writes the alert that a failed session has for its client.
    fn alert(&mut self, rest: &mut [u8], out: &mut Vec<u8>) {
        let mut alerts = 0..MAX_ALERTS;
        while self.connection.wants_write() && alerts.next().is_some() {
            let state = self.connection.process_tls_records(&mut *rest).state;
            let Ok(ConnectionState::EncodeTlsData(data)) = state else {
                return;
            };
            if encode(data, out).is_err() {
                return;
            }
        }
    }

    /// Seals bytes behind `out`.
    ///
    /// # Errors
    /// When nothing can be said any more, or not yet.
    pub fn seal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.stage != Stage::Open {
            return Err(Fault::Broken);
        }
        let records = bytes.len() / RECORD_BYTES + 1;
        let room = bytes.len() + records * RECORD_OVERHEAD;
        self.write(room, out, |traffic, room| traffic.encrypt(bytes, room))
    }

    /// Says that nothing more comes, behind `out`. A session that cannot say it says nothing.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.stage != Stage::Open {
            return;
        }
        self.stage = Stage::Closed;
        // It is in the middle of its handshake otherwise.
        let _ = self.write(RECORD_OVERHEAD, out, |traffic, room| {
            traffic.queue_close_notify(room)
        });
    }

    fn write(
        &mut self,
        room: usize,
        out: &mut Vec<u8>,
        mut with: impl FnMut(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), Fault> {
        loop {
            // What is held stands before it is asked what can be done; it holds nothing whole.
            match self.connection.process_tls_records(&mut self.held).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return append(out, room, |room| match with(&mut traffic, room) {
                        Err(EncryptError::InsufficientSize(error)) => Err(Some(error)),
                        Err(EncryptError::EncryptExhausted) => Err(None),
                        Ok(length) => Ok(length),
                    });
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out)?,
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::PeerClosed) => self.is_at_end = true,
                Ok(_) | Err(_) => return Err(Fault::Broken),
            }
        }
    }
}

fn encode(
    mut data: EncodeTlsData<'_, ServerConnectionData>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    append(out, RECORD_OVERHEAD, |room| match data.encode(room) {
        Err(EncodeError::InsufficientSize(error)) => Err(Some(error)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
        Ok(length) => Ok(length),
    })
}

/// Lets `write` write behind `out`, with `room` bytes first and then with as many as it asks for.
fn append(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> Result<(), Fault> {
    let before = out.len();
    let mut room = room;
    for _ in 0..2 {
        out.resize(before + room, 0);
        match write(out.get_mut(before..).unwrap_or_default()) {
            Ok(length) => {
                out.truncate(before + length);
                return Ok(());
            }
            Err(Some(InsufficientSizeError { required_size })) => room = required_size,
            Err(None) => break,
        }
    }
    out.truncate(before);
    Err(Fault::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Acceptor;
    use crate::tls::certificate::tests::{ONE, ONE_KEY, read};
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::io::{Read, Write};

    const AUTHORITY: &[u8] = include_bytes!("../../tests/fixtures/tls/authority.pem");

    fn session() -> Session {
        let acceptor = Acceptor::new(vec![read(ONE, ONE_KEY).unwrap()]).unwrap();
        acceptor.session().unwrap()
    }

    fn client() -> ClientConnection {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(AUTHORITY).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), "one.test".try_into().unwrap()).unwrap()
    }

    /// What the client has to send.
    fn sent(client: &mut ClientConnection) -> Vec<u8> {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Gives the session bytes in pieces, as a socket would; what it heard, and what it says to it.
    fn hear(
        session: &mut Session,
        bytes: &[u8],
        piece: usize,
    ) -> (Vec<u8>, Vec<u8>, Result<(), Fault>) {
        let (mut heard, mut out) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            let mut incoming = [session.held(), piece].concat();
            let hear = |said: &[u8]| heard.extend_from_slice(said);
            if let Err(fault) = session.open(&mut incoming, hear, &mut out) {
                return (heard, out, Err(fault));
            }
            assert!(session.held().len() <= MAX_HELD);
        }
        (heard, out, Ok(()))
    }

    /// Both ends of a handshake that is over.
    fn introduced(piece: usize) -> (Session, ClientConnection) {
        let (mut session, mut client) = (session(), client());
        while client.is_handshaking() || session.is_handshaking() {
            let (_, out, heard) = hear(&mut session, &sent(&mut client), piece);
            heard.unwrap();
            client.read_tls(&mut out.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        (session, client)
    }

    proptest! {
        /// P23: however the bytes come, what was said is heard, and what is said comes whole.
        #[test]
        fn what_is_said_arrives_in_any_pieces(
            piece in 1_usize..3_000,
            said in proptest::collection::vec(any::<u8>(), 0..40_000),
        ) {
            let (mut session, mut client) = introduced(piece);
            client.set_buffer_limit(None);
            client.writer().write_all(&said).unwrap();
            client.send_close_notify();
            let (heard, mut out, whole) = hear(&mut session, &sent(&mut client), piece);
            prop_assert!(whole.is_ok() && session.is_at_end());
            prop_assert!(heard == said);
            session.seal(&said, &mut out).unwrap();
            session.close(&mut out);
            let (mut at, mut back) = (out.as_slice(), Vec::new());
            while !at.is_empty() {
                client.read_tls(&mut at).unwrap();
                client.process_new_packets().unwrap();
                // The end is said, so this is not taken for a cut.
                let mut reader = client.reader();
                let mut bytes = [0; 20_000];
                while let Ok(length @ 1..) = reader.read(&mut bytes) {
                    back.extend_from_slice(&bytes[..length]);
                }
            }
            prop_assert!(back == said);
        }

        /// P23: whatever comes, nothing panics, and no more is kept than a record.
        #[test]
        fn any_bytes_are_taken_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            at in 0_usize..600,
            piece in 1_usize..700,
            is_introduced: bool,
            is_damaged: bool,
        ) {
            let (mut session, mut client) = if is_introduced {
                introduced(10_000)
            } else {
                (session(), client())
            };
            let mut sent = sent(&mut client);
            if is_introduced {
                client.writer().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
                sent = self::sent(&mut client);
            }
            if is_damaged {
                let end = (at + bytes.len()).min(sent.len());
                let at = at.min(end);
                sent.splice(at..end, bytes);
            } else {
                sent = bytes;
            }
            let (_, _, whole) = hear(&mut session, &sent, piece);
            // A session that has failed may still be asked to say something.
            let mut out = Vec::new();
            let said = session.seal(b"HTTP/1.1 200 OK\r\n\r\n", &mut out);
            prop_assert!(whole.is_ok() || said.is_err() || !out.is_empty());
            session.close(&mut out);
            drop(hear(&mut session, b"GET / HTTP/1.1\r\n\r\n", piece));
        }
    }
}
