//! The population that a load consists of: torrents, peers and what each of them says next. No socket, no clock.
//!
//! Peers are dealt to lanes (connections or source addresses), so that each always announces from the same address. A peer
//! lives whole lives: `started`, regular announces (a seeder now and then `completed`), `stopped`, and again; no two of its
//! announces in a row are alike, so that no tracker can pass them over as repeated.

/// How a population is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub torrents: u32,
    /// Bytes at the start of every info hash that are 0.
    pub alike: usize,
    pub peers: u32,
    /// Exponent of the Zipf distribution; 0 is even.
    pub zipf: f64,
    /// Percent.
    pub seeders: u32,
    pub num_want: u32,
    /// Percent.
    pub scrapes: u32,
    /// Percent.
    pub connects: u32,
    pub is_regular: bool,
    pub lanes: usize,
    pub sources: usize,
    pub seed: u64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Announce(Event),
    Scrape,
    Connect,
}

/// An event as it is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    None,
    Completed,
    Started,
    Stopped,
}

/// One request: who asks for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub peer: usize,
    pub action: Action,
}

/// A torrent and how many peers of the population are in it at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Torrent {
    pub info_hash: [u8; 20],
    /// Percent-encoded as libtorrent does it.
    pub escaped: Vec<u8>,
    pub members: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    torrent: u32,
    /// How many announces of the present life have been made.
    step: u8,
}

/// Announces of one life; the last is `stopped`.
const LIFE: u8 = 16;

/// Length of every torrent's file in bytes, and what a leecher fetches from one announce to the next.
const FILE: u32 = 700 << 20;
const FETCHED: u32 = 4 << 20;

/// A population.
#[derive(Debug)]
pub(super) struct Load {
    shape: Shape,
    torrents: Vec<Torrent>,
    peers: Vec<Peer>,
    rng: fastrand::Rng,
    /// While everybody announces once: how far each lane is.
    cursors: Option<Vec<usize>>,
}

impl Load {
    /// Makes the population of a shape; the same shape makes the same population.
    pub(super) fn new(shape: &Shape) -> Load {
        let mut rng = fastrand::Rng::with_seed(shape.seed);
        debug_assert!(shape.alike <= 20, "an info hash has 20 bytes");
        let mut torrents: Vec<Torrent> = (0..shape.torrents)
            .map(|_| {
                let mut info_hash = [0; 20];
                rng.fill(info_hash.get_mut(shape.alike..).unwrap_or_default());
                Torrent {
                    info_hash,
                    escaped: escape(&info_hash),
                    members: 0,
                }
            })
            .collect();
        let popularity = Popularity::new(shape);
        let peers = (0..shape.peers)
            .map(|index| {
                // Every torrent has a peer first, as long as there are peers enough.
                let torrent = if index < shape.torrents {
                    index
                } else {
                    popularity.choose(&mut rng)
                };
                if let Some(torrent) = torrents.get_mut(torrent as usize) {
                    torrent.members += 1;
                }
                // Who is not announced first is found anywhere in its life.
                let step = scramble(u64::from(index) ^ shape.seed << 32) % u64::from(LIFE);
                let step = u8::try_from(step);
                debug_assert!(step.is_ok(), "below {LIFE}");
                let step = step.unwrap_or(0);
                Peer { torrent, step }
            })
            .collect();
        Load {
            shape: Shape {
                lanes: shape.lanes.max(1),
                sources: shape.sources.max(1),
                ..*shape
            },
            torrents,
            peers,
            rng,
            cursors: None,
        }
    }

    /// From here on every peer announces itself once, in order.
    pub(super) fn announce_everybody(&mut self) {
        self.cursors = Some((0..self.shape.lanes).collect());
    }

    /// From here on peers announce in random order, without end.
    pub(super) fn live(&mut self) {
        self.cursors = None;
    }

    /// The next request of a lane; `None` when it has nothing more to say.
    pub(super) fn next(&mut self, lane: usize) -> Option<Request> {
        let lanes = self.shape.lanes;
        if let Some(cursors) = &mut self.cursors {
            let cursor = cursors.get_mut(lane)?;
            let index = *cursor;
            let peer = self.peers.get_mut(index)?;
            *cursor += lanes;
            peer.step = 1;
            return Some(Request {
                peer: index,
                action: Action::Announce(Event::Started),
            });
        }
        let in_lane = self.peers.len().saturating_sub(lane).div_ceil(lanes);
        if in_lane == 0 {
            return None;
        }
        let index = lane + lanes * self.rng.usize(..in_lane);
        let dice = self.rng.u32(..100);
        let action = if dice < self.shape.scrapes {
            Action::Scrape
        } else if dice < self.shape.scrapes + self.shape.connects {
            Action::Connect
        } else {
            Action::Announce(self.live_on(index))
        };
        Some(Request {
            peer: index,
            action,
        })
    }

    fn live_on(&mut self, index: usize) -> Event {
        let is_seeder = self.is_seeder(index);
        let Some(peer) = self.peers.get_mut(index) else {
            return Event::None;
        };
        if self.shape.is_regular {
            return Event::None;
        }
        let step = peer.step;
        peer.step = (step + 1) % LIFE;
        if step == LIFE - 1 {
            Event::Stopped
        } else if step % 2 == 1 {
            Event::None
        } else if is_seeder && step % 4 == 2 {
            Event::Completed
        } else {
            Event::Started
        }
    }

    /// The torrent of a peer.
    pub(super) fn torrent(&self, peer: usize) -> Option<&Torrent> {
        let torrent = self.peers.get(peer)?.torrent;
        self.torrents.get(torrent as usize)
    }

    /// Whether a peer seeds.
    fn is_seeder(&self, peer: usize) -> bool {
        scramble(peer as u64 ^ self.shape.seed) % 100 < u64::from(self.shape.seeders)
    }

    /// Bytes that a peer says it has downloaded in its present life, and that it lacks. A seeder has brought the file with it.
    pub(super) fn transferred(&self, peer: usize) -> (u32, u32) {
        if self.is_seeder(peer) {
            return (0, 0);
        }
        let peer = self.peers.get(peer);
        debug_assert!(peer.is_some(), "a peer of this load");
        let step = peer.map_or(0, |peer| peer.step);
        // `stopped` has set it back already.
        let downloaded = u32::from(if step == 0 { LIFE } else { step }) * FETCHED;
        (downloaded, FILE - downloaded)
    }

    /// The port of a peer; of five digits, and its own among the peers of one address.
    pub(super) fn port(&self, peer: usize) -> u16 {
        let port = u16::try_from(10_000 + peer / self.shape.sources % 50_000);
        debug_assert!(port.is_ok(), "below 60,000");
        port.unwrap_or(u16::MAX)
    }

    /// The id of a peer, in letters and digits.
    pub(super) fn peer_id(&self, peer: usize) -> [u8; 20] {
        const LETTERS: [u8; 32] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut id = *b"-qB4520-            ";
        let mut rest = scramble(peer as u64);
        for byte in id.iter_mut().skip(8) {
            let letter = usize::try_from(rest % 32).ok();
            let letter = letter.and_then(|letter| LETTERS.get(letter));
            debug_assert!(letter.is_some(), "one of 32");
            *byte = letter.copied().unwrap_or(b'A');
            rest >>= 5;
        }
        id
    }

    /// The info hashes in hexadecimal, one a line.
    pub(super) fn hashes(&self) -> String {
        let mut text = String::with_capacity(self.torrents.len() * 41);
        for torrent in &self.torrents {
            for byte in torrent.info_hash {
                text.push_str(&format!("{byte:02x}"));
            }
            text.push('\n');
        }
        text
    }

    /// How many peers each announce asks for.
    pub(super) fn num_want(&self) -> u32 {
        self.shape.num_want
    }
}

/// Weighs torrents by rank.
struct Popularity {
    torrents: u32,
    /// Cumulated weights; empty when all weigh the same.
    cumulated: Vec<f64>,
}

impl Popularity {
    fn new(shape: &Shape) -> Popularity {
        let mut cumulated = Vec::new();
        if shape.zipf > 0.0 {
            let mut sum = 0.0;
            for rank in 1..=shape.torrents {
                sum += f64::from(rank).powf(-shape.zipf);
                cumulated.push(sum);
            }
        }
        Popularity {
            torrents: shape.torrents,
            cumulated,
        }
    }

    fn choose(&self, rng: &mut fastrand::Rng) -> u32 {
        let Some(sum) = self.cumulated.last() else {
            return rng.u32(..self.torrents);
        };
        let point = rng.f64() * sum;
        let rank = self.cumulated.partition_point(|edge| *edge <= point);
        let rank = u32::try_from(rank);
        debug_assert!(rank.is_ok(), "one of the torrents");
        // Rounding may put a point at the very end.
        rank.unwrap_or(0).min(self.torrents - 1)
    }
}

/// Spreads a number over all 64 bits (splitmix64).
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(bytes.len() * 3);
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~!()*".contains(byte) {
            escaped.push(*byte);
        } else {
            escaped.extend_from_slice(format!("%{byte:02x}").as_bytes());
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            torrents: 100,
            alike: 0,
            peers: 1_000,
            zipf: 1.0,
            seeders: 75,
            num_want: 50,
            scrapes: 0,
            connects: 0,
            is_regular: false,
            lanes: 7,
            sources: 7,
            seed: 5,
        }
    }

    #[test]
    fn everybody_announces_once_and_every_torrent_has_a_peer() {
        let mut load = Load::new(&shape());
        load.announce_everybody();
        let mut seen = vec![0; 1_000];
        for lane in 0..7 {
            while let Some(request) = load.next(lane) {
                assert_eq!(request.action, Action::Announce(Event::Started));
                assert_eq!(request.peer % 7, lane);
                seen[request.peer] += 1;
            }
        }
        assert!(seen.iter().all(|times| *times == 1));
        assert!(load.torrents.iter().all(|torrent| torrent.members > 0));
        assert_eq!(
            load.torrents
                .iter()
                .map(|torrent| torrent.members)
                .sum::<u32>(),
            1_000
        );
        assert!(load.torrents[0].members > 3 * load.torrents[50].members);
    }

    #[test]
    fn no_peer_says_the_same_twice_in_a_row_and_lives_end() {
        let mut load = Load::new(&shape());
        load.announce_everybody();
        for lane in 0..7 {
            while load.next(lane).is_some() {}
        }
        load.live();
        let mut last = vec![Event::Started; 1_000];
        let mut stopped = 0;
        for turn in 0..100_000 {
            let request = load.next(turn % 7).unwrap();
            let Action::Announce(event) = request.action else {
                panic!("only announces were asked for");
            };
            assert_ne!(last[request.peer], event);
            if last[request.peer] == Event::Stopped {
                assert_eq!(event, Event::Started);
            }
            last[request.peer] = event;
            stopped += usize::from(event == Event::Stopped);
        }
        assert!((5_000..7_500).contains(&stopped), "{stopped}");
    }

    /// R11
    #[test]
    fn a_population_that_was_not_announced_is_found_in_all_parts_of_life() {
        let mut load = Load::new(&shape());
        load.live();
        let mut events = [0; 4];
        for turn in 0..1_600 {
            match load.next(turn % 7).unwrap().action {
                Action::Announce(event) => events[event as usize] += 1,
                action => panic!("only announces were asked for, not {action:?}"),
            }
        }
        let [regular, completed, started, stopped] = events;
        assert!((620..780).contains(&regular), "{events:?}");
        assert!(completed > 200 && started > 200, "{events:?}");
        assert!((60..140).contains(&stopped), "{events:?}");
    }

    #[test]
    fn addresses_and_ids_are_distinct_and_seeders_are_as_many_as_asked() {
        let load = Load::new(&shape());
        let of = |peer| (peer % 7, load.port(peer));
        let pairs: std::collections::HashSet<_> = (0..1_000).map(of).collect();
        let ids: std::collections::HashSet<_> = (0..1_000).map(|peer| load.peer_id(peer)).collect();
        assert_eq!((pairs.len(), ids.len()), (1_000, 1_000));
        let seeders = (0..1_000).filter(|peer| load.is_seeder(*peer)).count();
        assert!((700..800).contains(&seeders), "{seeders}");
    }

    #[test]
    fn a_leecher_downloads_all_its_life() {
        let mut load = Load::new(&shape());
        load.announce_everybody();
        while load.next(0).is_some() {}
        load.live();
        let mut known: std::collections::HashMap<usize, u32> = Default::default();
        for _ in 0..20_000 {
            let request = load.next(0).unwrap();
            let (downloaded, left) = load.transferred(request.peer);
            if load.is_seeder(request.peer) {
                assert_eq!((downloaded, left), (0, 0));
                continue;
            }
            assert_eq!(downloaded + left, FILE);
            let before = known.insert(request.peer, downloaded).unwrap_or(FETCHED);
            assert_eq!(downloaded, before % (u32::from(LIFE) * FETCHED) + FETCHED);
        }
        assert!(known.len() > 10);
    }

    #[test]
    fn hashes_are_escaped_as_libtorrent_does() {
        assert_eq!(escape(b"a\xf1 ~+"), b"a%f1%20~%2b");
    }
}
