//! Figures, by hand: `ENGINES=redis://127.0.0.1:6379 cargo test --release --lib sites::tests::measured -- --ignored --nocapture`. They are
//! judged by nobody here; docs/SITES.md has them.

use super::super::frame::{self, Entry, Packer};
use super::*;
use crate::secret::Secret;
use crate::tracker::{Origin, SwarmDelta};

/// What a number in the environment says, or else this.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn join(tracker: &Tracker, number: u64, now: Seconds) {
    let mut announce = announce(
        0,
        u32::try_from(number % (1 << 24)).unwrap(),
        Event::Started,
    );
    announce.info_hash.0[..8].copy_from_slice(&(number / 10).to_be_bytes());
    announce.port = u16::try_from(1 + number / (1 << 24)).unwrap();
    tell(tracker, now, &announce);
}

#[test]
#[ignore = "figures are taken by hand"]
fn what_a_delta_costs() {
    let peers = number("PEERS", 200_000);
    let clock = Clock::start();
    let tracker = fresh_tracker();
    tracker.open_outbox();
    let (mut deltas, mut reading) = (Vec::new(), Duration::ZERO);
    for peer in 0..peers {
        join(&tracker, peer, clock.now());
        if peer % 5_000 == 4_999 {
            let began = clock.elapsed();
            deltas.extend(tracker.deltas_of(tracker.take_touched().touched, clock.now()));
            reading += clock.elapsed() - began;
        }
    }
    let began = clock.elapsed();
    let mut packer = Packer::new(1, 0, 1_800, clock.now(), 0);
    for delta in &deltas {
        packer.swarm(delta.info_hash, [(None, 1)].into_iter(), &delta.peers);
    }
    let frames = packer.finish().0;
    let encoding = clock.elapsed() - began;
    let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
    let other = fresh_tracker();
    let now = clock.now();
    let began = clock.elapsed();
    let mut merged = 0;
    for packed in &frames {
        for entry in frame::read(&packed.bytes, |_| now).unwrap().entries {
            if let Entry::Swarm(swarm) = entry {
                let delta = SwarmDelta {
                    info_hash: swarm.info_hash,
                    downloaded: Vec::new(),
                    peers: swarm.peers,
                };
                merged += other.merge(Origin::new(1), &delta, now).joined;
            }
        }
    }
    let merging = clock.elapsed() - began;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / peers as f64;
    println!(
        "{peers} deltas, {merged} merged, {} frames, {:.1} bytes each; µs each: collect {:.2}, encode {:.2}, read and merge {:.2}",
        frames.len(),
        bytes as f64 / peers as f64,
        each(reading),
        each(encoding),
        each(merging)
    );
}

/// Three trackers over real engines, one after the other told so many joins a second.
#[test]
#[ignore = "figures are taken by hand, with engines"]
fn how_long_it_takes_to_the_others() {
    let engines = std::env::var("ENGINES").expect("ENGINES=redis://…,redis://…");
    let urls: Vec<EngineUrl> = engines.split(',').map(|url| url.parse().unwrap()).collect();
    let (rate, seconds) = (number("RATE", 20_000), number("SECONDS", 30));
    let sites: Vec<Site> = ["a", "b", "c"]
        .iter()
        .map(|name| {
            let settings = Settings::new(
                name.parse().unwrap(),
                "measured".parse().unwrap(),
                urls.clone(),
            );
            started(&settings, None, fresh_tracker(), Blocklist::none()).0
        })
        .collect();
    let (clock, mut told) = (Clock::start(), 0);
    while clock.elapsed() < Duration::from_secs(seconds) {
        let due = u64::try_from(clock.elapsed().as_millis()).unwrap() * rate / 1_000;
        for peer in told..due {
            let site = &sites[usize::try_from(peer % 3).unwrap()];
            join(&site.tracker, peer, site.clock.now());
        }
        told = due;
        std::thread::sleep(Duration::from_millis(5));
    }
    let last_told = clock.elapsed();
    let expected =
        sites[0].status().own_peers + sites[1].status().own_peers + sites[2].status().own_peers;
    let all: Vec<&Site> = sites.iter().collect();
    equal(&all, expected);
    println!(
        "{told} joins in {last_told:?}, equal {:?} later",
        clock.elapsed() - last_told
    );
    for site in &sites {
        let status = site.status();
        println!("{}: {:?} {:?}", status.name, status.lag, status.outgoing);
    }
    let began = clock.elapsed();
    let settings = Settings::new("d".parse().unwrap(), "measured".parse().unwrap(), urls);
    let (cold, caught_up) = started(&settings, None, fresh_tracker(), Blocklist::none());
    println!(
        "a cold one: {caught_up:?}, {} peers after {:?}",
        cold.digest().peers,
        clock.elapsed() - began
    );
}

/// What `retracker sites check` would say: `ENGINES`, `NAME`, `ENGINE_USER`, `ENGINE_PASSWORD`, `CA_FILE`.
#[test]
#[ignore = "tried by hand, with engines"]
fn what_the_check_says_of_real_engines() {
    let said = |name: &str| std::env::var(name).ok();
    let urls = said("ENGINES").expect("ENGINES=redis://…");
    let urls = urls.split(',').map(|url| url.parse().unwrap()).collect();
    let name = said("NAME").unwrap_or_else(|| "a".into());
    let mut settings = Settings::new(name.parse().unwrap(), "measured".parse().unwrap(), urls);
    settings.user = said("ENGINE_USER");
    settings.password = said("ENGINE_PASSWORD").map(Secret::new);
    settings.ca_file = said("CA_FILE").map(PathBuf::from);
    for finding in check(&settings, Clock::start()) {
        println!("{finding:?}");
    }
}
