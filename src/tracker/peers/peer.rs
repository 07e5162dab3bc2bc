//! One stored peer, packed: what a swarm keeps of it, and the order in which a swarm keeps its peers.
//!
//! The order is by tier, zone number, address and port. Zones are numbered so that a zone and all below it are one run of
//! numbers, so every kind of nearness (same subtree of zones, same address prefix) is one contiguous run of peers. A tier stands
//! in the two highest bits of the zone: who is not for everybody stands behind all who are.

use std::net::IpAddr;

use super::address::{Address, LOOPBACK, SURPLUS, from_three, three};
use super::owner::{StoredId, StoredKey};
use crate::clock::Seconds;
use crate::tracker::id::{ClientKey, PeerId};
use crate::tracker::sites::Origin;

const PAUSED: u8 = 1;
const COMPLETED: u8 = 2;
const HAS_ALTERNATE: u8 = 4;
const REPORTED: u8 = 8;
/// The same as the [`SURPLUS`] bit of its sort key, in a byte that the announce path reads anyway.
const SURPLUS_TOO: u8 = 16;
const DUAL: u8 = 32;
/// It announces to another tracker.
const ELSEWHERE: u8 = 64;

/// Where a peer stands, and all that a compact list says of it: 9 bytes for v4, 21 for v6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedKey<A: Address>(A::Packed);

impl<A: Address> PackedKey<A> {
    pub(super) fn new(address: A, zone: u32) -> PackedKey<A> {
        PackedKey(address.packed(zone))
    }

    #[inline]
    pub(super) fn sort_key(&self) -> A::SortKey {
        A::sort_key_of(&self.0)
    }

    #[inline]
    pub(crate) fn address(&self) -> A {
        A::unpacked(&self.0)
    }

    /// Whether it is with the surplus.
    #[inline]
    pub(super) fn is_surplus(&self) -> bool {
        A::has_tier(&self.0, SURPLUS)
    }

    /// Whether it is in any tier but that of all others.
    #[inline]
    pub(super) fn is_apart(&self) -> bool {
        A::has_tier(&self.0, SURPLUS | LOOPBACK)
    }

    /// Where it is when it is not with the surplus.
    pub(super) fn everybodys(&self) -> PackedKey<A> {
        PackedKey::new(self.address(), A::zone(&self.0) & !SURPLUS)
    }

    /// The first and the last sort key that its subscriber has in its tier.
    pub(super) fn subscriber(&self) -> (A::SortKey, A::SortKey) {
        let (low, high) = self.address().prefix(A::SUBSCRIBER_BITS);
        let zone = A::zone(&self.0);
        (A::sort_key(zone, low), A::sort_key(zone, high))
    }
}

/// The rest of what is kept of a peer: 32 bytes with its id, 12 without.
///
/// ```text
/// id 20 or 3 · proof of its key 3 or 0 · last seen 4 · flags 1 · downloaded, in MiB 3 · local share of its last list 1
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct State<I: StoredId> {
    pub id: I,
    pub key: I::Key,
    seen: [u8; 4],
    flags: u8,
    downloaded: [u8; 3],
    /// Local peers in the list that it was last handed ÷ all in it, in 255ths; of who announces to another tracker the number of its
    /// [`Origin`].
    local_share: u8,
}

/// One peer, without padding: 41 bytes for v4 with its id, 21 without; 53 and 33 for v6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer<A: Address, I: StoredId> {
    pub packed_key: PackedKey<A>,
    pub state: State<I>,
}

impl<A: Address, I: StoredId> Peer<A, I> {
    pub(crate) fn new(address: A, id: PeerId, zone: u32, seen: Seconds) -> Peer<A, I> {
        Peer {
            packed_key: PackedKey::new(address, zone),
            state: State {
                id: I::keep(id),
                key: I::Key::default(),
                seen: seen.raw().to_le_bytes(),
                flags: 0,
                downloaded: [0; 3],
                local_share: 0,
            },
        }
    }

    #[inline]
    pub(super) fn sort_key(&self) -> A::SortKey {
        self.packed_key.sort_key()
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.packed_key.address().ip()
    }

    /// `zone` with its [tier](super::address::tiered).
    pub(crate) fn set_zone(&mut self, zone: u32) {
        self.packed_key = PackedKey::new(self.packed_key.address(), zone);
    }

    /// Puts it with the surplus, or takes it from there.
    pub(super) fn set_surplus(&mut self, is_surplus: bool) {
        self.packed_key = self.packed_key.everybodys();
        if is_surplus {
            self.set_zone(A::zone(&self.packed_key.0) | SURPLUS);
        }
        self.state.set(SURPLUS_TOO, is_surplus);
    }
}

impl<I: StoredId> State<I> {
    /// Whether a client of this id and key is the one that the peer was stored for (S1). Who came back from a database without
    /// an id belongs to whoever announces there first.
    #[inline]
    pub(crate) fn belongs_to(&self, id: PeerId, key: Option<ClientKey>) -> bool {
        self.id.is(id) || self.key.matches(I::Key::of(key)) || self.id.is_unknown()
    }

    pub(crate) fn seen(&self) -> Seconds {
        Seconds::from_raw(u32::from_le_bytes(self.seen))
    }

    pub(crate) fn set_seen(&mut self, now: Seconds) {
        self.seen = now.raw().to_le_bytes();
    }

    /// In whole MiB; what is more than 16 TiB counts as that.
    pub(crate) fn downloaded_mib(&self) -> u32 {
        from_three(self.downloaded)
    }

    pub(crate) fn set_downloaded_mib(&mut self, mib: u32) {
        self.downloaded = three(mib);
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, is_set: bool) {
        self.flags = if is_set {
            self.flags | flag
        } else {
            self.flags & !flag
        };
    }

    /// Whether it announces to another tracker.
    #[inline]
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.has(ELSEWHERE)
    }

    /// Which other tracker it announces to; `None` for this one.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let origin = || Origin::new(self.local_share).unwrap_or(Origin::UNKNOWN);
        self.is_elsewhere().then(origin)
    }

    pub(crate) fn set_origin(&mut self, origin: Option<Origin>) {
        self.set(ELSEWHERE, origin.is_some());
        self.local_share = origin.map_or(0, Origin::get);
    }

    /// Of who announces here: local peers in the list that it was last handed ÷ all in it, in 255ths.
    #[inline]
    pub(crate) fn local_share(&self) -> u8 {
        debug_assert!(!self.is_elsewhere(), "taken over before");
        self.local_share
    }

    #[inline]
    pub(crate) fn set_local_share(&mut self, share: u8) {
        debug_assert!(!self.is_elsewhere(), "taken over before");
        self.local_share = share;
    }

    /// A paused partial seed (BEP 21).
    pub(crate) fn is_paused(&self) -> bool {
        self.has(PAUSED)
    }

    pub(crate) fn set_paused(&mut self, is_paused: bool) {
        self.set(PAUSED, is_paused);
    }

    /// Whether its `completed` has been counted.
    pub(crate) fn has_completed(&self) -> bool {
        self.has(COMPLETED)
    }

    pub(crate) fn set_completed(&mut self, has_completed: bool) {
        self.set(COMPLETED, has_completed);
    }

    /// Whether it is with the surplus.
    pub(crate) fn is_surplus(&self) -> bool {
        self.has(SURPLUS_TOO)
    }

    /// Whether its address is only what somebody reported.
    pub(crate) fn is_reported(&self) -> bool {
        self.has(REPORTED)
    }

    pub(crate) fn set_reported(&mut self, is_reported: bool) {
        self.set(REPORTED, is_reported);
    }

    /// Whether the swarm keeps a second address of it (S10).
    pub(crate) fn has_alternate(&self) -> bool {
        self.has(HAS_ALTERNATE)
    }

    /// Whether its client has an address of the other family here too (S14), or had one when a block hid it and may have it again.
    pub(crate) fn is_dual(&self) -> bool {
        self.has(DUAL)
    }

    pub(crate) fn set_dual(&mut self, is_dual: bool) {
        self.set(DUAL, is_dual);
    }

    pub(crate) fn set_has_alternate(&mut self, has_alternate: bool) {
        self.set(HAS_ALTERNATE, has_alternate);
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::THREE_BYTES;
    use super::super::owner::IdDigest;
    use super::*;
    use crate::tracker::zones::MAX_ZONE;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn a_peer_has_no_padding() {
        assert_eq!(size_of::<Peer<[u8; 6], PeerId>>(), 41);
        assert_eq!(size_of::<Peer<[u8; 6], IdDigest>>(), 21);
        assert_eq!(size_of::<Peer<[u8; 18], PeerId>>(), 53);
        assert_eq!(size_of::<PackedKey<[u8; 6]>>(), 9);
    }

    proptest! {
        #[test]
        fn fields_do_not_touch_each_other(zone in 0..=MAX_ZONE, mib in 0..=THREE_BYTES, seen in any::<u32>()) {
            let mut peer = Peer::<[u8; 6], PeerId>::new([1; 6], PeerId([2; 20]), zone, Seconds::from_raw(seen));
            peer.state.set_downloaded_mib(mib);
            peer.state.set_paused(true);
            peer.state.set_completed(true);
            peer.state.set_paused(false);
            let key = peer.packed_key.address().key();
            prop_assert_eq!(peer.sort_key(), <[u8; 6]>::sort_key(zone, key));
            prop_assert_eq!((peer.state.downloaded_mib(), peer.state.seen().raw()), (mib, seen));
            prop_assert!(peer.state.has_completed() && !peer.state.is_paused() && !peer.state.has_alternate());
        }
    }
}
