//! The header by which a proxy says, before anything else on a connection, whose the connection is: versions 1 and 2 of the PROXY
//! protocol (doc/proxy-protocol.txt of haproxy).
//!
//! Where a header ends, and that it ends within bounds, is found here; a whole one is read by `proxy-header`. Whether its sender is
//! believed, and what its address is good for, is decided elsewhere.

use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};

/// How version 1 begins, a line of text.
const V1: &[u8] = b"PROXY ";
/// The longest line of version 1 with its end, as the protocol has it.
const V1_LENGTH: usize = 107;

/// How version 2 begins.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What every header of version 2 has: that beginning, a byte of version and command, one of family and protocol, and two of
/// the length of what follows.
const V2_FIXED: usize = 16;

/// Bytes of a header at most. Those of haproxy and nginx have less than a few hundred, even with what TLS knows of the client; the
/// protocol allows 64 KiB.
pub const MAX_LENGTH: usize = 4_096;

/// Whose a connection is by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's that speaks TCP: its address as the header has it.
    Client(SocketAddr),
    /// The proxy's own, which looks whether the tracker is there (`LOCAL`).
    Proxy,
    /// Somebody's without an address that TCP could have: `UNKNOWN`, an unspecified family, UDP, a socket of the file system.
    Unknown,
}

/// What the beginning of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// No header.
    Absent,
    /// The beginning of one, if of anything that is more than the beginning of something else.
    Partial {
        /// Whether it can be nothing but a header.
        is_certain: bool,
    },
    /// A header that is wrong or too long.
    Malformed,
    /// A whole header.
    Whole {
        /// Its bytes.
        length: usize,
        /// What it says.
        origin: Origin,
    },
}

/// Looks for a header at the start of the first bytes of a connection. The same whole header is found however the bytes were cut.
/// Allocates nothing.
pub fn read(input: &[u8]) -> Preamble {
    if input.starts_with(V1) {
        return read_line(input);
    }
    if input.starts_with(V2) {
        return read_binary(input);
    }
    if V1.starts_with(input) || V2.starts_with(input) {
        Preamble::Partial { is_certain: false }
    } else {
        Preamble::Absent
    }
}

fn read_line(input: &[u8]) -> Preamble {
    let within = input.get(..V1_LENGTH).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', within) else {
        return if within.len() < V1_LENGTH {
            Preamble::Partial { is_certain: true }
        } else {
            Preamble::Malformed
        };
    };
    // The crate takes a beginning of it for a header, and then what is behind.
    whole(input.get(..=end).unwrap_or_default())
}

fn read_binary(input: &[u8]) -> Preamble {
    let Some((fixed, _)) = input.split_first_chunk::<V2_FIXED>() else {
        return Preamble::Partial { is_certain: true };
    };
    let [.., command, _, high, low] = *fixed;
    let length = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_LENGTH {
        return Preamble::Malformed;
    }
    let Some(header) = input.get(..length) else {
        return Preamble::Partial { is_certain: true };
    };
    // Whatever stands behind it, family included, is to be passed over.
    if command == 0x20 {
        let origin = Origin::Proxy;
        return Preamble::Whole { length, origin };
    }
    whole(header)
}

/// Reads a header that is there from its first to its last byte.
fn whole(header: &[u8]) -> Preamble {
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let Ok((read, length)) = ProxyHeader::parse(header, config) else {
        return Preamble::Malformed;
    };
    if length != header.len() {
        return Preamble::Malformed;
    }
    let origin = match read.proxied_address() {
        Some(address) if address.protocol == Protocol::Stream => Origin::Client(address.source),
        _ => Origin::Unknown,
    };
    Preamble::Whole { length, origin }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    /// A header of version 2.
    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, body].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0x30, 0x39, 0, 80];

    fn client(text: &str) -> Origin {
        Origin::Client(text.parse().unwrap())
    }

    /// O7
    #[test]
    fn both_versions_name_the_client() {
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 1;
        six[32..34].copy_from_slice(&[0x30, 0x39]);
        let tlvs = [FOUR.as_slice(), &[4, 0, 2, 9, 9], &[0xee; 3]].concat();
        for (header, origin) in [
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 80\r\n".to_vec(),
                client("192.0.2.1:12345"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 12345 80\r\n".to_vec(),
                client("[2001:db8::1]:12345"),
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n".to_vec(),
                client("[::ffff:192.0.2.1]:1"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Origin::Unknown),
            (
                b"PROXY UNKNOWN whatever it says 1 2\r\n".to_vec(),
                Origin::Unknown,
            ),
            (binary(0x21, 0x11, &FOUR), client("192.0.2.1:12345")),
            (binary(0x21, 0x11, &tlvs), client("192.0.2.1:12345")),
            (binary(0x21, 0x21, &six), client("[2001:db8::1]:12345")),
            (binary(0x21, 0x12, &FOUR), Origin::Unknown),
            (binary(0x21, 0x22, &six), Origin::Unknown),
            (binary(0x21, 0x00, &[]), Origin::Unknown),
            (binary(0x21, 0x00, &FOUR), Origin::Unknown),
            (binary(0x21, 0x31, &[b'/'; 216]), Origin::Unknown),
            (binary(0x21, 0x32, &[b'/'; 220]), Origin::Unknown),
            (binary(0x20, 0x00, &[]), Origin::Proxy),
            (binary(0x20, 0x11, &FOUR), Origin::Proxy),
            (binary(0x20, 0xff, &[1, 2, 3]), Origin::Proxy),
            (
                binary(0x21, 0x00, &[0; MAX_LENGTH - V2_FIXED]),
                Origin::Unknown,
            ),
        ] {
            let length = header.len();
            let expected = Preamble::Whole { length, origin };
            assert_eq!(read(&header), expected, "{header:?}");
            let request = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(read(&request), expected, "{header:?}");
            for cut in 0..length {
                let part = read(&header[..cut]);
                assert!(matches!(part, Preamble::Partial { .. }), "{cut}: {part:?}");
            }
        }
    }

    /// O7
    #[test]
    fn what_is_wrong_or_too_long_is_no_header_that_is_waited_for() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_LENGTH - 16));
        assert_eq!(long.len(), V1_LENGTH);
        assert!(matches!(read(long.as_bytes()), Preamble::Whole { .. }));
        for wrong in [
            format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_LENGTH - 15)).into_bytes(),
            [b"PROXY ".as_slice(), &[b'x'; V1_LENGTH - 6]].concat(),
            b"PROXY TCP4 192.0.2.1 198.51.100.7 12345\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 80\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 80 \r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 65536\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 ::1 12345 80\r\n".to_vec(),
            b"PROXY TCP5 192.0.2.1 198.51.100.7 12345 80\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 198.51.100.7 12345 80\r\n".to_vec(),
            b"PROXY  TCP4 192.0.2.1 198.51.100.7 12345 80\r\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"PROXY \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\r\n".to_vec(),
            binary(0x11, 0x11, &FOUR),
            binary(0x22, 0x11, &FOUR),
            binary(0x21, 0x13, &FOUR),
            binary(0x21, 0x41, &FOUR),
            binary(0x21, 0x10, &FOUR),
            binary(0x21, 0x11, &FOUR[..11]),
            binary(0x21, 0x21, &FOUR),
            binary(0x21, 0x31, &[0; 215]),
            binary(0x20, 0x00, &[0; MAX_LENGTH - V2_FIXED + 1]),
        ] {
            assert_eq!(read(&wrong), Preamble::Malformed, "{wrong:?}");
        }
        // Refused by what it says of itself, before it is there.
        let header = binary(0x21, 0x11, &[0; MAX_LENGTH]);
        assert_eq!(read(&header[..V2_FIXED]), Preamble::Malformed);
    }

    /// O7
    #[test]
    fn requests_are_no_headers() {
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "POST /login HTTP/1.1\r\n",
            "PROPFIND / HTTP/1.1\r\n",
            "PROXY: x\r\n",
            "\r\nGET / HTTP/1.1\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n",
            "\x16\x03\x01",
        ] {
            assert_eq!(read(request.as_bytes()), Preamble::Absent, "{request}");
        }
        for start in ["", "P", "PRO", "PROXY", "\r", "\r\n\r\n"] {
            let expected = Preamble::Partial { is_certain: false };
            assert_eq!(read(start.as_bytes()), expected, "{start}");
        }
    }

    proptest! {
        /// O7
        #[test]
        fn any_bytes_are_something_and_no_more_of_them_is_taken_than_there_are(
            start in 0..3_usize,
            rest in any::<Vec<u8>>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let start = [&b""[..], V1, V2][start];
            let input = [start, &rest].concat();
            let read_whole = read(&input);
            if let Preamble::Whole { length, .. } = read_whole {
                prop_assert!(length <= input.len() && length <= MAX_LENGTH);
                prop_assert_eq!(read(&input[..length]), read_whole);
            }
            // What was decided of a part stands.
            let part = read(&input[..cut.index(input.len() + 1)]);
            if !matches!(part, Preamble::Partial { .. }) {
                prop_assert_eq!(part, read_whole);
            }
        }
    }
}
