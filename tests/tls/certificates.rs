//! Certificates of the built program: read at the start, again when their files change and on SIGHUP, and refused.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};

use super::client::{Client, VERSIONS, config, der, pem};
use super::program::{FIRST_LINE, Program, command, folder, put, write};
use super::server::announce;

/// The certificate that somebody new is shown.
fn shown(program: &Program) -> Vec<u8> {
    let client = Client::new(program.address, &config(&VERSIONS));
    let client = client.shake_hands().unwrap();
    client.tls.peer_certificates().unwrap()[0].to_vec()
}

const REFUSED: &str = "the certificates are refused, the old ones stay: config.ini:";
const RELOADED: &str = "retracker_tls_certificates_last_reload_successful";
const ENDS: &str = "retracker_tls_certificate_expiry_timestamp_seconds{certificate=\"a.pem\"}";

/// P23: nobody has to say that they were renewed; a bad one changes nothing, and is told.
#[test]
fn certificates_are_read_again_when_their_files_change() {
    let program = Program::start("", "");
    let mut old = Client::new(program.address, &program.tls);
    assert_eq!(old.get(&announce(1)).status, 200);
    assert_eq!(shown(&program), *der("one.pem"));
    let (own, own_key) = (
        program.folder.path().join("a.pem"),
        program.folder.path().join("a.key"),
    );
    put(&program.folder, "a", "again");
    program.await_log("certificates are in force anew", 1);
    assert_eq!(shown(&program), *der("again.pem"));
    assert_eq!(old.get(&announce(1)).status, 200);
    // Somebody has copied the key of another one.
    write(own_key.clone(), &pem("two.key"), 0o600);
    program.await_log(REFUSED, 1);
    let key_line = FIRST_LINE + 2;
    let why = "[TLS] key = `a.key`: the private key is not that of the certificate";
    program.await_log(&format!("{REFUSED}{key_line}: {why}"), 1);
    assert_eq!(program.metric(RELOADED), 0);
    fs::remove_file(&own).unwrap();
    program.await_log("[TLS] certificate = `a.pem`: cannot be read", 1);
    assert_eq!(shown(&program), *der("again.pem"));
    assert_eq!(old.get(&announce(1)).status, 200);
    // Written in the other order, and seen when both are there.
    write(own, &pem("near.pem"), 0o644);
    write(own_key, &pem("near.key"), 0o600);
    program.await_log("certificates are in force anew", 2);
    assert_eq!(program.metric(RELOADED), 1);
    assert_eq!(program.metric(ENDS), 1_907_757_000);
    assert_eq!(old.get(&announce(1)).status, 200);
}

/// P23, O15
#[test]
fn certificates_are_read_again_on_sighup_and_bad_ones_refuse_it() {
    let program = Program::start("", "");
    let config_file = program.folder.path().join("config.ini");
    let text = fs::read_to_string(&config_file).unwrap();
    put(&program.folder, "b", "two");
    // Another certificate than the first, out of other files.
    let other = text.replace("a.pem", "b.pem").replace("a.key", "b.key");
    fs::write(&config_file, other.replace("b.key", "a.key")).unwrap();
    program.hang_up();
    program.await_log(
        "the configuration is refused, the old one stays: config.ini:",
        1,
    );
    assert_eq!(shown(&program), *der("one.pem"));
    fs::write(&config_file, other).unwrap();
    program.hang_up();
    program.await_log("the configuration is reloaded", 1);
    let client = Client::from("127.0.0.1", program.address, &program.tls, "two.test");
    let client = client.shake_hands().unwrap();
    assert_eq!(client.tls.peer_certificates().unwrap()[0], der("two.pem"));
    // What is in force is what is looked at from now on.
    put(&program.folder, "b", "one");
    program.await_log("certificates are in force anew", 2);
    assert_eq!(shown(&program), *der("one.pem"));
}

/// What the start says of a configuration that it does not take.
fn refusal(tls: &str) -> String {
    let folder = folder(tls, "");
    put(&folder, "a", "one");
    put(&folder, "b", "two");
    let output = command(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    String::from_utf8(output.stderr).unwrap()
}

/// P23
#[test]
fn the_start_refuses_what_cannot_be_used() {
    for (tls, line, why) in [
        (
            "listen = 127.0.0.1:0",
            0,
            "[TLS] listen: there is no certificate to show there",
        ),
        (
            "listen = 127.0.0.1:0\ncertificate = c.pem\nkey = a.key",
            1,
            "[TLS] certificate = `c.pem`: cannot be read: No such file",
        ),
        (
            "certificate = a.pem b.pem\nkey = a.key",
            1,
            "[TLS] key: 1 keys for 2 certificates",
        ),
        (
            "certificate = a.pem b.pem\nkey = b.key a.key",
            1,
            "[TLS] key = `b.key`: the private key is not that of the certificate",
        ),
        (
            "certificate = a.pem",
            0,
            "[TLS] certificate = `a.pem`: there is no private key in it",
        ),
        (
            "certificate = a.key\nkey = a.key",
            0,
            "[TLS] certificate = `a.key`: there is no certificate in it",
        ),
        (
            "listen = here",
            0,
            "[TLS] listen = `here`: `here` is no address to listen at",
        ),
    ] {
        let told = refusal(tls);
        let expected = format!("config.ini:{}: {why}", FIRST_LINE + line);
        assert!(told.contains(&expected), "{told}");
        assert!(!told.contains("PRIVATE KEY-----\n"), "{told}");
    }
}

/// P23: the check says what the start will: a key that everybody can read.
#[test]
fn the_check_warns_of_an_open_key() {
    let folder = folder("certificate = a.pem\nkey = a.key", "");
    put(&folder, "a", "one");
    let key = folder.path().join("a.key");
    for (mode, is_told) in [(0o600, false), (0o640, false), (0o644, true)] {
        write(key.clone(), &pem("one.key"), mode);
        let checked = command(&folder).arg("--check-config").output().unwrap();
        assert!(checked.status.success());
        let told = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(
            told.contains("a.key is open to every user"),
            is_told,
            "{told}"
        );
    }
}

/// P23, O3: sockets that the service manager calls `tls` are for it; others are not.
#[test]
fn sockets_that_are_handed_over_are_told_apart_by_their_names() {
    let folder = folder("certificate = a.pem\nkey = a.key", "");
    put(&folder, "a", "one");
    let sockets = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = |at: usize| sockets[at].local_addr().unwrap();
    for socket in &sockets {
        fcntl_setfd(socket, FdFlags::empty()).unwrap();
    }
    let number = |at: usize| std::os::fd::AsRawFd::as_raw_fd(&sockets[at]);
    // Through descriptors that are not in the way of the others.
    let script = format!(
        "exec {{a}}<&{} {{b}}<&{} && exec 3<&$a 4<&$b && LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=retracker:tls exec {} --config config.ini",
        number(0),
        number(1),
        env!("CARGO_BIN_EXE_retracker")
    );
    let mut run = Command::new("bash");
    run.args(["-c", &script]).current_dir(folder.path());
    let program = Program::run(folder, run);
    assert_eq!((program.plain, program.address), (address(0), address(1)));
    assert_eq!(shown(&program), *der("one.pem"));
    assert!(program.get_plain("/login").starts_with("HTTP/1.1 200"));
}
