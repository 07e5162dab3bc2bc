//! How much one source may ask for, and who is refused everything for a time because of repeated excess (O8).
//!
//! A source is a v4 address or a /64 of v6; the network around it, a /24 or a /48, has a bucket of its own. Nothing here depends on how
//! many sources there are: buckets are in [tables](mod@table) of a fixed size, bans have a bound. All is decided here, without a lock that
//! waits; whoever meets clients asks through a [`Gate`] of its own and answers in its protocol.
//!
//! Only what a source has sent for sure leads to a ban: no datagram whose address may be forged, and nothing of its neighbours.

mod bans;
mod exempt;
mod rate;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use foldhash::quality::RandomState;
use std::hash::BuildHasher;

use super::Networks;
use super::subscriber::{network, subscriber};
use crate::clock::Seconds;
use bans::Bans;
pub use bans::{Ban, MAX_BANS};
use exempt::Exempt;
use rate::{Latest, Nanos};
pub use rate::{Rate, RateError};
use table::Table;

/// Buckets of a table, as a power of two: of sources, of the networks around them, and where few are expected.
const SOURCE_BITS: u32 = 17;
const PREFIX_BITS: u32 = 16;
const FEW_BITS: u32 = 14;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections accepted.
    Connections,
    /// HTTP requests.
    Requests,
    /// Datagrams of a source that has shown a connection id, and so has proved its address.
    Datagrams,
    /// Datagrams whose source may be forged. They have buckets of their own, of the same rates, so that nobody uses up a victim's.
    /// Connects are none of them: with a bucket, forged ones would keep their victim from its connection id.
    UnprovedDatagrams,
    /// Tries to log in.
    Logins,
}

impl Kind {
    /// Every value.
    pub const ALL: [Kind; 5] = [
        Kind::Connections,
        Kind::Requests,
        Kind::Datagrams,
        Kind::UnprovedDatagrams,
        Kind::Logins,
    ];

    /// Its name for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Connections => "connections",
            Kind::Requests => "requests",
            Kind::Datagrams => "datagrams",
            Kind::UnprovedDatagrams => "unproved_datagrams",
            Kind::Logins => "logins",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    const fn is_proof(self) -> bool {
        match self {
            Kind::Connections | Kind::Requests | Kind::Datagrams | Kind::Logins => true,
            Kind::UnprovedDatagrams => false,
        }
    }
}

/// The rates of one kind; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// For one source: a v4 address or a /64.
    pub source: Option<Rate>,
    /// For the network around it: a /24 or a /48.
    pub prefix: Option<Rate>,
}

/// What is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections accepted (`connections`, `connections_per_prefix`). Default any number.
    pub connections: Levels,
    /// HTTP requests (`requests`, `requests_per_prefix`). Default any number.
    pub requests: Levels,
    /// UDP datagrams (`datagrams`, `datagrams_per_prefix`). Default any number.
    pub datagrams: Levels,
    /// Tries to log in from one source (`logins`). Default 30 a minute, 60 at once.
    pub logins: Option<Rate>,
    /// So many refusals within `ban_window` lead to a ban (`ban_after`). Default 0: nobody is banned.
    pub ban_after: u32,
    /// How long a refusal counts (`ban_window`). Default 10 minutes; taken as at least 1 s and at most a day.
    pub ban_window: Duration,
    /// How long a ban lasts (`ban_time`). Default an hour.
    pub ban_time: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connections: Levels::default(),
            requests: Levels::default(),
            datagrams: Levels::default(),
            logins: "30/min 60".parse().ok(),
            ban_after: 0,
            ban_window: Duration::from_secs(600),
            ban_time: Duration::from_hours(1),
        }
    }
}

impl Settings {
    /// Everything for everybody.
    pub fn off() -> Settings {
        Settings {
            logins: None,
            ..Settings::default()
        }
    }

    const fn levels(&self, kind: Kind) -> Levels {
        match kind {
            Kind::Connections => self.connections,
            Kind::Requests => self.requests,
            Kind::Datagrams | Kind::UnprovedDatagrams => self.datagrams,
            Kind::Logins => Levels {
                source: self.logins,
                prefix: None,
            },
        }
    }
}

/// Why a source is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It, or the network around it, has used up what it may.
    Rate,
    /// It is banned.
    Banned,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// After how many seconds it is worth coming again; at least 1.
    pub seconds: u32,
}

impl Refused {
    /// The fixed text for clients.
    pub const fn text(self) -> &'static str {
        match self.reason {
            Reason::Rate => "too many requests",
            Reason::Banned => "banned for a time because of too many requests",
        }
    }

    /// The wait in minutes, as BEP 31 has it.
    pub const fn minutes(self) -> u32 {
        self.seconds.div_ceil(60)
    }
}

/// The buckets of one kind.
#[derive(Debug, Default)]
struct Buckets {
    source: Option<Arc<Table>>,
    prefix: Option<Arc<Table>>,
}

/// What is in force, replaced whole by a reload. Buckets whose rate stays are taken over.
#[derive(Debug, Default)]
struct InForce {
    settings: Settings,
    /// Who is neither refused nor banned; as ranges, which each request is looked for in.
    exempt: Exempt,
    connections: Buckets,
    requests: Buckets,
    datagrams: Buckets,
    unproved: Buckets,
    logins: Buckets,
    /// What each source has been refused; one bucket for all kinds.
    refusals: Option<Arc<Table>>,
}

impl InForce {
    fn new(settings: Settings, exempt: Exempt, old: &InForce) -> InForce {
        let buckets = |kind: Kind| {
            let (levels, before) = (settings.levels(kind), old.settings.levels(kind));
            let known = old.buckets(kind);
            let source_bits = if kind == Kind::Logins {
                FEW_BITS
            } else {
                SOURCE_BITS
            };
            Buckets {
                source: table(
                    levels.source,
                    before.source,
                    known.source.as_ref(),
                    source_bits,
                ),
                prefix: table(
                    levels.prefix,
                    before.prefix,
                    known.prefix.as_ref(),
                    PREFIX_BITS,
                ),
            }
        };
        let is_same = (settings.ban_after, settings.ban_window)
            == (old.settings.ban_after, old.settings.ban_window);
        let refusals = match (settings.ban_after, &old.refusals) {
            (0, _) => None,
            (_, Some(known)) if is_same => Some(Arc::clone(known)),
            (most, _) => {
                let spread = Rate::within(most, settings.ban_window);
                Some(Arc::new(Table::new(spread, PREFIX_BITS)))
            }
        };
        InForce {
            connections: buckets(Kind::Connections),
            requests: buckets(Kind::Requests),
            datagrams: buckets(Kind::Datagrams),
            unproved: buckets(Kind::UnprovedDatagrams),
            logins: buckets(Kind::Logins),
            refusals,
            exempt,
            settings,
        }
    }

    #[inline]
    const fn buckets(&self, kind: Kind) -> &Buckets {
        match kind {
            Kind::Connections => &self.connections,
            Kind::Requests => &self.requests,
            Kind::Datagrams => &self.datagrams,
            Kind::UnprovedDatagrams => &self.unproved,
            Kind::Logins => &self.logins,
        }
    }

    fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        let kinds = Kind::ALL.into_iter().map(|kind| self.buckets(kind));
        let levels = kinds.flat_map(|buckets| [&buckets.source, &buckets.prefix]);
        levels.chain([&self.refusals]).flatten()
    }

    /// Whether announces and scrapes have to be looked at.
    fn limits_trackers(&self) -> bool {
        [Kind::Connections, Kind::Requests, Kind::Datagrams]
            .into_iter()
            .any(|kind| self.settings.levels(kind) != Levels::default())
    }
}

fn table(
    rate: Option<Rate>,
    before: Option<Rate>,
    known: Option<&Arc<Table>>,
    bits: u32,
) -> Option<Arc<Table>> {
    let rate = rate?;
    let known = known.filter(|_| before == Some(rate));
    Some(known.map_or_else(|| Arc::new(Table::new(rate.spread(), bits)), Arc::clone))
}

/// The limits and bans of the process, shared by all who meet clients.
#[derive(Debug, Default)]
pub struct Limits {
    /// Whether the trackers have to ask: there is a limit for them, or a ban.
    is_on: AtomicBool,
    in_force: Arc<ArcSwap<InForce>>,
    bans: Bans,
    seeds: Seeds,
    /// What somebody is refused at, however long ago the thread that refuses him has looked at the clock.
    latest: Latest,
}

impl Limits {
    /// Limits as `settings` have them, for everybody but `exempt`.
    pub fn new(settings: Settings, exempt: Networks) -> Limits {
        let limits = Limits::default();
        limits.configure(settings, exempt);
        limits
    }

    /// Puts other settings in force. Bans stay, and so do the buckets of rates that stay.
    pub fn configure(&self, settings: Settings, exempt: Networks) {
        let old = self.in_force.load_full();
        let in_force = InForce::new(settings, exempt.into(), &old);
        self.in_force.store(Arc::new(in_force));
        self.look_whether_on();
    }

    /// A gate for one thread.
    pub fn gate(self: &Arc<Self>) -> Gate {
        Gate {
            in_force: Cache::new(Arc::clone(&self.in_force)),
            limits: Arc::clone(self),
            now: Nanos::default(),
        }
    }

    /// Counts one of `kind` of the canonical address `ip` at a time since the start of the clock. For those who ask seldom; a
    /// worker has a [`Gate`].
    ///
    /// # Errors
    /// When it is not to be served.
    pub fn admit(&self, kind: Kind, ip: IpAddr, now: Duration) -> Result<(), Refused> {
        let now = now.into();
        self.latest.note(now);
        self.decide(&self.in_force.load(), kind, ip, now)
    }

    /// Notes that a source was refused by somebody else's rule, which may lead to a ban as well.
    pub fn note_refusal(&self, kind: Kind, ip: IpAddr, now: Duration) {
        let in_force = self.in_force.load();
        if !ip.is_unspecified() && !in_force.exempt.covers(ip) {
            self.charge(&in_force, kind, ip, self.source_hash(ip), now.into());
        }
    }

    #[inline]
    fn decide(
        &self,
        in_force: &InForce,
        kind: Kind,
        ip: IpAddr,
        now: Nanos,
    ) -> Result<(), Refused> {
        let number = source_number(ip);
        // All whose address is unknown are nobody in particular. Who is exempt takes nothing either: his neighbours have the same buckets.
        if is_nobody(number, ip) || in_force.exempt.covers(ip) {
            return Ok(());
        }
        let hash = self.seeds.hash(number);
        if !self.bans.is_empty() && self.bans.may_hold(hash) {
            self.admit_unbanned(ip, hash, now)?;
        }
        let buckets = in_force.buckets(kind);
        if let Some(table) = &buckets.source
            && let Err(seconds) = table.take(hash, now)
            && let Err(seconds) = self.take_late(table, hash, now, seconds)
        {
            self.charge(in_force, kind, ip, hash, now);
            return Err(Refused {
                reason: Reason::Rate,
                seconds,
            });
        }
        let Some(table) = &buckets.prefix else {
            return Ok(());
        };
        // Nobody is banned for his neighbours.
        let hash = self.prefix_hash(number, ip);
        let taken = table.take_loosely(hash, now);
        let taken = taken.or_else(|seconds| self.take_late(table, hash, now, seconds));
        taken.map_err(|seconds| Refused {
            reason: Reason::Rate,
            seconds,
        })
    }

    /// Takes one that is not there at `now`, for which one has to wait `seconds`. A thread looks at the clock once for all that it does
    /// after a wake-up, and may be put off the processor before it comes to a request: others have counted at later times by then, and
    /// to a bucket of theirs an earlier time is one at which it lacked more.
    ///
    /// # Errors
    /// When it is not there at the latest time either.
    #[cold]
    #[inline(never)]
    fn take_late(&self, table: &Table, hash: u64, now: Nanos, seconds: u32) -> Result<(), u32> {
        let latest = self.latest.at_least(now);
        if latest == now {
            return Err(seconds);
        }
        table.take_exactly(hash, latest)
    }

    #[inline(never)]
    fn admit_unbanned(&self, ip: IpAddr, hash: u64, now: Nanos) -> Result<(), Refused> {
        let now = Seconds::from(now);
        match self.bans.end(subscriber(ip), hash, now) {
            Some(end) => Err(Refused {
                reason: Reason::Banned,
                seconds: end.since(now).max(1),
            }),
            None => Ok(()),
        }
    }

    /// Counts a refusal; bans a source that has had too many.
    #[cold]
    #[inline(never)]
    fn charge(&self, in_force: &InForce, kind: Kind, ip: IpAddr, hash: u64, now: Nanos) {
        let Some(refusals) = in_force.refusals.as_ref().filter(|_| kind.is_proof()) else {
            return;
        };
        let now = self.latest.at_least(now);
        if refusals.take(hash, now).is_ok() {
            return;
        }
        let since = Seconds::from(now);
        let time = u32::try_from(in_force.settings.ban_time.as_secs()).unwrap_or(u32::MAX);
        let ban = Ban {
            number: 0,
            network: network(ip),
            kind,
            since,
            until: since.plus(time.max(1)),
        };
        if self.bans.add(hash, ban) {
            // It begins anew after the ban.
            refusals.forget(hash);
            self.is_on.store(true, Relaxed);
        }
    }

    fn look_whether_on(&self) {
        let is_on = self.in_force.load().limits_trackers() || !self.bans.is_empty();
        self.is_on.store(is_on, Relaxed);
    }

    /// Forgets bans that have ended and buckets that are full. To be called every minute or so.
    pub fn sweep(&self, now: Duration) {
        self.bans.sweep(Seconds::at(now), |ip| self.source_hash(ip));
        for table in self.in_force.load().tables() {
            table.sweep(now.into());
        }
        self.look_whether_on();
    }

    /// The bans in force, newest first.
    pub fn bans(&self, now: Seconds) -> Vec<Ban> {
        self.bans.all(now)
    }

    /// Bans made since the start.
    pub fn bans_made(&self) -> u64 {
        self.bans.made()
    }

    /// Another number after every change of the bans.
    pub fn bans_version(&self) -> u64 {
        self.bans.version()
    }

    /// Ends the ban of this number, and lets its source begin anew; the ban, if there was one.
    pub fn lift(&self, number: u64) -> Option<Ban> {
        let lifted = self.bans.lift(number)?;
        if let Some(refusals) = &self.in_force.load().refusals {
            refusals.forget(self.source_hash(lifted.network.addr()));
        }
        Some(lifted)
    }

    /// Puts bans of before back; those of no source are passed over, and those beyond the bound.
    pub fn restore(&self, bans: impl IntoIterator<Item = Ban>) {
        for ban in bans.into_iter().take(MAX_BANS) {
            let ip = ban.network.addr();
            if network(ip) == ban.network {
                self.bans.restore(self.source_hash(ip), ban);
            }
        }
        self.look_whether_on();
    }

    #[inline]
    fn source_hash(&self, ip: IpAddr) -> u64 {
        self.seeds.hash(source_number(ip))
    }

    #[inline]
    fn prefix_hash(&self, source: u64, ip: IpAddr) -> u64 {
        self.seeds.hash(source >> if ip.is_ipv4() { 8 } else { 16 })
    }
}

/// Random numbers under which sources are hashed, so that nobody knows who shares a set with whom.
#[derive(Debug)]
struct Seeds([u64; 2]);

impl Default for Seeds {
    fn default() -> Seeds {
        let random = RandomState::default();
        Seeds([1_u64, 2].map(|number| random.hash_one(number)))
    }
}

impl Seeds {
    /// What foldhash does with one number where it is fast, without its buffers: a folded multiplication of random numbers.
    #[inline]
    fn hash(&self, number: u64) -> u64 {
        let [first, second] = self.0;
        fold(number ^ first, second | 1)
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each half on its own")]
fn fold(number: u64, by: u64) -> u64 {
    let product = u128::from(number) * u128::from(by);
    product as u64 ^ (product >> 64) as u64
}

/// Whether the address is the unspecified one of its family.
#[inline]
fn is_nobody(source: u64, ip: IpAddr) -> bool {
    source == NOBODY_V4 || (source == 0 && ip.is_unspecified())
}

/// The number of 0.0.0.0.
const NOBODY_V4: u64 = 1 << 63;

/// A source as a number: the /64, or the v4 address with its highest bit set, as no v6 address that is given out begins.
#[inline]
fn source_number(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => NOBODY_V4 | u64::from(ip.to_bits()),
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h, ..] = ip.octets();
            u64::from_be_bytes([a, b, c, d, e, f, g, h])
        }
    }
}

/// The limits as one thread asks them: it need not look for what is in force, and reads the clock once for many requests. The default is
/// open to everybody.
#[derive(Clone, Debug)]
pub struct Gate {
    limits: Arc<Limits>,
    in_force: Cache<Arc<ArcSwap<InForce>>, Arc<InForce>>,
    now: Nanos,
}

impl Default for Gate {
    /// Nobody else has its limits, and so nobody sets or bans anything: they hold no tables. There are many of it, one for each handler.
    fn default() -> Gate {
        let limits = Limits {
            is_on: AtomicBool::default(),
            in_force: Arc::default(),
            bans: Bans::none(),
            seeds: Seeds::default(),
            latest: Latest::default(),
        };
        Arc::new(limits).gate()
    }
}

impl Gate {
    /// Tells the time since the start of the clock, once for all that came together.
    #[inline]
    pub fn set_now(&mut self, now: Duration) {
        self.now = now.into();
        if self.is_on() {
            self.limits.latest.note(self.now);
        }
    }

    /// Whether there is a limit or a ban to ask about: a look at one byte.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.limits.is_on.load(Relaxed)
    }

    /// Counts one of `kind` of the canonical address `ip`. Costs next to nothing while there is neither a limit nor a ban.
    ///
    /// # Errors
    /// When it is not to be served.
    #[inline]
    pub fn admit(&mut self, kind: Kind, ip: IpAddr) -> Result<(), Refused> {
        if !self.is_on() {
            return Ok(());
        }
        self.limits.decide(self.in_force.load(), kind, ip, self.now)
    }
}

#[cfg(test)]
mod tests;
