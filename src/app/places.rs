//! Where things are, in words and addresses that an operator can use: which configuration was read, under which addresses clients
//! and browsers come in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::config::Place;

/// Addresses for documentation (RFC 5737, RFC 3849): what this machine would call them from is what others know it by.
const FAR_AWAY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// Which configuration file was read.
pub(super) fn configuration(place: &Place) -> String {
    let file = match &place.file {
        Some(file) => format!("the configuration is {}", file.display()),
        None => "there is no configuration file (/config/config.ini, config/config.ini, or what --config names); \
                 every key is at its default"
            .to_owned(),
    };
    let env_file = if place.has_env_file { ", and .env" } else { "" };
    format!("{file}{env_file}")
}

/// A line for each listening socket, one for the addresses that subscribers use, one for that of the pages.
pub(super) fn lines(
    http: &[SocketAddr],
    tls: &[SocketAddr],
    udp: &[SocketAddr],
    has_pages: bool,
) -> Vec<String> {
    let serving = |scheme: &'static str, addresses: &[SocketAddr]| {
        let line = |address: &SocketAddr| format!("serving {scheme}://{address}/announce");
        addresses.iter().map(line).collect::<Vec<_>>()
    };
    let mut lines = serving("http", http);
    lines.extend(serving("https", tls));
    lines.extend(serving("udp", udp));
    let own = FAR_AWAY.map(own_address);
    let (http, tls, udp) = (reached(http, &own), reached(tls, &own), reached(udp, &own));
    let for_clients = |scheme: &'static str, addresses: &[SocketAddr]| {
        let from_outside = addresses
            .iter()
            .filter(|address| !address.ip().is_loopback());
        let url =
            |address: &SocketAddr| format!("{scheme}://{}/announce", authority(scheme, *address));
        from_outside.map(url).collect::<Vec<_>>()
    };
    let mut announce = for_clients("http", &http);
    announce.extend(for_clients("https", &tls));
    announce.extend(for_clients("udp", &udp));
    if !announce.is_empty() {
        lines.push(format!("for clients: {}", announce.join(" ")));
    }
    if has_pages && !http.is_empty() {
        let url = |scheme: &str, address: &SocketAddr| {
            format!("{scheme}://{}/", authority(scheme, *address))
        };
        let https = tls.iter().map(|address| url("https", address));
        let urls: Vec<String> = http
            .iter()
            .map(|address| url("http", address))
            .chain(https)
            .collect();
        lines.push(format!("the pages: {}", urls.join(" ")));
    }
    lines
}

/// The addresses under which sockets are reached: for one that listens at all addresses of a family, loopback and the one that the
/// machine has towards others.
fn reached(listening: &[SocketAddr], own: &[Option<IpAddr>; 2]) -> Vec<SocketAddr> {
    let mut reached = Vec::new();
    for address in listening {
        let [v4, v6] = *own;
        let ips = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => {
                vec![Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), v4]
            }
            IpAddr::V6(ip) if ip.is_unspecified() => {
                vec![Some(IpAddr::V6(Ipv6Addr::LOCALHOST)), v6]
            }
            ip => vec![Some(ip)],
        };
        for ip in ips.into_iter().flatten() {
            let address = SocketAddr::new(ip, address.port());
            if !reached.contains(&address) {
                reached.push(address);
            }
        }
    }
    reached
}

/// Host and port as a URL has them: port 80 is HTTP's own, 443 that of HTTPS.
fn authority(scheme: &str, address: SocketAddr) -> String {
    match (scheme, address) {
        ("http", SocketAddr::V4(v4)) if v4.port() == 80 => v4.ip().to_string(),
        ("http", SocketAddr::V6(v6)) if v6.port() == 80 => format!("[{}]", v6.ip()),
        ("https", SocketAddr::V4(v4)) if v4.port() == 443 => v4.ip().to_string(),
        ("https", SocketAddr::V6(v6)) if v6.port() == 443 => format!("[{}]", v6.ip()),
        _ => address.to_string(),
    }
}

/// The address that this machine has towards another, if it has a route there; nothing is sent.
fn own_address(other: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match other {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((other, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O17: what a person can click, and what subscribers can be told.
    #[test]
    fn listening_everywhere_is_told_as_addresses_that_one_can_use() {
        let all: Vec<SocketAddr> = vec![
            "0.0.0.0:8080".parse().unwrap(),
            "[::]:8080".parse().unwrap(),
        ];
        let own = [Some("10.0.0.5".parse().unwrap()), None];
        let told: Vec<String> = reached(&all, &own)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, ["127.0.0.1:8080", "10.0.0.5:8080", "[::1]:8080"]);
        let one: Vec<SocketAddr> = vec!["192.0.2.7:80".parse().unwrap()];
        let lines = lines(&one, &["[::1]:443".parse().unwrap()], &one, true);
        assert_eq!(
            lines,
            [
                "serving http://192.0.2.7:80/announce",
                "serving https://[::1]:443/announce",
                "serving udp://192.0.2.7:80/announce",
                "for clients: http://192.0.2.7/announce udp://192.0.2.7:80/announce",
                "the pages: http://192.0.2.7/ https://[::1]/",
            ]
        );
        let local: Vec<SocketAddr> = vec!["[::1]:81".parse().unwrap()];
        let lines = super::lines(&local, &[], &[], false);
        assert_eq!(lines, ["serving http://[::1]:81/announce"]);
    }

    #[test]
    fn the_file_that_was_read_is_named_and_so_is_that_there_is_none() {
        let mut place = Place::default();
        assert!(configuration(&place).contains("no configuration file"));
        (place.file, place.has_env_file) = (Some("a/b.ini".into()), true);
        assert_eq!(
            configuration(&place),
            "the configuration is a/b.ini, and .env"
        );
    }
}
