//! What a watcher wants to see. Cheapest first: kind and address need no look into the request.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::tracker::{InfoHash, PeerId};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An announce.
    #[default]
    Announce,
    /// A scrape.
    Scrape,
}

impl Kind {
    /// All, in order.
    pub const ALL: [Kind; 2] = [Kind::Announce, Kind::Scrape];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Announce => "announce",
            Kind::Scrape => "scrape",
        }
    }
}

/// Which requests are told; what is not set lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only of this client, by the canonical address that counts for it.
    pub address: Option<IpAddr>,
    /// Only of clients in this network.
    pub network: Option<IpNet>,
    /// Only for this torrent: of scrapes those that ask for it too.
    pub info_hash: Option<InfoHash>,
    /// Only announces of peer ids that begin with one of these; empty for all.
    pub peer_ids: Vec<Vec<u8>>,
}

/// A request as filters see it.
pub struct Subject<'a> {
    /// What was asked for.
    pub kind: Kind,
    /// The canonical address of the client.
    pub ip: IpAddr,
    /// The client's id; none in scrapes, and where it could not be read.
    pub peer_id: Option<PeerId>,
    /// Whether this torrent was asked for.
    pub asks_for: &'a dyn Fn(&InfoHash) -> bool,
}

impl Filter {
    /// Whether a request of this kind and address may be one.
    pub(super) fn may_match(&self, kind: Kind, ip: IpAddr) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
            && self.address.is_none_or(|wanted| wanted == ip)
            && self.network.is_none_or(|network| network.contains(&ip))
            && (self.peer_ids.is_empty() || kind == Kind::Announce)
    }

    /// Whether it is one.
    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
        let begins_so = |id: PeerId| self.peer_ids.iter().any(|start| id.0.starts_with(start));
        self.may_match(subject.kind, subject.ip)
            && self.info_hash.is_none_or(|hash| (subject.asks_for)(&hash))
            && (self.peer_ids.is_empty() || subject.peer_id.is_some_and(begins_so))
    }
}

/// A part of a number that has to be so.
#[derive(Clone, Copy, Debug, Default)]
struct Part<T> {
    mask: T,
    wanted: T,
}

/// What a filter wants of an announce, as numbers: a few instructions for each announce that is not wanted, which is nearly every one. Lets
/// through all that the filter does, and hardly more.
#[derive(Clone, Debug, Default)]
pub(super) struct Sieve {
    hash: Part<u64>,
    address: Part<u128>,
    /// Any of these; empty for all.
    peer_ids: Vec<Part<u64>>,
}

/// An announce as sieves see it.
#[derive(Clone, Copy)]
pub(super) struct Sifted {
    hash: u64,
    address: u128,
    peer_id: u64,
}

impl Sifted {
    #[inline]
    pub(super) fn new(ip: IpAddr, info_hash: &InfoHash, peer_id: &PeerId) -> Sifted {
        Sifted {
            hash: beginning(&info_hash.0),
            address: number(ip),
            peer_id: beginning(&peer_id.0),
        }
    }
}

/// The first eight bytes; of fewer, with zeros behind.
#[inline]
fn beginning(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or_else(
        || short_beginning(bytes),
        |first| u64::from_be_bytes(*first),
    )
}

#[cold]
fn short_beginning(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_be_bytes(first)
}

/// Addresses of both families in one line.
#[inline]
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => 0xffff_0000_0000 | u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl Sieve {
    /// That of a filter; none when it wants no announces.
    pub(super) fn of(filter: &Filter) -> Option<Sieve> {
        if filter.kind.is_some_and(|kind| kind != Kind::Announce) {
            return None;
        }
        let hash = filter.info_hash.map_or_else(Part::default, |hash| Part {
            mask: u64::MAX,
            wanted: beginning(&hash.0),
        });
        let address = match (filter.address, filter.network) {
            (Some(ip), _) => Part {
                mask: u128::MAX,
                wanted: number(ip),
            },
            (None, Some(network)) => {
                let bits = u32::from(network.max_prefix_len() - network.prefix_len());
                Part {
                    mask: u128::MAX.checked_shl(bits).unwrap_or(0),
                    wanted: number(network.network()),
                }
            }
            (None, None) => Part::default(),
        };
        let peer_ids = filter.peer_ids.iter().map(|start| Part {
            mask: beginning(&vec![0xff; start.len()]),
            wanted: beginning(start),
        });
        Some(Sieve {
            hash,
            address,
            peer_ids: peer_ids.collect(),
        })
    }

    #[inline]
    pub(super) fn admits(&self, announce: &Sifted) -> bool {
        announce.hash & self.hash.mask == self.hash.wanted
            && announce.address & self.address.mask == self.address.wanted
            && (self.peer_ids.is_empty()
                || self
                    .peer_ids
                    .iter()
                    .any(|part| announce.peer_id & part.mask == part.wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    const HASH: InfoHash = InfoHash([7; 20]);

    fn is_shown(filter: &Filter, kind: Kind, ip: &str, id: Option<&[u8; 20]>) -> bool {
        filter.matches(&Subject {
            kind,
            ip: ip.parse().unwrap(),
            peer_id: id.map(|id| PeerId(*id)),
            asks_for: &|hash| *hash == HASH,
        })
    }

    /// O30
    #[test]
    fn all_that_is_set_has_to_fit() {
        let id = Some(b"-qB4520-abcdefghijkl");
        let announce = |filter: &Filter| is_shown(filter, Kind::Announce, "192.0.2.7", id);
        let none = Filter::default;
        assert!(announce(&none()));
        let fits = Filter {
            kind: Some(Kind::Announce),
            address: Some("192.0.2.7".parse().unwrap()),
            network: Some("192.0.2.0/24".parse().unwrap()),
            info_hash: Some(HASH),
            peer_ids: vec![b"-TR".to_vec(), b"-qB".to_vec()],
        };
        assert!(announce(&fits));
        for other in [
            Filter {
                kind: Some(Kind::Scrape),
                ..fits.clone()
            },
            Filter {
                address: Some("192.0.2.8".parse().unwrap()),
                ..fits.clone()
            },
            Filter {
                network: Some("2001:db8::/32".parse().unwrap()),
                ..fits.clone()
            },
            Filter {
                info_hash: Some(InfoHash([8; 20])),
                ..fits.clone()
            },
            Filter {
                peer_ids: vec![b"-TR".to_vec()],
                ..fits.clone()
            },
        ] {
            assert!(!announce(&other), "{other:?}");
        }
        // A scrape has no id; an announce whose id cannot be read has none either.
        let client = Filter {
            peer_ids: vec![b"-qB".to_vec()],
            ..none()
        };
        assert!(!is_shown(&client, Kind::Scrape, "192.0.2.7", None));
        assert!(!is_shown(&client, Kind::Announce, "192.0.2.7", None));
        let hash = Filter {
            info_hash: Some(HASH),
            ..none()
        };
        assert!(is_shown(&hash, Kind::Scrape, "2001:db8::1", None));
    }

    proptest! {
        /// O30: what a filter lets through, its sieve does; and where they begin so, nothing else.
        #[test]
        fn a_sieve_lets_through_what_its_filter_does(
            v4 in any::<bool>(),
            bits in any::<u128>(),
            other_bits in any::<u128>(),
            prefix in 0_u8..=128,
            hash in any::<[u8; 20]>(),
            id in any::<[u8; 20]>(),
            start in 1_usize..=8,
            set in any::<[bool; 4]>(),
        ) {
            let ip = |bits: u128| -> IpAddr {
                if v4 { IpAddr::from(*bits.to_be_bytes().first_chunk::<4>().unwrap()) } else { IpAddr::from(bits.to_be_bytes()) }
            };
            let network = |bits| IpNet::new(ip(bits), if v4 { prefix % 33 } else { prefix }).unwrap().trunc();
            let filter = |bits, hash: [u8; 20], id: [u8; 20]| Filter {
                kind: Some(Kind::Announce),
                address: set[0].then(|| ip(bits)),
                network: set[1].then(|| network(bits)),
                info_hash: set[2].then_some(InfoHash(hash)),
                peer_ids: if set[3] { vec![b"no".to_vec(), id[..start].to_vec()] } else { Vec::new() },
            };
            let sifted = Sifted::new(ip(bits), &InfoHash(hash), &PeerId(id));
            let subject = Subject {
                kind: Kind::Announce,
                ip: ip(bits),
                peer_id: Some(PeerId(id)),
                asks_for: &|asked| asked.0 == hash,
            };
            let own = filter(bits, hash, id);
            prop_assert!(own.matches(&subject) && Sieve::of(&own).unwrap().admits(&sifted));
            let mut other_id = id;
            other_id[0] ^= 1;
            for (bits, hash, id) in [(other_bits, hash, id), (bits, [7; 20], id), (bits, hash, other_id)] {
                let other = filter(bits, hash, id);
                prop_assert_eq!(other.matches(&subject), Sieve::of(&other).unwrap().admits(&sifted));
            }
            let scrapes = Filter { kind: Some(Kind::Scrape), ..Filter::default() };
            prop_assert!(Sieve::of(&scrapes).is_none());
        }
    }
}
