//! Where the program listens, by every spelling of `host`.

use super::*;
use std::net::{TcpListener, UdpSocket};

/// Opens what a configuration says, as the start does.
fn open(config: &Config) -> io::Result<()> {
    http::bind(&config.http, Vec::new())?;
    udp::bind(&config.udp, Vec::new())?;
    Ok(())
}

/// A port that is free in both families and for both protocols, at the moment.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if UdpSocket::bind(("::", port)).is_ok() {
            return port;
        }
    }
}

/// C3, P13
#[test]
fn what_the_check_accepts_can_be_listened_at() {
    for host in [
        "",
        "*",
        "0.0.0.0",
        "::",
        "[::]",
        "0.0.0.0 ::",
        "localhost",
        "127.0.0.1",
        "[127.0.0.1]",
        "::1",
        "[::1]",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "[::ffff:127.0.0.1]:PORT",
        "::ffff:0.0.0.0",
        "127.0.0.1:PORT",
        "127.0.0.1 127.0.0.1:PORT",
        "0.0.0.0 127.0.0.1",
        "127.0.0.1, 0.0.0.0, ::1, ::",
        "* 127.0.0.1",
        "localhost 0.0.0.0",
        "127.0.0.1:0",
        "0.0.0.0:0 127.0.0.1:0",
    ] {
        // The port may be taken between its choice and its use.
        let opened = (0..10).find_map(|_| {
            let port = free_port();
            let host = host.replace("PORT", &port.to_string());
            let text = format!("[TRACKER]\nhost = {host}\nport = {port}\n");
            match open(&resolve(&text).unwrap().config) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
                other => Some(other),
            }
        });
        opened.unwrap().unwrap();
    }
}

/// C3: two ports of HTTP at one address are one port of UDP
#[test]
fn udp_listens_once_where_http_has_two_ports() {
    let text = "[TRACKER]\nhost = 127.0.0.1:81 127.0.0.1:82 ::1\n[UDP]\nport = 83\n";
    let config = resolve(text).unwrap().config;
    let written = |addresses: &[SocketAddr]| {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        addresses.join(" ")
    };
    assert_eq!(
        written(&config.http.listen),
        "127.0.0.1:81 127.0.0.1:82 [::1]:8080"
    );
    assert_eq!(written(&config.udp.listen), "127.0.0.1:83 [::1]:83");
}

/// C3, P13
#[test]
fn all_of_v6_alone_is_told_to_leave_v4_out() {
    for host in ["::", "[::]:80", ":: ::1"] {
        let warnings = resolve(&format!("[TRACKER]\nhost = {host}\n"))
            .unwrap()
            .warnings;
        assert_eq!(warnings.len(), 1, "{host}: {warnings:?}");
        assert!(warnings[0].contains("IPv4 clients are not served"));
    }
    for host in ["", "*", "0.0.0.0", ":: 0.0.0.0", "::1", ":: 127.0.0.1"] {
        let warnings = resolve(&format!("[TRACKER]\nhost = {host}\n"))
            .unwrap()
            .warnings;
        assert_eq!(warnings, Vec::<String>::new(), "{host}");
    }
}

/// C3
#[test]
fn free_bind_holds_for_both_protocols() {
    let config = resolve("[TRACKER]\nfree_bind = yes\n").unwrap().config;
    assert!(config.http.free_bind && config.udp.free_bind);
    let config = Config::default();
    assert!(!config.http.free_bind && !config.udp.free_bind);
}
