//! `zones explain ADDRESS`: where it lies, who is near it in the last snapshot, and what it would be handed of one torrent,
//! found out by asking a tracker in memory that has that swarm.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use ipnet::IpNet;

use super::kept::{Kept, THEN};
use super::near::Levels;
use crate::clock::Clock;
use crate::config::Config;
use crate::invariant::present;
use crate::lists::ListFiles;
use crate::metrics::{Metrics, StrangerReason, Transport};
use crate::net::reported_address::{Reports, Rules};
use crate::tracker::{
    Announce, AnnounceContext, AnnounceReply, Event, InfoHash, ListOptions, PeerId, PeerList,
    Refusal, Selection, StoredPeer, StoredSwarm, Tracker, Zones,
};

/// Whom to explain.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A client's address.
    address: IpAddr,
    /// Of which torrent the client would be handed peers, as 40 hex digits.
    #[arg(long, value_name = "HASH", value_parser = info_hash)]
    torrent: Option<InfoHash>,
    /// The client has all of the torrent.
    #[arg(long, requires = "torrent")]
    seeder: bool,
    /// Database to look into, whatever the configuration says.
    #[arg(long, value_name = "DATABASE")]
    database: Option<PathBuf>,
}

fn info_hash(text: &str) -> Result<InfoHash, &'static str> {
    InfoHash::from_hex(text).ok_or("an info hash has 40 hex digits")
}

/// Columns of figures.
const WIDTH: usize = 44;

/// Peer id of who is in no swarm yet.
const NEWCOMER: PeerId = PeerId(*b"-RT0000-explanation!");

impl Arguments {
    /// The database that is looked into.
    pub(super) fn database<'a>(&'a self, config: &'a Config) -> &'a Path {
        self.database.as_deref().unwrap_or(&config.snapshot.file)
    }

    /// The explanation.
    pub(super) fn explain(&self, config: &Config) -> anyhow::Result<String> {
        let ip = self.address.to_canonical();
        let file = self.database(config);
        let kept = Kept::open(file).with_context(|| file.display().to_string())?;
        let tracker = tracker(config, kept.as_ref())?;
        let zones = tracker.zones();
        let levels = Levels::new(&zones, ip);
        let mut out = format!("{ip}\n");
        place(&mut out, config, &zones, ip)?;
        let served = match tracker.access().admit(ip) {
            Ok(()) => "yes".to_owned(),
            Err(refusal) => format!("no: {refusal}"),
        };
        line(&mut out, "served", &served)?;
        let Some(kept) = kept else {
            ensure!(
                self.database.is_none(),
                "{}: no snapshot there",
                file.display()
            );
            writeln!(out, "\n{}: no snapshot there", file.display())?;
            return Ok(out);
        };
        writeln!(out, "\nIn {}, as of {}", file.display(), kept.written()?)?;
        match &self.torrent {
            None => neighbours(&mut out, config, &kept, &levels)?,
            Some(hash) => {
                let swarm = kept.swarm(hash)?;
                self.hand_out(&mut out, &tracker, &levels, ip, (hash, swarm))?;
            }
        }
        Ok(out)
    }

    /// Announces to the tracker in memory, and sorts what comes back by nearness.
    fn hand_out(
        &self,
        out: &mut String,
        tracker: &Tracker,
        levels: &Levels<'_>,
        ip: IpAddr,
        (hash, swarm): (&InfoHash, Option<StoredSwarm>),
    ) -> anyhow::Result<()> {
        let swarm = swarm.unwrap_or(StoredSwarm {
            downloaded_elsewhere: Vec::new(),
            info_hash: *hash,
            downloaded: 0,
            last_used: THEN,
            peers: Vec::new(),
        });
        tracker.restore(swarm.clone(), THEN);
        let lifetime = tracker.settings().lifetime();
        let mut alive = swarm.peers;
        alive.retain(|peer| THEN.since(peer.last_seen) < lifetime);
        let own = alive.iter().find(|peer| peer.ip == ip).copied();
        let is_seeder = self.seeder || own.is_some_and(|own| own.is_seeder);
        let mut list = PeerList::default();
        let role = if is_seeder { "seeder" } else { "leecher" };
        let (announce, answer) = match announce(tracker, hash, ip, own, is_seeder, &mut list) {
            Ok(answered) => answered,
            Err(refusal) => {
                writeln!(out, "torrent {hash}: refused, {refusal}")?;
                return Ok(());
            }
        };
        let known = if own.is_some() {
            "which it is"
        } else {
            "if it joined"
        };
        writeln!(
            out,
            "torrent {hash}: {} seeders, {} leechers, itself included; to it as a {role}, {known}:",
            answer.complete, answer.incomplete
        )?;
        let others = alive
            .iter()
            .filter(|peer| (peer.ip, peer.port) != (announce.ip, announce.port));
        let handed = Handed::new(&list);
        let mut rows = vec![[0_u64; 4]; levels.count()];
        for peer in others {
            let Some(row) = rows.get_mut(levels.of(peer.ip)) else {
                continue;
            };
            let [seeders, handed_seeders, leechers, handed_leechers] = row;
            let (there, given) = if peer.is_seeder {
                (seeders, handed_seeders)
            } else {
                (leechers, handed_leechers)
            };
            *there += 1;
            *given += u64::from(handed.has(peer));
        }
        let heads = ["seeders", "handed out", "leechers", "handed out"];
        table(out, levels, heads, &rows)?;
        why(out, tracker, &announce, &list)
    }
}

/// Announces for who is at `ip`: the stored peer there, or else a newcomer.
fn announce(
    tracker: &Tracker,
    hash: &InfoHash,
    ip: IpAddr,
    own: Option<StoredPeer>,
    is_seeder: bool,
    list: &mut PeerList,
) -> Result<(Announce, AnnounceReply), Refusal> {
    let mut context = AnnounceContext {
        now: THEN,
        rng: &mut fastrand::Rng::new(),
        counters: tracker.metrics().counters(0),
    };
    // It reports nothing, so of the rules for that only the pairs count.
    let rules = Rules {
        pairs: tracker.zones().address_pairs().to_vec(),
        ..Rules::default()
    };
    let reports = Reports {
        source: ip,
        addresses: std::iter::empty(),
        proxies: None,
    };
    let addresses = tracker.resolve_addresses(reports, &rules, Transport::Http, &context)?;
    let announce = Announce {
        info_hash: *hash,
        peer_id: own.map_or(NEWCOMER, |own| own.id),
        key: None,
        ip: addresses.ip,
        inner_ip: own.and_then(|own| own.inner_ip),
        is_reported: false,
        port: own.map_or(1, |own| own.port),
        is_seeder,
        downloaded: 0,
        event: Event::Started,
        num_want: None,
        options: ListOptions::default(),
    };
    let reply = tracker.announce(&announce, &mut context, list)?;
    Ok((announce, reply))
}

/// What a client was handed.
struct Handed(HashSet<SocketAddr>);

impl Handed {
    fn new(list: &PeerList) -> Handed {
        let v4 = list.v4.iter().map(|[a, b, c, d, high, low]| {
            let port = u16::from_be_bytes([*high, *low]);
            SocketAddr::from((Ipv4Addr::new(*a, *b, *c, *d), port))
        });
        let v6 = list.v6.iter().filter_map(|packed| {
            let (ip, port) = packed.split_first_chunk::<16>()?;
            let port = u16::from_be_bytes(*port.first_chunk::<2>()?);
            Some(SocketAddr::from((Ipv6Addr::from(*ip), port)))
        });
        Handed(v4.chain(v6).collect())
    }

    /// Whether a peer is among them, by either of its addresses.
    fn has(&self, peer: &StoredPeer) -> bool {
        let mut addresses = [Some(peer.ip), peer.inner_ip].into_iter().flatten();
        addresses.any(|ip| self.0.contains(&SocketAddr::new(ip, peer.port)))
    }
}

/// A tracker in memory under this configuration, without swarms.
fn tracker(config: &Config, kept: Option<&Kept>) -> anyhow::Result<Tracker> {
    let tracker = Tracker::new(config.tracker.clone(), Arc::new(Metrics::new(1)));
    tracker.set_zones(Zones::new(&config.zones, &config.reported.pairs)?, THEN);
    tracker
        .access()
        .configure(config.ignore_ip.clone(), config.clients.clone());
    tracker.access().serve(config.allow_networks.clone());
    ListFiles::read(config.lists.clone(), Clock::start()).put(tracker.access());
    if let Some(kept) = kept {
        tracker
            .access()
            .block(kept.blocks()?, Clock::start().wall());
        let added = Arc::new(kept.listed_torrents()?);
        tracker
            .access()
            .list_torrents(|listed| listed.added = added);
    }
    Ok(tracker)
}

fn line(out: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(out, "  {name:<14}{value}")
}

/// Zone, prefix, strictness, warning, address pairs.
fn place(out: &mut String, config: &Config, zones: &Zones, ip: IpAddr) -> std::fmt::Result {
    let zone = zones.of(ip);
    if zone.is_none() {
        line(out, "zone", "none: only common prefixes make neighbours")?;
    } else {
        let prefixes = config.zones.iter().flat_map(|rule| &rule.prefixes);
        let longest = prefixes
            .filter(|prefix| prefix.contains(&ip))
            .max_by_key(|prefix| prefix.prefix_len());
        let prefix = present(longest, "a zone is told by a prefix");
        let prefix = prefix.map(IpNet::to_string).unwrap_or_default();
        line(out, "zone", &format!("{}, by {prefix}", zones.path(zone)))?;
        let strict = match zones.strict_root(zone) {
            None => "no: sees strangers too".to_owned(),
            strict => format!("yes: sees {} only", zones.path(strict)),
        };
        line(out, "strict", &strict)?;
        if zones.is_behind_nat(zone) {
            line(out, "behind NAT", "yes: is handed three of its own address")?;
        }
        let warned_by = zones.warned_by(zone);
        if let Some(warning) = warned_by.and_then(|zone| zones.warning(zone)) {
            let warning = format!("\"{warning}\", of {}", zones.path(warned_by));
            line(out, "warning", &warning)?;
        }
    }
    for pair in zones.address_pairs() {
        let sides = [("inside", pair.inside), ("outside", pair.outside)];
        for (side, net) in sides.iter().filter(|(_, net)| net.contains(&ip)) {
            let pair = format!("{side} ({net}) of {} = {}", pair.inside, pair.outside);
            line(out, "address pair", &pair)?;
        }
    }
    Ok(())
}

/// Everybody in the snapshot by nearness.
fn neighbours(
    out: &mut String,
    config: &Config,
    kept: &Kept,
    levels: &Levels<'_>,
) -> anyhow::Result<()> {
    let lifetime = config.tracker.lifetime();
    let mut rows = vec![[0_u64; 3]; levels.count()];
    let mut addresses: HashMap<IpAddr, usize> = HashMap::new();
    let damaged = kept.visit(|swarm| {
        for peer in swarm.peers {
            if THEN.since(peer.last_seen) >= lifetime {
                continue;
            }
            let level = *addresses
                .entry(peer.ip)
                .or_insert_with(|| levels.of(peer.ip));
            if let Some([_, peers, seeders]) = rows.get_mut(level) {
                *peers += 1;
                *seeders += u64::from(peer.is_seeder);
            }
        }
    })?;
    for level in addresses.values() {
        if let Some([addresses, ..]) = rows.get_mut(*level) {
            *addresses += 1;
        }
    }
    table(out, levels, ["addresses", "peers", "seeders"], &rows)?;
    if damaged > 0 {
        writeln!(out, "{damaged} damaged rows were passed over")?;
    }
    Ok(())
}

/// One row for each level, nearest first.
fn table<const N: usize>(
    out: &mut String,
    levels: &Levels<'_>,
    heads: [&str; N],
    rows: &[[u64; N]],
) -> std::fmt::Result {
    write!(out, "  {:<WIDTH$}", "nearest first")?;
    for head in heads {
        write!(out, "{head:>12}")?;
    }
    writeln!(out)?;
    for (level, row) in rows.iter().enumerate() {
        write!(out, "  {:<WIDTH$}", levels.name(level))?;
        for figure in row {
            write!(out, "{figure:>12}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The parts of the rule `few` that made the list what it is (S15).
fn by_few(
    out: &mut String,
    tracker: &Tracker,
    announce: &Announce,
    list: &PeerList,
) -> anyhow::Result<()> {
    let settings = tracker.settings();
    let zones = tracker.zones();
    let top = |ip| zones.of(ip).map(|zone| zones.top(zone));
    let handed = Handed::new(list);
    let strangers = handed.0.iter();
    let strangers = strangers
        .filter(|peer| top(peer.ip()) != top(announce.ip))
        .count();
    let neighbours = handed.0.len() - strangers;
    writeln!(
        out,
        "  By the rule few (selection). Neighbours, nearest first: {neighbours}; strangers: {strangers}."
    )?;
    let lists = tracker.metrics().totals().stranger_lists;
    let mut reasons = StrangerReason::ALL.iter().zip(lists);
    let reason = reasons.find_map(|(reason, lists)| (lists > 0).then_some(*reason));
    let why = match reason {
        Some(StrangerReason::FewNeighbours) => format!(
            "Strangers, since it has fewer than {} neighbours (enough).",
            settings.enough
        ),
        Some(StrangerReason::Chance) => {
            "A stranger by chance, since its zone has less than one seed for eight leechers.".into()
        }
        Some(StrangerReason::Scout | StrangerReason::Idle) => {
            "Strangers, since it came back early for what its zone lacks.".into()
        }
        Some(StrangerReason::LoneSeed) => "Strangers, since no neighbour downloads.".into(),
        None => "No strangers: its zone has enough of what it wants, or there are none.".to_owned(),
    };
    writeln!(out, "  {why}")?;
    if announce.is_seeder {
        writeln!(out, "  A seeder is handed leechers only.")?;
    }
    Ok(())
}

/// The rules that made the list what it is.
fn why(
    out: &mut String,
    tracker: &Tracker,
    announce: &Announce,
    list: &PeerList,
) -> anyhow::Result<()> {
    let settings = tracker.settings();
    let want = settings.list_length(announce.num_want, announce.options.max_peers);
    // On loopback everybody is as near, whatever the rule.
    let is_few = settings.selection == Selection::Few && !announce.ip.is_loopback();
    if is_few && !tracker.zones().is_empty() {
        return by_few(out, tracker, announce, list);
    }
    if list.len() < want {
        writeln!(
            out,
            "  All that it may have: {} of the {want} that it would get (numwant).",
            list.len()
        )?;
    } else {
        writeln!(
            out,
            "  {want} are handed out (numwant): at most {} % from near (local_share), at least {} from farther away, and as \
             many\n  from around the nearest (min_external), while there are any; one draw of many.",
            settings.local_share, settings.min_external
        )?;
    }
    if announce.is_seeder {
        writeln!(out, "  A seeder is handed leechers only.")?;
    } else if list.len() >= want {
        writeln!(
            out,
            "  At most {} % seeders (seed_share) while there are leechers.",
            settings.seed_share
        )?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::sample;
    use super::*;
    use crate::net::AddressPair;
    use crate::snapshot;
    use crate::snapshot::Moment;
    use crate::tracker::Target;
    use std::sync::mpsc::channel;

    const HASH: InfoHash = InfoHash([7; 20]);

    pub(in crate::tools::zones) fn peer(ip: &str, port: u16, is_seeder: bool) -> StoredPeer {
        StoredPeer {
            origin: None,
            ip: ip.parse().unwrap(),
            inner_ip: None,
            port,
            id: PeerId([port.to_be_bytes()[1]; 20]),
            is_seeder,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 0,
            last_seen: THEN,
        }
    }

    /// A configuration with the sample's zones, and a database with one torrent of `peers`.
    pub(in crate::tools::zones) fn house(
        folder: &tempfile::TempDir,
        peers: Vec<StoredPeer>,
    ) -> Config {
        let mut config = Config {
            zones: sample(),
            ..Config::default()
        };
        config.snapshot.file = folder.path().join("retracker.sqlite");
        let clock = Clock::start();
        let tracker = tracker(&config, None).unwrap();
        let opened = snapshot::open(&config.snapshot, clock.wall()).unwrap();
        let restored = opened.restore(&tracker, Moment::of(&clock));
        let swarm = StoredSwarm {
            downloaded_elsewhere: Vec::new(),
            info_hash: HASH,
            downloaded: 0,
            last_used: THEN,
            peers,
        };
        tracker.restore(swarm, clock.now());
        tracker.mark_all_changed();
        let (ends, _reports) = channel();
        let (mailbox, thread) = restored
            .start(Arc::new(tracker), clock, snapshot::Links::default(), ends)
            .unwrap();
        let blocked = Target::Network("10.9.0.0/16".parse().unwrap());
        mailbox.block(blocked, "noise", None).unwrap();
        mailbox.stop();
        thread.join().unwrap();
        config
    }

    fn explain(config: &Config, address: &str, torrent: Option<InfoHash>) -> String {
        let arguments = Arguments {
            address: address.parse().unwrap(),
            torrent,
            seeder: false,
            database: None,
        };
        arguments.explain(config).unwrap()
    }

    /// The figures of a row.
    fn figures(text: &str, name: &str) -> Vec<u64> {
        let row = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(name));
        let row = row.unwrap_or_else(|| panic!("no {name} in\n{text}"));
        row.split_whitespace()
            .map(|figure| figure.parse().unwrap())
            .collect()
    }

    /// O12
    #[test]
    fn an_address_is_placed_in_its_zone() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            zones: sample(),
            ..Config::default()
        };
        config.zones[1].warning = Some("works tonight".into());
        config.zones[1].is_strict = true;
        config.reported.pairs = vec![AddressPair {
            inside: "10.1.0.0/16".parse().unwrap(),
            outside: "198.51.100.0/24".parse().unwrap(),
        }];
        config.ignore_ip.add("10.1.7.8/32".parse().unwrap());
        config.snapshot.file = folder.path().join("none");
        let text = explain(&config, "::ffff:10.1.7.9", None);
        for said in [
            "10.1.7.9\n",
            "moscow/north/building-7, by 10.1.7.0/24",
            "yes: sees moscow/north only",
            "\"works tonight\", of moscow/north",
            "inside (10.1.0.0/16) of 10.1.0.0/16 = 198.51.100.0/24",
            "served        yes",
            "no snapshot there",
        ] {
            assert!(text.contains(said), "{said} in\n{text}");
        }
        let text = explain(&config, "10.1.7.8", None);
        assert!(
            text.contains("served        no: address not served"),
            "{text}"
        );
        let text = explain(&config, "192.0.2.1", None);
        assert!(text.contains("zone          none"), "{text}");
    }

    /// S15
    #[test]
    fn the_part_of_the_rule_few_that_makes_the_list_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut peers = vec![peer("10.1.7.1", 1, false)];
        for host in 1..=9 {
            peers.push(peer(&format!("10.3.0.{host}"), 2, false));
        }
        let mut config = house(&folder, peers);
        config.tracker.selection = Selection::Few;
        let text = explain(&config, "10.1.7.9", Some(HASH));
        assert!(text.contains("nearest first: 1; strangers: 6"), "{text}");
        assert!(text.contains("fewer than 7 neighbours"), "{text}");
        let text = explain(&config, "10.3.0.99", Some(HASH));
        assert!(text.contains("nearest first: 9; strangers: 1"), "{text}");
        assert!(text.contains("by chance"), "{text}");
    }

    /// O12
    #[test]
    fn neighbours_are_counted_where_they_are_nearest() {
        let folder = tempfile::tempdir().unwrap();
        let mut peers = vec![
            peer("10.1.7.1", 1, true),
            peer("10.1.7.1", 2, false),
            peer("10.1.9.1", 3, false),
            peer("10.1.8.1", 4, true),
            peer("10.2.0.1", 5, false),
            peer("192.0.2.1", 6, false),
            peer("2001:db8:1:7::1", 7, true),
        ];
        let mut dead = peer("10.2.0.2", 8, false);
        dead.last_seen = THEN.minus(3_600);
        peers.push(dead);
        let config = house(&folder, peers);
        let text = explain(&config, "10.1.7.9", None);
        assert_eq!(figures(&text, "10.1.7.0/24 of the zone"), [1, 2, 1]);
        assert_eq!(figures(&text, "10.1.0.0/20 of the zone"), [1, 1, 0]);
        assert_eq!(
            figures(&text, "moscow/north/building-7, the rest of the zone"),
            [1, 1, 1]
        );
        assert_eq!(figures(&text, "moscow/north, the rest of it"), [1, 1, 1]);
        assert_eq!(figures(&text, "moscow, the rest of it"), [1, 1, 0]);
        assert_eq!(figures(&text, "farther away"), [1, 1, 0]);
        let text = explain(&config, "10.9.0.1", Some(HASH));
        assert!(text.contains("no: address blocked"), "{text}");
        assert!(text.contains("refused, address blocked"), "{text}");
    }

    /// O12, S7
    #[test]
    fn what_is_handed_out_is_what_the_tracker_hands_out() {
        let folder = tempfile::tempdir().unwrap();
        let near = (0..100).map(|n| peer(&format!("10.2.{n}.1"), 6_881, false));
        let far = (0..100).map(|n| peer(&format!("10.3.{n}.1"), 6_881, n % 2 == 0));
        let mut config = house(&folder, near.chain(far).collect());
        config.tracker.selection = Selection::Shares;
        (config.tracker.local_share, config.tracker.min_external) = (80, 4);
        // It is in the swarm already, and not handed to itself.
        let text = explain(&config, "10.2.0.1", Some(HASH));
        assert!(text.contains("50 seeders, 150 leechers"), "{text}");
        assert!(text.contains("as a leecher, which it is"), "{text}");
        let rows = [
            "10.2.0.0/20 of the zone",
            "10.2.0.0/16 of the zone",
            "farther away",
        ];
        let rows = rows.map(|name| figures(&text, name));
        let there = rows.clone().map(|row| [row[0], row[2]]);
        assert_eq!(there, [[0, 15], [0, 84], [50, 50]]);
        let handed = rows.map(|row| row[1] + row[3]);
        assert_eq!((handed[0] + handed[1], handed[2]), (40, 10), "{text}");
        assert!(text.contains("50 are handed out (numwant)"), "{text}");
        let text = explain(&config, "10.2.0.77", Some(HASH));
        assert!(text.contains("if it joined"), "{text}");
        let text = explain(&config, "10.2.0.77", Some(InfoHash([8; 20])));
        assert!(text.contains("All that it may have: 0 of the 50"), "{text}");
    }
}
