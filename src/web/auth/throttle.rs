//! The throttle on guessing passwords: so many tries per address within a window, and so many in all within an hour, counted
//! before the password is looked at, so that parallel guesses do not slip through.
//!
//! The bound on all is for guesses from many addresses. It must not become a way to keep the operator out, so it leaves two
//! kinds of clients alone, whom the bound per address still holds: admin networks, and networks from which the right password
//! has come before. Who has neither waits while others guess: a guesser and a new operator cannot be told apart.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
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

/// A name that was tried, whatever its length: nobody can choose whose it collides with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NameTag(u64);

impl NameTag {
    fn of(name: &str) -> NameTag {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        NameTag(hasher.finish())
    }
}

#[derive(Clone, Copy, Debug)]
struct Try {
    at: Duration,
    name: NameTag,
}

#[derive(Debug, Default)]
struct Tries {
    by_network: HashMap<IpAddr, Vec<Try>>,
    /// Of clients that nothing speaks for, oldest first.
    in_all: VecDeque<(Try, IpAddr)>,
    /// From where the right password has come, oldest first.
    known: VecDeque<IpAddr>,
}

/// How long a client has to wait, and for whose tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// For those of its own network.
    Own(Duration),
    /// For those of all that nothing speaks for.
    OfAll(Duration),
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

    /// Counts a try to log in as `name` as failed until [`Throttle::forgive`] says otherwise. `Err` is how long the client has to wait.
    pub(crate) fn begin(&self, client: Client, name: &str, now: Duration) -> Result<(), Wait> {
        let network = subscriber(client.ip);
        let begun = Try {
            at: now,
            name: NameTag::of(name),
        };
        self.with(|tries| {
            let is_vouched_for = client.is_admin || tries.known.contains(&network);
            if !is_vouched_for {
                tries.wait_of_all(now).map_err(Wait::OfAll)?;
            }
            let counted = tries.count(network, begun, self.window, self.most);
            counted.map_err(Wait::Own)?;
            if !is_vouched_for {
                tries.in_all.push_back((begun, network));
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

    /// Forgets the tries of a network on a name after its right password, and remembers the network. Tries on other names stay: who is
    /// a user himself shall not guess at another's password without end.
    pub(crate) fn forgive(&self, client: Client, name: &str) {
        let network = subscriber(client.ip);
        let name = NameTag::of(name);
        self.with(|tries| {
            if let Some(own) = tries.by_network.get_mut(&network) {
                own.retain(|other| other.name != name);
                if own.is_empty() {
                    tries.by_network.remove(&network);
                }
            }
            tries
                .in_all
                .retain(|(other, own)| *own != network || other.name != name);
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
        self.in_all
            .retain(|(begun, _)| now.saturating_sub(begun.at) < HOUR);
        match self.in_all.front() {
            Some((oldest, _)) if self.in_all.len() >= MAX_IN_ALL => {
                Err((oldest.at + HOUR).saturating_sub(now))
            }
            _ => Ok(()),
        }
    }

    fn count(
        &mut self,
        network: IpAddr,
        begun: Try,
        window: Duration,
        most: usize,
    ) -> Result<(), Duration> {
        let now = begun.at;
        if self.by_network.len() >= MAX_NETWORKS && !self.by_network.contains_key(&network) {
            self.make_room(now, window);
        }
        let own = self.by_network.entry(network).or_default();
        own.retain(|other| now.saturating_sub(other.at) < window);
        if own.len() >= most {
            let oldest = own.first().map_or(now, |oldest| oldest.at);
            return Err((oldest + window).saturating_sub(now));
        }
        own.push(begun);
        Ok(())
    }

    fn make_room(&mut self, now: Duration, window: Duration) {
        self.by_network.retain(|_, own| {
            own.last()
                .is_some_and(|last| now.saturating_sub(last.at) < window)
        });
        if self.by_network.len() < MAX_NETWORKS {
            return;
        }
        let oldest = self.by_network.iter();
        let oldest = oldest.min_by_key(|(_, own)| own.last().map(|last| last.at));
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
                assert_eq!(throttle.begin(one, "anna", minute * MINUTE), Ok(()));
            }
            assert_eq!(
                throttle.begin(one, "anna", 5 * MINUTE),
                Err(Wait::Own(10 * MINUTE))
            );
            assert_eq!(
                throttle.begin(stranger("192.0.2.2"), "anna", 5 * MINUTE),
                Ok(())
            );
            assert_eq!(throttle.begin(one, "anna", 15 * MINUTE), Ok(()));
            assert_eq!(
                throttle.begin(one, "anna", 15 * MINUTE),
                Err(Wait::Own(MINUTE))
            );
        }
    }

    #[test]
    fn addresses_of_one_v6_subscriber_count_together() {
        let throttle = throttle();
        for host in 0..5 {
            let client = stranger(&format!("2001:db8::{host}"));
            assert_eq!(throttle.begin(client, "anna", MINUTE), Ok(()));
        }
        assert!(
            throttle
                .begin(stranger("2001:db8::ffff"), "anna", MINUTE)
                .is_err()
        );
        assert_eq!(
            throttle.begin(stranger("2001:db8:0:1::1"), "anna", MINUTE),
            Ok(())
        );
    }

    #[test]
    fn the_right_password_clears_the_count() {
        let throttle = throttle();
        for _ in 0..5 {
            assert_eq!(
                throttle.begin(stranger("192.0.2.1"), "anna", MINUTE),
                Ok(())
            );
        }
        throttle.forgive(stranger("192.0.2.1"), "anna");
        assert_eq!(
            throttle.begin(stranger("192.0.2.1"), "anna", MINUTE),
            Ok(())
        );
    }

    /// W3: who has a password of his own guesses at another's no longer for that.
    #[test]
    fn the_right_password_clears_no_tries_on_another_name() {
        let throttle = throttle();
        let guesser = stranger("192.0.2.1");
        let tries = (0..20).filter(|_| {
            let is_let = throttle.begin(guesser, "boris", MINUTE).is_ok();
            if throttle.begin(guesser, "anna", MINUTE).is_ok() {
                throttle.forgive(guesser, "anna");
            }
            is_let
        });
        assert_eq!(tries.count(), 5);
    }

    /// W3
    #[test]
    fn a_hundred_failures_an_hour_are_all_that_strangers_have() {
        let throttle = throttle();
        let operator = stranger("198.51.100.7");
        assert_eq!(throttle.begin(operator, "anna", Duration::ZERO), Ok(()));
        throttle.forgive(operator, "anna");
        for host in 0..100 {
            let guesser = stranger(&format!("203.0.113.{host}"));
            assert_eq!(throttle.begin(guesser, "anna", MINUTE), Ok(()), "{host}");
        }
        let late = stranger("192.0.2.1");
        assert_eq!(
            throttle.begin(late, "anna", 2 * MINUTE),
            Err(Wait::OfAll(59 * MINUTE))
        );
        // Neither who sits in an admin network nor who knew the password before is kept out.
        assert_eq!(
            throttle.begin(admin("10.0.0.1"), "anna", 2 * MINUTE),
            Ok(())
        );
        assert_eq!(throttle.begin(operator, "anna", 2 * MINUTE), Ok(()));
        // A try whose password was never looked at counts for nobody.
        throttle.forgive_one(stranger("203.0.113.50"));
        assert_eq!(throttle.begin(late, "anna", 3 * MINUTE), Ok(()));
        assert_eq!(
            throttle.begin(late, "anna", 3 * MINUTE),
            Err(Wait::OfAll(58 * MINUTE))
        );
        assert_eq!(throttle.begin(late, "anna", 61 * MINUTE), Ok(()));
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
            assert_eq!(throttle.begin(client, "anna", now), Ok(()));
            if host % 5 == 0 {
                throttle.forgive(client, "anna");
            }
        }
        let tries = throttle.tries.lock().unwrap();
        assert!(tries.by_network.len() <= MAX_NETWORKS);
        assert!(tries.in_all.len() <= MAX_IN_ALL && tries.known.len() <= MAX_KNOWN);
    }
}
