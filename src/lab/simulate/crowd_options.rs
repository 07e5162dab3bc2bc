//! What the command line can change about a crowd. The named crowds are made of the same options.

use super::plan::{Fault, Plan};

/// Changes of a crowd; what is not given stays.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "The crowd")]
pub(super) struct CrowdOptions {
    /// Zones [default: 14].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    zones: Option<u16>,
    /// Peers in each zone; the seeder is outside of all [default: 50].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    peers: Option<u16>,
    /// Peers in each zone where they differ; with --zones the sizes are repeated until there are so many.
    #[arg(long, value_delimiter = ',', conflicts_with = "peers", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    sizes: Option<Vec<u16>>,
    /// Parts of each zone, over which its peers are spread: networks that the tracker finds by their /24 [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=200))]
    parts: Option<u16>,
    /// The parts are zones of their own, below the one that is counted.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tree: Option<bool>,
    /// Peers outside of all zones [default: 0].
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    outsiders: Option<u16>,
    /// Of each zone's peers, those that have the file from the start and stay [default: 0].
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    seeds: Option<u16>,
    /// Of each zone's peers, those that announce as leechers and cannot be connected to [default: 0].
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    fakes: Option<u16>,
    /// Addresses that the fakes of a zone share; 0: each has its own [default: 0].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=10_000))]
    fake_addresses: Option<u16>,
    /// Pieces of 256 KiB in the file [default: 400].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    pieces: Option<u16>,

    /// What a peer uploads, in kB a second [default: 100].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// What the seeder uploads, in kB a second [default: 400].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    seeder_rate: Option<u32>,
    /// Lines differ: a quarter of them is four times as fast, half of them half as fast.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    mixed: Option<bool>,
    /// What a peer downloads at most, in percent of what it uploads; 0: no limit [default: 0].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    download: Option<u32>,
    /// What a line carries inside its zone, in percent of what it carries to others [default: 100].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    local: Option<u32>,

    /// Peers that behave as libtorrent; the others try each address once [default: 100].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    libtorrent: Option<u32>,
    /// Connections of a libtorrent at most [default: 100].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: Option<u16>,
    /// Peers that a libtorrent asks for [default: 200].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200))]
    libtorrent_numwant: Option<u32>,
    /// Connections up to which a simple client opens more; it accepts twice as many [default: 35].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    neighbours: Option<u16>,
    /// Peers that a simple client asks for [default: 50].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200))]
    numwant: Option<u32>,
    /// Peers that nobody can connect to, though they connect to others [default: 0].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    unreachable: Option<u32>,
    /// Attempts to connect that go to any peer of the swarm, as the DHT names them [default: 0].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=99))]
    dht: Option<u32>,
    /// Peers that tell each other their neighbours [default: 0].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    pex: Option<u32>,

    /// Seconds over which peers arrive after the seeder; 0: all are there and wait for it [default: 0].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    arrival: Option<u32>,
    /// Seconds that a peer seeds after its download [default: 0].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    stay: Option<u32>,
    /// Seconds after which the seeder leaves; 0: never [default: 0].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    seeder_stay: Option<u32>,
    /// Leechers that give up within 1,000 s of their arrival, half of them without a word [default: 0].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    abort: Option<u32>,
    /// Seconds that a connection lasts on average; 0: until a client closes it [default: 0].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    churn: Option<u32>,
    /// Seconds after which the downloader of each zone that imported most fails, again and again; 0: never [default: 0].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    fault_every: Option<u32>,
    /// How it fails [default: stall].
    #[arg(long, value_enum)]
    fault: Option<Fault>,
}

/// Replaces what is given.
fn set<T, U: Into<T>>(to: &mut T, given: Option<U>) {
    if let Some(given) = given {
        *to = given.into();
    }
}

impl CrowdOptions {
    /// Changes a crowd.
    pub(super) fn apply(&self, plan: &mut Plan) {
        self.apply_places(plan);
        let (lines, clients) = (&mut plan.lines, &mut plan.clients);
        set(&mut lines.rate, self.rate.map(bytes));
        set(&mut lines.seeder_rate, self.seeder_rate.map(bytes));
        set(&mut lines.is_mixed, self.mixed);
        set(&mut lines.download_percent, self.download);
        set(&mut lines.local_percent, self.local);
        set(&mut clients.libtorrent_percent, self.libtorrent);
        set(&mut clients.connections, self.connections);
        set(&mut clients.libtorrent_num_want, self.libtorrent_numwant);
        set(&mut clients.neighbours, self.neighbours);
        set(&mut clients.num_want, self.numwant);
        set(&mut clients.unreachable_percent, self.unreachable);
        set(&mut clients.dht_percent, self.dht);
        set(&mut clients.pex_percent, self.pex);
        let (sessions, faults) = (&mut plan.sessions, &mut plan.faults);
        set(&mut sessions.arrival, self.arrival);
        set(&mut sessions.stay, self.stay);
        set(&mut sessions.seeder_stay, self.seeder_stay);
        set(&mut sessions.abort_percent, self.abort);
        set(&mut faults.churn, self.churn);
        set(&mut faults.every, self.fault_every);
        set(&mut faults.fault, self.fault);
    }

    fn apply_places(&self, plan: &mut Plan) {
        let places = &mut plan.places;
        if let Some(sizes) = &self.sizes {
            places.sizes = sizes.iter().copied().map(usize::from).collect();
        }
        if let Some(zones) = self.zones {
            let sizes = places.sizes.iter().copied();
            places.sizes = sizes.cycle().take(zones.into()).collect();
        }
        if let Some(peers) = self.peers {
            places.sizes.fill(peers.into());
        }
        set(&mut places.parts, self.parts);
        set(&mut places.is_tree, self.tree);
        set(&mut places.outsiders, self.outsiders);
        set(&mut places.seeds, self.seeds);
        set(&mut places.fakes, self.fakes);
        set(&mut places.fake_addresses, self.fake_addresses);
        set(&mut plan.pieces, self.pieces);
    }
}

/// Bytes of so many kB.
fn bytes(kilobytes: u32) -> u64 {
    u64::from(kilobytes) * 1_000
}
