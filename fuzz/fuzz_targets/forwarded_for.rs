//! Any header lines, from any socket: an untrusted caller is itself, and a trusted one is itself or an address that stands there.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use retracker::origin::{self, Forwarding, Mode, Origin};
use retracker::tracker::is_reachable;

fuzz_target!(|input: (bool, IpAddr, Vec<(bool, Vec<u8>)>)| {
    let (is_trusted, stranger, lines) = input;
    let proxy: IpAddr = "10.0.0.1".parse().unwrap();
    let networks = ["10.0.0.0/8", "2001:db8::/32"];
    let origin = Origin {
        mode: Mode::Proxy,
        trusted_proxies: networks.into_iter().map(|network| network.parse().unwrap()).collect(),
        ..Origin::default()
    };
    let mut forwarding = Forwarding::default();
    for (is_real, value) in &lines {
        forwarding.add(if *is_real { b"x-real-ip" } else { b"X-Forwarded-For" }, value);
    }
    let socket = if is_trusted { proxy } else { stranger.to_canonical() };
    let decided = origin.decide(socket, &forwarding);
    if decided != socket {
        assert!(origin.trusted_proxies.covers(socket));
        assert!(is_reachable(decided) && decided == decided.to_canonical());
        let texts = lines.iter().flat_map(|(_, value)| value.split(|byte| *byte == b','));
        let whole = lines.iter().map(|(_, value)| value.as_slice());
        assert!(texts.chain(whole).any(|text| origin::parse(text) == Some(decided)));
    }
    assert!(origin.status(socket, &forwarding).is_ascii());
});
