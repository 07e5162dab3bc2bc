//! `[LIMITS]`.

use crate::config::key::{Key, Section, key};
use crate::config::value::{OptionalRate, number, seconds};

pub(super) const SECTION: Section = Section {
    name: "LIMITS",
    about: "How much one source may ask for, and who is banned for asking too much again and again. A source is an IPv4 address or an \
        IPv6 /64. A limit is a rate and how many may come at once: 5/s 100 is a bucket of 100 that gains five a second. Admin networks \
        and trusted proxies are exempt; who comes through a trusted proxy counts by his own address. Over a limit clients of the tracker \
        get a failure with `retry in` (BEP 31), browsers a 429, UDP nothing. Taken on SIGHUP; bans stay.",
    keys: KEYS,
    free: None,
};

const KEYS: &[Key] = &[
    key(
        "connections",
        "TCP connections of one source. off: any number. A client may open one for each announce, a page takes up to ten: as many as \
         requests, as 10/s 2000.",
        |c| Box::new(OptionalRate(&mut c.limits.connections.source)),
    ),
    key(
        "connections_per_prefix",
        "The same of an IPv4 /24 or an IPv6 /48 as a whole, as 100/s 10000. off: any number.",
        |c| Box::new(OptionalRate(&mut c.limits.connections.prefix)),
    ),
    key(
        "requests",
        "HTTP requests of one source, pages included. off: any number. A client with a thousand torrents announces once in two \
         seconds, and all of them at its start: 10/s 2000.",
        |c| Box::new(OptionalRate(&mut c.limits.requests.source)),
    ),
    key(
        "requests_per_prefix",
        "The same of a /24 or a /48 as a whole, as 100/s 10000. off: any number.",
        |c| Box::new(OptionalRate(&mut c.limits.requests.prefix)),
    ),
    key(
        "datagrams",
        "UDP datagrams of one source, as 10/s 2000. off: any number. Those that prove their address by a connection id are counted apart \
         from those that do not, and connects are not counted but always answered, so that forged ones use up nothing of their victim's.",
        |c| Box::new(OptionalRate(&mut c.limits.datagrams.source)),
    ),
    key(
        "datagrams_per_prefix",
        "The same of a /24 or a /48 as a whole, as 100/s 10000. off: any number.",
        |c| Box::new(OptionalRate(&mut c.limits.datagrams.prefix)),
    ),
    key(
        "logins",
        "Tries to log in to the pages from one source, right or wrong; wrong ones are bounded by [STATS] login_failures besides. off: \
         any number.",
        |c| Box::new(OptionalRate(&mut c.limits.logins)),
    ),
    key(
        "ban_after",
        "Refusals of one source within ban_window after which it is banned from everything. Refused logins count, what its neighbours \
         do and datagrams that may be forged do not. 0: nobody is banned. With 300 a client that merely has too many torrents is not.",
        |c| Box::new(number(&mut c.limits.ban_after, 0..=100_000)),
    ),
    key("ban_window", "Seconds for which a refusal counts.", |c| {
        Box::new(seconds(&mut c.limits.ban_window, 1..=86_400))
    }),
    key(
        "ban_time",
        "Seconds for which a ban lasts. The page Callers shows bans and lifts them; they are kept over a restart.",
        |c| Box::new(seconds(&mut c.limits.ban_time, 60..=30 * 86_400)),
    ),
];
