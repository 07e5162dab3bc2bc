//! One datagram in, at most one out: the UDP tracker without its socket and without a clock, so that tests and the fuzzer drive
//! exactly what the socket drives.
//!
//! Whoever has not shown a connection id has not proved that it receives at its address. Such a source gets 16 bytes for a connect,
//! which has as many, and for a whole announce or scrape a refusal that is shorter; so the tracker multiplies nobody's forged
//! datagrams. And no reply is ever answered: two trackers, or one with itself, cannot be made to talk to each other.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};

use super::connection_id::ConnectionIds;
use super::packet;
use super::packet::{Action, AnnounceRequest, Head, Reply};
use super::watched;
use crate::metrics::{Action as Counted, Failure, Family, Transport, WorkerCounters};
use crate::net::is_reachable;
use crate::net::limits::{Gate, Kind, Limits, Reason};
use crate::net::reported_address::{Reports, Rules};
use crate::tracker::{
    Announce, AnnounceContext, AnnounceReply, InfoHash, KeyDigest, KeyUser, PeerAddresses,
    PeerList, Refusal, Tracker,
};
use crate::watch::{Kind as Watched, Subject, Tap, Watch};

/// Clients that know this text (BiglyBT, anacrolix/torrent) connect anew at once; its spelling and its closing zero are those
/// that the first trackers sent.
const STALE_ID: &str = "Connection ID missmatch.\0";
/// It goes to sources that may be forged, so it is shorter than whatever it answers.
const _: () = assert!(8 + STALE_ID.len() < packet::SHORTEST_SCRAPE);

/// Answers the datagrams of one worker.
#[derive(Debug)]
pub struct Handler {
    tracker: Arc<Tracker>,
    ids: ConnectionIds,
    reported: Cache<Arc<ArcSwap<Rules>>, Arc<Rules>>,
    peers: PeerList,
    gate: Gate,
    tap: Tap,
}

impl Handler {
    /// Makes a handler; the handlers of all workers share `ids` and the rules for `reported` addresses.
    pub fn new(
        tracker: Arc<Tracker>,
        ids: ConnectionIds,
        reported: Arc<ArcSwap<Rules>>,
    ) -> Handler {
        Handler {
            tracker,
            ids,
            reported: Cache::new(reported),
            peers: PeerList::default(),
            gate: Gate::default(),
            tap: Tap::default(),
        }
    }

    /// The same, telling what it answers to whoever watches.
    #[must_use]
    pub fn watched(self, watch: &Arc<Watch>) -> Handler {
        Handler {
            tap: Tap::new(watch),
            ..self
        }
    }

    /// The same, dropping what comes from sources that send too much.
    #[must_use]
    pub fn limited(self, limits: &Arc<Limits>) -> Handler {
        Handler {
            gate: limits.gate(),
            ..self
        }
    }

    /// Tells the limits the time since the start of the clock, once for all that came together.
    pub fn set_limit_time(&mut self, now: Duration) {
        self.gate.set_now(now);
    }

    /// Answers one datagram: the length of the reply that is in `out`, or `None` when nothing is to be sent. `out` shall have
    /// [`packet::MAX_REPLY_V4`] bytes; with less, replies that do not fit are not sent. Counts everything but bytes.
    ///
    /// What it writes it would not answer: every reply begins with an action that [`Head::is_reply`] knows.
    pub fn answer(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        context: &mut AnnounceContext<'_>,
        out: &mut [u8],
    ) -> Option<usize> {
        let length = self.decide(datagram, source, context, out)?;
        debug_assert!(
            out.get(..length)
                .and_then(Head::split)
                .is_none_or(|(head, _)| head.is_reply()),
            "Reply::begin writes the action, and Head::is_reply knows them all"
        );
        Some(length)
    }

    fn decide(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        context: &mut AnnounceContext<'_>,
        out: &mut [u8],
    ) -> Option<usize> {
        let ip = source.ip().to_canonical();
        let Some((head, body)) = Head::split(datagram).filter(|(head, _)| !head.is_reply()) else {
            return drop_as(Failure::Malformed, context.counters);
        };
        if source.port() == 0 || !is_reachable(ip) {
            // No reply would arrive; and such a source is forged.
            return drop_as(Failure::InvalidAddress, context.counters);
        }
        if head.is_connect() {
            // Not limited: forged ones would use up what their victim has, and the answer is as long as they are and needs no state.
            count(Counted::Connect, ip, context.counters);
            return Reply::connected(out, head.transaction, self.ids.issue(ip, context.now));
        }
        let is_proved = self.ids.verify(head.connection_id, ip, context.now);
        if self.gate.is_on() {
            let kind = if is_proved {
                Kind::Datagrams
            } else {
                Kind::UnprovedDatagrams
            };
            self.admit(kind, ip, context.counters)?;
        }
        if !is_proved {
            context
                .counters
                .failed(Transport::Udp, Failure::ConnectionId);
            if !head.is_whole(body) || self.tracker.access().admit(ip).is_err() {
                return None;
            }
            let length = Reply::refused(out, head.transaction, STALE_ID)?;
            debug_assert!(length < datagram.len(), "see SHORTEST_SCRAPE");
            return Some(length);
        }
        let answered = match head.action {
            Action::Announce => self.announce(head, body, ip, context, out),
            Action::Scrape => self.scrape(head, body, ip, context, out),
            Action::Connect | Action::Unknown => Err(Fault::UnknownAction),
        };
        let length = answered.unwrap_or_else(|fault| {
            context.counters.failed(Transport::Udp, fault.failure());
            Reply::refused(out, head.transaction, fault)
        });
        if self.tap.is_on() && self.may_be_watched(head.action, body, ip) {
            let reply = length.and_then(|length| out.get(..length));
            self.tell(head.action, body, source, reply.unwrap_or_default());
        }
        length
    }

    /// Whether whoever watches may want it. Of announces that is said at once, for they are many.
    #[inline]
    fn may_be_watched(&mut self, action: Action, body: &[u8], ip: IpAddr) -> bool {
        match (action, AnnounceRequest::read(body)) {
            (Action::Announce, Some(announced)) => {
                let (info_hash, peer_id) = (announced.info_hash(), announced.peer_id());
                self.tap.may_want_announce(ip, &info_hash, &peer_id)
            }
            _ => true,
        }
    }

    /// Tells whoever watches of a request of a source that has proved its address. Request and reply are read for it once more, so that
    /// nobody else pays.
    #[cold]
    fn tell(&mut self, action: Action, body: &[u8], source: SocketAddr, reply: &[u8]) {
        let ip = source.ip().to_canonical();
        let kind = match action {
            Action::Announce => Watched::Announce,
            Action::Scrape => Watched::Scrape,
            Action::Connect | Action::Unknown => return,
        };
        if !self.tap.may_want(kind, ip) {
            return;
        }
        let announced = AnnounceRequest::read(body);
        let announced = announced.filter(|_| kind == Watched::Announce);
        let info_hash = announced.as_ref().map(AnnounceRequest::info_hash);
        let hashes = packet::scraped(body).unwrap_or_default();
        let subject = Subject {
            kind,
            ip,
            peer_id: announced.as_ref().map(AnnounceRequest::peer_id),
            asks_for: &|hash| match kind {
                Watched::Announce => info_hash == Some(*hash),
                Watched::Scrape => hashes.contains(&hash.0),
            },
        };
        self.tap.tell(&subject, |time| {
            let answer = packet::answer(reply, ip);
            let asked = watched::asked(kind, body, ip);
            watched::observed(time, source, body, asked, answer)
        });
    }

    /// Counts a datagram; nothing when its source is not to be answered.
    #[inline(never)]
    fn admit(&mut self, kind: Kind, ip: IpAddr, counters: &WorkerCounters) -> Option<()> {
        let Err(refused) = self.gate.admit(kind, ip) else {
            return Some(());
        };
        let failure = match refused.reason {
            Reason::Banned => Failure::Banned,
            Reason::Rate => Failure::RequestRate,
        };
        counters.failed(Transport::Udp, failure);
        None
    }

    // Always: it has no other caller, and eight arguments.
    #[inline(always)]
    fn announce(
        &mut self,
        head: Head,
        body: &[u8],
        ip: IpAddr,
        context: &mut AnnounceContext<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, Fault> {
        let announced = AnnounceRequest::read(body).ok_or(Fault::ShortAnnounce)?;
        if !self.tracker.keys().are_off()
            && let Some(answered) = self.announce_by_key(head, body, announced, ip, context, out)
        {
            return answered;
        }
        self.announce_with(head, announced, ip, context, out, Tracker::announce)
    }

    /// Answers an announce whose options have a key, or that should have one, where keys mean something; `None` when it has none and needs
    /// none. Apart from its caller, who pays nothing for it where keys are off.
    #[cold]
    #[inline(never)]
    fn announce_by_key(
        &mut self,
        head: Head,
        body: &[u8],
        announced: AnnounceRequest<'_>,
        ip: IpAddr,
        context: &mut AnnounceContext<'_>,
        out: &mut [u8],
    ) -> Option<Result<Option<usize>, Fault>> {
        let digest = match self.key(body) {
            Ok(digest) => digest?,
            Err(fault) => return Some(Err(fault)),
        };
        let uploaded = announced.uploaded();
        let user = KeyUser { digest, uploaded };
        let answer = |tracker: &Tracker,
                      announce: &Announce,
                      context: &mut AnnounceContext<'_>,
                      peers: &mut PeerList| {
            tracker.announce_by_key(announce, &user, context, peers)
        };
        Some(self.announce_with(head, announced, ip, context, out, answer))
    }

    /// The key in the options of an announce.
    fn key(&self, body: &[u8]) -> Result<Option<KeyDigest>, Fault> {
        let mut path = [0; packet::MAX_PATH];
        let path = packet::url_path(body, &mut path).map_err(|_| Fault::BadOptions)?;
        // What is left of a path that is cut ends in no whole segment: nobody knows whether it had a key, and which.
        if !path.has_whole_path() {
            return Err(Fault::LongAddress);
        }
        Ok(self.tracker.keys().in_path(path.text)?)
    }

    /// Writes the reply to an announce that the tracker answers so.
    #[inline(always)]
    fn announce_with(
        &mut self,
        head: Head,
        announced: AnnounceRequest<'_>,
        ip: IpAddr,
        context: &mut AnnounceContext<'_>,
        out: &mut [u8],
        answer: impl FnOnce(
            &Tracker,
            &Announce,
            &mut AnnounceContext<'_>,
            &mut PeerList,
        ) -> Result<AnnounceReply, Refusal>,
    ) -> Result<Option<usize>, Fault> {
        let rules = self.reported.load();
        // Apart, though they would come to the same: addresses that may be others are copied twice.
        let announce = if rules.leave_sources() {
            announced.announce(&PeerAddresses::of_source(ip), ip)
        } else {
            resolved(&self.tracker, announced, ip, rules, context)?
        };
        let answer = answer(&self.tracker, &announce, context, &mut self.peers)?;
        count(Counted::Announce, ip, context.counters);
        Ok(Reply::announced(
            out,
            head.transaction,
            &answer,
            &self.peers,
            ip,
        ))
    }

    fn scrape(
        &self,
        head: Head,
        body: &[u8],
        ip: IpAddr,
        context: &mut AnnounceContext<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, Fault> {
        let hashes = packet::scraped(body).ok_or(Fault::InvalidInfoHash)?;
        if hashes.is_empty() {
            return Err(Fault::MissingInfoHash);
        }
        if hashes.len() > packet::MAX_SCRAPED {
            return Err(Fault::TooManyInfoHashes);
        }
        if !self.tracker.keys().are_off() {
            // A scrape has no place for a key.
            self.tracker.keys().in_path(b"")?;
        }
        self.tracker.access().admit(ip)?;
        count(Counted::Scrape, ip, context.counters);
        let torrents = hashes
            .iter()
            .map(|hash| self.tracker.scrape(&InfoHash(*hash), context.now));
        Ok(Reply::scraped(out, head.transaction, torrents))
    }
}

/// The announce of a client that may be elsewhere than at its source.
#[inline(never)]
fn resolved(
    tracker: &Tracker,
    announced: AnnounceRequest<'_>,
    source: IpAddr,
    rules: &Rules,
    context: &AnnounceContext<'_>,
) -> Result<Announce, Refusal> {
    let reports = Reports {
        source,
        addresses: announced.reported(source).map(Some).into_iter(),
        proxies: None,
    };
    let addresses = tracker.resolve_addresses(reports, rules, Transport::Udp, context)?;
    Ok(announced.announce(&addresses, source))
}

fn count(action: Counted, ip: IpAddr, counters: &WorkerCounters) {
    counters.answered(Transport::Udp, Family::of(ip), action);
}

fn drop_as(failure: Failure, counters: &WorkerCounters) -> Option<usize> {
    counters.failed(Transport::Udp, failure);
    None
}

/// Why a client that has proved its address gets an error packet. The text is fixed and is what the client reads.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Fault {
    #[error("unknown action")]
    UnknownAction,
    #[error("announce too short")]
    ShortAnnounce,
    #[error("malformed options")]
    BadOptions,
    #[error("announce address too long")]
    LongAddress,
    #[error("no info hash")]
    MissingInfoHash,
    #[error("invalid info hash")]
    InvalidInfoHash,
    #[error("too many info hashes")]
    TooManyInfoHashes,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Fault {
    fn failure(self) -> Failure {
        match self {
            Fault::UnknownAction
            | Fault::ShortAnnounce
            | Fault::BadOptions
            | Fault::LongAddress => Failure::Malformed,
            Fault::MissingInfoHash => Failure::MissingInfoHash,
            Fault::InvalidInfoHash => Failure::InvalidInfoHash,
            Fault::TooManyInfoHashes => Failure::TooManyInfoHashes,
            Fault::Refused(refusal) => refusal.failure(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Seconds, Wall};
    use crate::metrics::{Metrics, Totals};
    use crate::net::{AddressPair, Networks};
    use crate::tracker::{Block, Settings, Target};
    use proptest::prelude::{Just, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    const NOW: Seconds = Seconds::START;

    /// A handler with a tracker of its own, and what a client would send to it.
    struct Rig {
        handler: Handler,
        tracker: Arc<Tracker>,
        metrics: Arc<Metrics>,
        rng: fastrand::Rng,
    }

    impl Rig {
        fn new() -> Rig {
            let metrics = Arc::new(Metrics::new(1));
            let settings = Settings {
                interval_jitter: 0,
                ..Settings::default()
            };
            let tracker = Arc::new(Tracker::new(settings, Arc::clone(&metrics)));
            let ids = ConnectionIds::from_key(b"0123456789abcdef");
            Rig {
                handler: Handler::new(Arc::clone(&tracker), ids, Arc::default()),
                tracker,
                metrics,
                rng: fastrand::Rng::with_seed(1),
            }
        }

        fn send(&mut self, datagram: &[u8], source: &str) -> Option<Vec<u8>> {
            let mut out = [0; packet::MAX_REPLY_V4];
            let mut context = AnnounceContext {
                now: NOW,
                rng: &mut self.rng,
                counters: self.metrics.counters(0),
            };
            let source = source.parse().unwrap();
            let length = self
                .handler
                .answer(datagram, source, &mut context, &mut out)?;
            Some(out[..length].to_vec())
        }

        fn id(&self, source: &str) -> u64 {
            let source: SocketAddr = source.parse().unwrap();
            self.handler.ids.issue(source.ip().to_canonical(), NOW)
        }

        fn announce(&mut self, source: &str, announce: &Sent) -> Vec<u8> {
            let packet = announce.packet(self.id(source));
            self.send(&packet, source).unwrap()
        }

        fn scrape(&mut self, source: &str, hashes: usize) -> Vec<u8> {
            let packet = scrape(self.id(source), hashes);
            self.send(&packet, source).unwrap()
        }

        /// Blocks the one and ignores the other.
        fn shut_out_a_and_b(&self) {
            let block = Block {
                number: 1,
                target: Target::Network("192.0.2.1/32".parse().unwrap()),
                reason: String::new(),
                created: Wall(0),
                expires: None,
            };
            self.tracker.block(vec![block], Wall(0), Seconds::START);
            let ignored: Networks = ["192.0.2.2/32".parse().unwrap()].into_iter().collect();
            self.tracker.access().configure(ignored, Vec::new());
        }

        fn totals(&self) -> Totals {
            self.metrics.totals()
        }
    }

    /// The fields of an announce that the tests vary.
    #[derive(Clone)]
    struct Sent {
        port: u16,
        left: u64,
        event: u32,
        address: [u8; 4],
        num_want: i32,
        options: Vec<u8>,
    }

    impl Default for Sent {
        fn default() -> Sent {
            Sent {
                port: 6_881,
                left: 100,
                event: 2,
                address: [0; 4],
                num_want: -1,
                options: Vec::new(),
            }
        }
    }

    impl Sent {
        fn packet(&self, id: u64) -> Vec<u8> {
            let mut packet = head(id, 1);
            packet.extend([7; 20]);
            packet.extend(b"-TT0001-abcdefghijkl");
            packet.extend([0; 8]);
            packet.extend(self.left.to_be_bytes());
            packet.extend([0; 8]);
            packet.extend(self.event.to_be_bytes());
            packet.extend(self.address);
            packet.extend(fastrand::u32(..).to_be_bytes());
            packet.extend(self.num_want.to_be_bytes());
            packet.extend(self.port.to_be_bytes());
            packet.extend(&self.options);
            packet
        }
    }

    fn head(id: u64, action: u32) -> Vec<u8> {
        let mut packet = id.to_be_bytes().to_vec();
        packet.extend(action.to_be_bytes());
        packet.extend(b"tran");
        packet
    }

    fn scrape(id: u64, hashes: usize) -> Vec<u8> {
        let mut packet = head(id, 2);
        packet.extend(vec![7; 20 * hashes]);
        packet
    }

    fn number(reply: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(reply[at..at + 4].try_into().unwrap())
    }

    const A: &str = "192.0.2.1:50000";
    const B: &str = "192.0.2.2:50000";

    /// P15
    #[test]
    fn a_client_connects_announces_and_is_handed_to_the_next() {
        let mut rig = Rig::new();
        let connected = rig.send(&head(packet::PROTOCOL_ID, 0), A).unwrap();
        assert_eq!(
            (connected.len(), &connected[..8]),
            (16, &b"\0\0\0\0tran"[..])
        );
        let id = u64::from_be_bytes(connected[8..].try_into().unwrap());
        let alone = rig.send(&Sent::default().packet(id), A).unwrap();
        assert_eq!(alone, b"\0\0\0\x01tran\0\0\x07\x08\0\0\0\x01\0\0\0\0");
        let seed = Sent {
            left: 0,
            ..Sent::default()
        };
        let reply = rig.announce(B, &seed);
        assert_eq!(reply[12..], *b"\0\0\0\x01\0\0\0\x01\xc0\0\x02\x01\x1a\xe1");
        assert_eq!(
            rig.scrape(A, 2)[8..],
            *b"\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x01"
        );
        let totals = rig.totals();
        assert_eq!(totals.answered(Transport::Udp, Counted::Connect), 1);
        assert_eq!(totals.answered(Transport::Udp, Counted::Announce), 2);
        assert_eq!(totals.answered(Transport::Udp, Counted::Scrape), 1);
    }

    /// P10, P15, P16
    #[test]
    fn each_event_has_its_meaning_and_unknown_ones_have_none() {
        let mut rig = Rig::new();
        let counts = |rig: &mut Rig| {
            let reply = rig.scrape(A, 1);
            (number(&reply, 8), number(&reply, 12), number(&reply, 16))
        };
        for (event, left, expected) in [
            (2, 100, (0, 0, 1)),
            (0, 100, (0, 0, 1)),
            (99, 100, (0, 0, 1)),
            (4, 100, (0, 0, 1)),
            (1, 0, (1, 1, 0)),
            (1, 0, (1, 1, 0)),
            (3, 0, (0, 1, 0)),
        ] {
            let sent = Sent {
                event,
                left,
                ..Sent::default()
            };
            rig.announce(A, &sent);
            assert_eq!(counts(&mut rig), expected, "event {event}");
        }
    }

    /// P4
    #[test]
    fn all_ones_left_is_a_leecher_and_port_zero_is_not_stored() {
        let mut rig = Rig::new();
        let unknown = Sent {
            left: u64::MAX,
            ..Sent::default()
        };
        assert_eq!(number(&rig.announce(A, &unknown), 12), 1);
        let portless = Sent {
            port: 0,
            ..Sent::default()
        };
        assert_eq!(number(&rig.announce(B, &portless), 12), 1);
        assert_eq!(number(&rig.scrape(A, 1), 16), 1);
    }

    /// P11, P15
    #[test]
    fn peers_wanted_are_signed_and_capped_by_what_fits_into_a_packet() {
        let mut rig = Rig::new();
        let settings = Settings {
            max_num_want: 1_000,
            max_ports_per_address: 0,
            ..Settings::default()
        };
        rig.tracker.configure(settings);
        for host in 0..600_u32 {
            let (v4, v6) = if host % 2 == 0 {
                (format!("10.0.{}.{}:1", host / 200, host % 200 + 1), None)
            } else {
                (String::new(), Some(format!("[2001:db8::{host:x}]:1")))
            };
            rig.announce(v6.as_deref().unwrap_or(&v4), &Sent::default());
        }
        let lengths = |rig: &mut Rig, num_want| {
            let sent = Sent {
                num_want,
                event: 0,
                ..Sent::default()
            };
            let v4 = rig.announce(A, &sent).len();
            let v6 = rig.announce("[2001:db8:9::1]:1", &sent).len();
            assert_eq!(((v4 - 20) % 6, (v6 - 20) % 18), (0, 0));
            ((v4 - 20) / 6, (v6 - 20) / 18)
        };
        assert_eq!(lengths(&mut rig, 0), (0, 0));
        assert_eq!(lengths(&mut rig, 7), (7, 7));
        assert_eq!(lengths(&mut rig, -1), (50, 50));
        assert_eq!(lengths(&mut rig, i32::MIN), (50, 50));
        assert_eq!(lengths(&mut rig, i32::MAX), (242, 67));
    }

    /// S1, P13
    #[test]
    fn a_mapped_source_is_the_v4_client_itself() {
        let mut rig = Rig::new();
        rig.announce(A, &Sent::default());
        let reply = rig.announce("[::ffff:192.0.2.1]:50000", &Sent::default());
        assert_eq!((reply.len(), number(&reply, 12)), (20, 1));
        let reply = rig.announce("[::ffff:192.0.2.9]:50000", &Sent::default());
        assert_eq!(reply[20..], *b"\xc0\0\x02\x01\x1a\xe1");
    }

    /// P15: BEP 41, and the lengths that libtorrent (109) and aria2 (100) send
    #[test]
    fn options_after_an_announce_change_nothing() {
        let mut rig = Rig::new();
        let plain = rig.announce(A, &Sent::default());
        let tails: [&[u8]; 7] = [
            b"\0\0",
            b"\x02\x09/announce",
            b"\x02\xff/cut short",
            b"\x02",
            b"\x01\x01\x01\x02\x00\x00",
            b"\xff\xff\xff",
            &[2; 1_900],
        ];
        for tail in tails {
            let sent = Sent {
                options: tail.to_vec(),
                ..Sent::default()
            };
            assert_eq!(rig.announce(A, &sent), plain);
        }
    }

    /// W4, C4
    #[test]
    fn a_refusal_is_an_error_packet_with_the_core_s_text() {
        let mut rig = Rig::new();
        rig.shut_out_a_and_b();
        assert_eq!(
            rig.announce(A, &Sent::default()),
            b"\0\0\0\x03tranaddress blocked"
        );
        assert_eq!(
            rig.announce("[::ffff:192.0.2.1]:1", &Sent::default()),
            b"\0\0\0\x03tranaddress blocked"
        );
        assert_eq!(rig.scrape(B, 1), b"\0\0\0\x03tranaddress not served");
        assert_eq!(rig.totals().failures(Failure::AddressBlocked), 2);
        assert_eq!(rig.totals().failures(Failure::AddressIgnored), 1);
    }

    /// P8, P15
    #[test]
    fn a_scrape_takes_74_hashes_and_refuses_75() {
        let mut rig = Rig::new();
        rig.announce(A, &Sent::default());
        assert_eq!(rig.scrape(A, 1).len(), 20);
        let most = rig.scrape(A, 74);
        assert_eq!(most.len(), 8 + 74 * 12);
        assert_eq!(most[most.len() - 4..], *b"\0\0\0\x01");
        assert_eq!(rig.scrape(A, 75), b"\0\0\0\x03trantoo many info hashes");
        assert_eq!(rig.scrape(A, 0), b"\0\0\0\x03tranno info hash");
        let mut cut = scrape(rig.id(A), 2);
        cut.pop();
        assert_eq!(
            rig.send(&cut, A).unwrap(),
            b"\0\0\0\x03traninvalid info hash"
        );
    }

    /// C7
    #[test]
    fn a_reported_address_counts_only_where_the_rules_say_so() {
        let mut rig = Rig::new();
        let reporting = Sent {
            address: [198, 51, 100, 7],
            ..Sent::default()
        };
        let handed_out = |rig: &mut Rig, source| {
            rig.announce(source, &reporting);
            rig.announce(
                B,
                &Sent {
                    event: 3,
                    ..Sent::default()
                },
            );
            let reply = rig.announce(B, &Sent::default());
            rig.announce(
                B,
                &Sent {
                    event: 3,
                    ..Sent::default()
                },
            );
            rig.announce(
                source,
                &Sent {
                    event: 3,
                    ..reporting.clone()
                },
            );
            reply[20..].to_vec()
        };
        assert_eq!(handed_out(&mut rig, A), b"\xc0\0\x02\x01\x1a\xe1");
        let mut rules = Rules {
            ignore: false,
            ..Rules::default()
        };
        rig.handler
            .reported
            .arc_swap()
            .store(Arc::new(rules.clone()));
        assert_eq!(handed_out(&mut rig, A), b"\xc0\0\x02\x01\x1a\xe1");
        assert_eq!(rig.totals().failures(Failure::ReportedAddress), 2);
        rules.verify = false;
        rig.handler.reported.arc_swap().store(Arc::new(rules));
        assert_eq!(handed_out(&mut rig, A), b"\xc6\x33\x64\x07\x1a\xe1");
        assert!(handed_out(&mut rig, "[2001:db8::1]:9").is_empty());
        let ignored: Networks = ["192.0.2.1/32".parse().unwrap()].into_iter().collect();
        rig.tracker.access().configure(ignored, Vec::new());
        assert!(handed_out(&mut rig, A).is_empty());
        assert_eq!(rig.totals().failures(Failure::ReportedAddress), 2);
    }

    /// S10: also where nothing that is reported counts.
    #[test]
    fn a_client_inside_a_pair_is_handed_out_by_its_address_outside() {
        let mut rig = Rig::new();
        let pair = AddressPair {
            inside: "192.0.2.0/31".parse().unwrap(),
            outside: "198.51.100.0/31".parse().unwrap(),
        };
        let rules = Rules {
            pairs: vec![pair],
            ..Rules::default()
        };
        assert!(rules.ignore);
        rig.handler.reported.arc_swap().store(Arc::new(rules));
        rig.announce(A, &Sent::default());
        let reply = rig.announce(B, &Sent::default());
        assert_eq!(reply[20..], *b"\xc6\x33\x64\x01\x1a\xe1");
    }

    /// R5
    #[test]
    fn packets_cut_at_every_length_are_refused_and_store_nothing() {
        let mut rig = Rig::new();
        let full = Sent {
            options: vec![2; 102],
            ..Sent::default()
        };
        let full = full.packet(rig.id(A));
        for length in 0..=200 {
            let reply = rig.send(&full[..length], A);
            match length {
                0..16 => assert_eq!(reply, None),
                16..98 => assert_eq!(reply.unwrap(), b"\0\0\0\x03tranannounce too short"),
                _ => assert_eq!(reply.unwrap().len(), 20),
            }
            let stored = rig.tracker.scrape(&InfoHash([7; 20]), NOW).incomplete;
            assert_eq!(stored, u32::from(length >= 98));
        }
        assert_eq!(rig.totals().failures(Failure::Malformed), 98);
    }

    /// R5
    #[test]
    fn a_source_that_cannot_be_answered_gets_nothing() {
        let mut rig = Rig::new();
        for source in [
            "192.0.2.1:0",
            "0.0.0.0:9",
            "255.255.255.255:9",
            "224.0.0.1:9",
            "[ff02::1]:9",
        ] {
            let id = rig.id(source);
            assert_eq!(rig.send(&head(packet::PROTOCOL_ID, 0), source), None);
            assert_eq!(rig.send(&Sent::default().packet(id), source), None);
        }
        assert_eq!(rig.totals().failures(Failure::InvalidAddress), 10);
    }

    /// R5
    #[test]
    fn an_unproved_source_gets_less_than_it_sent_and_stores_nothing() {
        let mut rig = Rig::new();
        let foreign = rig.id(B);
        for id in [1 << 63, 4 << 32, u64::MAX, packet::PROTOCOL_ID, foreign] {
            for action in 1..5 {
                for length in 16..200 {
                    let mut packet = head(id, action);
                    packet.resize(length, 7);
                    let reply = rig.send(&packet, A);
                    let is_whole = match action {
                        1 => length >= 98,
                        2 => length > 16 && (length - 16).is_multiple_of(20),
                        _ => false,
                    };
                    assert_eq!(reply.is_some(), is_whole, "action {action} length {length}");
                    if let Some(reply) = reply {
                        assert_eq!(reply, b"\0\0\0\x03tranConnection ID missmatch.\0");
                        assert!(reply.len() < length);
                    }
                }
            }
        }
        assert_eq!(rig.tracker.scrape(&InfoHash([7; 20]), NOW).incomplete, 0);
        assert_eq!(rig.totals().failures(Failure::ConnectionId), 5 * 4 * 184);
    }

    /// R5, P15, W4, C4: nothing but a proved request is answered where the operator said no
    #[test]
    fn an_unproved_source_that_is_blocked_or_ignored_gets_nothing() {
        let mut rig = Rig::new();
        let stale = [Sent::default().packet(1 << 63), scrape(1 << 63, 3)];
        for packet in &stale {
            assert_eq!(rig.send(packet, A).unwrap().len(), 33);
            assert_eq!(rig.send(packet, B).unwrap().len(), 33);
        }
        rig.shut_out_a_and_b();
        for source in [A, B, "[::ffff:192.0.2.1]:1"] {
            for packet in &stale {
                assert_eq!(rig.send(packet, source), None);
            }
            let reply = rig.announce(source, &Sent::default());
            assert!(reply.starts_with(b"\0\0\0\x03tranaddress "));
        }
    }

    /// P15, R26: the interval of a reply stands where a request has its action
    #[test]
    fn a_reply_with_the_interval_of_an_announce_is_no_announce() {
        for interval in [1, 2] {
            let mut rig = Rig::new();
            rig.tracker.configure(Settings {
                announce_interval: interval,
                interval_jitter: 0,
                ..Settings::default()
            });
            for host in 10..42 {
                rig.announce(&format!("192.0.2.{host}:5"), &Sent::default());
            }
            let reply = rig.announce(A, &Sent::default());
            assert!(reply.len() >= 98, "{}", reply.len());
            assert_eq!(number(&reply, 8), interval);
            assert_eq!(rig.send(&reply, A), None);
            assert_eq!(rig.send(&reply, B), None);
        }
    }

    /// R5
    #[test]
    fn floods_of_connects_leave_no_state() {
        let mut rig = Rig::new();
        let connect = head(packet::PROTOCOL_ID, 0);
        for host in 0..100_000_u32 {
            let source = format!("10.{}.{}.{}:9", host >> 16, host >> 8 & 255, host & 255);
            assert_eq!(rig.send(&connect, &source).unwrap().len(), 16);
        }
        assert_eq!(rig.handler.peers.v4.capacity(), 0);
        assert!(rig.tracker.changed().is_empty());
    }

    proptest! {
        /// R5, P15
        #[test]
        fn any_datagram_without_an_id_gets_less_than_it_sent_or_its_connect_answered(
            datagram in proptest::collection::vec(any::<u8>(), 0..300), source in any::<SocketAddr>(), action in 0_u32..5,
            id in prop_oneof![any::<u64>(), Just(packet::PROTOCOL_ID)],
        ) {
            let mut rig = Rig::new();
            let mut requests = vec![datagram.clone()];
            requests.push([head(id, action), datagram.clone()].concat());
            requests.push([head(id, action), datagram.repeat(20)].concat());
            for packet in requests {
                let Some(reply) = rig.send(&packet, &source.to_string()) else {
                    continue;
                };
                let is_connect = packet.starts_with(&head(packet::PROTOCOL_ID, 0)[..12]);
                let most = if is_connect { 16 } else { packet.len() - 1 };
                prop_assert!(reply.len() <= most);
            }
        }

        /// R26, P15: of every kind, from sources that have proved themselves and from others
        #[test]
        fn no_reply_is_answered_whoever_sends_it_back(
            body in proptest::collection::vec(any::<u8>(), 0..300), transaction in any::<[u8; 4]>(), action in 0_u32..5,
            is_v6 in any::<bool>(), kind in 0_u8..3, peers in 0_u32..60, interval in 1_u32..4,
        ) {
            let mut rig = Rig::new();
            rig.tracker.configure(Settings { announce_interval: interval, interval_jitter: 0, ..Settings::default() });
            let (source, other) = if is_v6 { ("[2001:db8::1]:9", A) } else { (A, "[2001:db8::1]:9") };
            for host in 0..peers {
                let to = if is_v6 { format!("[2001:db8:{host:x}::9]:9") } else { format!("10.0.0.{host}:9") };
                rig.announce(&to, &Sent::default());
            }
            let id = match kind {
                0 => rig.id(source),
                1 => packet::PROTOCOL_ID,
                _ => 1 << 63,
            };
            let whole = [vec![7; 20], body.clone(), vec![1; 98]].concat();
            for body in [body, whole, [7; 20].repeat(3)] {
                let mut request = head(id, action);
                request.splice(12.., transaction);
                request.extend(body);
                let Some(reply) = rig.send(&request, source) else {
                    continue;
                };
                for from in [source, other, B, "127.0.0.1:8080"] {
                    prop_assert_eq!(rig.send(&reply, from), None);
                }
            }
        }

        /// R5
        #[test]
        fn any_bytes_behind_a_right_id_get_a_reply_that_fits(
            body in proptest::collection::vec(any::<u8>(), 0..2_000), action in 0_u32..5, is_v6 in any::<bool>(),
        ) {
            let mut rig = Rig::new();
            let source = if is_v6 { "[2001:db8::1]:9" } else { A };
            let mut packet = head(rig.id(source), action);
            packet.extend(body);
            let reply = rig.send(&packet, source).unwrap();
            let most = if is_v6 { packet::MAX_REPLY_V6 } else { packet::MAX_REPLY_V4 };
            prop_assert!(reply.len() <= most);
            prop_assert!(&reply[4..8] == b"tran");
        }
    }
}
