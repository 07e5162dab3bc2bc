//! Any header lines, from any socket: an untrusted caller is itself, and no admin once it carries a proxy's headers; a trusted
//! one is an address that stands there, or nobody: never a trusted hop, never loopback.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use retracker::net::client_address;
use retracker::net::client_address::{ClientAddress, Forwarding, Mode, ClientAddressRules};
use retracker::net::is_reachable;

fuzz_target!(|input: (bool, IpAddr, Vec<(u8, Vec<u8>)>)| {
    let (is_trusted, stranger, lines) = input;
    let proxy: IpAddr = "10.0.0.1".parse().unwrap();
    let networks = ["10.0.0.0/8", "2001:db8::/32"];
    let origin = ClientAddressRules {
        mode: Mode::Proxy,
        trusted_proxies: networks.into_iter().map(|network| network.parse().unwrap()).collect(),
        ..ClientAddressRules::default()
    };
    let names: [&[u8]; 4] = [b"x-real-ip", b"X-Forwarded-For", b"Forwarded", b"Host"];
    let mut forwarding = Forwarding::default();
    for (name, value) in &lines {
        forwarding.add(names[usize::from(name % 4)], value);
    }
    let socket = if is_trusted { proxy } else { stranger.to_canonical() };
    let caller = origin.decide(socket, &forwarding);
    assert!(!origin.is_admin(&caller) && !caller.is_local());
    let caller = caller.to_host(None, &origin.hosts);
    if origin.trusted_proxies.covers(socket) {
        assert!(!origin.is_admin(&caller) && !caller.is_local());
        if let ClientAddress::Known(ip) = caller.address {
            assert!(is_reachable(ip) && ip == ip.to_canonical());
            assert!(!ip.is_loopback() && !origin.trusted_proxies.covers(ip));
            let texts = lines.iter().flat_map(|(_, value)| value.split(|byte| *byte == b','));
            let whole = lines.iter().map(|(_, value)| value.as_slice());
            assert!(texts.chain(whole).any(|text| client_address::parse(text) == Some(ip)));
        }
    } else {
        assert_eq!(caller.address.known(), Some(socket).filter(|ip| is_reachable(*ip)));
        let is_forwarded = lines.iter().any(|(name, _)| name % 4 != 3);
        assert!(!is_forwarded || !(origin.is_admin(&caller) || caller.is_local()));
    }
    assert!(origin.status(socket, &caller, &forwarding).is_ascii());
});
