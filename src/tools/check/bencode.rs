//! Reads bencode (BEP 3), strictly and with bounds: what a tracker sends is somebody else's.

use std::fmt;

/// Lists and dictionaries in one another at most.
const MAX_DEPTH: usize = 8;

/// A value, borrowed from the bytes that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
    Dictionary(Vec<(&'a [u8], Value<'a>)>),
}

/// What is wrong with the bytes, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    at: usize,
    what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no bencode: {} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Fault {}

impl<'a> Value<'a> {
    /// Reads one value that takes all of `bytes`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Value<'a>, Fault> {
        let mut reader = Reader { bytes, at: 0 };
        let value = reader.value(MAX_DEPTH)?;
        if reader.at < bytes.len() {
            return Err(reader.fault("bytes behind the end"));
        }
        Ok(value)
    }

    /// The value under `key`, when this is a dictionary that has it.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Value<'a>> {
        match self {
            Value::Dictionary(entries) => entries
                .iter()
                .find_map(|(name, value)| (*name == key).then_some(value)),
            _ => None,
        }
    }

    /// The integer under `key`.
    pub(super) fn integer(&self, key: &[u8]) -> Option<i64> {
        match self.find(key)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The string under `key`.
    pub(super) fn bytes(&self, key: &[u8]) -> Option<&'a [u8]> {
        match self.find(key)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        match self.peek() {
            Some(b'i') => {
                self.at += 1;
                self.number(b'e').map(Value::Integer)
            }
            Some(b'0'..=b'9') => self.string().map(Value::Bytes),
            Some(b'l' | b'd') if depth == 0 => Err(self.fault("too deep")),
            Some(b'l') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.takes(b'e') {
                    items.push(self.value(depth - 1)?);
                }
                Ok(Value::List(items))
            }
            Some(b'd') => {
                self.at += 1;
                let mut entries: Vec<(&[u8], Value<'_>)> = Vec::new();
                while !self.takes(b'e') {
                    let key = self.string()?;
                    if entries.last().is_some_and(|(last, _)| *last >= key) {
                        return Err(self.fault("keys that are not sorted"));
                    }
                    entries.push((key, self.value(depth - 1)?));
                }
                Ok(Value::Dictionary(entries))
            }
            _ => Err(self.fault("no value")),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], Fault> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.fault("no string"));
        }
        let length = self.number(b':')?;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length));
        let string = end.and_then(|end| self.bytes.get(self.at..end));
        let string = string.ok_or_else(|| self.fault("a string that is cut off"))?;
        self.at += string.len();
        Ok(string)
    }

    /// A decimal number up to `end`, without leading zeros.
    fn number(&mut self, end: u8) -> Result<i64, Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take(21).position(|byte| *byte == end);
        let digits = length.and_then(|length| rest.get(..length));
        let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let number = text.and_then(|text| {
            let number = text.parse::<i64>().ok()?;
            (number.to_string() == text).then_some((number, text.len()))
        });
        let (number, length) = number.ok_or_else(|| self.fault("a bad number"))?;
        self.at += length + 1;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn values_are_found_under_their_keys() {
        let value = Value::parse(b"d8:intervali-7e5:peers2:ab4:zonel1:xi0eee").unwrap();
        assert_eq!(value.integer(b"interval"), Some(-7));
        assert_eq!(value.bytes(b"peers"), Some(&b"ab"[..]));
        assert_eq!(value.bytes(b"interval"), None);
        assert_eq!(
            value.find(b"zone"),
            Some(&Value::List(vec![Value::Bytes(b"x"), Value::Integer(0)]))
        );
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for bytes in [
            &b""[..],
            b"x",
            b"i01e",
            b"i-0e",
            b"ie",
            b"i+1e",
            b"i99999999999999999999e",
            b"5:abc",
            b"-1:a",
            b"99999999999999999999:",
            b"d1:bi1e1:ai1ee",
            b"d1:ai1e1:ai1ee",
            b"di1e1:ae",
            b"d1:a",
            b"l",
            b"i1ei1e",
            b"llllllllleeeeeeeee",
            b"01:a",
        ] {
            assert!(Value::parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error_as_for_somebody_else(
            bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[d]?([ile0-9:a]{0,30}|(1:ai1e)*)e?",
        ) {
            for bytes in [bytes, text.into_bytes()] {
                if Value::parse(&bytes).is_ok() {
                    let theirs = bt_bencode::from_slice::<bt_bencode::Value>(&bytes);
                    let theirs = theirs.and_then(|value| bt_bencode::to_vec(&value));
                    prop_assert_eq!(theirs.ok(), Some(bytes));
                }
            }
        }
    }
}
