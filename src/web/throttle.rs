//! The brake on guessing passwords: so many tries per address within a window, counted before the password is looked at, so
//! that parallel guesses do not slip through.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Addresses remembered at most; the one whose last try is oldest goes first.
const MOST_ADDRESSES: usize = 10_000;

/// Counts tries by address (v6: by /64). Times are durations since the start of the clock.
#[derive(Debug)]
pub(super) struct Throttle {
    most: usize,
    window: Duration,
    tries: Mutex<HashMap<IpAddr, Vec<Duration>>>,
}

impl Throttle {
    pub(super) fn new(most: u32, window: Duration) -> Throttle {
        Throttle {
            most: usize::try_from(most.max(1)).unwrap_or(usize::MAX),
            window,
            tries: Mutex::default(),
        }
    }

    /// Counts a try as failed until [`Throttle::forgive`] says otherwise. `Err` is how long the address has to wait.
    pub(super) fn begin(&self, ip: IpAddr, now: Duration) -> Result<(), Duration> {
        let key = network_of(ip);
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= MOST_ADDRESSES && !tries.contains_key(&key) {
            make_room(&mut tries, now, self.window);
        }
        let own = tries.entry(key).or_default();
        own.retain(|at| now.saturating_sub(*at) < self.window);
        if own.len() >= self.most {
            let oldest = own.first().copied().unwrap_or(now);
            return Err((oldest + self.window).saturating_sub(now));
        }
        own.push(now);
        Ok(())
    }

    /// Takes the last try back: its password was never looked at.
    pub(super) fn forgive_one(&self, ip: IpAddr) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = tries.get_mut(&network_of(ip)) {
            own.pop();
        }
    }

    /// Forgets the tries of an address after its right password.
    pub(super) fn forgive(&self, ip: IpAddr) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.remove(&network_of(ip));
    }
}

fn make_room(tries: &mut HashMap<IpAddr, Vec<Duration>>, now: Duration, window: Duration) {
    tries.retain(|_, own| {
        own.last()
            .is_some_and(|at| now.saturating_sub(*at) < window)
    });
    if tries.len() < MOST_ADDRESSES {
        return;
    }
    let oldest = tries
        .iter()
        .min_by_key(|(_, own)| own.last().copied())
        .map(|(ip, _)| *ip);
    if let Some(oldest) = oldest {
        tries.remove(&oldest);
    }
}

/// Who counts as one: a v4 address, or a v6 /64, which is what one subscriber has.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn throttle() -> Throttle {
        Throttle::new(5, 15 * MINUTE)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// W3
    #[test]
    fn the_sixth_try_within_the_window_waits_and_others_do_not() {
        let throttle = throttle();
        for minute in 0..5 {
            assert_eq!(throttle.begin(ip("192.0.2.1"), minute * MINUTE), Ok(()));
        }
        assert_eq!(
            throttle.begin(ip("192.0.2.1"), 5 * MINUTE),
            Err(10 * MINUTE)
        );
        assert_eq!(throttle.begin(ip("192.0.2.2"), 5 * MINUTE), Ok(()));
        assert_eq!(throttle.begin(ip("192.0.2.1"), 15 * MINUTE), Ok(()));
        assert_eq!(throttle.begin(ip("192.0.2.1"), 15 * MINUTE), Err(MINUTE));
    }

    #[test]
    fn addresses_of_one_v6_subscriber_count_together() {
        let throttle = throttle();
        for host in 0..5 {
            assert_eq!(
                throttle.begin(ip(&format!("2001:db8::{host}")), MINUTE),
                Ok(())
            );
        }
        assert!(throttle.begin(ip("2001:db8::ffff"), MINUTE).is_err());
        assert_eq!(throttle.begin(ip("2001:db8:0:1::1"), MINUTE), Ok(()));
    }

    #[test]
    fn the_right_password_clears_the_count() {
        let throttle = throttle();
        for _ in 0..5 {
            assert_eq!(throttle.begin(ip("192.0.2.1"), MINUTE), Ok(()));
        }
        throttle.forgive(ip("192.0.2.1"));
        assert_eq!(throttle.begin(ip("192.0.2.1"), MINUTE), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_is_kept_within_the_bound() {
        let throttle = throttle();
        for host in 0..12_000_u32 {
            let ip = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + host));
            assert_eq!(
                throttle.begin(ip, Duration::from_millis(u64::from(host))),
                Ok(())
            );
        }
        assert!(throttle.tries.lock().unwrap().len() <= MOST_ADDRESSES);
    }
}
