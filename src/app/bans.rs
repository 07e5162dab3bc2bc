//! Bans over a restart: kept in the snapshot database under a name of their own, with their times in the database's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Seconds};
use crate::config::Config;
use crate::net::Networks;
use crate::net::client_address::{ClientAddressRules, Mode};
use crate::net::limits::{Ban, Kind, Limits, MAX_BANS};
use crate::snapshot::{MAX_SAVED_STATE_BYTES, Mailbox, Refused, Restored};

/// The name under which the snapshot database keeps them.
const NAME: &str = "bans";

/// What a ban takes there at most, in bytes.
const ROW_BYTES: usize = 192;
const _: () = assert!(MAX_BANS * ROW_BYTES <= MAX_SAVED_STATE_BYTES);

/// A ban as the database has it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    number: u64,
    network: String,
    kind: String,
    since: u64,
    until: u64,
}

/// Who is neither refused nor banned: admins, and proxies that are believed, which bring everybody.
pub(super) fn exempt(rules: &ClientAddressRules) -> Networks {
    let proxies = rules.trusted_proxies.iter();
    let proxies = proxies.filter(|_| rules.mode == Mode::Proxy);
    rules.admin_networks.iter().chain(proxies).collect()
}

/// What the pages ask for, and the keeping.
#[derive(Debug)]
pub(super) struct Keeper {
    limits: Arc<Limits>,
    mailbox: Mailbox,
    clock: Clock,
    /// A moment, and the database's time at it.
    origin: (Seconds, u64),
    /// The version of the bans that is on the disk.
    kept: AtomicU64,
}

impl Keeper {
    /// The limits of a configuration with the bans of the last run, for which the database's time has gone on meanwhile.
    pub(super) fn new(
        config: &Config,
        mailbox: &Mailbox,
        clock: Clock,
        origin: (Seconds, u64),
    ) -> Keeper {
        let exempt = exempt(&config.address_rules);
        let keeper = Keeper {
            limits: Arc::new(Limits::new(config.limits.clone(), exempt)),
            mailbox: mailbox.clone(),
            clock,
            origin,
            kept: AtomicU64::new(0),
        };
        keeper.restore();
        keeper
    }

    /// The limits whose bans it keeps.
    pub(super) const fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    fn restore(&self) {
        let unread = |error: &dyn std::error::Error| {
            log::warn!("the bans of the last run cannot be read: {error}");
        };
        match self.mailbox.saved_state(NAME) {
            Ok(None) => {}
            Ok(Some(kept)) => match serde_json::from_slice::<Vec<Row>>(&kept) {
                Ok(rows) => self
                    .limits
                    .restore(rows.iter().filter_map(|row| self.ban(row))),
                Err(error) => unread(&error),
            },
            Err(refused) => unread(&refused),
        }
        self.kept.store(self.limits.bans_version(), Relaxed);
    }

    /// A ban of a row; nothing when it has ended, or is none.
    fn ban(&self, row: &Row) -> Option<Ban> {
        let (moment, stamp) = self.origin;
        let left = u32::try_from(row.until.checked_sub(stamp)?).unwrap_or(u32::MAX);
        let gone = u32::try_from(stamp.saturating_sub(row.since)).unwrap_or(u32::MAX);
        Some(Ban {
            number: row.number,
            network: row.network.parse().ok()?,
            kind: Kind::of_name(&row.kind)?,
            since: moment.minus(gone),
            until: moment.plus(left),
        })
    }

    fn row(&self, ban: &Ban) -> Row {
        let (moment, stamp) = self.origin;
        let stamp = |at: Seconds| {
            (stamp.saturating_add(at.raw().into())).saturating_sub(moment.raw().into())
        };
        Row {
            number: ban.number,
            network: ban.network.to_string(),
            kind: ban.kind.name().to_owned(),
            since: stamp(ban.since),
            until: stamp(ban.until),
        }
    }

    /// Forgets what has ended, and keeps what has changed. For a thread that may wait for the disk.
    pub(super) fn tend(&self) {
        self.limits.sweep(self.clock.elapsed());
        if let Err(refused) = self.keep() {
            log::warn!("the bans are not kept: {refused}");
        }
    }

    fn keep(&self) -> Result<(), Refused> {
        let version = self.limits.bans_version();
        if version == self.kept.load(Relaxed) {
            return Ok(());
        }
        let bans = self.limits.bans(self.clock.now());
        let rows: Vec<Row> = bans.iter().map(|ban| self.row(ban)).collect();
        // Numbers and networks: nothing in it fails to be written.
        let text = serde_json::to_vec(&rows).map_err(|_| Refused::Failed)?;
        self.mailbox.put_saved_state(NAME, text)?;
        self.kept.store(version, Relaxed);
        Ok(())
    }

    /// Lifts the ban of this number, if there is one. It is lifted on the disk too when this returns.
    ///
    /// # Errors
    /// When the disk does not have it: the ban is lifted, and comes back if the process ends before it has.
    pub(super) fn lift(&self, number: u64) -> Result<Option<IpNet>, Refused> {
        let lifted = self.limits.lift(number);
        self.keep()?;
        Ok(lifted.map(|ban| ban.network))
    }
}

/// The database's time at this moment.
pub(super) fn origin(restored: &Restored, clock: Clock) -> (Seconds, u64) {
    let now = clock.now();
    (now, restored.elapsed(now).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::snapshot::Moment;
    use crate::tracker::Tracker;
    use crate::{snapshot, supervise};
    use std::path::Path;
    use std::sync::mpsc::channel;
    use std::thread::JoinHandle;
    use std::time::Duration;

    struct Run {
        keeper: Keeper,
        thread: JoinHandle<()>,
    }

    /// A run of the process, so many seconds of the database's time after the first.
    fn run(folder: &Path, at: u64) -> Run {
        let settings = snapshot::Settings {
            file: folder.join("retracker.sqlite"),
            interval: Duration::ZERO,
        };
        let clock = Clock::start();
        let tracker = Arc::new(Tracker::new(Default::default(), Arc::new(Metrics::new(1))));
        let database = snapshot::open(&settings, clock.wall()).unwrap();
        let restored = database.restore(&tracker, Moment::of(&clock));
        let (ends, _) = channel::<supervise::Exit>();
        let (mailbox, thread) = restored
            .start(tracker, clock, snapshot::Links::default(), ends)
            .unwrap();
        let origin = (Seconds::START, 1_800_000_000 + at);
        let keeper = Keeper::new(&Config::default(), &mailbox, clock, origin);
        Run { keeper, thread }
    }

    impl Run {
        fn ban(&self, network: &str, number: u64, lasts: u32) {
            self.keeper.limits.restore([Ban {
                number,
                network: network.parse().unwrap(),
                kind: Kind::Requests,
                since: Seconds::START.minus(5),
                until: Seconds::START.plus(lasts),
            }]);
        }

        fn bans(&self) -> Vec<(u64, u32)> {
            let bans = self.keeper.limits.bans(Seconds::START).into_iter();
            bans.map(|ban| (ban.number, ban.until.since(Seconds::START)))
                .collect()
        }

        fn stop(self) {
            self.keeper.tend();
            self.keeper.mailbox.stop();
            self.thread.join().unwrap();
        }
    }

    /// O8
    #[test]
    fn bans_are_kept_over_a_restart_and_their_time_goes_on_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(folder.path(), 0);
        first.ban("192.0.2.1/32", 1, 100);
        first.ban("192.0.2.2/32", 2, 1_000);
        first.ban("2001:db8::/64", 3, 2_000);
        assert_eq!(first.keeper.lift(9).unwrap(), None);
        first.stop();
        let second = run(folder.path(), 300);
        assert_eq!(second.bans(), [(3, 1_700), (2, 700)]);
        let ages = second.keeper.limits.bans(Seconds::START).into_iter();
        assert!(
            ages.into_iter()
                .all(|ban| Seconds::START.since(ban.since) == 305)
        );
        // Lifted ones do not come back, even if the process is killed.
        let lifted = second.keeper.lift(3).unwrap();
        assert_eq!(lifted, Some("2001:db8::/64".parse().unwrap()));
        second.keeper.mailbox.stop();
        second.thread.join().unwrap();
        let third = run(folder.path(), 400);
        assert_eq!(third.bans(), [(2, 600)]);
        third.stop();
    }

    /// O8: what is in the database is not believed.
    #[test]
    fn rows_that_are_no_bans_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path(), 0);
        let row = |network: &str, kind: &str, until| Row {
            number: u64::MAX,
            network: network.into(),
            kind: kind.into(),
            since: u64::MAX,
            until,
        };
        for bad in [
            row("192.0.2.0/x", "requests", u64::MAX),
            row("192.0.2.1/32", "sins", u64::MAX),
            row("192.0.2.1/32", "requests", 1_799_999_999),
        ] {
            assert_eq!(run.keeper.ban(&bad), None, "{bad:?}");
        }
        let endless = row("192.0.2.1/32", "requests", u64::MAX);
        run.keeper.limits.restore(run.keeper.ban(&endless));
        run.keeper
            .limits
            .restore(run.keeper.ban(&row("192.0.2.0/24", "requests", u64::MAX)));
        assert_eq!(run.bans().len(), 1);
        run.stop();
    }
}
