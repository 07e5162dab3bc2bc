//! What a request costs more because of limits: off, with both levels of a kind, with bans of others, and for a source that is refused.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use retracker::clock::Seconds;
use retracker::net::limits::{Ban, Gate, Kind, Levels, Limits, Settings};

/// Sources that take turns: as many as a busy tracker serves in some seconds.
const SOURCES: u32 = 10_000;

/// As `[WEB] admin_networks` may be.
const ADMINS: [&str; 6] = [
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.51.100.0/24",
    "::1/128",
    "fd00::/8",
];

fn limits(source: Option<&str>, prefix: Option<&str>) -> Arc<Limits> {
    let rate = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    let levels = Levels {
        source: rate(source),
        prefix: rate(prefix),
    };
    let settings = Settings {
        requests: levels,
        ..Settings::off()
    };
    let admins = ADMINS.iter().map(|network| network.parse().unwrap());
    Arc::new(Limits::new(settings, admins.collect()))
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number.wrapping_mul(2_654_435_761) % SOURCES * 7).into()
}

fn v6(number: u32) -> IpAddr {
    let line = u128::from(number.wrapping_mul(2_654_435_761) % SOURCES);
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | line << 64).into()
}

/// A name, limits, and whose requests come.
type Case<'a> = (&'a str, &'a Arc<Limits>, fn(u32) -> IpAddr);

/// One request of each source after another, each at its time.
fn ask(gate: &mut Gate, number: &mut u32, ip: fn(u32) -> IpAddr) -> bool {
    *number = number.wrapping_add(1);
    gate.set_now(Duration::from_micros(u64::from(*number) * 20));
    gate.admit(Kind::Requests, black_box(ip(*number))).is_ok()
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limits");
    let mut number = 0;
    group.bench_function("source alone", |bencher| {
        bencher.iter(|| {
            number += 1;
            black_box(v4(number))
        });
    });
    let off = limits(None, None);
    let both = limits(Some("100/s 1000"), Some("10000/s 100000"));
    let banning = limits(Some("100/s 1000"), Some("10000/s 100000"));
    banning.restore((0..5_000_u32).map(|number| Ban {
        number: number.into(),
        network: IpAddr::from(Ipv4Addr::from_bits(0xc000_0000 + number)).into(),
        kind: Kind::Requests,
        since: Seconds::START,
        until: Seconds::START.plus(1 << 30),
    }));
    let cases: [Case<'_>; 5] = [
        ("off", &off, v4),
        ("one level", &limits(Some("100/s 1000"), None), v4),
        ("both levels", &both, v4),
        ("both levels, v6", &both, v6),
        ("both levels, 5,000 others banned", &banning, v4),
    ];
    for (name, limits, ip) in cases {
        let mut gate = limits.gate();
        let mut number = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| ask(&mut gate, &mut number, ip));
        });
    }
    let mut refused = limits(Some("1/h 1"), None).gate();
    group.bench_function("refused", |bencher| {
        bencher.iter(|| refused.admit(Kind::Requests, black_box(v4(1))).is_ok());
    });
    let mut banned = banning.gate();
    let ip = Ipv4Addr::from_bits(0xc000_0000).into();
    group.bench_function("banned", |bencher| {
        bencher.iter(|| banned.admit(Kind::Requests, black_box(ip)).is_ok());
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
