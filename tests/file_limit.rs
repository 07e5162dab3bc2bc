//! The limit on open files (R7): with none left, the tracker lives, waits without a busy loop, says why, and recovers.
//!
//! A binary of its own with one test, since the limit is the process's.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use retracker::clock::Clock;
use retracker::http;
use retracker::metrics::{Failure, Metrics};
use retracker::tracker::{Settings, Tracker};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Error {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// R7
#[test]
fn a_tracker_without_files_waits_and_recovers() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    let metrics = Arc::new(Metrics::new(1));
    let core = Arc::new(Tracker::new(Settings::default(), Arc::clone(&metrics)));
    let settings = http::Settings {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        workers: 1,
        max_connections: usize::MAX,
        ..http::Settings::default()
    };
    let (ends, _reports) = channel();
    let running = http::bind(&settings, Vec::new())
        .unwrap()
        .start(&core, Clock::start(), None, &ends)
        .unwrap();
    assert!(
        LINES
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("max_connections") && line.contains("LimitNOFILE"))
    );
    let address = *running.addresses().first().unwrap();
    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(200),
        ..limit
    };
    setrlimit(Resource::Nofile, few).unwrap();

    // Sockets made while there were files; connecting needs no further one on this side.
    let clients: Vec<Socket> = (0..20)
        .map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap())
        .collect();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    let mut clients: Vec<TcpStream> = clients
        .into_iter()
        .map(|client| {
            client.connect(&address.into()).unwrap();
            let mut client = TcpStream::from(client);
            client
                .write_all(b"GET /status HTTP/1.1\r\nConnection: close\r\n\r\n")
                .unwrap();
            client
        })
        .collect();
    waits_without_a_busy_loop(&|| metrics.totals().failures(Failure::Socket));

    drop(files);
    for client in &mut clients {
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    }
    let lines: Vec<String> = LINES.lock().unwrap().clone();
    let told = lines
        .iter()
        .filter(|line| line.contains("LimitNOFILE, now 200"));
    assert_eq!(told.count(), 1, "{lines:?}");
    running.stop(Duration::from_secs(1));
}

/// Waits for the first failure, and sees that few follow.
fn waits_without_a_busy_loop(failures: &dyn Fn() -> u64) {
    let clock = Clock::start();
    while failures() == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_secs(1));
    // Half a second lies between two tries; a busy loop would fail thousands of times. The clock is read after the tries are
    // counted, so that a machine which stands still for a while only allows for more of them.
    let tries = failures();
    let most = clock.elapsed().as_millis() / 500 + 2;
    assert!(
        u128::from(tries) <= most,
        "{tries} tries, not {most} at most"
    );
}
