//! The bytes of one request, read within a budget that stands before the reading; and bodies that come in chunks (RFC 9112).

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::fault::{Fault, Refused};
use crate::invariant::present;

/// A body is never longer, in bytes.
pub(crate) const MAX_BODY: usize = 4_096;
/// A line between chunks is never longer, in bytes.
const MAX_LINE: usize = 256;
/// Bytes read at a time.
const PIECE: usize = 2_048;

/// Bytes of a connection: those that were read and not taken, then what comes.
pub(super) struct RequestReader<'a, S> {
    stream: &'a mut S,
    bytes: Vec<u8>,
    /// How many of them were taken.
    at: usize,
    /// How many more are read.
    budget: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> RequestReader<'_, S> {
    /// What was `read` already, then at most `budget` bytes more.
    pub(super) fn new(stream: &mut S, read: Vec<u8>, budget: usize) -> RequestReader<'_, S> {
        RequestReader {
            stream,
            bytes: read,
            at: 0,
            budget,
        }
    }

    /// From here on so many bytes more are read.
    pub(super) fn allow(&mut self, budget: usize) {
        self.budget = budget;
    }

    /// All bytes that are there; before anything was taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes so many bytes and drops them.
    pub(super) fn skip(&mut self, length: usize) {
        self.at += length;
    }

    /// Says something before the reply.
    pub(super) async fn say(&mut self, word: &[u8]) -> Result<(), Fault> {
        self.stream.write_all(word).await.map_err(|_| Fault::Gone)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() <= self.at
    }

    fn rest(&self) -> &[u8] {
        present(self.bytes.get(self.at..), "no more is taken than came").unwrap_or_default()
    }

    /// Reads more, or refuses when that would be too much.
    pub(super) async fn more(&mut self, too_much: Refused) -> Result<(), Fault> {
        let mut piece = [0; PIECE];
        let room = piece.get_mut(..self.budget.min(PIECE));
        let room = room.filter(|room| !room.is_empty()).ok_or(too_much)?;
        let length = self.stream.read(room).await.map_err(|_| Fault::Gone)?;
        if length == 0 {
            return Err(Fault::Gone);
        }
        self.budget -= length;
        self.bytes.drain(..self.at.min(self.bytes.len()));
        self.at = 0;
        let piece = present(piece.get(..length), "no more is read than there is room");
        self.bytes.extend_from_slice(piece.unwrap_or_default());
        Ok(())
    }

    /// The next `length` bytes.
    pub(super) async fn take(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        while self.rest().len() < length {
            self.more(Refused::BodyTooLong).await?;
        }
        let taken = present(self.rest().get(..length), "it was waited for");
        let taken = taken.unwrap_or_default().to_vec();
        self.at += length;
        Ok(taken)
    }

    /// The next line without its end.
    async fn line(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            let rest = self.rest();
            if let Some(end) = memchr::memmem::find(rest, b"\r\n") {
                let line = present(rest.get(..end), "the end was found within");
                let line = line.unwrap_or_default().to_vec();
                self.at += end + 2;
                return Ok(line);
            }
            if rest.len() > MAX_LINE {
                return Err(Refused::Malformed.into());
            }
            self.more(Refused::BodyTooLong).await?;
        }
    }

    /// A body in chunks (RFC 9112, 7.1); extensions and trailers are passed over.
    pub(super) async fn chunks(&mut self) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        loop {
            let size = chunk_size(&self.line().await?)?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len().saturating_add(size) > MAX_BODY {
                return Err(Refused::BodyTooLong.into());
            }
            body.extend(self.take(size).await?);
            if !self.line().await?.is_empty() {
                return Err(Refused::Malformed.into());
            }
        }
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, Refused> {
    let digits = line.split(|byte| *byte == b';').next();
    let digits = present(digits, "splitting gives one part at least");
    let digits = digits.unwrap_or_default().trim_ascii_end();
    let text = std::str::from_utf8(digits).map_err(|_| Refused::Malformed)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Refused::Malformed);
    }
    // More digits than a number has are a number that is too large.
    usize::from_str_radix(text, 16).map_err(|_| Refused::BodyTooLong)
}
