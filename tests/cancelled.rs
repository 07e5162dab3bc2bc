//! Logins that are reset while their passwords are hashed, in a process of their own, whose threads are counted.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test helpers"
)]

#[expect(dead_code, reason = "shared with the tests of the pages")]
#[path = "web/harness.rs"]
mod harness;

use std::io::Write;
use std::time::Duration;

use retracker::secret::Secret;

/// Threads of this process that hash a password.
fn hashing() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim() == "web-hash")
        .count()
}

/// R27, W3
#[test]
fn two_hundred_logins_that_are_reset_hash_four_at_a_time() {
    let site = harness::start_with(|settings| {
        // A hash that takes as long as real ones.
        let hash = retracker::web::hash_password(harness::PASSWORD).unwrap();
        settings.password = Some(Secret::new(hash));
        settings.login_failures = 1_000;
    });
    let mut visitor = site.visitor();
    let csrf = visitor.get("/login").csrf();
    let body = format!("csrf={csrf}&username=admin&password=guess");
    let login = visitor.wording("POST", "/login", &body);
    let mut most = 0;
    for _ in 0..200 {
        let mut stream = harness::connect(site.address, "127.0.0.1");
        // A login for whose place there is no room is refused, and its connection reset.
        drop(stream.write_all(login.as_bytes()));
        std::thread::sleep(Duration::from_millis(5));
        let socket = socket2::Socket::from(stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(socket);
        most = most.max(hashing());
    }
    while hashing() > 0 {
        most = most.max(hashing());
        std::thread::sleep(Duration::from_millis(5));
    }
    // A thread that has given its place back may not have ended yet.
    assert!((1..=4 + 4).contains(&most), "{most} threads");
    assert_eq!(site.operator().get("/stat").status, 200);
}
