//! Peers whom the blocklist took out of their swarms, kept for ten minutes so that lifting the block gives them back (W4, W11). They are
//! in no swarm meanwhile: nothing counts them, hands them out or finds them, and they die when their time is over as all others do.

use std::net::{IpAddr, SocketAddr};

use super::Swarm;
use super::departed::Departed;
use super::downloaded_elsewhere::CountsElsewhere;
use super::dual_stack::Pair;
use super::flag_counts::{FlagCounts, FlagCountsChange, MAX_REPORTED};
use super::stored::{StoredPeer, StoredSwarm};
use super::upsert::Rules;
use crate::clock::Seconds;
use crate::invariant::certain;
use crate::tracker::abuse::address_counts::Charge;
use crate::tracker::id::InfoHash;
use crate::tracker::peers::address::{Address, tiered};
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::Peer;
use crate::tracker::peers::{Peers, Role};
use crate::tracker::sites::Origin;

/// How long they are kept, in seconds.
pub(crate) const WITHHELD_SECONDS: u32 = 600;

/// Peers, pairs of addresses and counts of torrents that are kept at most: 66 MiB of v4 peers with their ids, 46 without, 78 and 58 of v6.
/// What is more is freed at once.
pub(crate) const MAX_WITHHELD: usize = 1 << 20;

/// Entries that are collected in one segment while a shard's lock is held, so that nothing there is moved when there are many.
const SEGMENT: usize = 4_096;

/// What is kept of one torrent, without padding: 24 bytes beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<T> {
    info_hash: InfoHash,
    since: [u8; 4],
    what: T,
}

impl<T> Entry<T> {
    fn is_overdue(&self, now: Seconds) -> bool {
        now.since(Seconds::from_raw(u32::from_le_bytes(self.since))) >= WITHHELD_SECONDS
    }
}

type WithheldPeer<A, I> = Entry<(Role, Peer<A, I>)>;

/// The second address of a withheld peer (S10).
#[derive(Clone, Copy, Debug)]
pub(super) struct Alternate {
    address: SocketAddr,
    other: IpAddr,
}

/// The count of a torrent that is blocked, or that the blocked left without peers.
#[derive(Clone, Debug)]
pub(super) struct Count {
    downloaded: u32,
    /// What other trackers counted.
    elsewhere: Option<Box<CountsElsewhere>>,
    charge: Charge,
    last_used: Seconds,
}

fn boxed(elsewhere: CountsElsewhere) -> Option<Box<CountsElsewhere>> {
    (!elsewhere.is_empty()).then(|| Box::new(elsewhere))
}

/// A list that grows by segments.
#[derive(Debug)]
struct Segments<T>(Vec<Vec<T>>);

impl<T> Segments<T> {
    fn push(&mut self, item: T) {
        match self.0.last_mut().filter(|segment| segment.len() < SEGMENT) {
            Some(segment) => segment.push(item),
            None => {
                let mut segment = Vec::with_capacity(SEGMENT);
                segment.push(item);
                self.0.push(segment);
            }
        }
    }

    fn append_to(self, list: &mut Vec<T>) {
        list.reserve_exact(self.0.iter().map(Vec::len).sum());
        list.extend(self.0.into_iter().flatten());
    }
}

/// What one walk over the swarms takes out of them.
#[derive(Debug)]
pub(super) struct Taken<I: StoredId> {
    v4: Segments<WithheldPeer<[u8; 6], I>>,
    v6: Segments<WithheldPeer<[u8; 18], I>>,
    /// The addresses of one client (S14), of which one at least is withheld.
    pairs: Segments<Entry<Pair>>,
    alternates: Segments<Entry<Alternate>>,
    counts: Segments<Entry<Count>>,
    since: Seconds,
    /// For how many more there is room.
    room: usize,
    /// Peers that are kept, and those for which there was no room.
    pub peers: u64,
    pub over: u64,
}

impl<I: StoredId> Taken<I> {
    fn entry<T>(&mut self, info_hash: &InfoHash, what: T) -> Option<Entry<T>> {
        self.room = self.room.checked_sub(1)?;
        Some(Entry {
            info_hash: *info_hash,
            since: self.since.raw().to_le_bytes(),
            what,
        })
    }

    fn peer<A: Address>(
        &mut self,
        info_hash: &InfoHash,
        peer: (Role, Peer<A, I>),
    ) -> Option<WithheldPeer<A, I>> {
        let entry = self.entry(info_hash, peer);
        let count = match entry {
            Some(_) => &mut self.peers,
            None => &mut self.over,
        };
        *count += 1;
        entry
    }

    fn v4(&mut self, info_hash: &InfoHash, peer: (Role, Peer<[u8; 6], I>)) {
        let entry = self.peer(info_hash, peer);
        entry.into_iter().for_each(|entry| self.v4.push(entry));
    }

    fn v6(&mut self, info_hash: &InfoHash, peer: (Role, Peer<[u8; 18], I>)) {
        let entry = self.peer(info_hash, peer);
        entry.into_iter().for_each(|entry| self.v6.push(entry));
    }

    fn pair(&mut self, info_hash: &InfoHash, pair: Pair) {
        let entry = self.entry(info_hash, pair);
        entry.into_iter().for_each(|entry| self.pairs.push(entry));
    }

    fn alternate(&mut self, info_hash: &InfoHash, address: SocketAddr, other: IpAddr) {
        let entry = self.entry(info_hash, Alternate { address, other });
        entry
            .into_iter()
            .for_each(|entry| self.alternates.push(entry));
    }

    fn count(&mut self, info_hash: &InfoHash, count: Count) {
        if count.downloaded > 0 || count.elsewhere.is_some() {
            let entry = self.entry(info_hash, count);
            entry.into_iter().for_each(|entry| self.counts.push(entry));
        }
    }

    /// Keeps the count of a torrent that is blocked, or that the blocked left without peers.
    pub(super) fn count_of(&mut self, info_hash: &InfoHash, swarm: &Swarm<I>) {
        let count = Count {
            downloaded: swarm.downloaded,
            elsewhere: boxed(swarm.downloaded_elsewhere()),
            charge: swarm.charge,
            last_used: swarm.last_used(),
        };
        self.count(info_hash, count);
    }

    /// Keeps what a database has of the blocked: peers, and where the torrent itself is blocked its count.
    pub(super) fn stored(&mut self, blocked: &StoredSwarm, is_torrent: bool, rules: &Rules<'_>) {
        let info_hash = &blocked.info_hash;
        for peer in &blocked.peers {
            if let Some(packed) = peer.packed(rules.zones) {
                self.v4(info_hash, packed);
            } else if let Some(packed) = peer.packed(rules.zones) {
                self.v6(info_hash, packed);
            }
            if let Some(other) = peer.inner_ip {
                self.alternate(info_hash, SocketAddr::new(peer.ip, peer.port), other);
            }
        }
        if is_torrent {
            let count = Count {
                downloaded: blocked.downloaded,
                elsewhere: boxed(CountsElsewhere::new(&blocked.downloaded_elsewhere)),
                charge: Charge::default(),
                last_used: blocked.last_used,
            };
            self.count(info_hash, count);
        }
    }
}

/// All that is kept, each list in order of the info hashes once it has been [put in order](Withheld::sort).
#[derive(Debug)]
pub(super) struct Withheld<I: StoredId> {
    v4: Vec<WithheldPeer<[u8; 6], I>>,
    v6: Vec<WithheldPeer<[u8; 18], I>>,
    pairs: Vec<Entry<Pair>>,
    alternates: Vec<Entry<Alternate>>,
    counts: Vec<Entry<Count>>,
    is_sorted: bool,
    /// Whether some are kept only until there is room for them.
    is_waiting: bool,
}

impl<I: StoredId> Default for Withheld<I> {
    fn default() -> Self {
        Withheld {
            v4: Vec::new(),
            v6: Vec::new(),
            pairs: Vec::new(),
            alternates: Vec::new(),
            counts: Vec::new(),
            is_sorted: true,
            is_waiting: false,
        }
    }
}

/// Does the same with every list.
macro_rules! for_each_list {
    ($withheld:expr, $list:ident => $work:expr) => {{
        let Withheld {
            v4,
            v6,
            pairs,
            alternates,
            counts,
            ..
        } = $withheld;
        {
            let $list = v4;
            $work;
        }
        {
            let $list = v6;
            $work;
        }
        {
            let $list = pairs;
            $work;
        }
        {
            let $list = alternates;
            $work;
        }
        {
            let $list = counts;
            $work;
        }
    }};
}

/// The entries of one torrent.
#[derive(Debug)]
pub(super) struct OfTorrent<'a, I: StoredId> {
    pub v4: &'a [WithheldPeer<[u8; 6], I>],
    pub v6: &'a [WithheldPeer<[u8; 18], I>],
    pairs: &'a [Entry<Pair>],
    alternates: &'a [Entry<Alternate>],
    counts: &'a [Entry<Count>],
}

fn of_torrent<'a, T>(list: &'a [Entry<T>], info_hash: &InfoHash) -> &'a [Entry<T>] {
    let first = list.partition_point(|entry| entry.info_hash < *info_hash);
    let last = list.partition_point(|entry| entry.info_hash <= *info_hash);
    certain(list.get(first..last), &[], "both lie within the list")
}

impl<I: StoredId> Withheld<I> {
    pub(super) fn len(&self) -> usize {
        let mut len = 0;
        for_each_list!(self, list => len += list.len());
        len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn peers(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// What a walk that begins at `since` collects into.
    pub(super) fn taking(&self, since: Seconds) -> Taken<I> {
        Taken {
            v4: Segments(Vec::new()),
            v6: Segments(Vec::new()),
            pairs: Segments(Vec::new()),
            alternates: Segments(Vec::new()),
            counts: Segments(Vec::new()),
            since,
            room: MAX_WITHHELD.saturating_sub(self.len()),
            peers: 0,
            over: 0,
        }
    }

    /// Adds what a walk has taken.
    pub(super) fn add(&mut self, taken: Taken<I>) {
        let before = self.len();
        taken.v4.append_to(&mut self.v4);
        taken.v6.append_to(&mut self.v6);
        taken.pairs.append_to(&mut self.pairs);
        taken.alternates.append_to(&mut self.alternates);
        taken.counts.append_to(&mut self.counts);
        self.is_sorted &= before == self.len();
    }

    /// Whether some are kept only until there is room for them.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Keeps whom nothing hides any more but who has no room yet, until the ten minutes are over that they are kept for already.
    pub(super) fn wait(&mut self, mut crowded_out: Withheld<I>) {
        if crowded_out.is_empty() {
            return;
        }
        self.v4.append(&mut crowded_out.v4);
        self.v6.append(&mut crowded_out.v6);
        self.pairs.append(&mut crowded_out.pairs);
        self.alternates.append(&mut crowded_out.alternates);
        self.counts.append(&mut crowded_out.counts);
        (self.is_sorted, self.is_waiting) = (false, true);
    }

    /// Adds what belongs to peers of a torrent that have no room.
    pub(super) fn add_ties(&mut self, withheld: &OfTorrent<'_, I>) {
        self.pairs.extend_from_slice(withheld.pairs);
        self.alternates.extend_from_slice(withheld.alternates);
        self.counts.extend_from_slice(withheld.counts);
    }

    /// Puts every list in order.
    pub(super) fn sort(&mut self) {
        if !self.is_sorted {
            for_each_list!(&mut *self, list => list.sort_unstable_by_key(|entry| entry.info_hash));
            self.is_sorted = true;
        }
    }

    /// The entries of one torrent.
    pub(super) fn of(&self, info_hash: &InfoHash) -> OfTorrent<'_, I> {
        debug_assert!(self.is_sorted, "sorted before it is asked");
        OfTorrent {
            v4: of_torrent(&self.v4, info_hash),
            v6: of_torrent(&self.v6, info_hash),
            pairs: of_torrent(&self.pairs, info_hash),
            alternates: of_torrent(&self.alternates, info_hash),
            counts: of_torrent(&self.counts, info_hash),
        }
    }

    /// The torrents that have an entry, in order.
    pub(super) fn info_hashes(&self) -> Vec<InfoHash> {
        let mut hashes = Vec::new();
        for_each_list!(self, list => {
            hashes.extend(list.iter().map(|entry| entry.info_hash));
            hashes.dedup();
        });
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// Takes out all that neither its torrent nor its address keeps here any longer.
    pub(super) fn take_lifted(
        &mut self,
        is_torrent_blocked: impl Fn(&InfoHash) -> bool,
        is_blocked: impl Fn(IpAddr) -> bool,
    ) -> Withheld<I> {
        let is_lifted = |hash: &InfoHash, ip: IpAddr| !is_torrent_blocked(hash) && !is_blocked(ip);
        let v4 = self
            .v4
            .extract_if(.., |entry| is_lifted(&entry.info_hash, entry.what.1.ip()));
        let v6 = self
            .v6
            .extract_if(.., |entry| is_lifted(&entry.info_hash, entry.what.1.ip()));
        let alternates = self.alternates.extract_if(.., |entry| {
            is_lifted(&entry.info_hash, entry.what.address.ip())
        });
        let pairs = self.pairs.extract_if(.., |entry| {
            let mut ends = entry.what.ends().into_iter();
            ends.all(|end| is_lifted(&entry.info_hash, end.ip()))
        });
        // The count of a torrent is nobody's: it goes back with the first peer.
        let counts = self
            .counts
            .extract_if(.., |entry| !is_torrent_blocked(&entry.info_hash));
        let mut lifted = Withheld {
            v4: v4.collect(),
            v6: v6.collect(),
            pairs: pairs.collect(),
            alternates: alternates.collect(),
            counts: counts.collect(),
            is_sorted: self.is_sorted,
            is_waiting: false,
        };
        lifted.sort();
        self.is_waiting = false;
        self.give_back_memory();
        lifted
    }

    /// Takes out what is known from an origin; returns how many peers.
    pub(super) fn forget(&mut self, origin: Origin) -> u64 {
        fn of<A: Address, I: StoredId>(origin: Origin) -> impl Fn(&WithheldPeer<A, I>) -> bool {
            move |entry| entry.what.1.state.origin() == Some(origin)
        }
        let before = self.peers();
        let is_of_v4 = of(origin);
        self.v4.retain(|entry| !is_of_v4(entry));
        let is_of_v6 = of(origin);
        self.v6.retain(|entry| !is_of_v6(entry));
        for count in self.counts.iter_mut().map(|entry| &mut entry.what) {
            if let Some(elsewhere) = &mut count.elsewhere {
                elsewhere.forget(origin);
            }
        }
        (before - self.peers()) as u64
    }

    /// Drops who has left the torrent meanwhile, as another tracker told.
    pub(super) fn drop_left(&mut self, has_left: impl Fn(&InfoHash, SocketAddr, Seconds) -> bool) {
        fn stays<A: Address, I: StoredId>(
            entry: &WithheldPeer<A, I>,
            has_left: &impl Fn(&InfoHash, SocketAddr, Seconds) -> bool,
        ) -> bool {
            let peer = &entry.what.1;
            let address = SocketAddr::new(peer.ip(), peer.packed_key.address().port());
            !has_left(&entry.info_hash, address, peer.state.seen())
        }
        self.v4.retain(|entry| stays(entry, &has_left));
        self.v6.retain(|entry| stays(entry, &has_left));
    }

    /// Takes out all that has been kept for long enough.
    pub(super) fn take_overdue(&mut self, now: Seconds) -> Withheld<I> {
        fn overdue<T>(list: &mut Vec<Entry<T>>, now: Seconds) -> Vec<Entry<T>> {
            list.extract_if(.., |entry| entry.is_overdue(now)).collect()
        }
        let overdue = Withheld {
            v4: overdue(&mut self.v4, now),
            v6: overdue(&mut self.v6, now),
            pairs: overdue(&mut self.pairs, now),
            alternates: overdue(&mut self.alternates, now),
            counts: overdue(&mut self.counts, now),
            is_sorted: self.is_sorted,
            is_waiting: false,
        };
        if !overdue.is_empty() {
            self.give_back_memory();
        }
        overdue
    }

    fn give_back_memory(&mut self) {
        for_each_list!(self, list => list.shrink_to_fit());
    }
}

impl<I: StoredId> OfTorrent<'_, I> {
    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && self.counts.is_empty()
    }

    /// The count that is kept of the torrent, and when it last had a peer.
    pub(super) fn count(&self) -> Option<(u32, Seconds)> {
        let counts = self.counts.iter();
        counts
            .map(|entry| (entry.what.downloaded, entry.what.last_used))
            .max()
    }

    /// What other trackers counted of the torrent.
    pub(super) fn count_elsewhere(&self, into: &mut CountsElsewhere) {
        for count in self.counts.iter().map(|entry| &entry.what) {
            if let Some(elsewhere) = &count.elsewhere {
                into.merge(elsewhere.rows());
            }
        }
    }

    /// The living peers as plain values.
    pub(super) fn export(&self, horizon: u32) -> Vec<StoredPeer> {
        let alternate = |address: SocketAddr| {
            let mut alternates = self.alternates.iter().map(|entry| entry.what);
            alternates
                .find(|alternate| alternate.address == address)
                .map(|alternate| alternate.other)
        };
        let v4 = self.v4.iter().map(|entry| &entry.what);
        let v6 = self.v6.iter().map(|entry| &entry.what);
        let v4 = v4.map(|(role, peer)| StoredPeer::of(*role, peer, alternate));
        let v6 = v6.map(|(role, peer)| StoredPeer::of(*role, peer, alternate));
        v4.chain(v6)
            .filter(|peer| peer.last_seen.raw() > horizon)
            .collect()
    }
}

impl<I: StoredId> Swarm<I> {
    /// Takes out all peers for which `is_gone` holds, and keeps them. Returns how many.
    pub(super) fn withhold_where(
        &mut self,
        info_hash: &InfoHash,
        rules: &Rules<'_>,
        is_gone: impl Fn(IpAddr) -> bool,
        taken: &mut Taken<I>,
    ) -> usize {
        self.refresh(rules);
        let before = self.len();
        let v4 = take_where(&mut self.v4, |peer| is_gone(peer.ip()));
        let v6 = self.extra.as_mut().map_or_else(Vec::new, |extra| {
            take_where(&mut extra.v6, |peer| is_gone(peer.ip()))
        });
        if self.len() == before {
            return 0;
        }
        self.keep_ties(info_hash, &v4, taken);
        self.keep_ties(info_hash, &v6, taken);
        self.forget_where_gone(&v4, &v6, rules);
        v4.into_iter().for_each(|peer| taken.v4(info_hash, peer));
        v6.into_iter().for_each(|peer| taken.v6(info_hash, peer));
        before - self.len()
    }

    /// Drops those who announce here and were last seen by `rules.now`, for whom `is_gone` holds; adds where they were, and whether that was
    /// only reported, to `gone`. Returns how many.
    pub(super) fn drop_own_where(
        &mut self,
        rules: &Rules<'_>,
        is_gone: impl Fn(IpAddr, u16) -> bool,
        gone: &mut Vec<(SocketAddr, bool)>,
    ) -> usize {
        self.refresh(rules);
        let before = self.len();
        let v4 = take_where(&mut self.v4, |peer| is_own_gone(peer, rules, &is_gone));
        let v6 = self.extra.as_mut().map_or_else(Vec::new, |extra| {
            take_where(&mut extra.v6, |peer| is_own_gone(peer, rules, &is_gone))
        });
        if self.len() == before {
            return 0;
        }
        self.forget_where_gone(&v4, &v6, rules);
        gone.extend(v4.iter().map(|(_, peer)| place_of(peer)));
        gone.extend(v6.iter().map(|(_, peer)| place_of(peer)));
        before - self.len()
    }

    /// Takes off the counts, and parts from those whom they are tied to, peers that have been taken out already.
    pub(super) fn forget_where_gone(
        &mut self,
        v4: &[(Role, Peer<[u8; 6], I>)],
        v6: &[(Role, Peer<[u8; 18], I>)],
        rules: &Rules<'_>,
    ) {
        let mut departed = Departed::default();
        v4.iter()
            .for_each(|(_, peer)| departed.on_removed(peer, rules));
        v6.iter()
            .for_each(|(_, peer)| departed.on_removed(peer, rules));
        let last_seen = self.account_removed(departed, rules);
        if self.len() == 0 {
            self.oldest = last_seen;
        }
        self.tidy(rules.zones);
        self.touch();
    }

    /// Keeps the second addresses of peers that leave, and the pairs that they are of. Whose other address does not come back with
    /// it still has the mark of a pair, and looks for it at its announces.
    fn keep_ties<A: Address>(
        &self,
        info_hash: &InfoHash,
        peers: &[(Role, Peer<A, I>)],
        taken: &mut Taken<I>,
    ) {
        let Some(extra) = &self.extra else { return };
        for (_, peer) in peers {
            let address = SocketAddr::new(peer.ip(), peer.packed_key.address().port());
            if peer.state.has_alternate()
                && let Some(other) = extra.alternates.of(address)
            {
                taken.alternate(info_hash, address, other);
            }
            if peer.state.is_dual()
                && let Some(pair) = extra.dual_stack.pair_of(address)
            {
                taken.pair(info_hash, pair);
            }
        }
    }

    /// Puts v4 peers back that are alive and fit within the bounds and `room`; the others that are alive are added to `crowded_out`.
    /// Returns how many came back.
    pub(super) fn take_back_v4(
        &mut self,
        peers: &[WithheldPeer<[u8; 6], I>],
        room: usize,
        rules: &Rules<'_>,
        crowded_out: &mut Withheld<I>,
    ) -> usize {
        let peers = self.within_bounds(peers, room, rules, &mut crowded_out.v4);
        let joined = put_back(&mut self.v4, peers, rules);
        self.account_returned(&joined, rules)
    }

    /// The same of v6 peers.
    pub(super) fn take_back_v6(
        &mut self,
        peers: &[WithheldPeer<[u8; 18], I>],
        room: usize,
        rules: &Rules<'_>,
        crowded_out: &mut Withheld<I>,
    ) -> usize {
        let peers = self.within_bounds(peers, room, rules, &mut crowded_out.v6);
        if peers.is_empty() {
            return 0;
        }
        let extra = self.extra.get_or_insert_with(Box::default);
        let joined = put_back(&mut extra.v6, peers, rules);
        self.account_returned(&joined, rules)
    }

    fn within_bounds<'a, A: Address>(
        &self,
        peers: &'a [WithheldPeer<A, I>],
        room: usize,
        rules: &Rules<'_>,
        crowded_out: &mut Vec<WithheldPeer<A, I>>,
    ) -> Vec<&'a WithheldPeer<A, I>> {
        let room = match rules.settings.max_peers_per_torrent as usize {
            0 => room,
            bound => room.min(bound.saturating_sub(self.len())),
        };
        let (horizon, mut reported) = (rules.horizon(), self.reported);
        let mut living = peers.iter().filter(move |entry| {
            let state = &entry.what.1.state;
            let is_alive = state.seen().raw() > horizon;
            let fits = !state.is_reported() || reported < MAX_REPORTED;
            reported = reported.saturating_add((is_alive && state.is_reported()).into());
            is_alive && fits
        });
        let fitting = living.by_ref().take(room).collect();
        crowded_out.extend(living.copied());
        fitting
    }

    fn account_returned<A: Address>(&mut self, joined: &[Peer<A, I>], rules: &Rules<'_>) -> usize {
        let mut flag_counts = FlagCounts::default();
        for peer in joined {
            flag_counts = flag_counts.plus(FlagCounts::of(&peer.state));
            rules.address_counts.add(peer.ip());
            if let Some(origin) = peer.state.origin() {
                rules.origins.add(origin);
            }
            self.oldest = self.oldest.min(peer.state.seen().raw());
        }
        self.apply(FlagCountsChange {
            before: FlagCounts::default(),
            after: flag_counts,
        });
        joined.len()
    }

    /// Puts the count of the torrent back, where a larger one has not come into its place.
    pub(super) fn take_back_counts(&mut self, withheld: &OfTorrent<'_, I>) {
        for count in withheld.counts.iter().map(|entry| &entry.what) {
            if let Some(elsewhere) = &count.elsewhere {
                self.count_elsewhere(elsewhere.rows());
            }
            if count.downloaded > self.downloaded {
                if self.charge.is_nobody() {
                    self.charge = count.charge;
                }
                self.downloaded = count.downloaded;
            }
            if self.len() == 0 {
                self.oldest = self.oldest.min(count.last_used.raw());
            }
        }
    }

    /// Ties what has come back: second addresses, and pairs of addresses of one client.
    pub(super) fn take_back_ties(&mut self, withheld: &OfTorrent<'_, I>, rules: &Rules<'_>) {
        for Alternate { address, other } in withheld.alternates.iter().map(|entry| entry.what) {
            // Nobody, or somebody who came meanwhile.
            let found = self.families().find(address, rules.zones);
            let state = found.and_then(|(role, at)| self.state_mut(address.ip(), role, at));
            if state.is_some_and(|state| state.has_alternate()) {
                let extra = self.extra.get_or_insert_with(Box::default);
                extra.alternates.put(address, other);
            }
        }
        for entry in withheld.pairs {
            self.pair_again(entry.what, rules);
        }
    }
}

/// Whether a peer announces here, was last seen by `rules.now`, and is where `is_gone` holds.
fn is_own_gone<A: Address, I: StoredId>(
    peer: &Peer<A, I>,
    rules: &Rules<'_>,
    is_gone: impl Fn(IpAddr, u16) -> bool,
) -> bool {
    !peer.state.is_elsewhere()
        && peer.state.seen() <= rules.now
        && is_gone(peer.ip(), peer.packed_key.address().port())
}

/// Where a peer is, and whether that is only reported.
fn place_of<A: Address, I: StoredId>(peer: &Peer<A, I>) -> (SocketAddr, bool) {
    let address = SocketAddr::new(peer.ip(), peer.packed_key.address().port());
    (address, peer.state.is_reported())
}

/// Takes out of one family all peers for which `is_gone` holds.
pub(super) fn take_where<A: Address, I: StoredId>(
    peers: &mut Peers<A, I>,
    is_gone: impl Fn(&Peer<A, I>) -> bool,
) -> Vec<(Role, Peer<A, I>)> {
    if !peers.iter().any(|(_, peer)| is_gone(&peer)) {
        return Vec::new();
    }
    let all = peers.drain().into_iter();
    let (gone, stay): (Vec<_>, Vec<_>) = all.partition(|(_, peer)| is_gone(peer));
    *peers = Peers::rebuild(stay);
    gone
}

/// Puts peers back into one family, but for those whose address somebody has taken. Returns whom.
fn put_back<A: Address, I: StoredId>(
    peers: &mut Peers<A, I>,
    withheld: Vec<&WithheldPeer<A, I>>,
    rules: &Rules<'_>,
) -> Vec<Peer<A, I>> {
    let mut joined = Vec::with_capacity(withheld.len());
    for entry in withheld {
        let (role, mut peer) = entry.what;
        let (ip, address) = (peer.ip(), peer.packed_key.address());
        let zone = tiered(rules.zones.of(ip), ip);
        peer.set_zone(zone);
        let sort_key = A::sort_key(zone, address.key());
        if peers.find(sort_key, role).is_none() {
            peers.insert(role, peer);
            joined.push(peer);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::id::PeerId;
    use crate::tracker::peers::owner::IdDigest;

    /// W11
    #[test]
    fn a_withheld_peer_has_no_padding() {
        assert_eq!(size_of::<WithheldPeer<[u8; 6], PeerId>>(), 66);
        assert_eq!(size_of::<WithheldPeer<[u8; 18], PeerId>>(), 78);
        assert_eq!(size_of::<WithheldPeer<[u8; 6], IdDigest>>(), 46);
    }
}
