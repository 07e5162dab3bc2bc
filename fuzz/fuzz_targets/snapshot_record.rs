//! Any bytes as a record, also behind a right header and checksum, give a record or an error; one that was read, written and
//! read again is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retracker::clock::Seconds;
use retracker::snapshot::{read_record, write_record};

fuzz_target!(|bytes: &[u8]| {
    drop(read_record(bytes, Seconds::START));
    let Some(([format, count @ ..], body)) = bytes.split_first_chunk::<3>() else {
        return;
    };
    let mut record = b"rs".to_vec();
    record.extend([*format, 0]);
    record.extend(u32::from(u16::from_le_bytes(*count)).to_le_bytes());
    record.extend(crc32fast::hash(body).to_le_bytes());
    record.extend(body);
    let Ok(read) = read_record(&record, Seconds::START) else {
        return;
    };
    let counts = &read.downloaded_elsewhere;
    write_record(&read.peers, counts, Seconds::START, &mut record);
    assert_eq!(read_record(&record, Seconds::START), Ok(read));
});
