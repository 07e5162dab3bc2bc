//! What UDP clients keep over a restart of the whole program: their connection ids, for as long as without one.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use retracker::app::App;
use retracker::config::Sources;
use rusqlite::Connection;

use crate::harness::PATIENCE;

const CONNECT: &[u8] = b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0tran";

/// The program, with its state in a folder.
struct Program {
    app: App,
    client: UdpSocket,
}

impl Program {
    fn start(folder: &Path) -> Program {
        let lines = [
            "[TRACKER]".to_owned(),
            "host = 127.0.0.1:0".to_owned(),
            "[SNAPSHOTS]".to_owned(),
            format!("file = {}", database(folder).display()),
            "[STATS]".to_owned(),
            "access_password = a password of a test".to_owned(),
        ];
        let sources = Sources {
            file: Some(("c.ini".to_owned(), lines.join("\n").into_bytes())),
            ..Sources::default()
        };
        let loaded = sources.resolve(&|path| fs::read(path)).unwrap();
        let app = App::build(loaded, Default::default()).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect(app.udp_addresses()[0]).unwrap();
        Program { app, client }
    }

    fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.client.send(request).unwrap();
        let mut reply = [0; 2_048];
        let length = self.client.recv(&mut reply).unwrap();
        reply[..length].to_vec()
    }

    fn connect(&self) -> Vec<u8> {
        self.ask(CONNECT)[8..].to_vec()
    }

    /// Whether a scrape with `id` is answered with counts.
    fn knows(&self, id: &[u8]) -> bool {
        let reply = self.ask(&[id, b"\0\0\0\x02tran", &[7; 20]].concat());
        match reply[3] {
            2 => true,
            3 => {
                assert_eq!(reply[8..], *b"Connection ID missmatch.\0");
                false
            }
            action => panic!("action {action}"),
        }
    }

    fn stop(self) {
        assert_eq!(self.app.stop(), None);
    }
}

fn database(folder: &Path) -> PathBuf {
    folder.join("retracker.sqlite")
}

fn key_file(folder: &Path) -> PathBuf {
    folder.join("retracker.udp-key")
}

/// Lets the last snapshot be so many seconds older than it is, by both clocks that tell how long the program was away.
fn age(folder: &Path, seconds: i64) {
    let database = Connection::open(database(folder)).unwrap();
    let earlier = "UPDATE meta SET value = value - ?1 WHERE key = ?2 AND value IS NOT NULL";
    for clock in ["finished_wall", "boot_seconds"] {
        database.execute(earlier, (seconds, clock)).unwrap();
    }
}

/// P24
#[test]
fn a_client_that_connected_before_a_restart_is_known_after_it_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let id = program.connect();
    assert!(program.knows(&id));
    program.stop();
    let mode = fs::metadata(key_file(folder.path()))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let program = Program::start(folder.path());
    assert!(program.knows(&id));
    program.stop();
    age(folder.path(), 90);
    let program = Program::start(folder.path());
    assert!(program.knows(&id), "after a minute and a half");
    let late = program.connect();
    program.stop();
    age(folder.path(), 150);
    let program = Program::start(folder.path());
    assert!(!program.knows(&id), "after four minutes");
    assert!(program.knows(&program.connect()));
    program.stop();
    age(folder.path(), 90);
    assert!(
        !Program::start(folder.path()).knows(&late),
        "four minutes after the third start"
    );
}

/// P24: killed before the first snapshot
#[test]
fn a_restart_without_a_stop_is_none_the_worse() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let id = program.connect();
    // What a killed process leaves is what is on the disk while it runs.
    let left = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), left.path().join(file.file_name())).unwrap();
    }
    program.stop();
    let program = Program::start(left.path());
    assert!(program.knows(&id));
    program.stop();
}

/// P24: a key that is not good any more costs a connect, and neither the start nor what an id is for
#[test]
fn a_key_that_is_damaged_or_older_than_the_database_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let key = key_file(folder.path());
    let program = Program::start(folder.path());
    let id = program.connect();
    program.stop();
    let kept = fs::read(&key).unwrap();
    fs::write(&key, "damaged").unwrap();
    let program = Program::start(folder.path());
    assert!(!program.knows(&id));
    let id = program.connect();
    program.stop();
    let made = fs::read(&key).unwrap();
    assert_ne!(made, kept);
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap().path();
        if file.to_string_lossy().contains(".sqlite") {
            fs::remove_file(file).unwrap();
        }
    }
    let program = Program::start(folder.path());
    assert!(!program.knows(&id), "its time began anew");
    program.stop();
    assert_ne!(fs::read(&key).unwrap(), made);
}
