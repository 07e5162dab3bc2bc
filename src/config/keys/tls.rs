//! `[TLS]`.

use crate::config::key::{Key, Section, key};
use crate::config::list::{FileList, TlsListenAddressList};
use crate::config::value::{number, seconds};

pub(super) const SECTION: Section = Section {
    name: "TLS",
    about: "HTTPS for announces, scrapes, pages and the API, at addresses of its own: TLS 1.2 and 1.3. The certificates are read again \
        on SIGHUP and when their files change, under open connections; one that cannot be used is refused, and the old one stays.",
    keys: KEYS,
    free: None,
};

const KEYS: &[Key] = &[
    key(
        "listen",
        "Addresses to listen at for HTTPS, each with its own port or at 443. Nothing: there is no HTTPS.",
        |c| Box::new(TlsListenAddressList(&mut c.tls.listen)),
    )
    .fixed(),
    key(
        "certificate",
        "Files with certificates in PEM, each with its chain behind it, as certbot's fullchain.pem. A client is shown the first that \
         is for the name it asks for, or else the first of all; two for one name may differ in their kind of key.",
        |c| Box::new(FileList(&mut c.tls.certificate_files)),
    ),
    key(
        "key",
        "Files with their private keys in PEM, without passwords, in the same order; the tracker's user must be able to read them, \
         and nobody else should. Nothing: each key is in the file of its certificate.",
        |c| Box::new(FileList(&mut c.tls.key_files)),
    ),
    key(
        "handshake_timeout",
        "Seconds for a handshake to be over.",
        |c| Box::new(seconds(&mut c.http.tls.handshake_timeout, 1..=60)),
    ),
    key(
        "max_handshakes",
        "Handshakes under way at one time at most. When there are more, the network (/24, IPv6: /48) that has most gives one up: the oldest \
         whole hello that nothing has followed for over 300 ms, where many of its are so, else one of the address that has most. Where \
         many have sent no whole hello for as long, the oldest of these go first, of whatever network. They cost as much as dozens of announces, so whoever begins many must not keep others out.",
        |c| Box::new(number(&mut c.http.tls.max_handshakes, 1..=100_000)),
    ),
    key(
        "max_handshakes_per_address",
        "Of these from one address (IPv6: one /64); trusted proxies may have more. 0: any number.",
        |c| {
            Box::new(number(
                &mut c.http.tls.max_handshakes_per_address,
                0..=100_000,
            ))
        },
    ),
    key(
        "hsts",
        "Seconds for which a browser that has seen a page by HTTPS asks this host for nothing without it, at whatever port: a page of \
         the port without TLS does not open in it meanwhile. 0: it is not told to.",
        |c| Box::new(seconds(&mut c.web.hsts, 0..=63_072_000)),
    )
    .fixed(),
];
