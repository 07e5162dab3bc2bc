//! Bencode (BEP 3) as values: what a tracker sends is somebody else's, so what is not canonical is refused, and so is what is deep.
//! The reading itself is bendy's.

use anyhow::{anyhow, bail};
use bendy::decoding::{Decoder, Error, Object};

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

impl<'a> Value<'a> {
    /// Reads one value that takes all of `bytes`.
    ///
    /// # Errors
    /// When there is none, or bytes behind it, when an integer is no `i64`, when keys are not sorted or numbers not in their
    /// shortest form, and when more than [`MAX_DEPTH`] lists and dictionaries lie in one another.
    pub(super) fn parse(bytes: &'a [u8]) -> anyhow::Result<Value<'a>> {
        let mut decoder = Decoder::new(bytes).with_max_depth(MAX_DEPTH);
        let value = match decoder.next_object() {
            Ok(Some(object)) => Value::read(object),
            Ok(None) => bail!("no bencode: nothing there"),
            Err(error) => Err(error),
        };
        let value = value.map_err(|error| anyhow!("no bencode: {error}"))?;
        match decoder.next_object() {
            Ok(None) => Ok(value),
            _ => bail!("no bencode: bytes behind the end"),
        }
    }

    /// Reads a value to its end; as deep as the decoder permits.
    fn read(object: Object<'_, 'a>) -> Result<Value<'a>, Error> {
        Ok(match object {
            Object::Integer(text) => Value::Integer(text.parse()?),
            Object::Bytes(bytes) => Value::Bytes(bytes),
            Object::List(mut list) => {
                let mut items = Vec::new();
                while let Some(item) = list.next_object()? {
                    items.push(Value::read(item)?);
                }
                Value::List(items)
            }
            Object::Dict(mut dictionary) => {
                let mut entries = Vec::new();
                while let Some((key, value)) = dictionary.next_pair()? {
                    entries.push((key, Value::read(value)?));
                }
                Value::Dictionary(entries)
            }
        })
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
            b"i-e",
            b"i",
            b"e",
            b"d1:ae",
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

    #[test]
    fn what_nests_without_end_costs_no_stack() {
        for open in [&b"l"[..], b"d1:a"] {
            let hostile = open.repeat(1 << 18);
            let told = Value::parse(&hostile).unwrap_err().to_string();
            assert!(told.contains("nesting depth"), "{told}");
        }
        assert!(Value::parse(b"lllllllleeeeeeee").is_ok());
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
