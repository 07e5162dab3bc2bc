//! What is simulated: who lives where, on what lines, with which clients, when they come and go, and what fails.

use super::places::Places;

/// Bytes of a piece; 400 of them are the file of 100 MiB that the paper spreads.
pub(super) const PIECE_BYTES: u64 = 256 << 10;

/// A crowd that downloads one file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// Pieces of the file, of [`PIECE_BYTES`] each.
    pub pieces: usize,
    pub places: Places,
    pub lines: Lines,
    pub clients: Clients,
    pub sessions: Sessions,
    pub faults: Faults,
}

/// How fast peers are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lines {
    /// Bytes a second that a peer uploads.
    pub rate: u64,
    /// Bytes a second that the seeder uploads.
    pub seeder_rate: u64,
    /// Whether peers differ: a quarter uploads four times `rate`, half of them half of it.
    pub is_mixed: bool,
    /// What a peer downloads at most, in percent of what it uploads; 0: no limit.
    pub download_percent: u64,
    /// What a line carries inside its zone, in percent of what it carries to others.
    pub local_percent: u64,
}

/// How clients behave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clients {
    /// Percent of peers that behave as libtorrent; the others are simple.
    pub libtorrent_percent: u32,
    /// Connections of a libtorrent at most, opened and accepted.
    pub connections: usize,
    /// Peers that a libtorrent asks for.
    pub libtorrent_num_want: u32,
    /// Connections up to which a simple client opens more; it accepts twice as many.
    pub neighbours: usize,
    /// Peers that a simple client asks for.
    pub num_want: u32,
    /// Percent of peers that nobody can connect to; they connect to others.
    pub unreachable_percent: u32,
    /// Percent of attempts to connect that go to a peer of the swarm at large, as the DHT names them.
    pub dht_percent: u32,
    /// Percent of peers that tell each other their neighbours (BEP 11).
    pub pex_percent: u32,
}

/// When peers come and go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sessions {
    /// Seconds over which peers arrive, the seeder first; 0: all are there and wait for the seeder.
    pub arrival: u32,
    /// Seconds that a peer seeds after its download.
    pub stay: u32,
    /// Seconds after which the seeder leaves; 0: never.
    pub seeder_stay: u32,
    /// Percent of leechers that give up, half of them without a word.
    pub abort_percent: u32,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Faults {
    /// Seconds that a connection lasts on average; 0: until a client closes it.
    pub churn: u32,
    /// Every so many seconds the downloader of each zone that imported most fails; 0: never.
    pub every: u32,
    /// How it fails.
    pub fault: Fault,
}

/// How a peer fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Fault {
    /// It stops, and says so to the tracker.
    Leave,
    /// It is gone without a word; its neighbours find out when their connections time out.
    Vanish,
    /// It keeps its connections and announces, and neither sends nor takes anything.
    Stall,
}

impl Default for Plan {
    /// The crowd of the paper with clients as libtorrent: all are there and wait for the seeder, and leave when they are done.
    fn default() -> Plan {
        Plan {
            pieces: 400,
            places: Places {
                sizes: vec![50; 14],
                parts: 1,
                is_tree: false,
                outsiders: 0,
                seeds: 0,
                fakes: 0,
                fake_addresses: 0,
            },
            lines: Lines {
                rate: 100_000,
                seeder_rate: 400_000,
                is_mixed: false,
                download_percent: 0,
                local_percent: 100,
            },
            clients: Clients {
                libtorrent_percent: 100,
                connections: 100,
                libtorrent_num_want: 200,
                neighbours: 35,
                num_want: 50,
                unreachable_percent: 0,
                dht_percent: 0,
                pex_percent: 0,
            },
            sessions: Sessions {
                arrival: 0,
                stay: 0,
                seeder_stay: 0,
                abort_percent: 0,
            },
            faults: Faults {
                churn: 0,
                every: 0,
                fault: Fault::Stall,
            },
        }
    }
}

impl Plan {
    /// Bytes of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.pieces as u64 * PIECE_BYTES
    }
}
