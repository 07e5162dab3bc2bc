//! What lists of a million entries cost: how long a file of them takes to load, what is kept of it at the allocator, and how long a
//! look-up takes of what is on the list and of what is not. Prints a table; run by hand.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a bench"
)]

use std::alloc::System;
use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Instant;

use retracker::clock::Clock;
use retracker::lists::{ListFiles, Settings};
use retracker::metrics::Metrics;
use retracker::tracker::{AccessLists, InfoHash};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ENTRIES: u32 = 1_000_000;
const LOOKUPS: usize = 4_000_000;

fn hash(rng: &mut fastrand::Rng) -> InfoHash {
    let mut bytes = [0; 20];
    rng.fill(&mut bytes);
    InfoHash(bytes)
}

/// Nanoseconds for each of many questions, and allocations in all of them.
fn ask<T>(name: &str, questions: &[T], is_in: impl Fn(&T) -> bool) {
    let region = Region::new(ALLOCATOR);
    let began = Instant::now();
    let found = questions.iter().cycle().take(LOOKUPS);
    let found = found.filter(|question| is_in(black_box(question))).count();
    let nanos = began.elapsed().as_nanos() as f64 / LOOKUPS as f64;
    let allocations = region.change().allocations;
    println!("  {name:<28}{nanos:>7.1} ns   {found} of {LOOKUPS} found, {allocations} allocations");
}

fn load(name: &str, settings: Settings) -> ListFiles {
    let region = Region::new(ALLOCATOR);
    let began = Instant::now();
    let files = ListFiles::read(settings, Clock::start());
    let took = began.elapsed();
    let change = region.change();
    let kept = (change.bytes_allocated - change.bytes_deallocated) as f64 / 1e6;
    for line in files.refused() {
        println!("  {line}");
    }
    println!("{name}: loaded in {took:.0?}, {kept:.1} MB kept");
    files
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let hashes: Vec<InfoHash> = (0..ENTRIES).map(|_| hash(&mut rng)).collect();
    let others: Vec<InfoHash> = (0..ENTRIES).map(|_| hash(&mut rng)).collect();
    let text = hashes.iter().fold(String::new(), |mut text, hash| {
        writeln!(text, "{hash}").unwrap();
        text
    });
    let torrents = write("torrents", &text);
    drop(text);
    let files = load(
        "1,000,000 listed torrents",
        Settings {
            only_listed: true,
            torrents_file: Some(torrents),
            blocklist_files: Vec::new(),
        },
    );
    let access = AccessLists::default();
    files.put(&access);
    let listed = access.listed_torrents();
    ask("listed", &hashes, |hash| listed.of_file.contains(hash));
    ask("not listed", &others, |hash| listed.of_file.contains(hash));
    ask("listed, by the tracker", &hashes, |hash| {
        access.admit_torrent(hash).is_ok()
    });
    ask("not listed, by the tracker", &others, |hash| {
        access.admit_torrent(hash).is_ok()
    });
    drop((files, listed, hashes, others));

    let mut p2p = String::new();
    for number in 0..ENTRIES {
        let first = number * 4_000 + rng.u32(0..2_000);
        let (first, last) = (
            Ipv4Addr::from(first),
            Ipv4Addr::from(first + rng.u32(0..1_000)),
        );
        writeln!(p2p, "Somebody of number {number}:{first}-{last}").unwrap();
    }
    let v4 = |rng: &mut fastrand::Rng| IpAddr::V4(rng.u32(..).into());
    let addresses: Vec<IpAddr> = (0..ENTRIES).map(|_| v4(&mut rng)).collect();
    blocklist("1,000,000 ranges of IPv4", folder.path(), &p2p, &addresses);
    p2p.clear();
    let v6 = |number: u32| Ipv6Addr::from(0x2001_u128 << 112 | u128::from(number) << 64);
    for number in 0..ENTRIES {
        writeln!(p2p, "{}/64", v6(number * 2)).unwrap();
    }
    let addresses: Vec<IpAddr> = (0..ENTRIES)
        .map(|_| IpAddr::V6(v6(rng.u32(0..2 * ENTRIES))))
        .collect();
    blocklist(
        "1,000,000 networks of IPv6",
        folder.path(),
        &p2p,
        &addresses,
    );
}

fn blocklist(name: &str, folder: &Path, text: &str, addresses: &[IpAddr]) {
    let path = folder.join("blocked");
    std::fs::write(&path, text).unwrap();
    let files = load(
        name,
        Settings {
            blocklist_files: vec![path],
            ..Settings::default()
        },
    );
    let (access, metrics) = (AccessLists::default(), Metrics::new(0));
    files.put(&access);
    files.report(&metrics);
    let file = files.blocklists().next().unwrap().1;
    ask("address", addresses, |ip| file.addresses.covers(*ip));
    ask("address, by the tracker", addresses, |ip| {
        access.admit(*ip).is_err()
    });
}
