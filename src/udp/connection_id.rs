//! Connection ids (BEP 15): proof that a client receives at the address it sends from, without state per client.
//!
//! An id is the 64-bit SipHash-2-4 tag, under a secret key, of the client's address and the window of time that it was issued in;
//! its first bit is always set, so that no reply, which begins with a small number, is taken for a request with an id. The port
//! is left out: routers that translate addresses change it. No time stands in the id itself, so 63 bits must be guessed.
//!
//! Key and time may go on after a restart ([`ConnectionIds::resume`]): clients use an id for a minute, and most that are
//! refused ask again only after 15 s and more.

use std::fmt;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;

use crate::clock::Seconds;
use crate::invariant::present;

/// Length of a window. An id lives for more than [`KEPT`] windows and for less than one more: 135 to 180 s. BEP 15 lets clients
/// use one for 60 s and asks trackers to take it for 120 s; what is above it makes up for whole seconds that are lost or won at
/// a restart.
const WINDOW_SECONDS: u64 = 45;
/// Windows before the present one whose ids are taken.
const KEPT: u32 = 3;

/// What sets ids apart from the beginning of every reply (see [`super::packet::Head::is_reply`]).
const FIRST_BIT: u64 = 1 << 63;

/// Issues and verifies connection ids. Copies share the key: a client whose next datagram reaches another worker stays known.
#[derive(Clone, Copy)]
pub struct ConnectionIds {
    keyed: SipHasher24,
    /// What the time of the windows is ahead of the process's.
    ahead: u64,
}

/// The secret under which ids are made.
///
/// It is as old as the folder that it is kept in. Rotating it would gain nothing: ids tell nothing of it, however many somebody
/// collects, and whoever could read one key can read the next.
#[derive(Clone, Copy)]
pub struct Key([u8; 16]);

impl Key {
    /// Makes a key from the system's generator.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn generate() -> Result<Key, getrandom::Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Key(key))
    }

    /// Reads what [`Key::to_text`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Key> {
        let digits = text.strip_suffix('\n')?;
        let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(digits, 16).ok()?;
        is_hex.then_some(Key(number.to_be_bytes()))
    }

    /// 32 hex digits and a line end.
    pub fn to_text(&self) -> String {
        format!("{:032x}\n", u128::from_be_bytes(self.0))
    }
}

/// Never shows the key.
impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key")
    }
}

impl ConnectionIds {
    /// Ids of a new key, which nobody has been issued yet.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn generate() -> Result<ConnectionIds, getrandom::Error> {
        Ok(ConnectionIds::from_key(&Key::generate()?.0))
    }

    /// Takes a given key, for tests and the fuzzer.
    pub fn from_key(key: &[u8; 16]) -> ConnectionIds {
        ConnectionIds {
            keyed: SipHasher24::new_with_key(key),
            ahead: 0,
        }
    }

    /// Goes on with ids of `key` on a clock that survives the process and shows `elapsed` seconds at `now`. It may go wrong by a
    /// window at each restart; if it goes back by more, ids of meanwhile are refused, and taken once it has caught up.
    pub fn resume(key: &Key, elapsed: u64, now: Seconds) -> ConnectionIds {
        ConnectionIds {
            ahead: elapsed.wrapping_sub(now.raw().into()),
            ..ConnectionIds::from_key(&key.0)
        }
    }

    /// The id for the canonical address `ip`.
    pub fn issue(&self, ip: IpAddr, now: Seconds) -> u64 {
        self.tag(ip, self.window(now))
    }

    /// Whether `id` was issued to the canonical address `ip` at most [`KEPT`] windows ago. The time that it takes tells nothing
    /// about the right id.
    pub fn verify(&self, id: u64, ip: IpAddr, now: Seconds) -> bool {
        let window = self.window(now);
        // Most clients announce right after they connect: what follows is seldom computed.
        self.is(id, ip, window) || self.is_of_another(id, ip, window)
    }

    /// Whether `id` was issued in a window before, or in the one to come: that is one of a process before this, whose clock was ahead by a
    /// part of a second; nobody else has issued ids of it.
    #[cold]
    #[inline(never)]
    fn is_of_another(&self, id: u64, ip: IpAddr, window: u32) -> bool {
        (1..=KEPT).any(|ago| self.is(id, ip, window.wrapping_sub(ago)))
            || self.is(id, ip, window.wrapping_add(1))
    }

    fn is(&self, id: u64, ip: IpAddr, window: u32) -> bool {
        self.tag(ip, window).ct_eq(&id).into()
    }

    /// The low 32 bits of the window's number: enough for 6,000 years.
    fn window(&self, now: Seconds) -> u32 {
        let window = self.ahead.wrapping_add(now.raw().into()) / WINDOW_SECONDS;
        let low = u32::try_from(window & u64::from(u32::MAX)).ok();
        present(low, "32 bits are left").unwrap_or_default()
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
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

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
        fn an_id_of_far_ahead_or_of_another_address_is_refused(
            ip in any::<IpAddr>(), other in any::<IpAddr>(), issued in 1_000_000_000_u32..1_000_100_000, ahead in 90_u32..9_999,
        ) {
            let ids = IDS();
            let id = ids.issue(ip, Seconds::from_raw(issued));
            prop_assert!(!ids.verify(id, ip, Seconds::from_raw(issued - ahead)));
            prop_assert!(ip == other || !ids.verify(id, other, Seconds::from_raw(issued)));
        }
    }

    proptest! {
        /// P24: whatever the process's own clocks show; whole seconds are lost or won where the surviving clock is read
        #[test]
        fn after_a_restart_an_id_is_taken_for_120_seconds_and_refused_after_240(
            ip in any::<IpAddr>(), elapsed in 0_u64..1 << 40, run in 0_u32..1_000_000, away in 0_u32..1_000,
            later in 0_u32..1_000, error in -2_i64..=2,
        ) {
            let key = Key::generate().unwrap();
            let before = ConnectionIds::resume(&key, elapsed, Seconds::START);
            let issued = Seconds::START.plus(run);
            let id = before.issue(ip, issued);
            let resumed = elapsed.wrapping_add(u64::from(run + away)).wrapping_add_signed(error);
            let after = ConnectionIds::resume(&key, resumed, Seconds::START.plus(3));
            let is_taken = after.verify(id, ip, Seconds::START.plus(3 + later));
            prop_assert!(is_taken || away + later > 120);
            prop_assert!(!is_taken || away + later < 240);
        }

        /// P24
        #[test]
        fn a_key_is_read_back_from_its_text_and_from_nothing_else(text in "[0-9a-f]{0,40}\n?", bytes in any::<Vec<u8>>()) {
            let key = Key::generate().unwrap();
            prop_assert_eq!(key.to_text().len(), 33);
            prop_assert_eq!(Key::parse(&key.to_text()).unwrap().0, key.0);
            prop_assert_eq!(Key::parse(&text).is_some(), text.len() == 33 && text.ends_with('\n'));
            prop_assert!(Key::parse(&String::from_utf8_lossy(&bytes)).is_none());
        }
    }

    /// R5, R26
    #[test]
    fn an_id_never_begins_like_a_reply() {
        let ids = IDS();
        for host in 0..10_000_u32 {
            let id = ids.issue(IpAddr::V4(host.into()), Seconds::START);
            assert!(id >> 32 > 3);
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
        let key = Key([0xab; 16]);
        assert_eq!(format!("{:?} {key:?}", IDS()), "ConnectionIds Key");
    }
}
