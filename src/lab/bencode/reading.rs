//! Bencode as it came (BEP 3): what a tracker answered, well-formed or not. Keys may stand in any order and more than once; where
//! each value stands is kept.

use std::ops::Range;

/// Lists and dictionaries within one another at most.
const MAX_DEPTH: u32 = 16;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Integer(i64),
    /// A string of bytes.
    Bytes(&'a [u8]),
    /// A list.
    List(Vec<Value<'a>>),
    /// A dictionary.
    Dictionary(Vec<Entry<'a>>),
}

/// One entry of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: Value<'a>,
    /// Where the value stands in the whole text.
    pub place: Range<usize>,
}

impl<'a> Value<'a> {
    /// Reads the value that is the whole text; none when it is no bencode, or something stands behind it.
    pub fn read(text: &'a [u8]) -> Option<Value<'a>> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        (reader.at == text.len()).then_some(value)
    }

    /// The entries of a dictionary; none of anything else.
    pub fn entries(&self) -> &[Entry<'a>] {
        match self {
            Value::Dictionary(entries) => entries,
            _ => &[],
        }
    }

    /// The first value of a dictionary under this key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        let mut entries = self.entries().iter();
        let entry = entries.find(|entry| entry.key == key.as_bytes())?;
        Some(&entry.value)
    }

    /// A number.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A string of bytes.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: u32) -> Option<Value<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.text.get(self.at)? {
            b'i' => {
                self.at += 1;
                let number = str::from_utf8(self.until(b'e')?).ok()?;
                Some(Value::Integer(number.parse().ok()?))
            }
            b'l' => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.ends()? {
                    items.push(self.value(depth + 1)?);
                }
                Some(Value::List(items))
            }
            b'd' => {
                self.at += 1;
                let mut entries = Vec::new();
                while !self.ends()? {
                    let key = self.bytes()?;
                    let begin = self.at;
                    let value = self.value(depth + 1)?;
                    let place = begin..self.at;
                    entries.push(Entry { key, value, place });
                }
                Some(Value::Dictionary(entries))
            }
            _ => Some(Value::Bytes(self.bytes()?)),
        }
    }

    /// Whether a list or dictionary ends here; takes its end.
    fn ends(&mut self) -> Option<bool> {
        let is_end = *self.text.get(self.at)? == b'e';
        self.at += usize::from(is_end);
        Some(is_end)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.until(b':')?;
        if !length.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let length: usize = str::from_utf8(length).ok()?.parse().ok()?;
        let bytes = self.text.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(bytes)
    }

    /// What stands before the next `sign`, which is taken as well.
    fn until(&mut self, sign: u8) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..)?;
        let length = memchr::memchr(sign, rest)?;
        self.at += length + 1;
        rest.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    #[test]
    fn values_are_found_in_any_order_with_their_places() {
        let text = b"d5:peers0:8:intervali-5e1:lli1eee";
        let value = Value::read(text).unwrap();
        assert_eq!(value.get("interval").unwrap().integer(), Some(-5));
        assert_eq!(value.get("peers").unwrap().bytes(), Some(&b""[..]));
        assert_eq!(value.get("l"), Some(&Value::List(vec![Value::Integer(1)])));
        let entry = &value.entries()[1];
        assert_eq!(&text[entry.place.clone()], b"i-5e");
    }

    #[test]
    fn what_is_no_bencode_is_nothing() {
        let deep = [b'l'; 100];
        for text in [
            &b""[..],
            b"i5",
            b"ie",
            b"5:abc",
            b"d1:ae",
            b"-1:",
            b"i1ei2e",
            b"x",
            b"d",
            &deep,
        ] {
            assert_eq!(Value::read(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_nothing(bytes in any::<Vec<u8>>()) {
            drop(Value::read(&bytes));
        }
    }
}
