//! Any bytes, as a request head and as a query, give values or faults; what is accepted was really there.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use retracker::http::codec::head;
use retracker::http::codec::head::Parsed;
use retracker::http::codec::query;
use retracker::http::codec::query::Parameters;
use retracker::tracker::{Announce, ListOptions, PeerAddresses};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fuzz_target!(|bytes: &[u8]| {
    if let Parsed::Complete(head) = head::parse(bytes) {
        assert!(head.length <= bytes.len() && bytes[..head.length].ends_with(b"\n"));
        // A request is the same, whatever follows it.
        assert_eq!(head::parse(&bytes[..head.length]), Parsed::Complete(head));
        for end in [head.length / 2, head.length - 1] {
            assert!(matches!(head::parse(&bytes[..end]), Parsed::Partial { .. }));
        }
        read(head.query);
        assert!(head.fields().all(|(name, value)| !name.is_empty() && !value.contains(&b'\n')));
    }
    read(bytes);
});

fn announce(parameters: &Parameters<'_>) -> Result<Announce, query::Fault> {
    let required = parameters.required()?;
    Ok(parameters.announce(&required, &PeerAddresses::of_source(IP), ListOptions::default()))
}

fn read(query: &[u8]) {
    let parameters = Parameters::read(query, b"gc");
    if let Ok(found) = announce(&parameters) {
        assert_eq!(found.ip, IP);
        // In front of what is there, a parameter wins.
        let with_port = [b"port=7&", query].concat();
        let again = announce(&Parameters::read(&with_port, b"gc"));
        assert_eq!(again.map(|announce| (announce.info_hash, announce.port)), Ok((found.info_hash, 7)));
    }
    assert!(parameters.reported().count() <= 3);
    let mut hashes = Vec::new();
    if query::scrape(query, 10, &mut hashes).is_ok() {
        assert!((1..=10).contains(&hashes.len()));
        assert!(hashes.is_sorted());
    }
}
