//! A request over HTTP as a watcher sees it.

use std::net::IpAddr;

use super::handler::{Fields, Request};
use crate::percent::decode_path;
use crate::watch::{self, Answer, Asked, Observed, Source, Transport};

/// What is told of a request. The port is the client's where nobody speaks for it.
pub(super) fn observed(
    time_ms: u64,
    request: &Request<'_>,
    ip: IpAddr,
    asked: Asked,
    answer: Answer,
) -> Observed {
    let arrival = &request.arrival;
    let (host, user_agent) = match arrival.fields {
        Fields::Head(head) => {
            let is_named = |name: &[u8]| name.eq_ignore_ascii_case(b"user-agent");
            let user_agent = head.fields().find(|(name, _)| is_named(name));
            (head.host(), user_agent.map(|(_, value)| value))
        }
        Fields::Known { host, user_agent } => (host, user_agent),
    };
    let port = request.client.is_direct().then_some(arrival.port);
    Observed {
        time_ms,
        kind: asked.kind(),
        transport: if arrival.is_tls {
            Transport::Https
        } else {
            Transport::Http
        },
        source: Source::new(ip, port),
        path: Some(watch::path(&decode_path(request.path))),
        query: Some(watch::query(
            request.query,
            request.settings.run_gc_key.as_bytes(),
        )),
        user_agent: user_agent.map(watch::user_agent),
        host: host.map(watch::host),
        asked,
        answer,
    }
}
