//! Who is at the other end of a request: the address that counts, whether it is an administrator's, and whether the way to it
//! is encrypted.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;

use super::State;
use crate::origin::Forwarding;

/// The address of the socket; every connection comes with one, a test's request may not.
fn socket(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map(|peer| peer.ip());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn forwarding(request: &HttpRequest) -> Forwarding<'_> {
    let mut forwarding = Forwarding::default();
    for (name, value) in request.headers() {
        forwarding.add(name.as_str().as_bytes(), value.as_bytes());
    }
    forwarding
}

/// The canonical address that the request counts for.
pub(super) fn address(state: &State, request: &HttpRequest) -> IpAddr {
    let origin = state.doors.origin.load();
    origin.decide(socket(request), &forwarding(request))
}

/// Whether the request comes from an admin network.
pub(super) fn is_admin(state: &State, request: &HttpRequest) -> bool {
    state.doors.origin.load().is_admin(address(state, request))
}

/// Whether the visitor's browser speaks TLS, as a trusted proxy says it.
pub(super) fn is_secure(state: &State, request: &HttpRequest) -> bool {
    let origin = state.doors.origin.load();
    let says_https = request
        .headers()
        .get("X-Forwarded-Proto")
        .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    says_https && origin.believes(socket(request))
}
