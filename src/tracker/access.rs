//! Who may announce and which info hashes are served: `ignore_ip`, `allow_networks`, the blocklist and its files, the listed torrents, the
//! rules for client ids.
//!
//! The lists are built whole and swapped; a look at them takes no lock and costs an announce next to nothing.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::announce::{Announce, Refusal};
use super::id::{InfoHash, PeerId};
use super::{AllSwarms, Enforced, TorrentSet, Tracker, with};
use crate::clock::{Seconds, Wall};
use crate::net::{AddressRanges, Networks};

/// What one entry of the blocklist blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An address (as a network of one) or a network; canonical.
    Network(IpNet),
    /// A torrent.
    Torrent(InfoHash),
}

/// One entry of the blocklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number in the database and on the page.
    pub number: i64,
    /// What it blocks.
    pub target: Target,
    /// Why, in the operator's words; at most 500 characters.
    pub reason: String,
    /// When it was made.
    pub created: Wall,
    /// When it ends; `None` for never.
    pub expires: Option<Wall>,
}

/// One rule for client ids: peer ids that begin with `prefix` are allowed or denied; the longest prefix wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRule {
    /// The first bytes of the peer id, as `-XL0012-`; empty matches everybody.
    pub prefix: Vec<u8>,
    /// Whether such clients are served.
    pub is_allowed: bool,
}

/// What one file blocks (`blocklist_file`).
#[derive(Clone, Debug, Default)]
pub struct BlocklistFile {
    /// Addresses.
    pub addresses: AddressRanges,
    /// Torrents.
    pub torrents: TorrentSet,
}

impl BlocklistFile {
    /// Whether nothing is blocked by it.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.torrents.is_empty()
    }
}

/// The torrents that are served when only listed ones are.
#[derive(Clone, Debug, Default)]
pub struct ListedTorrents {
    /// Whether no others are served (`torrents = listed`).
    pub is_closed: bool,
    /// Those of the file (`torrents_file`).
    pub of_file: Arc<TorrentSet>,
    /// Those that pages and API have added.
    pub added: Arc<TorrentSet>,
}

impl ListedTorrents {
    /// Whether the torrent is on the list.
    #[inline]
    pub fn contains(&self, hash: &InfoHash) -> bool {
        self.of_file.contains(hash) || self.added.contains(hash)
    }

    fn serves(&self, hash: &InfoHash) -> bool {
        !self.is_closed || self.contains(hash)
    }
}

/// The blocklist as announces look at it.
#[derive(Debug, Default)]
struct Blocked {
    /// Every entry, also those that have ended: a wall clock that is wrong for a while must lift none for good.
    kept: Arc<Vec<Block>>,
    networks: Networks,
    torrents: std::collections::HashSet<InfoHash, foldhash::fast::RandomState>,
    /// The same entries are in force from the first moment on and until just before the second.
    since: Wall,
    until: Option<Wall>,
}

impl Blocked {
    fn new(kept: Arc<Vec<Block>>, now: Wall) -> Blocked {
        let ends = || kept.iter().filter_map(|block| block.expires);
        let mut blocked = Blocked {
            // Before the first end the entries are in force since ever.
            since: ends().filter(|end| *end <= now).max().unwrap_or_default(),
            until: ends().filter(|end| *end > now).min(),
            ..Blocked::default()
        };
        for block in kept.iter().filter(|block| is_in_force(block, now)) {
            match block.target {
                Target::Network(network) => blocked.networks.add(network),
                Target::Torrent(hash) => drop(blocked.torrents.insert(hash)),
            }
        }
        blocked.kept = kept;
        blocked
    }

    /// Whether what is in force at `now` is what this was made for.
    fn holds_at(&self, now: Wall) -> bool {
        self.since <= now && self.until.is_none_or(|until| now < until)
    }

    fn has_torrent(&self, hash: &InfoHash) -> bool {
        !self.torrents.is_empty() && self.torrents.contains(hash)
    }
}

fn is_in_force(block: &Block, now: Wall) -> bool {
    block.expires.is_none_or(|end| end > now)
}

/// Every list that decides who is served.
#[derive(Debug, Default)]
pub struct AccessLists {
    lists: ArcSwap<Lists>,
    /// The [`Revision`] in force: another after each change of the lists and before stored peers are removed by them.
    revision: AtomicU64,
    /// Held while the lists change, so that lists and revision go together.
    changing: Mutex<()>,
}

/// Which lists are in force, and whether anything is listed at all: the lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revision(u64);

impl Revision {
    fn after(self, lists: &Lists) -> Revision {
        Revision((self.0 | 1).wrapping_add(1) | u64::from(!lists.is_empty()))
    }

    pub(super) fn lists_anything(self) -> bool {
        self.0 & 1 != 0
    }
}

/// All lists, so that an announce fetches them at once.
#[derive(Clone, Debug, Default)]
struct Lists {
    blocked: Arc<Blocked>,
    ignored: Arc<Networks>,
    clients: Arc<Vec<ClientRule>>,
    /// Whose addresses are served; empty for everybody's.
    served: Arc<Networks>,
    files: Arc<[Arc<BlocklistFile>]>,
    listed: ListedTorrents,
}

impl Lists {
    /// Whether everybody and everything is served.
    fn is_empty(&self) -> bool {
        self.blocked.networks.is_empty()
            && self.blocked.torrents.is_empty()
            && self.ignored.is_empty()
            && self.clients.is_empty()
            && self.served.is_empty()
            && self.files.iter().all(|file| file.is_empty())
            && !self.listed.is_closed
    }

    fn admit(&self, ip: IpAddr) -> Result<(), Refusal> {
        if self.ignored.covers(ip) {
            return Err(Refusal::AddressIgnored);
        }
        self.admit_stored(ip)
    }

    /// Whether a peer of this address may be stored.
    fn admit_stored(&self, ip: IpAddr) -> Result<(), Refusal> {
        if !self.served.is_empty() && !self.served.covers(ip) {
            return Err(Refusal::AddressNotServed);
        }
        if self.blocked.networks.covers(ip) || self.is_in_file(|file| file.addresses.covers(ip)) {
            return Err(Refusal::AddressBlocked);
        }
        Ok(())
    }

    fn admit_torrent(&self, hash: &InfoHash) -> Result<(), Refusal> {
        if self.blocked.has_torrent(hash) || self.is_in_file(|file| file.torrents.contains(hash)) {
            return Err(Refusal::TorrentBlocked);
        }
        if !self.listed.serves(hash) {
            return Err(Refusal::TorrentNotListed);
        }
        Ok(())
    }

    fn is_in_file(&self, is_in: impl Fn(&BlocklistFile) -> bool) -> bool {
        self.files.iter().any(|file| is_in(file))
    }
}

impl AccessLists {
    /// Replaces `ignore_ip` and the rules for client ids.
    pub fn configure(&self, ignored: Networks, mut clients: Vec<ClientRule>) {
        clients.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        let (ignored, clients) = (Arc::new(ignored), Arc::new(clients));
        self.change(|lists| Lists {
            ignored,
            clients,
            ..Lists::clone(lists)
        });
    }

    /// Replaces the networks that are served (`allow_networks`); without any everybody is.
    pub fn serve(&self, served: Networks) {
        let served = Arc::new(served);
        self.change(|lists| Lists {
            served,
            ..Lists::clone(lists)
        });
    }

    /// Replaces what files block.
    pub fn block_by_files(&self, files: impl IntoIterator<Item = Arc<BlocklistFile>>) {
        let files = files.into_iter().collect();
        self.change(|lists| Lists {
            files,
            ..Lists::clone(lists)
        });
    }

    /// Changes the listed torrents, or whether only they are served.
    pub fn list_torrents(&self, change: impl FnOnce(&mut ListedTorrents)) {
        self.change(|lists| {
            let mut lists = Lists::clone(lists);
            change(&mut lists.listed);
            lists
        });
    }

    /// The listed torrents.
    pub fn listed_torrents(&self) -> ListedTorrents {
        self.lists.load().listed.clone()
    }

    /// Replaces the lists by what `make` makes of them; returns those that were in force.
    fn change(&self, make: impl FnOnce(&Lists) -> Lists) -> Arc<Lists> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.lists.load_full();
        let lists = make(&before);
        let Revision(revision) = self.revision().after(&lists);
        self.lists.store(Arc::new(lists));
        self.revision.store(revision, Ordering::Release);
        before
    }

    /// Has those who were admitted and are not stored yet asked for again: something beside the lists has changed.
    pub(super) fn touch(&self) {
        self.change(Lists::clone);
    }

    /// Replaces the blocklist; entries that have ended by `now` are kept and not in force.
    pub fn block(&self, blocks: Vec<Block>, now: Wall) {
        let blocked = Arc::new(Blocked::new(Arc::new(blocks), now));
        self.change(|lists| Lists {
            blocked,
            ..Lists::clone(lists)
        });
    }

    /// Judges anew which entries are in force at `now`, which may be before the last such moment. Whether any came into force
    /// again. Costs next to nothing while nothing changes.
    pub fn expire(&self, now: Wall) -> bool {
        if self.lists.load().blocked.holds_at(now) {
            return false;
        }
        // From the list that is there when it is replaced: another thread may be replacing it.
        let before = self.change(|lists| Lists {
            blocked: Arc::new(Blocked::new(Arc::clone(&lists.blocked.kept), now)),
            ..Lists::clone(lists)
        });
        now < before.blocked.since
    }

    /// The entries in force, as of the last look at the clock.
    pub fn blocks(&self) -> Vec<Block> {
        let lists = self.lists.load();
        let (kept, since) = (lists.blocked.kept.iter(), lists.blocked.since);
        kept.filter(|block| is_in_force(block, since))
            .cloned()
            .collect()
    }

    /// All entries, also those that have ended.
    pub fn kept_blocks(&self) -> Arc<Vec<Block>> {
        Arc::clone(&self.lists.load().blocked.kept)
    }

    /// The revision of the lists in force; read before they are asked.
    #[inline]
    pub(super) fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Asks again under the lock of the announcer's shard, when the lists have changed since `revision` was read. Whoever
    /// changes them takes every shard's lock afterwards to remove whom they cover: if that has come by this shard already, the
    /// new revision is seen here; if not, it removes what the announce stores.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    #[inline]
    pub(super) fn admit_still(
        &self,
        announce: &Announce,
        revision: Revision,
    ) -> Result<(), Refusal> {
        let now = self.revision();
        if now == revision {
            return Ok(());
        }
        self.admit_announce(announce, now)
    }

    /// Everything that is asked before an announce, with each list looked at once. Where the `revision` in force lists nothing, not
    /// even the lists are fetched.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    #[inline]
    pub(super) fn admit_announce(
        &self,
        announce: &Announce,
        revision: Revision,
    ) -> Result<(), Refusal> {
        if revision.lists_anything() {
            self.ask_lists(announce)
        } else {
            Ok(())
        }
    }

    #[inline(never)]
    fn ask_lists(&self, announce: &Announce) -> Result<(), Refusal> {
        let lists = self.lists.load();
        lists.admit(announce.ip)?;
        lists.admit_torrent(&announce.info_hash)?;
        judge_client(&lists.clients, &announce.peer_id)
    }

    /// Whether an announce of this client, by this address, for this torrent would be served.
    pub(super) fn would_serve(&self, hash: &InfoHash, ip: IpAddr, id: &PeerId) -> bool {
        if !self.revision().lists_anything() {
            return true;
        }
        let lists = self.lists.load();
        lists.admit(ip).is_ok()
            && !lists.blocked.has_torrent(hash)
            && judge_client(&lists.clients, id).is_ok()
    }

    /// Whether the canonical address `ip` is served at all.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    pub fn admit(&self, ip: IpAddr) -> Result<(), Refusal> {
        self.lists.load().admit(ip)
    }

    /// Whether peers of the canonical address `ip` are hidden: the blocklist or a file of it covers it, or it is in no network that is
    /// served.
    pub fn is_blocked(&self, ip: IpAddr) -> bool {
        self.lists.load().admit_stored(ip).is_err()
    }

    /// Whether the torrent is served.
    ///
    /// # Errors
    /// The refusal that the client is to read.
    pub fn admit_torrent(&self, hash: &InfoHash) -> Result<(), Refusal> {
        self.lists.load().admit_torrent(hash)
    }
}

impl Tracker {
    /// Judges by the wall clock which entries of the blocklist are in force: one that ended while the clock was wrong covers stored
    /// peers again. Frees whom a block has hidden for ten minutes. Costs next to nothing while nothing changes. Returns what that did to
    /// stored peers.
    pub fn judge_blocks(&self, wall: Wall, now: Seconds) -> Enforced {
        self.keys.set_wall(wall);
        let before = self.access.revision();
        self.access.expire(wall);
        let enforced = if self.access.revision() == before {
            Enforced::default()
        } else {
            self.enforce(now)
        };
        with!(self, swarms => swarms.free_withheld(now));
        enforced
    }

    /// Puts back who has been waiting for room since a block was lifted (W4).
    pub(super) fn put_back_waiting(&self, now: Seconds) {
        let policy = self.policy.load_full();
        let is_torrent_blocked = |hash: &InfoHash| self.access.admit_torrent(hash).is_err();
        let is_blocked = |ip| self.access.is_blocked(ip);
        let has_left = |hash: &InfoHash, address, seen| self.leaves.has_left(hash, address, seen);
        let restored = with!(self, swarms => {
            swarms.put_back_waiting(&self.rules(&policy, now), is_torrent_blocked, is_blocked, has_left)
        });
        self.note_come_back(restored);
    }

    /// Has the stored peers follow the blocklist.
    pub(super) fn enforce(&self, now: Seconds) -> Enforced {
        let policy = self.policy.load_full();
        let is_torrent_blocked = |hash: &InfoHash| self.access.admit_torrent(hash).is_err();
        let is_blocked = |ip| self.access.is_blocked(ip);
        let has_left = |hash: &InfoHash, address, seen| self.leaves.has_left(hash, address, seen);
        let enforced = with!(self, swarms => {
            swarms.enforce(&self.rules(&policy, now), is_torrent_blocked, is_blocked, has_left)
        });
        self.note_come_back(enforced.restored);
        enforced
    }
}

/// The longest rule that matches decides; the rules are in that order.
fn judge_client(rules: &[ClientRule], id: &PeerId) -> Result<(), Refusal> {
    match rules.iter().find(|rule| id.0.starts_with(&rule.prefix)) {
        Some(rule) if !rule.is_allowed => Err(Refusal::ClientDenied),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(target: Target, expires: Option<Wall>) -> Block {
        Block {
            number: 1,
            target,
            reason: String::new(),
            created: Wall(0),
            expires,
        }
    }

    fn network(text: &str) -> Target {
        Target::Network(text.parse().unwrap())
    }

    fn announce() -> Announce {
        Announce {
            info_hash: InfoHash([7; 20]),
            peer_id: PeerId([1; 20]),
            key: None,
            ip: "192.0.2.7".parse().unwrap(),
            inner_ip: None,
            is_reported: false,
            port: 1,
            is_seeder: false,
            downloaded: 0,
            event: super::super::announce::Event::None,
            num_want: None,
            options: super::super::announce::ListOptions::default(),
        }
    }

    /// W4, C4, O8
    #[test]
    fn lists_are_asked_as_long_as_anything_is_on_them() {
        type Step<'a> = (&'a dyn Fn(), Result<(), Refusal>);
        let access = AccessLists::default();
        let rule = ClientRule {
            prefix: vec![1; 8],
            is_allowed: false,
        };
        let ignored: Networks = ["192.0.2.0/24".parse().unwrap()].into_iter().collect();
        let hash = Target::Torrent(InfoHash([7; 20]));
        let steps: [Step<'_>; 8] = [
            (&|| {}, Ok(())),
            (
                &|| access.configure(ignored.clone(), Vec::new()),
                Err(Refusal::AddressIgnored),
            ),
            (
                &|| access.configure(Networks::default(), vec![rule.clone()]),
                Err(Refusal::ClientDenied),
            ),
            (
                &|| access.configure(Networks::default(), Vec::new()),
                Ok(()),
            ),
            (
                &|| access.block(vec![block(hash, Some(Wall(10)))], Wall(5)),
                Err(Refusal::TorrentBlocked),
            ),
            (&|| assert!(!access.expire(Wall(10))), Ok(())),
            (
                &|| assert!(access.expire(Wall(9))),
                Err(Refusal::TorrentBlocked),
            ),
            (&|| access.block(Vec::new(), Wall(9)), Ok(())),
        ];
        for (number, (step, expected)) in steps.into_iter().enumerate() {
            let before = access.revision();
            step();
            let revision = access.revision();
            assert_eq!(before != revision, number > 0, "{number}");
            assert_eq!(revision.lists_anything(), expected.is_err(), "{number}");
            assert_eq!(access.admit_announce(&announce(), revision), expected);
        }
    }

    /// W4, C4
    #[test]
    fn listed_networks_and_torrents_are_refused_until_they_expire() {
        let access = AccessLists::default();
        access.configure(
            ["10.9.0.0/16".parse().unwrap()].into_iter().collect(),
            Vec::new(),
        );
        let hash = InfoHash([7; 20]);
        let blocks = vec![
            block(network("192.0.2.7/32"), None),
            block(network("2001:db8::/32"), Some(Wall(100))),
            block(Target::Torrent(hash), None),
        ];
        access.block(blocks, Wall(50));
        assert_eq!(
            access.admit("10.9.1.1".parse().unwrap()),
            Err(Refusal::AddressIgnored)
        );
        assert_eq!(
            access.admit("192.0.2.7".parse().unwrap()),
            Err(Refusal::AddressBlocked)
        );
        assert_eq!(access.admit("192.0.2.8".parse().unwrap()), Ok(()));
        assert_eq!(
            access.admit("2001:db8::1".parse().unwrap()),
            Err(Refusal::AddressBlocked)
        );
        assert_eq!(access.admit_torrent(&hash), Err(Refusal::TorrentBlocked));
        assert!(!access.expire(Wall(100)));
        assert_eq!(access.admit("2001:db8::1".parse().unwrap()), Ok(()));
        assert_eq!(access.blocks().len(), 2);
    }

    /// W4: an end is judged by the time that it is, each time.
    #[test]
    fn a_clock_that_jumps_ahead_and_back_lifts_no_block_for_good() {
        let access = AccessLists::default();
        let ends = [None, Some(Wall(100)), Some(Wall(200)), Some(Wall(300))];
        let blocks = ends
            .iter()
            .zip(1_u8..)
            .map(|(end, number)| block(network(&format!("192.0.2.{number}/32")), *end));
        access.block(blocks.collect(), Wall(50));
        let in_force = |now, came_back| {
            assert_eq!(access.expire(Wall(now)), came_back, "{now}");
            assert!(!access.expire(Wall(now)), "{now}");
            let covered = (1..=4).filter(|number| {
                access.is_blocked(std::net::Ipv4Addr::new(192, 0, 2, *number).into())
            });
            assert_eq!(covered.count(), access.blocks().len(), "{now}");
            access.blocks().len()
        };
        for (now, expected, came_back) in [
            (50, 4, false),
            (99, 4, false),
            (100, 3, false),
            (86_400, 1, false),
            (150, 3, true),
            (199, 3, false),
            (0, 4, true),
            (250, 2, false),
            (u64::MAX, 1, false),
            (299, 2, true),
        ] {
            assert_eq!(in_force(now, came_back), expected, "{now}");
        }
        assert_eq!(access.kept_blocks().len(), 4);
    }

    /// W4, R12
    #[test]
    fn who_was_admitted_by_lists_that_have_changed_is_asked_for_again() {
        let access = AccessLists::default();
        let announce = announce();
        let revision = access.revision();
        assert_eq!(access.admit_announce(&announce, revision), Ok(()));
        assert_eq!(access.admit_still(&announce, revision), Ok(()));
        access.block(vec![block(network("192.0.2.8/32"), None)], Wall(0));
        assert_eq!(access.admit_still(&announce, revision), Ok(()));
        access.block(vec![block(network("192.0.2.7/32"), None)], Wall(0));
        let refused = Err(Refusal::AddressBlocked);
        assert_eq!(access.admit_still(&announce, revision), refused);
    }

    /// O21, O22: each list refuses by its own reason, and what none of them covers is served.
    #[test]
    fn networks_listed_torrents_and_files_are_asked_as_the_blocklist_is() {
        let access = AccessLists::default();
        let announce = announce();
        let asked = |expected: Result<(), Refusal>| {
            let revision = access.revision();
            assert_eq!(access.admit_announce(&announce, revision), expected);
            assert_eq!(revision.lists_anything(), expected.is_err());
            assert_eq!(
                access.is_blocked(announce.ip)
                    || access.admit_torrent(&announce.info_hash).is_err(),
                expected.is_err()
            );
        };
        let torrents = |numbers: &[u8]| {
            let hashes = numbers.iter().map(|number| InfoHash([*number; 20]));
            Arc::new(TorrentSet::new(hashes.collect()))
        };
        let file = |texts: &[&str], numbers: &[u8]| {
            let networks = texts
                .iter()
                .map(|text| text.parse::<IpNet>().unwrap().into());
            Arc::new(BlocklistFile {
                addresses: networks.collect(),
                torrents: TorrentSet::clone(&torrents(numbers)),
            })
        };
        access.serve(["198.51.100.0/24".parse().unwrap()].into_iter().collect());
        asked(Err(Refusal::AddressNotServed));
        assert_eq!(access.admit("198.51.100.1".parse().unwrap()), Ok(()));
        assert_eq!(
            access.admit("2001:db8::1".parse().unwrap()),
            Err(Refusal::AddressNotServed)
        );
        access.serve(Networks::default());
        asked(Ok(()));
        access.block_by_files([file(&[], &[]), file(&["192.0.2.0/28"], &[])]);
        asked(Err(Refusal::AddressBlocked));
        access.block_by_files([file(&[], &[7]), file(&[], &[])]);
        asked(Err(Refusal::TorrentBlocked));
        access.block_by_files([file(&[], &[])]);
        asked(Ok(()));
        access.list_torrents(|listed| listed.is_closed = true);
        asked(Err(Refusal::TorrentNotListed));
        for (of_file, added) in [(&[7][..], &[][..]), (&[], &[7]), (&[7], &[7])] {
            access.list_torrents(|listed| {
                (listed.of_file, listed.added) = (torrents(of_file), torrents(added));
            });
            assert_eq!(access.admit_announce(&announce, access.revision()), Ok(()));
            assert_eq!(
                access.admit_torrent(&InfoHash([8; 20])),
                Err(Refusal::TorrentNotListed)
            );
        }
        access.list_torrents(|listed| listed.is_closed = false);
        asked(Ok(()));
    }

    /// O8
    #[test]
    fn the_longest_client_rule_decides() {
        let access = AccessLists::default();
        let rule = |prefix: &str, is_allowed| ClientRule {
            prefix: prefix.into(),
            is_allowed,
        };
        access.configure(
            Networks::default(),
            vec![rule("-XL", false), rule("-XL0012-", true)],
        );
        assert_eq!(
            judge_client(
                &access.lists.load().clients,
                &PeerId(*b"-XL0011-abcdefghijkl")
            ),
            Err(Refusal::ClientDenied)
        );
        assert_eq!(
            judge_client(
                &access.lists.load().clients,
                &PeerId(*b"-XL0012-abcdefghijkl")
            ),
            Ok(())
        );
        assert_eq!(
            judge_client(
                &access.lists.load().clients,
                &PeerId(*b"-qB4520-abcdefghijkl")
            ),
            Ok(())
        );
    }
}
