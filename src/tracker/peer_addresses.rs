//! Which addresses a peer is stored under: decided once, before there is an [`Announce`](super::Announce), and the same for
//! every protocol.

use std::net::IpAddr;

use super::Tracker;
use super::announce::{AnnounceContext, Refusal};
use crate::metrics::{Failure, Transport};
use crate::net::address_pair::outside_of;
use crate::net::reported_address::{Judged, Reports, Rules};

/// The addresses that a peer is stored under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddresses {
    /// Where others reach it; canonical.
    pub ip: IpAddr,
    /// A second address of it inside a pair of networks (S10).
    pub inner_ip: Option<IpAddr>,
    /// Whether `ip` is what the client says and not where the announce came from.
    pub is_reported: bool,
    /// Whether there may be a client at `ip`: where a trusted proxy itself is reached, there is none (S13).
    pub may_be_stored: bool,
}

impl PeerAddresses {
    /// Those of a client that is reached where its announce came from.
    pub const fn of_source(source: IpAddr) -> PeerAddresses {
        PeerAddresses {
            ip: source,
            inner_ip: None,
            is_reported: false,
            may_be_stored: true,
        }
    }

    /// The port that goes into the announce of a client that says `port`: 0, with which it is answered and not stored, where
    /// there may be no client.
    pub const fn port(&self, port: u16) -> u16 {
        if self.may_be_stored { port } else { 0 }
    }
}

impl Tracker {
    /// Resolves the addresses of an announce: its source, or what it reports when the rules and the bound on reported
    /// addresses of one source (C7) let that count, as pairs of networks have others see it (S10). Counts reports that do
    /// not count as failures of `transport`.
    ///
    /// Every address that is left for another one is asked of the lists here, so that nobody who is blocked hides behind another
    /// address; the one that comes out is asked of them by [`Tracker::announce`].
    ///
    /// # Errors
    /// The refusal that the client is to read; nothing has changed then.
    // Always: most announces report nothing, and a call would cost them as much as the rest of it.
    #[inline(always)]
    pub fn resolve_addresses(
        &self,
        reports: Reports<'_, impl Iterator<Item = Option<IpAddr>>>,
        rules: &Rules,
        transport: Transport,
        context: &AnnounceContext<'_>,
    ) -> Result<PeerAddresses, Refusal> {
        let mut addresses = PeerAddresses::of_source(reports.source);
        if !rules.ignore {
            let source = reports.source;
            let judged = rules.judge(reports);
            if judged.has_refused {
                context.counters.failed(transport, Failure::ReportedAddress);
            }
            addresses = self.admit_reported(source, judged, transport, context)?;
        }
        if rules.pairs.is_empty() {
            return Ok(addresses);
        }
        self.seen_from_outside(addresses, rules)
    }

    /// The addresses that were `judged` right; the source alone, since it has so many reported addresses at a time and no more.
    fn admit_reported(
        &self,
        source: IpAddr,
        judged: Judged,
        transport: Transport,
        context: &AnnounceContext<'_>,
    ) -> Result<PeerAddresses, Refusal> {
        let is_reported = judged.ip != source;
        if is_reported {
            // Before it is remembered: who is refused shall not fill the table of those who report.
            self.access.admit(source)?;
            let lifetime = self.policy.load().settings.lifetime();
            if !self
                .reporters
                .admit(source, judged.ip, context.now, lifetime)
            {
                context.counters.failed(transport, Failure::ReportedAddress);
                return Ok(PeerAddresses::of_source(source));
            }
        }
        Ok(PeerAddresses {
            ip: judged.ip,
            inner_ip: judged.inner_ip,
            is_reported,
            may_be_stored: !judged.is_proxy,
        })
    }

    /// The addresses as others see them, when a pair of networks tells another one of a host inside (S10).
    #[cold]
    fn seen_from_outside(
        &self,
        addresses: PeerAddresses,
        rules: &Rules,
    ) -> Result<PeerAddresses, Refusal> {
        let Some(ip) = outside_of(&rules.pairs, addresses.ip) else {
            return Ok(addresses);
        };
        self.access.admit(addresses.ip)?;
        Ok(PeerAddresses { ip, ..addresses })
    }
}
