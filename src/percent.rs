//! Percent-encoding undone, of paths and of what stands in a query; exactly once, on raw bytes.

use std::borrow::Cow;

use memchr::memchr;

use crate::invariant::present;

/// A path with its escapes undone, once; a broken one stands for itself, and so does a plus sign.
pub(crate) fn decode_path(path: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', path).is_none() {
        return Cow::Borrowed(path);
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => escaped(*high, *low),
            _ => None,
        };
        let (byte, tail) = match escaped {
            Some(byte) => {
                let behind = present(tail.get(2..), "two digits were seen");
                (byte, behind.unwrap_or_default())
            }
            None => (*byte, tail),
        };
        decoded.push(byte);
        rest = tail;
    }
    Cow::Owned(decoded)
}

/// Undoes the encoding of a query, once; `None` when an escape is broken or `out` is too small.
#[inline]
pub(crate) fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut bytes = text.iter();
    let mut length = 0;
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => escaped(*bytes.next()?, *bytes.next()?)?,
            b'+' => b' ',
            byte => *byte,
        };
        *out.get_mut(length)? = byte;
        length += 1;
    }
    Some(length)
}

/// Whether nothing in a text is encoded. Has no early exit, so that it looks at many bytes at once.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    !text
        .iter()
        .fold(false, |found, byte| found | matches!(byte, b'%' | b'+'))
}

/// The value of every byte as a hex digit; [`NO_DIGIT`] for the others.
const HEX_DIGITS: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            table[byte as usize] = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => NO_DIGIT,
            };
        }
        byte += 1;
    }
    table
};

const NO_DIGIT: u8 = 0xff;

/// The byte that two hex digits stand for.
#[inline]
fn escaped(high: u8, low: u8) -> Option<u8> {
    let high = HEX_DIGITS.get(usize::from(high))?;
    let low = HEX_DIGITS.get(usize::from(low))?;
    (high | low != NO_DIGIT).then_some(high << 4 | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P2: a plus sign in a path is one; only queries are written by encoders of forms.
    #[test]
    fn paths_are_decoded_once_and_broken_escapes_stand_for_themselves() {
        for (path, decoded) in [
            ("/a+b", "/a+b"),
            ("/%61%2541", "/a%41"),
            ("/%zz%4", "/%zz%4"),
            ("%%41", "%A"),
            ("", ""),
        ] {
            assert_eq!(*decode_path(path.as_bytes()), *decoded.as_bytes(), "{path}");
        }
    }
}
