//! Bencode as the laboratory writes it, right or wrong: keys keep the order that they are given, for an answer may be meant to be
//! unsorted.

use super::reading;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `i42e`.
    Integer(i64),
    /// `4:spam`.
    Bytes(Vec<u8>),
    /// `l…e`.
    List(Vec<Value>),
    /// `d…e`.
    Dictionary(Dictionary),
    /// Bytes that stand in the place of a value as they are.
    Raw(Vec<u8>),
}

/// Keys and values in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dictionary(pub(crate) Vec<(Vec<u8>, Value)>);

impl Value {
    /// A string of bytes.
    pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Value {
        Value::Bytes(bytes.into())
    }

    /// Reads a value that is all of `bytes`; `None` when they are no bencode, or nested too deep.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Value> {
        reading::Value::read(bytes).map(Value::of)
    }

    fn of(read: reading::Value<'_>) -> Value {
        match read {
            reading::Value::Integer(number) => Value::Integer(number),
            reading::Value::Bytes(bytes) => Value::bytes(bytes),
            reading::Value::List(values) => {
                Value::List(values.into_iter().map(Value::of).collect())
            }
            reading::Value::Dictionary(entries) => {
                let entries = entries.into_iter();
                let entries = entries.map(|entry| (entry.key.to_vec(), Value::of(entry.value)));
                Value::Dictionary(Dictionary(entries.collect()))
            }
        }
    }

    /// The value as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Integer(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Value::Bytes(bytes) => write_bytes(bytes, out),
            Value::List(values) => {
                out.push(b'l');
                for value in values {
                    value.write(out);
                }
                out.push(b'e');
            }
            Value::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in &entries.0 {
                    write_bytes(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
            Value::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl Dictionary {
    /// The value of a key.
    pub(crate) fn find(&self, key: &str) -> Option<&Value> {
        let mut entries = self.0.iter();
        let found = entries.find(|(there, _)| there == key.as_bytes());
        found.map(|(_, value)| value)
    }

    /// Puts a value at its key, in the place that sorting gives it.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.remove(key);
        let place = self
            .0
            .partition_point(|(there, _)| there.as_slice() < key.as_bytes());
        self.0.insert(place, (key.as_bytes().to_vec(), value));
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(there, _)| there != key.as_bytes());
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            "i-5e",
            "4:spam",
            "le",
            "d8:intervali1800e5:peers6:abcdefe",
            "d1:bi1e1:ai2ee",
            "lli1eee",
        ] {
            let value = Value::decode(text.as_bytes()).unwrap();
            assert_eq!(value.encode(), text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_is_no_bencode_is_no_value() {
        let deep = format!("{}{}", "l".repeat(40), "e".repeat(40));
        for text in [
            "", "i5", "5:abc", "d", "d1:a", "i5ex", "x", "di1ei2ee", &deep,
        ] {
            assert_eq!(Value::decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_set_in_its_place() {
        let mut entries = Dictionary::default();
        for key in ["peers", "complete", "interval", "complete"] {
            entries.set(key, Value::Integer(1));
        }
        let text = Value::Dictionary(entries).encode();
        assert_eq!(text, b"d8:completei1e8:intervali1e5:peersi1ee");
    }
}
