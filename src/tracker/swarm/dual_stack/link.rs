//! Tying and untying the two addresses of a client in a swarm (S14): when it joins by the second one, when its role changes, and when
//! either leaves, expires, is blocked or evicted.

use std::net::SocketAddr;

use super::recent_clients::Client;
use super::{Pair, Uncounted};
use crate::metrics::AnnounceOutcome;
use crate::tracker::announce::Announce;
use crate::tracker::peers::Role;
use crate::tracker::peers::owner::StoredId;
use crate::tracker::peers::peer::State;
use crate::tracker::swarm::Swarm;
use crate::tracker::swarm::upsert::{Change, Rules};

impl<I: StoredId> Swarm<I> {
    /// What the announce of a client that may have several addresses changes beside its own entry; after that has been accounted
    /// for. `false` when the address is a further one of its family and was not stored.
    pub(crate) fn link(&mut self, announce: &Announce, change: &Change, rules: &Rules<'_>) -> bool {
        let address = SocketAddr::new(announce.ip, announce.port);
        if change.is_dual && self.is_tied(address) {
            if change.outcome == AnnounceOutcome::Early {
                return true;
            }
            // The client is looked for where it announced last, or where it still is.
            let other = self.extra.as_ref();
            let other = other.and_then(|extra| extra.dual_stack.other(address));
            let at = other.filter(|_| change.outcome == AnnounceOutcome::Left);
            let at = at.map_or(announce.ip, |other| other.ip());
            if let Some(client) = Client::of(announce) {
                rules.clients.replace(&client, at, rules.now);
            }
            if change.outcome == AnnounceOutcome::Left
                || !self.is_of_one_client(address, announce, rules)
            {
                self.unlink(address, rules);
                if let Some(state) = self.state_at(address, rules) {
                    state.set_dual(false);
                }
            } else {
                self.recount(address, rules);
            }
            return true;
        }
        // Who was restored from a snapshot, or came back from behind a block, is known again by any announce, an early one too. Nobody
        // else looks anything up while there is no v6 peer.
        let is_stored = match change.outcome {
            AnnounceOutcome::Joined => true,
            AnnounceOutcome::Refreshed | AnnounceOutcome::Early => change.is_dual || self.has_v6(),
            _ => false,
        };
        let client = Client::of(announce).filter(|_| is_stored && !announce.is_reported);
        let Some(client) = client else {
            return true;
        };
        let lifetime = rules.settings.lifetime();
        let Some(other) = rules
            .clients
            .other(&client, announce.ip, rules.now, lifetime)
        else {
            return true;
        };
        let other = SocketAddr::new(other, announce.port);
        let extra = self.extra.as_ref();
        let beside = extra.and_then(|extra| extra.dual_stack.other(other));
        let (same_family, other_family) = if other.is_ipv4() == address.is_ipv4() {
            (Some(other), beside)
        } else {
            (beside, Some(other))
        };
        if let Some(same_family) = same_family.filter(|same| *same != address) {
            if self.is_there(same_family, announce, rules) {
                // A refresh is of an address that was stored when the other one was not there yet.
                return change.outcome != AnnounceOutcome::Joined || !self.evict(address, rules);
            }
            // Silent for too long: unless somebody else has come to that address meanwhile.
            let state = self.state_at(same_family, rules);
            if state.is_some_and(|state| state.id.is(announce.peer_id)) {
                self.evict(same_family, rules);
            }
        }
        rules.clients.replace(&client, announce.ip, rules.now);
        let first = other_family.filter(|first| self.is_there(*first, announce, rules));
        let Some(first) = first else {
            return true;
        };
        self.tie(first, address, rules);
        true
    }

    /// Looks for the other address of a client that another tracker tells of: it may have come by a third tracker, or announce here.
    pub(in crate::tracker::swarm) fn link_merged(
        &mut self,
        client: &Client,
        address: SocketAddr,
        rules: &Rules<'_>,
    ) {
        if self.is_tied(address) {
            self.recount(address, rules);
            return;
        }
        let lifetime = rules.settings.lifetime();
        let other = rules
            .clients
            .other(client, address.ip(), rules.now, lifetime);
        // A client that has moved within a family is left to the tracker that it announces to.
        let other = other.filter(|other| other.is_ipv4() != address.is_ipv4());
        let Some(other) = other.map(|ip| SocketAddr::new(ip, address.port())) else {
            return;
        };
        let is_its_own = |state: &mut State<I>| state.id.is(client.peer_id) && !state.is_reported();
        if !self.is_tied(other) && self.state_at(other, rules).is_some_and(is_its_own) {
            self.tie(other, address, rules);
        }
    }

    /// Ties two addresses that were tied before the blocklist took one of them out, where both are the same client's still.
    pub(in crate::tracker::swarm) fn pair_again(&mut self, pair: Pair, rules: &Rules<'_>) {
        let [first, later] = pair.ends();
        if self.is_tied(first) || self.is_tied(later) {
            return;
        }
        let mut id_at = |address| self.state_at(address, rules).map(|state| state.id);
        let (Some(one), Some(other)) = (id_at(first), id_at(later)) else {
            return;
        };
        if one == other {
            self.tie(first, later, rules);
        }
    }

    /// Whether an address is one of a pair.
    fn is_tied(&self, address: SocketAddr) -> bool {
        let extra = self.extra.as_ref();
        extra.is_some_and(|extra| extra.dual_stack.other(address).is_some())
    }

    /// Makes a pair of two addresses, of which `later` is not counted.
    fn tie(&mut self, first: SocketAddr, later: SocketAddr, rules: &Rules<'_>) {
        let extra = self.extra.get_or_insert_with(Box::default);
        if extra.dual_stack.pair(first, later) {
            for end in [first, later] {
                if let Some(state) = self.state_at(end, rules) {
                    state.set_dual(true);
                }
            }
            self.recount(later, rules);
        }
    }

    /// Whether the announcer has a peer at another address that is not silent for longer than it was told to be.
    fn is_there(&mut self, other: SocketAddr, announce: &Announce, rules: &Rules<'_>) -> bool {
        let (now, overdue) = (rules.now, rules.settings.overdue());
        self.state_at(other, rules).is_some_and(|state| {
            state.id.is(announce.peer_id)
                && !state.is_reported()
                && now.since(state.seen()) <= overdue
        })
    }

    /// Whether the other address of a pair is still the announcer's: another client may have taken this one over.
    fn is_of_one_client(
        &mut self,
        address: SocketAddr,
        announce: &Announce,
        rules: &Rules<'_>,
    ) -> bool {
        let extra = self.extra.as_ref();
        let other = extra.and_then(|extra| extra.dual_stack.other(address));
        let other = other.and_then(|other| self.state_at(other, rules));
        other.is_some_and(|state| state.id.is(announce.peer_id))
    }

    /// Whether the announcer's is an address that is not counted.
    pub(crate) fn is_uncounted(&mut self, announce: &Announce) -> bool {
        let address = SocketAddr::new(announce.ip, announce.port);
        let extra = self.extra.as_mut();
        let uncounted = extra.and_then(|extra| extra.dual_stack.uncounted_mut(address));
        uncounted.is_some_and(|uncounted| *uncounted != Uncounted::No)
    }

    /// Takes the pair of an address apart that has left.
    fn unlink(&mut self, address: SocketAddr, rules: &Rules<'_>) {
        let extra = self.extra.as_mut();
        let other = extra.and_then(|extra| extra.dual_stack.part(address));
        if let Some(state) = other.and_then(|other| self.state_at(other, rules)) {
            state.set_dual(false);
        }
    }

    /// Brings the count in line with the role of an address that is not counted.
    fn recount(&mut self, address: SocketAddr, rules: &Rules<'_>) {
        let other = self.extra.as_ref();
        let Some(other) = other.and_then(|extra| extra.dual_stack.other(address)) else {
            return;
        };
        let is_first = self.extra.as_mut().is_some_and(|extra| {
            let of_other = extra.dual_stack.uncounted_mut(other);
            of_other.is_some_and(|uncounted| *uncounted != Uncounted::No)
        });
        if is_first {
            return;
        }
        let now = match self.find_at(address, rules) {
            Some((Role::Leecher, _)) => Uncounted::Leecher,
            Some((Role::Seeder, true)) => Uncounted::Paused,
            Some((Role::Seeder, false)) => Uncounted::Seeder,
            None => Uncounted::No,
        };
        if let Some(extra) = &mut self.extra {
            extra.dual_stack.recount(address, now);
        }
    }

    /// The role of the peer at an address, and whether it is paused.
    fn find_at(&mut self, address: SocketAddr, rules: &Rules<'_>) -> Option<(Role, bool)> {
        let (role, position) = self.families().find(address, rules.zones)?;
        let state = self.state_mut(address.ip(), role, position);
        let is_paused = state.is_some_and(|state| state.is_paused());
        Some((role, is_paused))
    }

    /// What is kept of the peer at an address.
    fn state_at(&mut self, address: SocketAddr, rules: &Rules<'_>) -> Option<&mut State<I>> {
        let (role, position) = self.families().find(address, rules.zones)?;
        self.state_mut(address.ip(), role, position)
    }
}

/// The addresses of pairs among peers that leave together.
#[derive(Debug, Default)]
pub(crate) struct UnlinkedPairs(Vec<SocketAddr>);

impl UnlinkedPairs {
    pub(crate) fn note<I: StoredId>(&mut self, address: SocketAddr, state: &State<I>) {
        if state.is_dual() {
            self.0.push(address);
        }
    }

    /// Takes the pairs apart.
    pub(crate) fn unlink<I: StoredId>(self, swarm: &mut Swarm<I>, rules: &Rules<'_>) {
        self.0
            .into_iter()
            .for_each(|address| swarm.unlink(address, rules));
    }
}
