//! What the port offers, asked by hellos of every kind as testssl.sh and its like ask (P23): a client of a library that is sound itself
//! could not ask for what is weak.

use std::io::Write;
use std::net::Shutdown;

use super::client::{connect, rest};
use super::server::{Server, certificate, start};

/// ECDHE with AES-GCM or `ChaCha20`, by certificates of ECDSA and of RSA.
const GOOD_V1_2: [u16; 6] = [0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9];
const GOOD_V1_3: [u16; 3] = [0x1301, 0x1302, 0x1303];
/// P-256, P-384 and X25519.
const GOOD_GROUPS: [u16; 3] = [0x17, 0x18, 0x1d];
/// ECDSA and RSA (also PSS) with SHA-256, 384 and 512, Ed25519.
const GOOD_SCHEMES: [u16; 9] = [
    0x0403, 0x0503, 0x0603, 0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806,
];

/// What a client says first.
#[derive(Clone, Copy)]
struct Hello<'a> {
    /// The second byte of its version: 0 is SSL 3, 3 is TLS 1.2.
    version: u8,
    suites: &'a [u16],
    groups: &'a [u16],
    schemes: &'a [u16],
    compressions: &'a [u8],
    /// Those of the extension of TLS 1.3; none: without it.
    versions: &'a [u16],
}

const HELLO: Hello<'_> = Hello {
    version: 3,
    suites: &GOOD_V1_2,
    groups: &GOOD_GROUPS,
    schemes: &GOOD_SCHEMES,
    compressions: &[0],
    versions: &[],
};

/// Bytes behind their length in two bytes.
fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

/// Bytes behind their length in one byte.
fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    let bytes = numbers.iter().flat_map(|number| number.to_be_bytes());
    bytes.collect()
}

impl Hello<'_> {
    fn bytes(self) -> Vec<u8> {
        let extension = |kind: u16, bytes: &[u8]| [&kind.to_be_bytes(), &*long(bytes)].concat();
        let mut extensions = [
            extension(10, &long(&numbers(self.groups))),
            extension(11, &short(&[0])),
            extension(13, &long(&numbers(self.schemes))),
        ]
        .concat();
        if !self.versions.is_empty() {
            extensions.extend(extension(43, &short(&numbers(self.versions))));
            // No share of a key: which group is to be had is asked for then.
            extensions.extend(extension(51, &long(&[])));
        }
        let body = [
            &[3, self.version][..],
            &[7; 32],
            &short(&[]),
            &long(&numbers(self.suites)),
            &short(self.compressions),
            &long(&extensions),
        ]
        .concat();
        let message = [&[1, 0][..], &long(&body)].concat();
        [&[0x16, 3, 1][..], &long(&message)].concat()
    }
}

/// What the server says to a hello.
fn told(server: &Server, hello: Hello<'_>) -> Vec<u8> {
    let mut stream = connect("127.0.0.1", server.address);
    stream.write_all(&hello.bytes()).unwrap();
    drop(stream.shutdown(Shutdown::Write));
    rest(&mut stream)
}

/// The suite and compression that the server takes; nothing when it answers with an alert.
fn taken(server: &Server, hello: Hello<'_>) -> Option<(u16, u8)> {
    match &*told(server, hello) {
        [0x15, 3, _, 0, 2, 2, _] => None,
        // Behind a record's and a message's head: version, random bytes, the session, and what was taken.
        [0x16, 3, _, _, _, 2, _, _, _, 3, 3, behind @ ..] => {
            let session = usize::from(behind[32]);
            let at = 33 + session;
            let suite = u16::from_be_bytes([behind[at], behind[at + 1]]);
            Some((suite, behind[at + 2]))
        }
        other => panic!("{other:?}"),
    }
}

/// Every number of a suite, or of a group, but some.
fn all_but(some: &[u16]) -> Vec<u16> {
    // Not the two that are no suites but tell of the client.
    let all = [0..=0xfe, 0x1300..=0x13ff, 0xc000..=0xc0ff, 0xcc00..=0xccff];
    let all = all.into_iter().flatten();
    all.filter(|number| !some.contains(number)).collect()
}

/// With certificates of both kinds: the one of ECDSA alone would keep weak suites of RSA out by itself.
fn start_with_both_kinds() -> Server {
    let server = start();
    let both = ["one", "rsa"].map(certificate);
    server.acceptor.replace(both.to_vec());
    server
}

/// P23
#[test]
fn tls_1_2_is_offered_with_forward_secrecy_and_authenticated_ciphers_only() {
    let server = start_with_both_kinds();
    for suite in GOOD_V1_2 {
        let suites = &[suite];
        assert_eq!(taken(&server, Hello { suites, ..HELLO }), Some((suite, 0)));
    }
    // It is not how much is asked for that is refused.
    let (suites, groups) = (&all_but(&[]), &all_but(&[]));
    let everything = Hello {
        suites,
        groups,
        ..HELLO
    };
    assert!(taken(&server, everything).is_some());
    let suites = &all_but(&GOOD_V1_2);
    assert!(taken(&server, Hello { suites, ..HELLO }).is_none());
    let groups = &all_but(&GOOD_GROUPS);
    assert!(taken(&server, Hello { groups, ..HELLO }).is_none());
    // MD5, SHA-1 and SHA-224, with RSA, DSA and ECDSA.
    let weak = (1..=3).flat_map(|hash| (1..=3).map(move |kind| hash << 8 | kind));
    let schemes = &weak.collect::<Vec<u16>>();
    assert!(taken(&server, Hello { schemes, ..HELLO }).is_none());
    let compressions = &[1, 0];
    let hello = Hello {
        compressions,
        ..HELLO
    };
    assert_eq!(taken(&server, hello).map(|(_, taken)| taken), Some(0));
    let compressions = &[1];
    let hello = Hello {
        compressions,
        ..HELLO
    };
    assert!(taken(&server, hello).is_none());
}

/// P23
#[test]
fn nothing_older_than_tls_1_2_is_offered() {
    let server = start_with_both_kinds();
    let every_suite = &all_but(&[]);
    for version in 0..=2 {
        for suites in [&GOOD_V1_2[..], every_suite] {
            let hello = Hello {
                version,
                suites,
                ..HELLO
            };
            assert!(taken(&server, hello).is_none(), "3.{version}");
        }
        // Where the extension tells the version, and a draft of TLS 1.3.
        let older = [0x0300 + u16::from(version), 0x7f1c];
        let hello = Hello {
            versions: &older,
            suites: every_suite,
            ..HELLO
        };
        assert!(taken(&server, hello).is_none(), "3.{version}");
    }
}

/// P23
#[test]
fn tls_1_3_is_offered_with_its_whole_ciphers_only() {
    let server = start_with_both_kinds();
    let hello = Hello {
        versions: &[0x0304],
        ..HELLO
    };
    for suite in GOOD_V1_3 {
        let suites = &[suite];
        assert_eq!(taken(&server, Hello { suites, ..hello }), Some((suite, 0)));
    }
    let suites = &all_but(&GOOD_V1_3);
    assert!(taken(&server, Hello { suites, ..hello }).is_none());
    let hello = Hello {
        suites: &GOOD_V1_3,
        ..hello
    };
    for group in GOOD_GROUPS {
        let groups = &[group];
        assert!(taken(&server, Hello { groups, ..hello }).is_some());
    }
    let groups = &all_but(&GOOD_GROUPS);
    assert!(taken(&server, Hello { groups, ..hello }).is_none());
    let (suites, groups) = (&all_but(&[]), &all_but(&[]));
    let everything = Hello {
        suites,
        groups,
        ..hello
    };
    assert!(taken(&server, everything).is_some());
}
