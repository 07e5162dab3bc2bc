//! `[HTTP]`.

use crate::config::key::{Key, Section, key};
use crate::config::value::{Flag, number, seconds};

pub(super) const SECTION: Section = Section {
    name: "HTTP",
    about: "The tracker over HTTP: its threads, and what one client may take of it.",
    keys: KEYS,
    free: None,
};

const KEYS: &[Key] = &[
    key(
        "workers",
        "Threads that answer. 0: one for each core.",
        |c| Box::new(number(&mut c.http.workers, 0..=256)),
    )
    .fixed(),
    key(
        "max_request_bytes",
        "The longest head of a request, in bytes; a longer one is refused.",
        |c| Box::new(number(&mut c.http.max_request_bytes, 512..=65_536)),
    ),
    key(
        "request_timeout",
        "Seconds for a request to come in whole, however slowly it is sent.",
        |c| Box::new(seconds(&mut c.http.request_timeout, 1..=600)),
    ),
    key(
        "idle_timeout",
        "Seconds for which a connection may be silent between requests. 0: every connection is closed after its answer.",
        |c| Box::new(seconds(&mut c.http.idle_timeout, 0..=3_600)),
    ),
    key(
        "write_timeout",
        "Seconds that a client may take to read its answer.",
        |c| Box::new(seconds(&mut c.http.write_timeout, 1..=600)),
    ),
    key(
        "max_requests",
        "Requests on one connection at most. 0: any number.",
        |c| Box::new(number(&mut c.http.max_requests, 0..=u32::MAX)),
    ),
    key(
        "max_connections",
        "Connections at one time at most. 0: what the limit on open files leaves, less 160.",
        |c| Box::new(number(&mut c.http.max_connections, 0..=10_000_000)),
    ),
    key(
        "max_connections_per_address",
        "Connections of one address (IPv6: one /64) at one time at most; trusted proxies may have more. 0: any number.",
        |c| {
            Box::new(number(
                &mut c.http.max_connections_per_address,
                0..=u32::MAX,
            ))
        },
    ),
    key(
        "proxy_protocol",
        "Whether trusted proxies begin their connections with a header of the PROXY protocol (v1 or v2), as haproxy's send-proxy does; \
         wants mode = proxy. A trusted proxy's connection without one is of an unknown client; such a header from anybody else is \
         refused.",
        |c| Box::new(Flag(&mut c.http.proxy_protocol)),
    ),
];
