//! The throttle on guessing passwords: so many tries per address within a window, and so many in all within an hour, counted
//! before the password is looked at, so that parallel guesses do not slip through.
//!
//! The bound on all is for guesses from many addresses. It must not become a way to keep the operator out, so it leaves two
//! kinds of clients alone, whom the bound per address still holds: admin networks, and networks from which the right password
//! has come before. Who has neither waits while others guess: a guesser and a new operator cannot be told apart.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::net::subscriber;
use crate::web::client::Client;

/// Networks remembered at most; the one whose last try is oldest goes first.
const MAX_NETWORKS: usize = 10_000;
/// Networks remembered at most from which the right password has come; the oldest goes first.
const MAX_KNOWN: usize = 256;
/// Failed tries in all within [`HOUR`], of clients that nothing speaks for.
const MAX_IN_ALL: usize = 100;
/// How long a failed try counts against the bound on all.
const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
struct Tries {
    by_network: HashMap<IpAddr, Vec<Duration>>,
    /// Of clients that nothing speaks for, oldest first.
    in_all: VecDeque<(Duration, IpAddr)>,
    /// From where the right password has come, oldest first.
    known: VecDeque<IpAddr>,
}

/// Counts tries by network. Times are durations since the start of the clock.
#[derive(Debug)]
pub(crate) struct Throttle {
    most: usize,
    window: Duration,
    tries: Mutex<Tries>,
}

impl Throttle {
    pub(crate) fn new(most: u32, window: Duration) -> Throttle {
        Throttle {
            most: most.max(1) as usize,
            window,
            tries: Mutex::default(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tries) -> T) -> T {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut tries)
    }

    /// Counts a try as failed until [`Throttle::forgive`] says otherwise. `Err` is how long the client has to wait.
    pub(crate) fn begin(&self, client: Client, now: Duration) -> Result<(), Duration> {
        let network = subscriber(client.ip);
        self.with(|tries| {
            let is_vouched_for = client.is_admin || tries.known.contains(&network);
            if !is_vouched_for {
                tries.wait_of_all(now)?;
            }
            tries.count(network, now, self.window, self.most)?;
            if !is_vouched_for {
                tries.in_all.push_back((now, network));
            }
            Ok(())
        })
    }

    /// Takes the last try back: its password was never looked at.
    pub(crate) fn forgive_one(&self, client: Client) {
        let network = subscriber(client.ip);
        self.with(|tries| {
            if let Some(own) = tries.by_network.get_mut(&network) {
                own.pop();
            }
            let last = tries.in_all.iter().rposition(|(_, own)| *own == network);
            last.map(|last| tries.in_all.remove(last));
        });
    }

    /// Forgets the tries of a network after its right password, and remembers the network.
    pub(crate) fn forgive(&self, client: Client) {
        let network = subscriber(client.ip);
        self.with(|tries| {
            tries.by_network.remove(&network);
            tries.in_all.retain(|(_, own)| *own != network);
            tries.known.retain(|own| *own != network);
            tries.known.push_back(network);
            if tries.known.len() > MAX_KNOWN {
                tries.known.pop_front();
            }
        });
    }
}

impl Tries {
    fn wait_of_all(&mut self, now: Duration) -> Result<(), Duration> {
        self.in_all.retain(|(at, _)| now.saturating_sub(*at) < HOUR);
        match self.in_all.front() {
            Some((oldest, _)) if self.in_all.len() >= MAX_IN_ALL => {
                Err((*oldest + HOUR).saturating_sub(now))
            }
            _ => Ok(()),
        }
    }

    fn count(
        &mut self,
        network: IpAddr,
        now: Duration,
        window: Duration,
        most: usize,
    ) -> Result<(), Duration> {
        if self.by_network.len() >= MAX_NETWORKS && !self.by_network.contains_key(&network) {
            self.make_room(now, window);
        }
        let own = self.by_network.entry(network).or_default();
        own.retain(|at| now.saturating_sub(*at) < window);
        if own.len() >= most {
            let oldest = own.first().copied().unwrap_or(now);
            return Err((oldest + window).saturating_sub(now));
        }
        own.push(now);
        Ok(())
    }

    fn make_room(&mut self, now: Duration, window: Duration) {
        self.by_network.retain(|_, own| {
            own.last()
                .is_some_and(|at| now.saturating_sub(*at) < window)
        });
        if self.by_network.len() < MAX_NETWORKS {
            return;
        }
        let oldest = self.by_network.iter();
        let oldest = oldest.min_by_key(|(_, own)| own.last().copied());
        if let Some(oldest) = oldest.map(|(network, _)| *network) {
            self.by_network.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn throttle() -> Throttle {
        Throttle::new(5, 15 * MINUTE)
    }

    fn stranger(text: &str) -> Client {
        Client {
            ip: text.parse().unwrap(),
            is_admin: false,
            is_local: false,
        }
    }

    fn admin(text: &str) -> Client {
        Client {
            is_admin: true,
            is_local: false,
            ..stranger(text)
        }
    }

    /// W3
    #[test]
    fn the_sixth_try_within_the_window_waits_and_others_do_not() {
        let throttle = throttle();
        for one in [stranger("192.0.2.1"), admin("127.0.0.1")] {
            for minute in 0..5 {
                assert_eq!(throttle.begin(one, minute * MINUTE), Ok(()));
            }
            assert_eq!(throttle.begin(one, 5 * MINUTE), Err(10 * MINUTE));
            assert_eq!(throttle.begin(stranger("192.0.2.2"), 5 * MINUTE), Ok(()));
            assert_eq!(throttle.begin(one, 15 * MINUTE), Ok(()));
            assert_eq!(throttle.begin(one, 15 * MINUTE), Err(MINUTE));
        }
    }

    #[test]
    fn addresses_of_one_v6_subscriber_count_together() {
        let throttle = throttle();
        for host in 0..5 {
            let client = stranger(&format!("2001:db8::{host}"));
            assert_eq!(throttle.begin(client, MINUTE), Ok(()));
        }
        assert!(throttle.begin(stranger("2001:db8::ffff"), MINUTE).is_err());
        assert_eq!(throttle.begin(stranger("2001:db8:0:1::1"), MINUTE), Ok(()));
    }

    #[test]
    fn the_right_password_clears_the_count() {
        let throttle = throttle();
        for _ in 0..5 {
            assert_eq!(throttle.begin(stranger("192.0.2.1"), MINUTE), Ok(()));
        }
        throttle.forgive(stranger("192.0.2.1"));
        assert_eq!(throttle.begin(stranger("192.0.2.1"), MINUTE), Ok(()));
    }

    /// W3
    #[test]
    fn a_hundred_failures_an_hour_are_all_that_strangers_have() {
        let throttle = throttle();
        let operator = stranger("198.51.100.7");
        assert_eq!(throttle.begin(operator, Duration::ZERO), Ok(()));
        throttle.forgive(operator);
        for host in 0..100 {
            let guesser = stranger(&format!("203.0.113.{host}"));
            assert_eq!(throttle.begin(guesser, MINUTE), Ok(()), "{host}");
        }
        let late = stranger("192.0.2.1");
        assert_eq!(throttle.begin(late, 2 * MINUTE), Err(59 * MINUTE));
        // Neither who sits in an admin network nor who knew the password before is kept out.
        assert_eq!(throttle.begin(admin("10.0.0.1"), 2 * MINUTE), Ok(()));
        assert_eq!(throttle.begin(operator, 2 * MINUTE), Ok(()));
        // A try whose password was never looked at counts for nobody.
        throttle.forgive_one(stranger("203.0.113.50"));
        assert_eq!(throttle.begin(late, 3 * MINUTE), Ok(()));
        assert_eq!(throttle.begin(late, 3 * MINUTE), Err(58 * MINUTE));
        assert_eq!(throttle.begin(late, 61 * MINUTE), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_is_kept_within_the_bounds() {
        let throttle = throttle();
        for host in 0..12_000_u32 {
            let client = Client {
                ip: std::net::Ipv4Addr::from_bits(0x0a00_0000 + host).into(),
                is_admin: host % 2 == 0,
                is_local: false,
            };
            let now = Duration::from_secs(u64::from(host) * 40);
            assert_eq!(throttle.begin(client, now), Ok(()));
            if host % 5 == 0 {
                throttle.forgive(client);
            }
        }
        let tries = throttle.tries.lock().unwrap();
        assert!(tries.by_network.len() <= MAX_NETWORKS);
        assert!(tries.in_all.len() <= MAX_IN_ALL && tries.known.len() <= MAX_KNOWN);
    }
}
