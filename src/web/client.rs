//! Who is at the other end of a request: the address that counts, whether it is an administrator's, and whether the way to it
//! is encrypted.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::header::{HOST, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};

use super::State;
use crate::net::client_address;
use crate::net::client_address::{ClientAddressRules, Forwarding};
use crate::net::handover::ByTls;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// The canonical address that the request counts for. All whose address is unknown count as one, the unspecified address.
    pub ip: IpAddr,
    /// Whether it belongs to an admin network.
    pub is_admin: bool,
    /// Whether it was made on this machine, and not by a proxy on it for somebody else.
    pub is_local: bool,
}

impl Client {
    fn new(address_rules: &ClientAddressRules, client: &client_address::Client) -> Client {
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Client {
            ip: client.address.known().unwrap_or(unknown),
            is_admin: address_rules.is_admin(client),
            is_local: client.is_local(),
        }
    }

    /// Who sent the request.
    pub(super) fn of(state: &State, request: &HttpRequest) -> Client {
        let address_rules = state.backend.address_rules.load();
        let (socket, headers) = (socket(request), request.headers().iter());
        let fields = headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let decided = address_rules.decide(socket, &Forwarding::of(fields));
        address_rules.notice(socket, &decided, &state.metrics);
        let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
        Client::new(&address_rules, &decided.to_host(host, &address_rules.hosts))
    }
}

/// The address of the socket; every connection comes with one, a test's request may not.
fn socket(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map(|peer| peer.ip());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Whether the request comes from an admin network, and under a name of ours.
pub(super) fn is_admin(state: &State, request: &HttpRequest) -> bool {
    Client::of(state, request).is_admin
}

/// Whether the request came by TLS to the tracker itself.
pub(super) fn is_by_tls(request: &HttpRequest) -> bool {
    request.extensions().contains::<ByTls>()
}

/// Whether the visitor's browser speaks TLS: with the tracker itself, or with a trusted proxy, which says so.
pub(super) fn is_secure(state: &State, request: &HttpRequest) -> bool {
    if is_by_tls(request) {
        return true;
    }
    let address_rules = state.backend.address_rules.load();
    let says_https = request
        .headers()
        .get("X-Forwarded-Proto")
        .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    says_https && address_rules.believes(socket(request))
}
