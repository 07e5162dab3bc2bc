//! Connection ids (BEP 15): proof that a client receives at the address it sends from, without state per client.
//!
//! An id is the 64-bit SipHash-2-4 tag, under a key that lives as long as the process, of the client's address and the
//! window of time that it was issued in; its first bit is always set, so that no reply, which begins with a small number, is
//! taken for a request with an id. The port is left out: routers that translate addresses change it. No time stands in
//! the id itself, so 63 bits must be guessed; an id of a window to come is never computed and so never accepted.

use std::fmt;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;

use crate::clock::Seconds;

/// Length of a window. The present one and the one before are accepted: an id lives for more than this and for less than twice
/// as long. BEP 15 lets clients use one for 60 s and asks trackers to take it for 120 s.
const WINDOW_SECONDS: u32 = 120;

/// What sets ids apart from the beginning of every reply (see [`super::packet::Head::is_reply`]).
const FIRST_BIT: u64 = 1 << 63;

/// Issues and verifies connection ids. Copies share the key: a client whose next datagram reaches another worker stays known.
#[derive(Clone, Copy)]
pub struct ConnectionIds {
    keyed: SipHasher24,
}

impl ConnectionIds {
    /// Makes a key from the system's generator.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn generate() -> Result<ConnectionIds, getrandom::Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(ConnectionIds::from_key(&key))
    }

    /// Takes a given key, for tests and the fuzzer.
    pub fn from_key(key: &[u8; 16]) -> ConnectionIds {
        ConnectionIds {
            keyed: SipHasher24::new_with_key(key),
        }
    }

    /// The id for the canonical address `ip`.
    pub fn issue(&self, ip: IpAddr, now: Seconds) -> u64 {
        self.tag(ip, now.raw() / WINDOW_SECONDS)
    }

    /// Whether `id` was issued to the canonical address `ip` at most one window ago. The time that it takes tells nothing about
    /// the right id.
    pub fn verify(&self, id: u64, ip: IpAddr, now: Seconds) -> bool {
        let window = now.raw() / WINDOW_SECONDS;
        // Most clients announce right after they connect: the second tag is seldom computed.
        self.is(id, ip, window) || self.is(id, ip, window.wrapping_sub(1))
    }

    fn is(&self, id: u64, ip: IpAddr, window: u32) -> bool {
        self.tag(ip, window).ct_eq(&id).into()
    }

    /// The two families cannot be taken for each other: the tag covers the length of what it hashes.
    fn tag(&self, ip: IpAddr, window: u32) -> u64 {
        let tag = match ip {
            IpAddr::V4(ip) => {
                let bytes = u64::from(ip.to_bits()) << 32 | u64::from(window);
                self.keyed.hash(&bytes.to_be_bytes())
            }
            IpAddr::V6(ip) => {
                let mut bytes = [0; 20];
                if let Some((address, rest)) = bytes.split_first_chunk_mut() {
                    *address = ip.octets();
                    rest.copy_from_slice(&window.to_be_bytes());
                }
                self.keyed.hash(&bytes)
            }
        };
        tag | FIRST_BIT
    }
}

/// Never shows the key.
impl fmt::Debug for ConnectionIds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ConnectionIds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    const IDS: fn() -> ConnectionIds = || ConnectionIds::from_key(b"0123456789abcdef");

    proptest! {
        /// P15, R5
        #[test]
        fn an_id_is_taken_for_120_seconds_and_refused_after_240(
            ip in any::<IpAddr>(), issued in 1_000_000_000_u32..1_000_100_000, age in 0_u32..1_000,
        ) {
            let ids = IDS();
            let id = ids.issue(ip, Seconds::from_raw(issued));
            let is_taken = ids.verify(id, ip, Seconds::from_raw(issued + age));
            prop_assert!(is_taken || age > 120);
            prop_assert!(!is_taken || age < 240);
        }

        /// R5
        #[test]
        fn an_id_of_a_window_to_come_or_of_another_address_is_refused(
            ip in any::<IpAddr>(), other in any::<IpAddr>(), issued in 1_000_000_000_u32..1_000_100_000, ahead in 120_u32..9_999,
        ) {
            let ids = IDS();
            let id = ids.issue(ip, Seconds::from_raw(issued));
            prop_assert!(!ids.verify(id, ip, Seconds::from_raw(issued - ahead)));
            prop_assert!(ip == other || !ids.verify(id, other, Seconds::from_raw(issued)));
        }
    }

    /// R5
    #[test]
    fn none_of_a_million_forged_ids_is_taken() {
        let ids = IDS();
        let mut rng = fastrand::Rng::with_seed(7);
        let v4 = "192.0.2.1".parse().unwrap();
        let v6 = "2001:db8::1".parse().unwrap();
        let taken = (0..1_000_000).filter(|_| {
            let id = rng.u64(..);
            ids.verify(id, v4, Seconds::START) || ids.verify(id, v6, Seconds::START)
        });
        assert_eq!(taken.count(), 0);
        assert!(ids.verify(ids.issue(v4, Seconds::START), v4, Seconds::START));
    }

    #[test]
    fn another_start_has_another_key() {
        let ip = "192.0.2.1".parse().unwrap();
        let before = ConnectionIds::generate().unwrap();
        let after = ConnectionIds::generate().unwrap();
        assert!(!after.verify(before.issue(ip, Seconds::START), ip, Seconds::START));
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", IDS()), "ConnectionIds");
    }
}
