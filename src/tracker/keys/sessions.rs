//! The sessions of one key: which client announces which torrent with it, from where, and what it last reported. A small sorted list,
//! for most keys have a few; nobody else's peers are tagged with anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::meter::Traffic;
use super::{KeyLimits, MAX_ADDRESSES, MAX_SESSIONS};
use crate::clock::Seconds;
use crate::net::subscriber::subscriber;
use crate::tracker::announce::{Announce, Refusal};
use crate::tracker::id::{InfoHash, PeerId};

/// One client with one torrent: over both families the same session, so that nothing is counted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySession {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The client.
    pub peer_id: PeerId,
    /// What it last reported.
    pub reported: Traffic,
    /// When.
    pub seen: Seconds,
    /// Under which v4 address and port it is stored, if it is.
    pub v4: Option<(Ipv4Addr, u16)>,
    /// The same of v6.
    pub v6: Option<(Ipv6Addr, u16)>,
}

impl KeySession {
    fn is_of(&self, info_hash: &InfoHash, peer_id: &PeerId) -> std::cmp::Ordering {
        (&self.info_hash, &self.peer_id).cmp(&(info_hash, peer_id))
    }

    fn is_dead(&self, now: Seconds, lifetime: u32) -> bool {
        now.since(self.seen) >= lifetime
    }

    /// Where its peers are stored.
    pub(in crate::tracker) fn places(&self) -> impl Iterator<Item = (IpAddr, u16)> + use<> {
        let v4 = self.v4.map(|(ip, port)| (IpAddr::V4(ip), port));
        let v6 = self.v6.map(|(ip, port)| (IpAddr::V6(ip), port));
        v4.into_iter().chain(v6)
    }

    /// What removes the peer at one of its places.
    pub(in crate::tracker) fn stopped_at(&self, ip: IpAddr, port: u16) -> Announce {
        Announce {
            peer_id: self.peer_id,
            downloaded: self.reported.downloaded,
            ..Announce::stopped_at(self.info_hash, SocketAddr::new(ip, port))
        }
    }

    /// The subscribers that it announces from.
    fn subscribers(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.places().map(|(ip, _)| subscriber(ip))
    }

    /// The subscriber of the family of `ip`.
    fn subscriber_beside(&self, ip: IpAddr) -> Option<IpAddr> {
        let mut own = self.subscribers();
        own.find(|own| own.is_ipv4() == ip.is_ipv4())
    }

    /// The session at those of its places that `ip` and `port` are not: of the family of `ip` only, where it goes on from there.
    fn elsewhere(&self, ip: IpAddr, port: u16, goes_on: bool) -> Option<KeySession> {
        let is_left = |place: IpAddr, at: u16| {
            (place, at) != (ip, port) && !(goes_on && place.is_ipv4() != ip.is_ipv4())
        };
        let left = KeySession {
            v4: self
                .v4
                .filter(|(place, at)| is_left(IpAddr::V4(*place), *at)),
            v6: self
                .v6
                .filter(|(place, at)| is_left(IpAddr::V6(*place), *at)),
            ..*self
        };
        (left.v4.is_some() || left.v6.is_some()).then_some(left)
    }

    fn move_to(&mut self, ip: IpAddr, port: u16) {
        match ip {
            IpAddr::V4(ip) => self.v4 = Some((ip, port)),
            IpAddr::V6(ip) => self.v6 = Some((ip, port)),
        }
    }
}

/// All of them, in order of torrent and client.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    list: Vec<KeySession>,
    /// Torrents among them.
    torrents: u32,
    /// Subscribers among them, with how many sessions each has.
    addresses: Vec<(IpAddr, u32)>,
    /// Nobody was last seen before this.
    oldest: Seconds,
}

/// What the session of who announces was until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Former {
    /// What it reported last.
    pub reported: Traffic,
    /// When.
    pub seen: Seconds,
    /// It, at the places that it has left: its peers there are to go.
    pub left: Option<KeySession>,
}

/// Who announces what, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence<'a> {
    pub info_hash: &'a InfoHash,
    pub peer_id: &'a PeerId,
    pub ip: IpAddr,
    pub port: u16,
    pub reported: Traffic,
    pub now: Seconds,
    pub lifetime: u32,
}

impl Presence<'_> {
    fn session(&self) -> KeySession {
        let mut session = KeySession {
            info_hash: *self.info_hash,
            peer_id: *self.peer_id,
            reported: self.reported,
            seen: self.now,
            v4: None,
            v6: None,
        };
        session.move_to(self.ip, self.port);
        session
    }
}

impl Sessions {
    /// As they were kept; no more than there may be.
    pub(super) fn restored(mut list: Vec<KeySession>) -> Sessions {
        list.truncate(MAX_SESSIONS);
        list.sort_unstable_by(|one, other| one.is_of(&other.info_hash, &other.peer_id));
        list.dedup_by(|one, other| one.is_of(&other.info_hash, &other.peer_id).is_eq());
        let mut sessions = Sessions::default();
        sessions.replace(list);
        sessions
    }

    pub(super) fn list(&self) -> &[KeySession] {
        &self.list
    }

    pub(super) const fn torrents(&self) -> u32 {
        self.torrents
    }

    /// The subscribers: v4 addresses and v6 /64.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(|(ip, _)| *ip)
    }

    /// How many lines they announce from: addresses of the family that has more, since a line may have one of each.
    pub(super) fn lines(&self) -> u32 {
        let of_v4 = self.of_family(true);
        let all = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        of_v4.max(all.saturating_sub(of_v4))
    }

    fn of_family(&self, is_v4: bool) -> u32 {
        let same = self.addresses().filter(|ip| ip.is_ipv4() == is_v4);
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    /// Whether who announces is among them.
    pub(super) fn has(&self, presence: &Presence<'_>) -> bool {
        self.find(presence).is_ok()
    }

    fn find(&self, presence: &Presence<'_>) -> Result<usize, usize> {
        let (info_hash, peer_id) = (presence.info_hash, presence.peer_id);
        self.list
            .binary_search_by(|session| session.is_of(info_hash, peer_id))
    }

    /// Who announces is from now on among them, unless a limit is in its way. Returns what it was; nothing when it was not among
    /// them.
    ///
    /// # Errors
    /// The limit. Nothing has changed but that the dead are gone.
    pub(super) fn meet(
        &mut self,
        presence: &Presence<'_>,
        limits: KeyLimits,
    ) -> Result<Option<Former>, Refusal> {
        let place = self.may_meet(presence, limits).or_else(|refusal| {
            // Who has left without a word takes nobody's place.
            if self.forget_dead(presence.now, presence.lifetime) {
                self.may_meet(presence, limits)
            } else {
                Err(refusal)
            }
        })?;
        match place {
            Ok(at) => Ok(self.refresh(at, presence)),
            Err(at) => {
                self.join(at, presence);
                Ok(None)
            }
        }
    }

    /// Where it stands, or is to stand.
    fn may_meet(
        &self,
        presence: &Presence<'_>,
        limits: KeyLimits,
    ) -> Result<Result<usize, usize>, Refusal> {
        let place = self.find(presence);
        let own = subscriber(presence.ip);
        let moves_from = match place {
            Ok(at) => self
                .list
                .get(at)
                .and_then(|session| session.subscriber_beside(own)),
            Err(_) => None,
        };
        let is_known = self.addresses.iter().any(|(ip, _)| *ip == own);
        if !is_known {
            let most = limit(limits.addresses, MAX_ADDRESSES);
            // The place that it leaves is free.
            let leaves = moves_from.is_some_and(|from| {
                let mut known = self.addresses.iter();
                known.any(|(ip, sessions)| *ip == from && *sessions == 1)
            });
            let others = self.of_family(own.is_ipv4()) - u32::from(leaves);
            if others >= most {
                return Err(Refusal::KeyAddresses);
            }
        }
        if let Err(at) = place {
            let is_known = self.has_beside(at, presence.info_hash);
            let most = limit(limits.torrents, MAX_SESSIONS);
            if (!is_known && self.torrents >= most) || self.list.len() >= MAX_SESSIONS {
                return Err(Refusal::KeyTorrents);
            }
        }
        Ok(place)
    }

    /// Whether the sessions on either side of a place are of this torrent.
    fn has_beside(&self, at: usize, info_hash: &InfoHash) -> bool {
        let before = at.checked_sub(1).and_then(|at| self.list.get(at));
        let beside = before.into_iter().chain(self.list.get(at));
        beside
            .into_iter()
            .any(|session| session.info_hash == *info_hash)
    }

    fn refresh(&mut self, at: usize, presence: &Presence<'_>) -> Option<Former> {
        let session = self.list.get_mut(at)?;
        let (own, from) = (
            subscriber(presence.ip),
            session.subscriber_beside(presence.ip),
        );
        let before = Former {
            reported: session.reported,
            seen: session.seen,
            left: session.elsewhere(presence.ip, presence.port, true),
        };
        session.move_to(presence.ip, presence.port);
        (session.reported, session.seen) = (presence.reported, presence.now);
        if from != Some(own) {
            self.add_address(own);
            if let Some(from) = from {
                self.take_address(from);
            }
        }
        Some(before)
    }

    fn join(&mut self, at: usize, presence: &Presence<'_>) {
        if !self.has_beside(at, presence.info_hash) {
            self.torrents = self.torrents.saturating_add(1);
        }
        if self.list.is_empty() {
            self.oldest = presence.now;
        }
        self.oldest = self.oldest.min(presence.now);
        if at <= self.list.len() {
            make_room(&mut self.list);
            self.list.insert(at, presence.session());
        }
        self.add_address(subscriber(presence.ip));
    }

    /// Whoever leaves is gone, from all of its places. Returns what it was.
    pub(super) fn leave(&mut self, presence: &Presence<'_>) -> Option<Former> {
        let at = self.find(presence).ok()?;
        let gone = self.list.remove(at);
        if !self.has_beside(at, presence.info_hash) {
            self.torrents = self.torrents.saturating_sub(1);
        }
        gone.subscribers().for_each(|ip| self.take_address(ip));
        Some(Former {
            reported: gone.reported,
            seen: gone.seen,
            left: gone.elsewhere(presence.ip, presence.port, false),
        })
    }

    /// Forgets whom nobody has heard of for so long that its peer is dead; whether there was any.
    pub(super) fn forget_dead(&mut self, now: Seconds, lifetime: u32) -> bool {
        if now.since(self.oldest) < lifetime {
            return false;
        }
        let before = self.list.len();
        let mut list = std::mem::take(&mut self.list);
        list.retain(|session| !session.is_dead(now, lifetime));
        list.shrink_to_fit();
        let is_any = list.len() < before;
        self.replace(list);
        is_any
    }

    /// Takes all of them out.
    pub(super) fn take_all(&mut self) -> Vec<KeySession> {
        std::mem::take(self).list
    }

    /// Puts these, which are in order, in the place of all.
    fn replace(&mut self, list: Vec<KeySession>) {
        let mut hashes: Vec<&InfoHash> = list.iter().map(|session| &session.info_hash).collect();
        hashes.dedup();
        self.torrents = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        self.oldest = list
            .iter()
            .map(|session| session.seen)
            .min()
            .unwrap_or_default();
        self.addresses = Vec::new();
        for session in &list {
            session.subscribers().for_each(|ip| self.add_address(ip));
        }
        self.list = list;
    }

    fn add_address(&mut self, ip: IpAddr) {
        match self.addresses.iter_mut().find(|(known, _)| *known == ip) {
            Some((_, sessions)) => *sessions += 1,
            None => {
                make_room(&mut self.addresses);
                self.addresses.push((ip, 1));
            }
        }
    }

    fn take_address(&mut self, ip: IpAddr) {
        let Some(at) = self.addresses.iter().position(|(known, _)| *known == ip) else {
            return;
        };
        if let Some((_, sessions)) = self.addresses.get_mut(at) {
            *sessions -= 1;
            if *sessions == 0 {
                self.addresses.swap_remove(at);
            }
        }
    }
}

/// Room for one more, and for a quarter of what is there: most keys have a few sessions, and a list that doubles would have room for
/// as many again.
fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(1));
    }
}

/// A limit, where 0 is none: then the bound of all.
fn limit(own: u32, most: usize) -> u32 {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    if own == 0 { most } else { own.min(most) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest};
    use std::collections::{BTreeMap, BTreeSet};

    const LIFETIME: u32 = 3_600;

    /// A naive list: who is there, from where, since when.
    #[derive(Default)]
    struct Model(BTreeMap<(u8, u8), Place>);

    /// Its v4 and v6 address, and when it was last seen.
    type Place = (Option<IpAddr>, Option<IpAddr>, Seconds);

    impl Model {
        fn addresses(&self) -> BTreeSet<IpAddr> {
            let both = self.0.values().flat_map(|(v4, v6, _)| [*v4, *v6]);
            both.flatten().map(subscriber).collect()
        }

        fn torrents(&self) -> BTreeSet<u8> {
            self.0.keys().map(|(torrent, _)| *torrent).collect()
        }

        fn join(&mut self, torrent: u8, client: u8, ip: IpAddr, now: Seconds) {
            let entry = self.0.entry((torrent, client)).or_default();
            match ip {
                IpAddr::V4(_) => entry.0 = Some(ip),
                IpAddr::V6(_) => entry.1 = Some(ip),
            }
            entry.2 = now;
        }
    }

    fn ip() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (1_u8..5).prop_map(|last| IpAddr::from([192, 0, 2, last])),
            (1_u16..5).prop_map(|net| IpAddr::from([0x2001, 0xdb8, 0, net, 1, 2, 3, 4])),
            (1_u16..5).prop_map(|host| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host])),
            Just(IpAddr::from([192, 0, 2, 1])),
        ]
    }

    proptest! {
        /// O16
        #[test]
        fn sessions_agree_with_a_naive_list(
            steps in proptest::collection::vec((0_u8..4, 0_u8..3, ip(), 0_u32..1_200, 0_u8..5), 1..80),
            addresses in 0_u32..4, torrents in 0_u32..4,
        ) {
            let (mut sessions, mut model) = (Sessions::default(), Model::default());
            let limits = KeyLimits { addresses, torrents };
            let mut now = Seconds::START;
            for (torrent, client, ip, later, kind) in steps {
                now = now.plus(later);
                let (info_hash, peer_id) = (InfoHash([torrent; 20]), PeerId([client; 20]));
                let presence = Presence {
                    info_hash: &info_hash, peer_id: &peer_id, ip, port: 1, reported: Traffic::default(), now, lifetime: LIFETIME,
                };
                if kind == 0 {
                    let was_there = model.0.remove(&(torrent, client)).is_some();
                    prop_assert_eq!(sessions.leave(&presence).is_some(), was_there);
                } else {
                    // The dead are forgotten when somebody needs their place, or are swept.
                    if kind == 1 {
                        sessions.forget_dead(now, LIFETIME);
                    }
                    let with_dead = fits(&model, torrent, client, ip, now, limits);
                    let living = |model: &Model| Model(model.0.iter()
                        .filter(|(_, (_, _, seen))| now.since(*seen) < LIFETIME).map(|(key, value)| (*key, *value)).collect());
                    if kind == 1 || !with_dead {
                        model = living(&model);
                    }
                    let fits = fits(&model, torrent, client, ip, now, limits);
                    prop_assert_eq!(sessions.meet(&presence, limits).is_ok(), fits);
                    if fits {
                        model.join(torrent, client, ip, now);
                    }
                }
                let mine: BTreeSet<IpAddr> = sessions.addresses().collect();
                prop_assert_eq!(&mine, &model.addresses());
                prop_assert_eq!(sessions.torrents() as usize, model.torrents().len());
                prop_assert_eq!(sessions.list().len(), model.0.len());
                let again = Sessions::restored(sessions.list().to_vec());
                prop_assert_eq!(again.list(), sessions.list());
                prop_assert_eq!(again.torrents(), sessions.torrents());
                prop_assert_eq!(again.addresses().collect::<BTreeSet<_>>(), mine);
            }
        }
    }

    /// Whether one more announce keeps within the limits, by the naive list.
    fn fits(
        model: &Model,
        torrent: u8,
        client: u8,
        ip: IpAddr,
        now: Seconds,
        limits: KeyLimits,
    ) -> bool {
        let mut after = Model(model.0.clone());
        after.join(torrent, client, ip, now);
        let own = subscriber(ip);
        let of_family = after.addresses();
        let of_family = of_family.iter().filter(|ip| ip.is_ipv4() == own.is_ipv4());
        let is_new_address = !model.addresses().contains(&own);
        let is_new_torrent = !model.torrents().contains(&torrent);
        let within = |count: usize, most: u32| most == 0 || count <= most as usize;
        (!is_new_address || within(of_family.count(), limits.addresses))
            && (!is_new_torrent || within(after.torrents().len(), limits.torrents))
    }
}
