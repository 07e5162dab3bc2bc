//! Failed logins, counted by address: whoever guesses passwords makes one entry within the window in which failures count, whose
//! count grows, and not one for each guess.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Actor, Deed, Entry};
use crate::clock::Wall;

/// Addresses that are told apart within a window; the failures of more are one entry.
const MAX_ADDRESSES: usize = 100;

/// A count that grows is written again after so many seconds, not sooner.
const WRITTEN_EVERY: u64 = 60;

/// Series that have ended and wait for the disk at most; of more, the oldest are lost.
const MAX_ENDED: usize = 1_000;

/// What stands for the addresses beyond [`MAX_ADDRESSES`].
const OTHERS: &str = "other addresses";

#[derive(Debug)]
struct Series {
    entry: Entry,
    written: Option<Wall>,
    has_news: bool,
}

/// The series of failures that still go on.
#[derive(Debug, Default)]
pub(super) struct Failures {
    window_seconds: u64,
    /// By deed and address; `None` for all others.
    series: HashMap<(Deed, Option<IpAddr>), Series>,
    /// As they were at their end, when that is not written yet; oldest first, [`MAX_ENDED`] at most.
    ended: Vec<Entry>,
}

impl Failures {
    pub(super) fn new(window: Duration) -> Failures {
        Failures {
            window_seconds: window.as_secs(),
            ..Failures::default()
        }
    }

    /// Counts one. A series that began before the window, or after now (the clock was set back), has ended.
    pub(super) fn count(&mut self, deed: Deed, network: IpAddr, name: Option<&str>, now: Wall) {
        self.end(now);
        let mut key = (deed, Some(network));
        if !self.series.contains_key(&key) && self.series.len() >= MAX_ADDRESSES {
            key.1 = None;
        }
        // Other names under one series are not told.
        let name = name.unwrap_or_default();
        let series = self.series.entry(key).or_insert_with(|| {
            let entry = Entry::new(deed, Actor::Stranger, name, "", now);
            let from = match key.1 {
                Some(network) => network.to_string(),
                None => OTHERS.to_owned(),
            };
            Series {
                entry: Entry {
                    from,
                    count: 0,
                    ..entry
                },
                written: None,
                has_news: true,
            }
        });
        series.entry.count = series.entry.count.saturating_add(1);
        series.entry.last = now;
        series.has_news = true;
    }

    /// Takes out what has ended; what is not written of it waits for that.
    fn end(&mut self, now: Wall) {
        let (window, ended) = (self.window_seconds, &mut self.ended);
        self.series.retain(|_, series| {
            let began = series.entry.time;
            let goes_on = began <= now && now.0 - began.0 < window;
            if !goes_on && series.has_news {
                ended.push(series.entry.clone());
            }
            goes_on
        });
        let surplus = self.ended.len().saturating_sub(MAX_ENDED);
        self.ended.drain(..surplus);
    }

    /// All that are not on the disk as they are at the moment, the latest last.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        let going_on = self.series.values().map(|series| &series.entry);
        self.ended.iter().chain(going_on).cloned()
    }

    /// Whether one is to be written.
    pub(super) fn has_news(&self, now: Wall) -> bool {
        !self.ended.is_empty() || self.series.values().any(|series| series.is_due(now))
    }

    /// Those to be written, which then have been.
    pub(super) fn take_news(&mut self, now: Wall) -> Vec<Entry> {
        let due = self.series.values_mut().filter(|series| series.is_due(now));
        due.map(|series| {
            series.has_news = false;
            series.written = Some(now);
            series.entry.clone()
        })
        .collect()
    }

    /// Those to be written that have ended. Those that come back are tried again at once.
    pub(super) fn take_ended(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.ended)
    }

    /// They could not be written, and are tried again as if they had been: not at once.
    pub(super) fn keep_as_news(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let mut series = self.series.values_mut();
            match series.find(|series| series.entry.is_same_failure(&entry)) {
                Some(series) => series.has_news = true,
                None => self.ended.push(entry),
            }
        }
        let surplus = self.ended.len().saturating_sub(MAX_ENDED);
        self.ended.drain(..surplus);
    }

    /// Makes all be written that were not, however lately they were.
    pub(super) fn hurry(&mut self) {
        for series in self.series.values_mut() {
            series.written = None;
        }
    }
}

impl Series {
    fn is_due(&self, now: Wall) -> bool {
        let is_time = self
            .written
            .is_none_or(|written| now.0.abs_diff(written.0) >= WRITTEN_EVERY);
        self.has_news && is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(900);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// W12
    #[test]
    fn guesses_of_one_address_are_one_entry_within_the_window() {
        let mut failures = Failures::new(WINDOW);
        for second in 0..50 {
            failures.count(
                Deed::LoginFailed,
                ip("192.0.2.1"),
                None,
                Wall(1_000 + second),
            );
        }
        let news = failures.take_news(Wall(1_049));
        assert_eq!(news.len(), 1);
        assert_eq!(
            (news[0].count, news[0].time, news[0].last),
            (50, Wall(1_000), Wall(1_049))
        );
        assert!(!failures.has_news(Wall(5_000)));
        // It grows, and is written again a minute later.
        failures.count(Deed::LoginFailed, ip("192.0.2.1"), None, Wall(1_050));
        assert!(!failures.has_news(Wall(1_050)));
        let again = failures.take_news(Wall(1_110));
        assert!(again[0].is_same_failure(&news[0]) && again[0].count == 51);
        // The next window is another entry.
        failures.count(Deed::LoginFailed, ip("192.0.2.1"), None, Wall(1_900));
        assert_eq!(failures.take_news(Wall(1_900))[0].time, Wall(1_900));
    }

    /// W12
    #[test]
    fn very_many_addresses_are_one_entry_beyond_the_bound() {
        let mut failures = Failures::new(WINDOW);
        for host in 0..5_000_u32 {
            let network = std::net::Ipv4Addr::from_bits(0x0a00_0000 + host).into();
            failures.count(Deed::LockedOut, network, None, Wall(1_000));
        }
        let news = failures.take_news(Wall(1_000));
        assert_eq!(news.len(), MAX_ADDRESSES + 1);
        let others = news.iter().find(|entry| entry.from == OTHERS).unwrap();
        assert_eq!(others.count, 5_000 - 100);
    }

    #[test]
    fn what_could_not_be_written_is_news_again() {
        let mut failures = Failures::new(WINDOW);
        failures.count(
            Deed::LoginFailed,
            ip("192.0.2.1"),
            Some("anna"),
            Wall(1_000),
        );
        let news = failures.take_news(Wall(1_000));
        failures.keep_as_news(news.clone());
        assert!(!failures.has_news(Wall(1_001)), "not at once");
        assert_eq!(failures.take_news(Wall(1_060)), news);
        failures.keep_as_news(news.clone());
        failures.hurry();
        assert_eq!(failures.take_news(Wall(1_061)), news);
    }

    /// W12
    #[test]
    fn what_ends_unwritten_is_written_as_it_was() {
        let mut failures = Failures::new(WINDOW);
        for day in 0..2_000 {
            failures.count(Deed::LoginFailed, ip("192.0.2.1"), None, Wall(day * 86_400));
        }
        let mut news = failures.take_ended();
        news.extend(failures.take_news(Wall(2_000 * 86_400)));
        assert_eq!(news.len(), MAX_ENDED + 1);
        assert!(news.iter().all(|entry| entry.count == 1));
        assert_eq!(news.last().unwrap().time, Wall(1_999 * 86_400));
        failures.keep_as_news(news.clone());
        assert_eq!(failures.entries().count(), MAX_ENDED + 1);
    }
}
