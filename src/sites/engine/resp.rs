//! The engine's protocol (RESP 2): commands to bytes, and replies from bytes within bounds. An engine that lies about lengths, nests
//! without end or never stops is refused as soon as it says so; nothing is allocated that has not come.

use std::io::Read;

use super::EngineError;

/// Longest line: a status, an error, a length.
const MAX_LINE: usize = 4 << 10;

/// Longest string. Frames are 16 KiB; the text of INFO is some KiB.
pub(crate) const MAX_BULK: usize = 64 << 10;

/// Most bytes of one reply.
const MAX_REPLY: usize = 8 << 20;

/// Most values of one reply, those inside of it included.
const MAX_VALUES: usize = 100_000;

/// How deep arrays may lie in one another; XREAD's are four deep.
const MAX_DEPTH: usize = 8;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// One reply, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Nil,
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Value>),
}

impl Value {
    pub(crate) fn array(self) -> Option<Vec<Value>> {
        match self {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    pub(crate) fn bulk(self) -> Option<Vec<u8>> {
        match self {
            Value::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text of a string or a status.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Value::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
            Value::Status(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<u64> {
        match self {
            Value::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

/// Appends a command to `to`.
pub(crate) fn write_command(parts: &[&[u8]], to: &mut Vec<u8>) {
    to.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        to.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        to.extend_from_slice(part);
        to.extend_from_slice(b"\r\n");
    }
}

/// What has come from an engine and is not used up yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    buffer: Vec<u8>,
    at: usize,
    /// Bytes and values that this reply may still have.
    bytes_left: usize,
    values_left: usize,
    /// Bytes read since ever.
    pub(crate) total: u64,
}

impl Input {
    /// Reads one reply.
    ///
    /// # Errors
    /// Of `from`, or when the reply is none or over a bound: then the connection is of no more use.
    pub(crate) fn reply(&mut self, from: &mut impl Read) -> Result<Value, EngineError> {
        self.bytes_left = MAX_REPLY;
        self.values_left = MAX_VALUES;
        self.value(from, MAX_DEPTH)
    }

    fn value(&mut self, from: &mut impl Read, depth: usize) -> Result<Value, EngineError> {
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or(EngineError::TooLarge)?;
        let line = self.line(from)?;
        let (kind, rest) = line.split_first().ok_or(EngineError::NoReply)?;
        let text = || String::from_utf8_lossy(rest).into_owned();
        match kind {
            b'+' => Ok(Value::Status(text())),
            b'-' => Ok(Value::Error(text())),
            b':' => number(rest).map(Value::Integer),
            b'$' => match number(rest)? {
                -1 => Ok(Value::Nil),
                length => self.bulk(from, length).map(Value::Bulk),
            },
            b'*' => match number(rest)? {
                -1 => Ok(Value::Nil),
                length => self.array(from, length, depth).map(Value::Array),
            },
            _ => Err(EngineError::NoReply),
        }
    }

    fn array(
        &mut self,
        from: &mut impl Read,
        length: i64,
        depth: usize,
    ) -> Result<Vec<Value>, EngineError> {
        let length = usize::try_from(length).map_err(|_| EngineError::NoReply)?;
        let depth = depth.checked_sub(1).ok_or(EngineError::TooLarge)?;
        if length > self.values_left {
            return Err(EngineError::TooLarge);
        }
        let mut values = Vec::new();
        for _ in 0..length {
            values.push(self.value(from, depth)?);
        }
        Ok(values)
    }

    fn bulk(&mut self, from: &mut impl Read, length: i64) -> Result<Vec<u8>, EngineError> {
        let length = usize::try_from(length).map_err(|_| EngineError::NoReply)?;
        if length > MAX_BULK {
            return Err(EngineError::TooLarge);
        }
        self.bytes_left = self
            .bytes_left
            .checked_sub(length)
            .ok_or(EngineError::TooLarge)?;
        while self.buffer.len() - self.at < length + 2 {
            self.fill(from)?;
        }
        let string = self.buffer.get(self.at..).unwrap_or_default();
        let (string, end) = string.split_at_checked(length).unwrap_or_default();
        if !end.starts_with(b"\r\n") {
            return Err(EngineError::NoReply);
        }
        let string = string.to_vec();
        self.at += length + 2;
        Ok(string)
    }

    /// A line without its end.
    fn line(&mut self, from: &mut impl Read) -> Result<Vec<u8>, EngineError> {
        let mut looked_at = 0;
        loop {
            let new = self.buffer.get(self.at + looked_at..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', new) {
                let length = looked_at + end;
                let line = self.buffer.get(self.at..self.at + length);
                let line = line.and_then(|line| line.strip_suffix(b"\r"));
                let line = line.ok_or(EngineError::NoReply)?.to_vec();
                self.at += length + 1;
                return Ok(line);
            }
            looked_at += new.len();
            if looked_at > MAX_LINE {
                return Err(EngineError::TooLarge);
            }
            self.fill(from)?;
        }
    }

    fn fill(&mut self, from: &mut impl Read) -> Result<(), EngineError> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let had = self.buffer.len();
        self.buffer.resize(had + CHUNK, 0);
        let read = from.read(self.buffer.get_mut(had..).unwrap_or_default());
        let came = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(had + came);
        self.total += came as u64;
        match read {
            Ok(0) => Err(EngineError::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(EngineError::of(&error)),
        }
    }
}

fn number(text: &[u8]) -> Result<i64, EngineError> {
    let text = std::str::from_utf8(text).map_err(|_| EngineError::NoReply)?;
    text.parse().map_err(|_| EngineError::NoReply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let length = self.0.len().min(self.1).min(to.len());
            to[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn reply(bytes: &[u8]) -> Result<Value, EngineError> {
        Input::default().reply(&mut Slow(bytes, 3))
    }

    #[test]
    fn replies_are_read_however_they_come() {
        assert_eq!(reply(b"+OK\r\n"), Ok(Value::Status("OK".into())));
        assert_eq!(reply(b":-7\r\n"), Ok(Value::Integer(-7)));
        assert_eq!(reply(b"$-1\r\n"), Ok(Value::Nil));
        assert_eq!(reply(b"*-1\r\n"), Ok(Value::Nil));
        assert_eq!(reply(b"$0\r\n\r\n"), Ok(Value::Bulk(vec![])));
        assert_eq!(
            reply(b"-NOPERM no\r\n"),
            Ok(Value::Error("NOPERM no".into()))
        );
        let nested = Value::Array(vec![
            Value::Bulk(b"a\r\nb".to_vec()),
            Value::Array(vec![Value::Nil]),
        ]);
        assert_eq!(reply(b"*2\r\n$4\r\na\r\nb\r\n*1\r\n$-1\r\n"), Ok(nested));
    }

    #[test]
    fn a_lying_engine_is_refused_at_its_first_word() {
        for (lie, why) in [
            (&b"$9999999999\r\n"[..], EngineError::TooLarge),
            (b"*9999999999\r\n", EngineError::TooLarge),
            (b"$-2\r\n", EngineError::NoReply),
            (b"*-5\r\n", EngineError::NoReply),
            (b"$99999999999999999999\r\n", EngineError::NoReply),
            (b"%1\r\n", EngineError::NoReply),
            (b"HTTP/1.1 400 Bad Request\r\n", EngineError::NoReply),
            (b"\r\n", EngineError::NoReply),
            (b"+OK\n", EngineError::NoReply),
            (b"$2\r\nabcd", EngineError::NoReply),
            (b"+OK", EngineError::Closed),
            (b"", EngineError::Closed),
        ] {
            assert_eq!(reply(lie), Err(why), "{:?}", lie.escape_ascii().to_string());
        }
        assert_eq!(reply(&b"*1\r\n".repeat(1_000)), Err(EngineError::TooLarge));
        assert_eq!(reply(&[b'+'; 10_000]), Err(EngineError::TooLarge));
        let mut wide = b"*100000\r\n".to_vec();
        wide.extend_from_slice(&b"*0\r\n".repeat(100_000));
        assert_eq!(reply(&wide), Err(EngineError::TooLarge));
        let mut long = b"*200\r\n".to_vec();
        for _ in 0..200 {
            long.extend_from_slice(b"$65536\r\n");
            long.extend_from_slice(&[0; 65_536]);
            long.extend_from_slice(b"\r\n");
        }
        let mut input = Input::default();
        assert_eq!(input.reply(&mut &long[..]), Err(EngineError::TooLarge));
    }

    #[test]
    fn a_command_reads_as_an_array_of_strings() {
        let mut bytes = Vec::new();
        write_command(&[b"XADD", b"", b"a\r\n"], &mut bytes);
        let parts = [&b"XADD"[..], b"", b"a\r\n"];
        let parts = parts.map(|part| Value::Bulk(part.to_vec())).to_vec();
        assert_eq!(reply(&bytes), Ok(Value::Array(parts)));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_reply_or_an_error(bytes in "[*$:+-]{0,2}[0-9\r\n$*-]{0,60}", step in 1_usize..9) {
            let mut input = Input::default();
            drop(input.reply(&mut Slow(bytes.as_bytes(), step)));
        }
    }
}
