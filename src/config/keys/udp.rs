//! `[UDP]`.

use crate::config::key::{Key, Section, key};
use crate::config::value::{Flag, choice, number, optional};

pub(super) const SECTION: Section = Section {
    name: "UDP",
    about: "The tracker over UDP (BEP 15), for the same swarms.",
    keys: KEYS,
    free: None,
};

/// `auto` is what the program thinks right: yes.
const PINNING: &[(&str, bool)] = &[
    ("auto", true),
    ("yes", true),
    ("no", false),
    ("true", true),
    ("false", false),
    ("1", true),
    ("0", false),
    ("on", true),
    ("off", false),
];

const KEYS: &[Key] = &[
    key("enabled", "Whether there is a UDP tracker.", |c| Box::new(Flag(&mut c.udp.is_enabled)))
        .fixed(),
    key(
        "port",
        "Its port, at the addresses of [TRACKER] host. Nothing: the port of HTTP.",
        |c| Box::new(optional(&mut c.udp_port, "a port from 1 to 65535")),
    )
    .fixed(),
    key("workers", "Threads for each address. 0: one for each core.", |c| {
        Box::new(number(&mut c.udp.workers, 0..=256))
    })
    .fixed(),
    key(
        "receive_buffer",
        "Receive buffer of each socket in bytes; the system grants at most net.core.rmem_max. 0: what the system gives.",
        |c| Box::new(number(&mut c.udp.receive_buffer, 0..=1 << 30)),
    )
    .fixed(),
    key("send_buffer", "Send buffer of each socket in bytes. 0: what the system gives.", |c| {
        Box::new(number(&mut c.udp.send_buffer, 0..=1 << 30))
    })
    .fixed(),
    key(
        "pin_source",
        "Whether a reply leaves from the address that its request came to, where a socket listens at all addresses. auto: yes.",
        |c| Box::new(choice(&mut c.udp.pin_source, PINNING)),
    )
    .fixed(),
];
