//! Connections that another listener accepted and handed over: they are fed to actix-web's HTTP/1 service, each with one
//! request and one limit of time from the first byte to the last.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection with the bytes that were read from it before it came here.
pub struct Handed {
    /// The connection.
    pub stream: std::net::TcpStream,
    /// What was read already.
    pub read: Vec<u8>,
    /// The other end of the socket, which may be a proxy.
    pub peer: SocketAddr,
    /// Whatever its listener wants dropped when the connection ends: its place in a count.
    pub hold: Option<Box<dyn Send>>,
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Handed")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// A stream that first gives back what was read from it before.
#[derive(Debug)]
pub(super) struct Replayed<S> {
    read: io::Cursor<Vec<u8>>,
    stream: S,
}

impl<S> Replayed<S> {
    pub(super) fn new(read: Vec<u8>, stream: S) -> Replayed<S> {
        Replayed {
            read: io::Cursor::new(read),
            stream,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.read).poll_read(context, buffer) {
            return Poll::Ready(Err(error));
        }
        if buffer.filled().len() > before || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Registers a handed-over connection with this thread's runtime.
pub(super) fn adopt(
    stream: std::net::TcpStream,
    read: Vec<u8>,
) -> io::Result<Replayed<tokio::net::TcpStream>> {
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    Ok(Replayed::new(read, stream))
}

/// How long a client may take for the head of its request.
pub(super) const HEAD_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[test]
    fn bytes_read_before_come_first_and_the_rest_follows() {
        let (near, mut far) = tokio::io::duplex(64);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut replayed = Replayed::new(b"GET / HT".to_vec(), near);
            tokio::io::AsyncWriteExt::write_all(&mut far, b"TP/1.0")
                .await
                .unwrap();
            drop(far);
            let mut text = String::new();
            replayed.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "GET / HTTP/1.0");
        });
    }
}
