//! BEP 12: which of several trackers a client asks, in which order.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::book::{Book, Evidence, Finding};
use super::rule::Rule;
use crate::lab::exchange::Transport;

/// Where a client announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// By what.
    pub transport: Transport,
    /// The tracker's end.
    pub tracker: SocketAddr,
    /// The path of the URL; empty over UDP.
    pub path: Vec<u8>,
}

impl Place {
    /// Reads an announce URL with an address of numbers or `localhost` (then the address stands for both families, as `[::]`).
    pub fn of_url(url: &str) -> Option<Place> {
        let (scheme, rest) = url.split_once("://")?;
        let transport = match scheme {
            "http" => Transport::Http,
            "https" => Transport::Https,
            "udp" => Transport::Udp,
            _ => return None,
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at)?,
            None => (rest, ""),
        };
        let path = path.split('?').next().unwrap_or_default();
        let tracker = match host.strip_prefix("localhost:") {
            Some(port) => SocketAddr::new(IpAddr::from([0u16; 8]), port.parse().ok()?),
            None => host.parse().ok()?,
        };
        Some(Place {
            transport,
            tracker,
            path: match transport {
                Transport::Udp => Vec::new(),
                Transport::Http | Transport::Https => path.as_bytes().to_vec(),
            },
        })
    }

    /// Whether an announce at `other` is one at this place.
    fn is_at(&self, other: &Place) -> bool {
        let address = self.tracker.ip().to_canonical();
        self.transport == other.transport
            && self.tracker.port() == other.tracker.port()
            && self.path == other.path
            && (address.is_unspecified() || address == other.tracker.ip().to_canonical())
    }

    /// As a URL.
    pub fn url(&self) -> String {
        format!(
            "{}://{}{}",
            self.transport,
            self.tracker,
            super::book::escaped(&self.path)
        )
    }
}

/// Trackers of the tiers over UDP whose latest connect was not answered with a connection id: they were tried, and have failed, though no
/// announce came to them. A connect names no torrent, and so this holds for every session.
#[derive(Clone, Debug, Default)]
pub(super) struct Unconnected(Vec<Place>);

impl Unconnected {
    /// Hears of a connect; of trackers of the tiers only, which bounds it.
    pub(super) fn hear(&mut self, tiers: &[Vec<Place>], tracker: SocketAddr, is_answered: bool) {
        let asked = Place {
            transport: Transport::Udp,
            tracker,
            path: Vec::new(),
        };
        let place = tiers.iter().flatten().find(|place| place.is_at(&asked));
        let Some(place) = place else {
            return;
        };
        self.0.retain(|there| there != place);
        if !is_answered {
            self.0.push(place.clone());
        }
    }

    fn has(&self, place: &Place) -> bool {
        self.0.contains(place)
    }
}

/// What became of the latest announce at a place of a tier.
#[derive(Clone, Debug)]
struct Tried {
    has_failed: bool,
    /// It may be asked again before others are.
    may_be_repeated: bool,
    at: Duration,
    evidence: Evidence,
}

/// How one session goes through the tiers.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// As the tiers are, each place with its latest.
    tried: Vec<Vec<Option<Tried>>>,
    /// In each tier the place that answered after another had failed.
    promoted: Vec<Option<usize>>,
}

/// An announce, as far as tiers matter.
pub(super) struct Attempt<'a> {
    pub(super) session: Option<u32>,
    pub(super) place: &'a Place,
    pub(super) at: Duration,
    /// Whether it failed; none where that cannot be told.
    pub(super) has_failed: Option<bool>,
    /// Whether it is a datagram that was not answered: it is sent again at its place first (BEP 15).
    pub(super) is_silent_datagram: bool,
    pub(super) evidence: Evidence,
}

impl Progress {
    pub(super) fn hear(
        &mut self,
        book: &mut Book,
        tiers: &[Vec<Place>],
        unconnected: &Unconnected,
        attempt: Attempt<'_>,
    ) {
        self.tried.resize(tiers.len(), Vec::new());
        self.promoted.resize(tiers.len(), None);
        for (tried, tier) in self.tried.iter_mut().zip(tiers) {
            tried.resize(tier.len(), None);
        }
        let found = tiers.iter().enumerate().find_map(|(tier, places)| {
            let mut places = places.iter();
            Some((tier, places.position(|place| place.is_at(attempt.place))?))
        });
        let Some((tier, place)) = found else {
            return;
        };
        self.check_order(book, tiers, unconnected, tier, &attempt);
        self.check_fallback(book, tiers, unconnected, (tier, place), &attempt);
        self.check_promotion(book, tiers, (tier, place), &attempt);
        let Some(has_failed) = attempt.has_failed else {
            return;
        };
        let others = self.tried.get(tier).into_iter().flatten().enumerate();
        let mut others = others.filter(|(other, _)| *other != place);
        let one_failed =
            others.any(|(_, tried)| tried.as_ref().is_some_and(|tried| tried.has_failed));
        if let Some(promoted) = self.promoted.get_mut(tier) {
            *promoted = (!has_failed && one_failed).then_some(place);
        }
        let slot = self
            .tried
            .get_mut(tier)
            .and_then(|tier| tier.get_mut(place));
        if let Some(slot) = slot {
            *slot = Some(Tried {
                has_failed,
                may_be_repeated: attempt.is_silent_datagram,
                at: attempt.at,
                evidence: attempt.evidence,
            });
        }
    }

    fn check_order(
        &self,
        book: &mut Book,
        tiers: &[Vec<Place>],
        unconnected: &Unconnected,
        tier: usize,
        attempt: &Attempt<'_>,
    ) {
        if tier == 0 {
            return;
        }
        let earlier = tiers.iter().zip(&self.tried).take(tier);
        let mut earlier = earlier.flat_map(|(places, tried)| places.iter().zip(tried));
        let passed_over = earlier.find(|(place, tried)| {
            let has_failed = tried.as_ref().is_some_and(|tried| tried.has_failed);
            !has_failed && !unconnected.has(place)
        });
        book.check(Rule::TierOrder, passed_over.is_none(), || {
            let url = passed_over.map(|(place, _)| place.url());
            let url = url.unwrap_or_default();
            let earlier = passed_over.and_then(|(_, tried)| tried.as_ref());
            let how = if earlier.is_some() {
                "had answered"
            } else {
                "was not tried"
            };
            Finding {
                session: attempt.session,
                what: format!(
                    "announced to {} of tier {} while {url} of a tier before it {how}",
                    attempt.place.url(),
                    tier + 1
                ),
                right: format!("{url} first, and this one when it has failed"),
                evidence: earlier
                    .map(|tried| tried.evidence.clone())
                    .into_iter()
                    .chain([attempt.evidence.clone()])
                    .collect(),
            }
        });
    }

    fn check_fallback(
        &self,
        book: &mut Book,
        tiers: &[Vec<Place>],
        unconnected: &Unconnected,
        (tier, place): (usize, usize),
        attempt: &Attempt<'_>,
    ) {
        let mine = self.tried.get(tier).and_then(|tier| tier.get(place));
        if let Some(Some(mine)) = mine {
            let Some(untried) = self
                .untried(tiers, unconnected)
                .filter(|_| mine.has_failed && !mine.may_be_repeated)
            else {
                return;
            };
            book.check(Rule::TierFallback, false, || Finding {
                session: attempt.session,
                what: format!(
                    "asked {} again, which had failed, before {} was tried",
                    attempt.place.url(),
                    untried.url()
                ),
                right: format!("an announce to {}", untried.url()),
                evidence: vec![mine.evidence.clone(), attempt.evidence.clone()],
            });
            return;
        }
        let mut tried = self.tried.iter().flatten().flatten();
        if tried.any(|tried| tried.has_failed) {
            book.kept(Rule::TierFallback);
        }
    }

    fn check_promotion(
        &self,
        book: &mut Book,
        tiers: &[Vec<Place>],
        (tier, place): (usize, usize),
        attempt: &Attempt<'_>,
    ) {
        let Some(Some(promoted)) = self.promoted.get(tier) else {
            return;
        };
        let first = tiers.get(tier).and_then(|tier| tier.get(*promoted));
        book.check(Rule::TierPromoted, *promoted == place, || Finding {
            session: attempt.session,
            what: format!(
                "asked {} though {} was the one that answered",
                attempt.place.url(),
                first.map(Place::url).unwrap_or_default()
            ),
            right: "the one that answered first".to_owned(),
            evidence: vec![attempt.evidence.clone()],
        });
    }

    fn untried<'a>(&self, tiers: &'a [Vec<Place>], unconnected: &Unconnected) -> Option<&'a Place> {
        let pairs = tiers.iter().zip(&self.tried);
        let mut pairs = pairs.flat_map(|(places, tried)| places.iter().zip(tried));
        pairs
            .find(|(place, tried)| tried.is_none() && !unconnected.has(place))
            .map(|(place, _)| place)
    }

    /// Who failed and was the last that was asked, though others were left.
    pub(super) fn finish(
        &self,
        book: &mut Book,
        session: u32,
        (tiers, unconnected): (&[Vec<Place>], &Unconnected),
        at: Duration,
        patience: Duration,
    ) {
        let all: Vec<&Tried> = self.tried.iter().flatten().flatten().collect();
        let is_lost = !all.is_empty() && all.iter().all(|tried| tried.has_failed);
        let last = all.iter().max_by_key(|tried| tried.at);
        if let (true, Some(last), Some(untried)) = (is_lost, last, self.untried(tiers, unconnected))
            && at.saturating_sub(last.at) > patience
        {
            book.check(Rule::TierFallback, false, || Finding {
                session: Some(session),
                what: format!("{} was never tried", untried.url()),
                right: "an announce to it when the others had failed".to_owned(),
                evidence: vec![last.evidence.clone()],
            });
        }
    }
}
