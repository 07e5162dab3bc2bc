//! Who is at the other end of a request: the address that counts, whether it is an administrator's, and whether the way to it
//! is encrypted.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;

use super::State;
use crate::origin::{Caller, Forwarding, Origin};

/// The address of the socket; every connection comes with one, a test's request may not.
fn socket(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map(|peer| peer.ip());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn forwarding(request: &HttpRequest) -> Forwarding<'_> {
    let headers = request.headers().iter();
    Forwarding::of(headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
}

fn find(origin: &Origin, state: &State, request: &HttpRequest) -> Caller {
    let socket = socket(request);
    let caller = origin.decide(socket, &forwarding(request));
    origin.notice(socket, &caller, &state.metrics);
    caller
}

/// The canonical address that the request counts for. All whose address is unknown count as one, the unspecified address.
pub(super) fn address(state: &State, request: &HttpRequest) -> IpAddr {
    let caller = find(&state.doors.origin.load(), state, request);
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    caller.address.known().unwrap_or(unknown)
}

/// Whether the request was made on this machine, and not by a proxy on it for somebody else.
pub(super) fn is_local(state: &State, request: &HttpRequest) -> bool {
    find(&state.doors.origin.load(), state, request).is_local()
}

/// Whether the request comes from an admin network.
pub(super) fn is_admin(state: &State, request: &HttpRequest) -> bool {
    let origin = state.doors.origin.load();
    origin.is_admin(&find(&origin, state, request))
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
