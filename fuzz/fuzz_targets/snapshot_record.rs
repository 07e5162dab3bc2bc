//! Any bytes as a record, also behind a right header and checksum, give peers or an error; peers that were read, written and read
//! again are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retracker::clock::Seconds;
use retracker::snapshot::{read_record, write_record};

fuzz_target!(|bytes: &[u8]| {
    drop(read_record(bytes, Seconds::START));
    let Some((count, body)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let mut record = b"rs\x01\x00".to_vec();
    record.extend(u32::from(u16::from_le_bytes(*count)).to_le_bytes());
    record.extend(crc32fast::hash(body).to_le_bytes());
    record.extend(body);
    let Ok(peers) = read_record(&record, Seconds::START) else {
        return;
    };
    write_record(&peers, Seconds::START, &mut record);
    assert_eq!(read_record(&record, Seconds::START), Ok(peers));
});
