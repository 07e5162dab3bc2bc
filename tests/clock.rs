//! The wall clock jumps under the built program (O5): health and ages do not follow it.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Ended with the test, however that ends.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

const LISTEN: &str = "127.83.7.1:8096";

fn get(path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(LISTEN).ok()?;
    let timeout = Some(Duration::from_secs(30));
    stream.set_read_timeout(timeout).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {LISTEN}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    Some(reply)
}

fn wait(mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(is_so(), "nothing happens");
}

/// O5
#[test]
fn health_stays_what_it_is_when_the_wall_clock_jumps() {
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|place| format!("/usr/lib/{place}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|library| Path::new(library).exists());
    let Some(library) = library else {
        eprintln!("SKIPPED: libfaketime is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let jumps = folder.path().join("jumps");
    fs::write(&jumps, "+0").unwrap();
    fs::write(folder.path().join("c.ini"), "[SNAPSHOTS]\ninterval = 1\n").unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_retracker"))
        .args(["--config", "c.ini", "--listen", LISTEN])
        .current_dir(folder.path())
        .env_clear()
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &jumps)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let _program = Program(child);
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait(|| get("/ready").is_some_and(|reply| reply.starts_with("HTTP/1.1 200")));
    wait(|| log().contains("snapshot:"));
    for (jump, year) in [("@2040-01-01 00:00:00", "2040"), ("-400d", ""), ("+0", "")] {
        fs::write(&jumps, jump).unwrap();
        wait(|| {
            log()
                .lines()
                .last()
                .is_some_and(|line| line.starts_with(year))
        });
        // Asked as often as it takes for the next snapshots to come and to stay away.
        for _ in 0..20 {
            let reply = get("/health").unwrap();
            assert!(reply.starts_with("HTTP/1.1 200"), "{jump}: {reply}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
