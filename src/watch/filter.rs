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

#[cfg(test)]
mod tests {
    use super::*;

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
}
