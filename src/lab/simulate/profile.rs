//! Who a simulated peer is: drawn from the plan once, whatever the tracker does later.

use super::places::{Kind, Place};
use super::plan::Plan;

/// Seconds after its arrival within which a peer that gives up does so.
const ABORTS_WITHIN: u32 = 1_000;

/// How a client treats the addresses it is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// Tries each once, in random order, and announces early when it has few neighbours, as mainline does.
    Simple,
    /// Keeps them, tries them again, and exchanges its idlest neighbours for others, as libtorrent 2 does.
    Libtorrent,
}

/// A peer that gives up before it is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abort {
    /// The second in which it does.
    pub at: u32,
    /// Whether it tells the tracker.
    pub is_told: bool,
}

/// What does not change about a peer.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub kind: Kind,
    pub zone: Option<usize>,
    pub client: Client,
    /// Peers that it asks the tracker for.
    pub num_want: u32,
    /// Connections up to which it opens more.
    pub opens: usize,
    /// Connections up to which it accepts more.
    pub accepts: usize,
    /// Whether others can connect to it.
    pub is_reachable: bool,
    /// Whether it tells its neighbours to others and hears of theirs (BEP 11).
    pub exchanges_peers: bool,
    /// Bytes a second.
    pub upload_rate: u64,
    /// Bytes a second; `u64::MAX` without limit.
    pub download_rate: u64,
    /// The second in which it comes.
    pub arrives: u32,
    pub abort: Option<Abort>,
}

impl Profile {
    /// Draws a peer that lives there.
    pub(super) fn draw(plan: &Plan, place: Place, rng: &mut fastrand::Rng) -> Profile {
        let mut chance = |percent| rng.u32(0..100) < percent;
        let clients = &plan.clients;
        let is_libtorrent = chance(clients.libtorrent_percent);
        let is_unreachable = chance(clients.unreachable_percent);
        let exchanges_peers = chance(clients.pex_percent);
        let is_aborted = chance(plan.sessions.abort_percent);
        let upload_rate = upload_rate(plan, place.kind, rng);
        let arrives = match place.kind {
            Kind::Leecher if plan.sessions.arrival > 0 => rng.u32(0..plan.sessions.arrival),
            _ => 0,
        };
        let abort = Abort {
            at: arrives + rng.u32(0..ABORTS_WITHIN),
            is_told: rng.bool(),
        };
        let profile = Profile {
            kind: place.kind,
            zone: place.zone,
            client: Client::Simple,
            num_want: clients.num_want,
            opens: clients.neighbours,
            accepts: 2 * clients.neighbours,
            is_reachable: !is_unreachable || place.kind == Kind::Seeder,
            exchanges_peers,
            upload_rate,
            download_rate: match plan.lines.download_percent {
                0 => u64::MAX,
                percent => upload_rate * percent / 100,
            },
            arrives,
            abort: (is_aborted && place.kind == Kind::Leecher).then_some(abort),
        };
        profile.behaves(
            is_libtorrent,
            clients.connections,
            clients.libtorrent_num_want,
        )
    }

    /// The client's own limits; a fake has no room for anybody.
    fn behaves(self, is_libtorrent: bool, connections: usize, num_want: u32) -> Profile {
        let profile = if is_libtorrent {
            Profile {
                client: Client::Libtorrent,
                num_want,
                opens: connections,
                accepts: connections,
                ..self
            }
        } else {
            self
        };
        if profile.kind != Kind::Fake {
            return profile;
        }
        Profile {
            opens: 0,
            accepts: 0,
            is_reachable: false,
            exchanges_peers: false,
            upload_rate: 0,
            download_rate: 0,
            ..profile
        }
    }
}

fn upload_rate(plan: &Plan, kind: Kind, rng: &mut fastrand::Rng) -> u64 {
    let lines = &plan.lines;
    match (kind, rng.u32(0..4)) {
        (Kind::Seeder, _) => lines.seeder_rate,
        (_, 0) if lines.is_mixed => lines.rate * 4,
        (_, 1 | 2) if lines.is_mixed => lines.rate / 2,
        _ => lines.rate,
    }
}
