//! A connection that came by TLS, as a stream of what is said on it. Its session was begun by the listener, which handed it over
//! together with the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::Session;

/// Bytes read at a time.
const PIECE: usize = 4_096;
/// Bytes sealed at a time; no more of them wait to be sent.
const SEALED: usize = 16_384;

/// The stream.
pub(super) struct Encrypted {
    stream: TcpStream,
    session: Box<Session>,
    /// What was said and not read.
    heard: Vec<u8>,
    /// What is sealed and not sent.
    unsent: Vec<u8>,
    is_closed: bool,
}

impl Encrypted {
    pub(super) fn new(stream: TcpStream, session: Box<Session>) -> Encrypted {
        Encrypted {
            stream,
            session,
            heard: Vec::new(),
            unsent: Vec::new(),
            is_closed: false,
        }
    }

    /// Sends what is sealed.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = Pin::new(&mut self.stream).poll_write(context, &self.unsent);
            let sent = ready!(sent)?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

fn broken(fault: crate::tls::Fault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.heard.is_empty() {
                let length = this.heard.len().min(into.remaining());
                into.put_slice(this.heard.get(..length).unwrap_or_default());
                this.heard.drain(..length);
                return Poll::Ready(Ok(()));
            }
            if this.session.is_at_end() {
                return Poll::Ready(Ok(()));
            }
            // What TLS itself has to say goes out by the way; reading does not wait for it.
            if let Poll::Ready(sent) = this.poll_send(context) {
                sent?;
            }
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let mut incoming = this.session.held().to_vec();
            incoming.extend_from_slice(piece.filled());
            let hear = |piece: &[u8]| this.heard.extend_from_slice(piece);
            let opened = this.session.open(&mut incoming, hear, &mut this.unsent);
            opened.map_err(broken)?;
        }
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let this = &mut *self;
        let bytes = bytes.get(..SEALED).unwrap_or(bytes);
        let sealed = this.session.seal(bytes, &mut this.unsent);
        sealed.map_err(broken)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_closed {
            this.is_closed = true;
            this.session.close(&mut this.unsent);
        }
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
