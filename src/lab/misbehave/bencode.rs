//! Bencode (BEP 3) as the laboratory writes it, right or wrong: keys keep the order that they are given, for an answer may be meant to
//! be unsorted. The tracker has codecs of its own, which cannot write what is wrong.

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

/// How deep a value may be nested that is read.
const DEEPEST: usize = 32;

impl Value {
    /// A string of bytes.
    pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Value {
        Value::Bytes(bytes.into())
    }

    /// Reads a value that is all of `bytes`; `None` when they are no bencode, or nested too deep.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Value> {
        let (value, rest) = read(bytes, DEEPEST)?;
        rest.is_empty().then_some(value)
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

/// Reads one value, and gives what is behind it.
fn read(bytes: &[u8], depth: usize) -> Option<(Value, &[u8])> {
    let depth = depth.checked_sub(1)?;
    match bytes.split_first()? {
        (b'i', rest) => {
            let (digits, rest) = split_at_byte(rest, b'e')?;
            let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
            Some((Value::Integer(number), rest))
        }
        (b'l', mut rest) => {
            let mut values = Vec::new();
            while *rest.first()? != b'e' {
                let (value, behind) = read(rest, depth)?;
                values.push(value);
                rest = behind;
            }
            Some((Value::List(values), rest.get(1..)?))
        }
        (b'd', mut rest) => {
            let mut entries = Vec::new();
            while *rest.first()? != b'e' {
                let (key, behind) = read_bytes(rest)?;
                let (value, behind) = read(behind, depth)?;
                entries.push((key.to_vec(), value));
                rest = behind;
            }
            Some((Value::Dictionary(Dictionary(entries)), rest.get(1..)?))
        }
        _ => {
            let (text, rest) = read_bytes(bytes)?;
            Some((Value::bytes(text), rest))
        }
    }
}

fn read_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digits, rest) = split_at_byte(bytes, b':')?;
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    rest.split_at_checked(length)
}

fn split_at_byte(bytes: &[u8], sign: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == sign)?;
    Some((bytes.get(..place)?, bytes.get(place + 1..)?))
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
