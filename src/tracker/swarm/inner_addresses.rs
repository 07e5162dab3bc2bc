//! The inner addresses of those whom the announcer reaches inside, where a pair of networks tells them (S10).

use crate::net::AddressPair;
use crate::tracker::announce::{Announce, PeerList};
use crate::tracker::peers::address::Address;

/// Puts the inside addresses onto the list of an announcer who is inside, as far as pairs tell them.
pub(super) fn translate(pairs: &[AddressPair], announce: &Announce, list: &mut PeerList) {
    fn translate<A: Address>(pair: &AddressPair, listed: &mut [A]) {
        for address in listed {
            let inside = pair.inside_of(address.ip());
            if let Some(inside) = inside.and_then(|ip| A::pack(ip, address.port())) {
                *address = inside;
            }
        }
    }
    let one_to_one = pairs.iter().filter(|pair| pair.is_one_to_one());
    for pair in one_to_one.filter(|pair| has(pair, announce)) {
        translate(pair, &mut list.v4);
        translate(pair, &mut list.v6);
    }
}

/// Whether the announcer is one of the pair's hosts.
fn has(pair: &AddressPair, announce: &Announce) -> bool {
    let ips = [Some(announce.ip), announce.inner_ip].into_iter().flatten();
    let mut nets = ips.map(|ip| pair.inside.contains(&ip) || pair.outside.contains(&ip));
    nets.any(|is_there| is_there)
}
