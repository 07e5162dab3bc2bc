//! Who announces too often (S11): a bounded table that the request path writes to only when nobody else does.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use foldhash::quality::RandomState;
use ipnet::IpNet;

use crate::clock::Seconds;
use crate::net::subscriber::network;
use crate::tracker::report::census::{CALLER_ROWS, FrequentAnnouncer};

/// Callers remembered at most; more go uncounted until some are forgotten.
const MAX_CALLERS: usize = 10_000;

/// Callers that were quiet for so long are forgotten.
const FORGET_AFTER: u32 = 3_600;

#[derive(Debug, Default)]
pub(crate) struct FrequentAnnouncers {
    table: Mutex<HashMap<IpNet, (u64, Seconds), RandomState>>,
}

impl FrequentAnnouncers {
    /// Notes an early announce. Never waits: when the table is being read, this one goes uncounted.
    pub(crate) fn note(&self, ip: IpAddr, now: Seconds) {
        let Ok(mut table) = self.table.try_lock() else {
            return;
        };
        let network = network(ip);
        if let Some((early, last)) = table.get_mut(&network) {
            (*early, *last) = (*early + 1, now);
        } else if table.len() < MAX_CALLERS {
            table.insert(network, (1, now));
        }
    }

    /// Forgets who has been quiet.
    pub(crate) fn sweep(&self, now: Seconds) {
        if let Ok(mut table) = self.table.lock() {
            table.retain(|_, (_, last)| now.since(*last) < FORGET_AFTER);
        }
    }

    /// The worst, worst first.
    pub(crate) fn worst(&self) -> Vec<FrequentAnnouncer> {
        let Ok(table) = self.table.lock() else {
            return Vec::new();
        };
        let mut callers: Vec<FrequentAnnouncer> = table
            .iter()
            .map(|(network, (early, last_seen))| FrequentAnnouncer {
                network: *network,
                early: *early,
                last_seen: *last_seen,
            })
            .collect();
        drop(table);
        callers.sort_unstable_by_key(|caller| (std::cmp::Reverse(caller.early), caller.network));
        callers.truncate(CALLER_ROWS);
        callers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W10
    #[test]
    fn the_worst_callers_come_first_and_the_quiet_are_forgotten() {
        let callers = FrequentAnnouncers::default();
        let at = |seconds| Seconds::START.plus(seconds);
        for (ip, times) in [
            ("192.0.2.1", 2),
            ("192.0.2.2", 5),
            ("2001:db8::1", 1),
            ("2001:db8::2", 2),
        ] {
            (0..times).for_each(|_| callers.note(ip.parse().unwrap(), at(times)));
        }
        let worst: Vec<_> = callers
            .worst()
            .iter()
            .map(|caller| (caller.network.to_string(), caller.early))
            .collect();
        assert_eq!(worst[0], ("192.0.2.2/32".to_owned(), 5));
        assert_eq!(worst[1], ("2001:db8::/64".to_owned(), 3));
        callers.sweep(at(FORGET_AFTER + 4));
        assert_eq!(callers.worst().len(), 1);
    }
}
