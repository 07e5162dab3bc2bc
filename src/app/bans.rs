//! Bans as they are made: the log tells of them, and the snapshot database keeps them over a restart, under a name of their own and with
//! their times in its time. Both within a second or so, and not for each of a flood of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Seconds, Wall};
use crate::config::Config;
use crate::net::Networks;
use crate::net::client_address::{ClientAddressRules, Mode};
use crate::net::limits::{Ban, Kind, Limits, MAX_BANS};
use crate::snapshot::{MAX_SAVED_STATE_BYTES, Mailbox, Refused, Restored};
use crate::web;

/// The name under which the snapshot database keeps them.
const NAME: &str = "bans";

/// What a ban takes there at most, in bytes.
const ROW_BYTES: usize = 192;
const _: () = assert!(MAX_BANS * ROW_BYTES <= MAX_SAVED_STATE_BYTES);

/// Bans that the log tells of in one minute, one by one; of more it tells how many.
const TOLD_A_MINUTE: usize = 10;

/// Keeping bans takes at most one part in so many of the time, however many are made.
const KEEPING_SHARE: u32 = 20;

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
    /// The version of the bans that is on the disk. Held while others are put there: one thread's older bans must not follow another's
    /// newer ones, of which one was lifted and told so.
    kept: Mutex<u64>,
    news: Mutex<News>,
}

/// What has been done about bans that were made.
#[derive(Debug)]
struct News {
    /// The version that was looked at last.
    looked: u64,
    /// The highest number of a ban that was told of, or passed over.
    told: u64,
    /// When the minute began for which lines are counted, how many there were, and how many bans had none.
    minute: Seconds,
    lines: usize,
    untold: usize,
    /// When they may be kept again.
    keep_at: Duration,
}

impl News {
    /// What is to be said of bans that were made since the last time, oldest first. `until` says when one ends.
    fn of(&mut self, bans: &[Ban], now: Seconds, until: impl Fn(&Ban) -> String) -> Vec<String> {
        let mut lines = Vec::new();
        if now.since(self.minute) >= 60 {
            if self.untold > 0 {
                lines.push(format!("{} more sources were banned", self.untold));
            }
            (self.minute, self.lines, self.untold) = (now, 0, 0);
        }
        let told = self.told;
        for ban in bans.iter().rev().filter(|ban| ban.number > told) {
            self.told = self.told.max(ban.number);
            if self.lines == TOLD_A_MINUTE {
                self.untold += 1;
                continue;
            }
            self.lines += 1;
            let (network, until, kind) = (ban.network, until(ban), ban.kind.name());
            lines.push(format!(
                "{network} is banned until {until}: too many {kind}"
            ));
        }
        lines
    }
}

/// A moment as it stands in the log.
fn moment(wall: Wall) -> String {
    format!("{} UTC", web::moment(wall))
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
            kept: Mutex::new(0),
            news: Mutex::new(News {
                looked: 0,
                told: 0,
                minute: clock.now(),
                lines: 0,
                untold: 0,
                keep_at: Duration::ZERO,
            }),
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
        *self.kept() = self.limits.bans_version();
        let bans = self.limits.bans(self.clock.now());
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.looked = self.limits.bans_version();
        news.told = bans.first().map_or(0, |ban| ban.number);
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

    /// Tells of bans that were made since the last look, and keeps what has changed. To be called every second, by a thread that may wait
    /// for the disk; costs nothing when nothing has changed.
    pub(super) fn look(&self) {
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        let version = self.limits.bans_version();
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = version == news.looked;
        if is_same && news.untold == 0 {
            return;
        }
        news.looked = version;
        let bans = if is_same {
            Vec::new()
        } else {
            self.limits.bans(now)
        };
        let until = |ban: &Ban| {
            let wall = self.clock.wall();
            moment(Wall(wall.0.saturating_add(ban.until.since(now).into())))
        };
        for line in news.of(&bans, now, until) {
            log::info!("{line}");
        }
        if is_same {
            return;
        }
        if elapsed < news.keep_at {
            // Looked at again.
            news.looked = version.wrapping_sub(1);
            return;
        }
        // What the disk refuses is tried, and told, when bans are tended.
        let _ = self.keep();
        let took = self.clock.elapsed().saturating_sub(elapsed);
        news.keep_at = elapsed + took * KEEPING_SHARE;
    }

    fn kept(&self) -> MutexGuard<'_, u64> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self) -> Result<(), Refused> {
        let mut kept = self.kept();
        let version = self.limits.bans_version();
        if version == *kept {
            return Ok(());
        }
        let bans = self.limits.bans(self.clock.now());
        let rows: Vec<Row> = bans.iter().map(|ban| self.row(ban)).collect();
        // Numbers and networks: nothing in it fails to be written.
        let text = serde_json::to_vec(&rows).map_err(|_| Refused::Failed)?;
        self.mailbox.put_saved_state(NAME, text)?;
        *kept = version;
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
    use std::sync::Barrier;
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

    /// O8: what was banned a moment ago is banned after a kill.
    #[test]
    fn a_ban_is_on_the_disk_at_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(folder.path(), 0);
        first.ban("192.0.2.1/32", 1, 100);
        first.keeper.look();
        // Nothing else is kept.
        first.keeper.mailbox.stop();
        first.thread.join().unwrap();
        let second = run(folder.path(), 10);
        assert_eq!(second.bans(), [(1, 90)]);
        assert_eq!(second.keeper.news.lock().unwrap().told, 1);
        second.stop();
    }

    /// O8: whoever keeps bans at the same time does not put a lifted one back on the disk.
    #[test]
    fn a_lift_is_on_the_disk_whoever_else_keeps_bans_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path(), 0);
        let begin = Barrier::new(2);
        for number in 1..=1_000 {
            run.ban("192.0.2.1/32", number, 1_000);
            std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    begin.wait();
                    run.keeper.keep()
                });
                begin.wait();
                run.keeper.lift(number).unwrap();
                // It may have looked at the bans before.
                other.join().unwrap().unwrap();
            });
            let kept = run.keeper.mailbox.saved_state(NAME).unwrap().unwrap();
            assert_eq!(kept, b"[]", "{number}");
        }
        run.stop();
    }

    /// O8
    #[test]
    fn the_log_tells_of_ten_bans_a_minute_and_how_many_more_there_were() {
        let ban = |number: u8| Ban {
            number: number.into(),
            network: format!("192.0.2.{number}/32").parse().unwrap(),
            kind: Kind::Requests,
            since: Seconds::START,
            until: Seconds::START.plus(100),
        };
        let mut news = News {
            looked: 0,
            told: 1,
            minute: Seconds::START,
            lines: 0,
            untold: 0,
            keep_at: Duration::ZERO,
        };
        let bans: Vec<Ban> = (1..=14).rev().map(ban).collect();
        let until = |ban: &Ban| moment(Wall(1_800_000_000 + u64::from(ban.until.since(ban.since))));
        let lines = news.of(&bans, Seconds::START, until);
        assert_eq!(lines.len(), 10);
        assert_eq!(
            lines[0],
            "192.0.2.2/32 is banned until 2027-01-15 08:01:40 UTC: too many requests"
        );
        assert!(lines[9].starts_with("192.0.2.11/32"));
        assert!(news.of(&bans, Seconds::START.plus(59), until).is_empty());
        let later = news.of(&[], Seconds::START.plus(60), until);
        assert_eq!(later, ["3 more sources were banned"]);
        assert!(news.of(&bans, Seconds::START.plus(61), until).is_empty());
    }
}
