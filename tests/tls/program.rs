//! The built program, with a configuration and certificates of its own in a folder.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;

use super::client::{Client, PATIENCE, Reply, VERSIONS, config, connect, pem, rest};

/// A password of the pages.
pub(crate) const PASSWORD: &str = "gutes-wort";

/// A tracker; ended with the test, however that ends.
pub(crate) struct Program {
    pub(crate) folder: tempfile::TempDir,
    process: Child,
    pub(crate) plain: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) tls: ClientConfig,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A folder with a configuration: `tls` is what stands in its section, `more` what stands behind.
pub(crate) fn folder(tls: &str, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[TRACKER]\nhost = 127.0.0.1:0\n[UDP]\nenabled = no\n[STATS]\naccess_password = {PASSWORD}\n{more}\n[TLS]\n{tls}\n"
    );
    fs::write(folder.path().join("config.ini"), text).unwrap();
    folder
}

/// The line of the configuration in which the first key of `[TLS]` stands.
pub(crate) const FIRST_LINE: usize = 9;

/// Puts a certificate of the tests into a folder, under a name.
pub(crate) fn put(folder: &tempfile::TempDir, name: &str, of: &str) {
    for (ending, mode) in [("key", 0o600), ("pem", 0o644)] {
        let path = folder.path().join(format!("{name}.{ending}"));
        write(path, &pem(&format!("{of}.{ending}")), mode);
    }
}

/// Replaces a file as who renews certificates does: written elsewhere, then renamed.
pub(crate) fn write(path: PathBuf, bytes: &[u8], mode: u32) {
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new)
        .unwrap();
    file.write_all(bytes).unwrap();
    fs::rename(new, path).unwrap();
}

pub(crate) fn command(folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retracker"));
    command
        .args(["--config", "config.ini"])
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

impl Program {
    /// Starts it with the certificate `one` under the name `a`.
    pub(crate) fn start(tls: &str, more: &str) -> Program {
        let tls = format!("listen = 127.0.0.1:0\ncertificate = a.pem\nkey = a.key\n{tls}");
        let folder = folder(&tls, more);
        put(&folder, "a", "one");
        let run = command(&folder);
        Program::run(folder, run)
    }

    /// Waits until it serves.
    pub(crate) fn run(folder: tempfile::TempDir, mut command: Command) -> Program {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = command.stderr(log).spawn().unwrap();
        let mut program = Program {
            folder,
            process,
            plain: "127.0.0.1:0".parse().unwrap(),
            address: "127.0.0.1:0".parse().unwrap(),
            tls: config(&VERSIONS),
        };
        program.await_log("in the foreground", 1);
        let log = program.log();
        let at = |scheme: &str| {
            let (_, rest) = log.split_once(&format!("serving {scheme}://")).unwrap();
            rest.split_once('/').unwrap().0.parse().unwrap()
        };
        (program.plain, program.address) = (at("http"), at("https"));
        program
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits until something stands in the log so often.
    pub(crate) fn await_log(&self, words: &str, count: usize) {
        let step = Duration::from_millis(20);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            if self.log().matches(words).count() >= count {
                return;
            }
            std::thread::sleep(step);
        }
        panic!("not in the log: {words}\n{}", self.log());
    }

    pub(crate) fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    /// One request over TLS, on a connection of its own.
    pub(crate) fn ask(&self, request: &str) -> Reply {
        let mut client = Client::new(self.address, &self.tls);
        client.send(request);
        let reply = client.reply();
        assert!(client.is_closed());
        reply
    }

    /// Gets a path over TLS, with some header lines, each ended by CR LF.
    pub(crate) fn get(&self, path: &str, fields: &str) -> Reply {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n"
        ))
    }

    /// Gets a path without TLS; the whole reply.
    pub(crate) fn get_plain(&self, path: &str) -> String {
        let mut stream = connect("127.0.0.1", self.plain);
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        String::from_utf8(rest(&mut stream)).unwrap()
    }

    /// The value of one series.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let metrics = self.get_plain("/metrics");
        let mut lines = metrics.lines();
        let row = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        row.unwrap().parse().unwrap()
    }
}
