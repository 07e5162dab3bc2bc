//! The first bytes of a connection: whatever they are, a header is read the same from any beginning that holds it, within its
//! bound, and what was decided of a beginning stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retracker::http::codec::proxy_protocol::{MAX_LENGTH, Preamble, read};

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (start, rest) = input;
    let starts: [&[u8]; 4] = [b"", b"PROXY ", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n"];
    let input = [starts[usize::from(start % 4)], &rest].concat();
    let whole = read(&input);
    if let Preamble::Whole { length, .. } = whole {
        assert!(length > 0 && length <= MAX_LENGTH && length <= input.len());
    }
    for cut in 0..input.len() {
        let part = read(&input[..cut]);
        match part {
            Preamble::Partial { is_certain } => {
                assert!(cut < MAX_LENGTH);
                assert!(!is_certain || whole != Preamble::Absent);
            }
            decided => assert_eq!(decided, whole),
        }
    }
});
