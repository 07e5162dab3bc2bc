//! Tools that root calls, and the tracker that runs as another user (O17): whose the files are, whose the rights, and what is said
//! when permissions are in the way. What needs root is skipped, and says so, where the tests have another user.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test helpers, and a test that is skipped says so"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// The service's user and group: of nobody's programs.
const USER: u32 = 65_123;
const GROUP: u32 = 65_124;

/// Longer than anything takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(5);

/// A place with a copy of the program that every user may run, and a state directory of the service's user.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// `None`, with a word, where only root could make it.
    fn of_root() -> Option<Site> {
        if !geteuid().is_root() {
            eprintln!("SKIPPED: only root can make files of another user");
            return None;
        }
        let site = Site {
            folder: tempfile::tempdir().unwrap(),
        };
        open_to_all(site.folder.path());
        fs::copy(env!("CARGO_BIN_EXE_retracker"), site.at("retracker")).unwrap();
        fs::create_dir(site.at("state")).unwrap();
        fs::set_permissions(site.at("state"), PermissionsExt::from_mode(0o750)).unwrap();
        chown(site.at("state"), Some(USER), Some(GROUP)).unwrap();
        Some(site)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, folder: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.at("retracker"));
        command
            .args(arguments)
            .current_dir(self.at(folder))
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    fn as_root(&self, folder: &str, arguments: &[&str]) -> Output {
        self.command(folder, arguments).output().unwrap()
    }

    /// Starts the tracker as the service's user in the state directory; its log goes to `log`.
    fn start(&self, arguments: &[&str]) -> Child {
        self.command("state", arguments)
            .uid(USER)
            .gid(GROUP)
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.at("log")).unwrap())
            .spawn()
            .unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap()
    }
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wait(mut is_so: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    while !is_so() {
        assert!(waited < PATIENCE, "nothing happens");
        thread::sleep(STEP);
        waited += STEP;
    }
}

fn end(child: &mut Child) -> i32 {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    child.wait().unwrap().code().unwrap()
}

/// Everything below a folder, with its user and mode.
fn below(folder: &Path) -> Vec<(PathBuf, u32, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        found.push((path.clone(), about.uid(), about.mode() & 0o777));
        if about.is_dir() {
            found.extend(below(&path));
        }
    }
    found
}

fn old_database(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "CREATE TABLE tracker (info_hash BLOB, ip TEXT, port INTEGER, \"left\" INTEGER, update_time INTEGER);
        INSERT INTO tracker VALUES (unhex(printf('%040d', 1)), '0a000001', 6881, 0, 1)";
    connection.execute_batch(sql).unwrap();
}

/// Addresses of loopback that no other test of this process uses.
fn address(number: u8) -> String {
    let process = std::process::id().to_be_bytes()[3];
    format!("127.{}.9.{number}:8096", 64 + process % 64)
}

/// O17: the whole way of an operator who is root: import, token, a look, and the service starts and writes.
#[test]
fn what_root_s_tools_make_is_the_service_s() {
    let Some(site) = Site::of_root() else { return };
    fs::create_dir(site.at("private")).unwrap();
    fs::set_permissions(site.at("private"), PermissionsExt::from_mode(0o700)).unwrap();
    old_database(&site.at("private/old.sqlite"));
    let address = address(1);
    let settings = format!(
        "[TRACKER]\nhost = {address}\n[SNAPSHOTS]\nfile = ../state/snapshots/retracker.sqlite\n\
         [ZONES]\ncity = 10.0.0.0/8\n"
    );
    fs::create_dir(site.at("elsewhere")).unwrap();
    fs::write(site.at("elsewhere/config.ini"), settings).unwrap();
    let config = ["--config", "../elsewhere/config.ini"];
    for arguments in [
        &["import", "../private/old.sqlite"][..],
        &["token", "new", "grafana"],
        &["token", "list"],
        &["db"],
        &["db", "../state/snapshots/retracker.sqlite"],
        &["zones", "explain", "10.0.0.1"],
        &["--check-config"],
    ] {
        let mut arguments = arguments.to_vec();
        if arguments.len() < 2 || arguments[0] != "db" {
            arguments.extend(config);
        }
        let done = site.as_root("elsewhere", &arguments);
        let told = text(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {told}");
        for (path, user, mode) in below(&site.at("state")) {
            assert_eq!(user, USER, "{arguments:?} left {}", path.display());
            assert_eq!(
                mode & 0o027,
                mode & 0o050 & 0o027,
                "{}: {mode:o}",
                path.display()
            );
        }
    }
    let names: Vec<_> = below(&site.at("state"))
        .into_iter()
        .map(|(path, ..)| path)
        .collect();
    for name in [
        "snapshots",
        "snapshots/retracker.tokens",
        "snapshots/retracker.tokens-lock",
        "snapshots/retracker.sqlite",
    ] {
        assert!(
            names.contains(&site.at("state").join(name)),
            "{name}: {names:?}"
        );
    }
    assert_eq!(below(&site.at("elsewhere")).len(), 1);
    let mut child = site.start(&config);
    wait(|| child.try_wait().unwrap().is_some() || site.log().contains("serving udp"));
    assert_eq!(end(&mut child), 0, "{}", site.log());
}

/// O17: who owns the directory puts links where root's tools write; they lead root nowhere.
#[test]
fn links_of_the_service_s_user_lead_root_nowhere() {
    let Some(site) = Site::of_root() else { return };
    fs::create_dir(site.at("root")).unwrap();
    fs::write(site.at("root/file"), "root's").unwrap();
    fs::set_permissions(site.at("root/file"), PermissionsExt::from_mode(0o600)).unwrap();
    old_database(&site.at("old.sqlite"));
    let before = below(&site.at("root"));
    symlink(site.at("root"), site.at("state/folder")).unwrap();
    for name in [
        "db",
        "db.lock",
        "db-wal",
        "db.new",
        "retracker.tokens",
        "retracker.tokens-new",
        "retracker.tokens-lock",
    ] {
        symlink(site.at("root/file"), site.at("state").join(name)).unwrap();
    }
    for arguments in [
        &["import", "old.sqlite", "--into", "state/folder/db"][..],
        &["token", "--file", "state/folder/db", "new", "x"],
        &["import", "old.sqlite", "--into", "state/db"],
        &["token", "--file", "state/db", "new", "x"],
        &["db", "state/db"],
    ] {
        let done = site.as_root(".", arguments);
        assert!(!done.status.success(), "{arguments:?}");
        let told = text(&done.stderr);
        assert!(
            told.contains(&format!("acting as user {USER}")),
            "{arguments:?}: {told}"
        );
        assert_eq!(below(&site.at("root")), before, "{arguments:?}");
        assert_eq!(fs::read_to_string(site.at("root/file")).unwrap(), "root's");
    }
}

/// O17, O14: files of zones that root imports into the service's folder are the service's, and a link there leads root nowhere.
#[test]
fn zones_that_root_imports_and_compares_leave_nothing_of_root() {
    let Some(site) = Site::of_root() else { return };
    for (name, line) in [("a.csv", "10.0.0.0/8"), ("b.csv", "10.0.0.0/9")] {
        fs::write(site.at(name), format!("prefix,zone\n{line},city\n")).unwrap();
        fs::set_permissions(site.at(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let import = |from: &str, to: &str| {
        site.as_root(
            ".",
            &[
                "zones", "import", from, "--path", "{zone}", "-o", to, "--force",
            ],
        )
    };
    fs::create_dir(site.at("root")).unwrap();
    fs::write(site.at("root/file"), "root's").unwrap();
    symlink(site.at("root/file"), site.at("state/link")).unwrap();
    let done = import("a.csv", "state/link");
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("acting as user {USER}")), "{told}");
    assert_eq!(fs::read_to_string(site.at("root/file")).unwrap(), "root's");
    assert_eq!(below(&site.at("root")).len(), 1);
    fs::remove_file(site.at("state/link")).unwrap();
    for (from, to) in [
        ("a.csv", "state/zones"),
        ("b.csv", "state/zones.new"),
        ("b.csv", "state/zones.new"),
    ] {
        let done = import(from, to);
        assert!(done.status.success(), "{}", text(&done.stderr));
    }
    // In root's own folder a file stays whose it was.
    assert!(import("a.csv", "root/zones").status.success());
    assert_eq!(fs::metadata(site.at("root/zones")).unwrap().uid(), 0);
    chown(site.at("root/zones"), Some(USER), Some(GROUP)).unwrap();
    assert!(import("b.csv", "root/zones").status.success());
    assert_eq!(fs::metadata(site.at("root/zones")).unwrap().uid(), USER);

    old_database(&site.at("old.sqlite"));
    assert!(
        site.as_root(".", &["import", "old.sqlite", "--into", "state/db"])
            .status
            .success()
    );
    let before = below(&site.at("state")).len();
    let done = site.as_root(
        ".",
        &[
            "zones",
            "diff",
            "state/zones",
            "state/zones.new",
            "--database",
            "state/db",
        ],
    );
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(
        text(&done.stdout).contains("peers that would move: "),
        "{}",
        text(&done.stdout)
    );
    let after = below(&site.at("state"));
    assert!(after.len() >= before);
    for (path, user, _) in after {
        assert_eq!(user, USER, "{}", path.display());
    }
}

/// O17: files of root in the service's folder are named, with the line that mends it, and no restart is worth while.
#[test]
fn the_service_names_the_files_that_are_kept_from_it() {
    let Some(site) = Site::of_root() else { return };
    let address = address(2);
    let arguments = ["--listen", &address, "--log-level", "info"];
    fs::create_dir(site.at("state/snapshots")).unwrap();
    chown(site.at("state/snapshots"), Some(USER), Some(GROUP)).unwrap();
    let database = site.at("state/snapshots/retracker.sqlite");
    for name in ["retracker.sqlite", "retracker.key", "retracker.sqlite.lock"] {
        let path = site.at("state/snapshots").join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let mut child = site.start(&arguments);
    assert_eq!(child.wait().unwrap().code(), Some(77), "{}", site.log());
    let unit =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/retracker.service"));
    assert!(unit.unwrap().contains("\nRestartPreventExitStatus=77 78\n"));
    for name in ["retracker.sqlite", "retracker.key", "retracker.sqlite.lock"] {
        let path = site.at("state/snapshots").join(name);
        let remedy = format!("chown -h {USER}:{GROUP} {}", path.display());
        assert!(site.log().contains(&remedy), "{remedy}\n{}", site.log());
    }
    // Root, to whom nothing is closed, is told the same of the service.
    let done = site.as_root("state", &["--check-config"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(78), "{told}");
    assert!(told.contains(&format!("checking as user {USER}")), "{told}");
    assert!(told.contains("retracker.key: user"), "{told}");

    // Of a folder that is closed, one line is enough.
    chown(site.at("state/snapshots"), Some(0), Some(0)).unwrap();
    fs::set_permissions(site.at("state/snapshots"), PermissionsExt::from_mode(0o750)).unwrap();
    let mut child = site.start(&arguments);
    assert_eq!(child.wait().unwrap().code(), Some(77), "{}", site.log());
    let folder = site.at("state/snapshots");
    let remedy = format!("chown -h {USER}:{GROUP} {}\n", folder.display());
    let lines = site.log().matches("the tracker cannot start").count();
    assert!(site.log().contains(&remedy) && lines == 1, "{}", site.log());

    fs::remove_dir_all(site.at("state/snapshots")).unwrap();
    fs::set_permissions(site.at("state"), PermissionsExt::from_mode(0o550)).unwrap();
    let mut child = site.start(&arguments);
    assert_eq!(child.wait().unwrap().code(), Some(77), "{}", site.log());
    assert!(!database.exists());
}

/// O17, W9: an unreadable file of tokens costs the tokens only, and everybody who asks is told which way it failed.
#[test]
fn tokens_that_cannot_be_read_are_told_of() {
    let Some(site) = Site::of_root() else { return };
    let address = address(3);
    fs::create_dir(site.at("state/snapshots")).unwrap();
    chown(site.at("state/snapshots"), Some(USER), Some(GROUP)).unwrap();
    fs::write(site.at("state/snapshots/retracker.tokens"), "").unwrap();
    let closed = PermissionsExt::from_mode(0o600);
    fs::set_permissions(site.at("state/snapshots/retracker.tokens"), closed).unwrap();
    let mut child = site.start(&["--listen", &address]);
    wait(|| child.try_wait().unwrap().is_some() || site.log().contains("serving udp"));
    let mut stream = TcpStream::connect(&address).unwrap();
    let request = "GET /api/v1/blocklist HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer rt_x\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
    assert!(reply.contains("The tokens could not be read"), "{reply}");
    let log = site.log();
    let path = site.at("state/snapshots/retracker.tokens");
    let remedy = format!("chown -h {USER}:{GROUP} {}", path.display());
    // At the start, and for the first who came with one.
    assert_eq!(log.matches(&remedy).count(), 2, "{log}");
    assert_eq!(end(&mut child), 0);
    let done = site.as_root("state", &["--check-config"]);
    assert_eq!(done.status.code(), Some(0));
    assert!(
        text(&done.stderr).contains("retracker.tokens: user"),
        "{}",
        text(&done.stderr)
    );
    let done = site.as_root("state", &["token", "list"]);
    assert!(
        text(&done.stderr).contains(&remedy),
        "{}",
        text(&done.stderr)
    );
}

/// O17: a configuration, or an `.env` that the service itself wrote, names a folder of the system: root is never told to give that away.
#[test]
fn nobody_is_told_to_give_away_what_is_not_the_tracker_s() {
    let Some(site) = Site::of_root() else { return };
    let address = address(6);
    for file in [
        "/rt.sqlite",
        "/etc/rt.sqlite",
        "/etc/shadow",
        "/var/lib/db/rt.sqlite",
    ] {
        fs::write(
            site.at("state/.env"),
            format!("RETRACKER_SNAPSHOTS_FILE={file}\n"),
        )
        .unwrap();
        chown(site.at("state/.env"), Some(USER), Some(GROUP)).unwrap();
        let mut child = site.start(&["--listen", &address]);
        assert_eq!(child.wait().unwrap().code(), Some(77), "{}", site.log());
        let checked = site.as_root("state", &["--check-config"]);
        assert_eq!(checked.status.code(), Some(78));
        for told in [site.log(), text(&checked.stderr)] {
            assert!(told.contains("choose another `file`"), "{file}: {told}");
            assert!(!told.contains("chown"), "{file}: {told}");
        }
    }
    // A link in a folder of the tracker's is not the tracker's either.
    fs::write(site.at("state/.env"), "RETRACKER_SNAPSHOTS_FILE=db\n").unwrap();
    fs::write(site.at("file"), "root's").unwrap();
    fs::set_permissions(site.at("file"), PermissionsExt::from_mode(0o600)).unwrap();
    symlink(site.at("file"), site.at("state/db")).unwrap();
    let checked = site.as_root("state", &["--check-config"]);
    let told = text(&checked.stderr);
    assert!(
        told.contains("choose another `file`") && !told.contains("chown"),
        "{told}"
    );
}

/// O17: root reads what the service may not; the check says so before the service's start does.
#[test]
fn the_check_names_what_only_root_can_read() {
    let Some(site) = Site::of_root() else { return };
    fs::write(site.at("zones"), "10.0.0.0/8 city\n").unwrap();
    let zones = site.at("zones");
    let settings = format!("[TRACKER]\nzones_file = {}\n", zones.display());
    fs::write(site.at("my.ini"), settings).unwrap();
    let check = || site.as_root("state", &["--config", "../my.ini", "--check-config"]);
    let done = check();
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    for name in ["zones", "my.ini", "state/.env"] {
        fs::write(site.at("state/.env"), "").unwrap();
        let path = site.at(name);
        let before = fs::metadata(&path).unwrap().mode();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let done = check();
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(78), "{name}: {told}");
        let line =
            format!("{name}: user {USER} may not read it; it belongs to user 0, with mode 0600");
        assert!(
            told.contains(&line) && told.contains("let that user read it"),
            "{told}"
        );
        let mut child = site.start(&["--config", "../my.ini"]);
        assert_eq!(child.wait().unwrap().code(), Some(78), "{}", site.log());
        fs::set_permissions(&path, PermissionsExt::from_mode(before)).unwrap();
    }
}

/// Runs a script as root where /etc and /var/lib are empty and this process's own, if the system lets it.
fn in_an_empty_system(site: &Site, script: &str) -> Option<Output> {
    let setting = "mount -t tmpfs none /etc && mount -t tmpfs none /var/lib || exit 99\n\
        mkdir -p /etc/retracker /var/lib/retracker && chmod 750 /var/lib/retracker\n\
        chown \"$1:$2\" /var/lib/retracker && cd \"$3\" || exit 99\n";
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", &format!("{setting}{script}"), "sh"])
        .args([USER.to_string(), GROUP.to_string()])
        .arg(site.folder.path())
        .stdin(Stdio::null())
        .output();
    let done = done
        .ok()
        .filter(|done| !matches!(done.status.code(), Some(1 | 99)));
    if done.is_none() {
        eprintln!("SKIPPED: the system does not let root have mounts of its own");
    }
    done
}

/// O17: from any folder the tools find what the unit names, say so, and use its database as its user.
#[test]
fn tools_find_the_configuration_and_the_state_of_the_installed_service() {
    let Some(site) = Site::of_root() else { return };
    let script = "
        printf '[ZONES]\\ncity = 10.0.0.0/8\\n[SNAPSHOTS]\\nfile = kept/db.sqlite\\n' > /etc/retracker/config.ini
        printf 'RETRACKER_TRACKER_PORT=81\\n' > /var/lib/retracker/.env
        ./retracker token new grafana >/dev/null || exit 2
        ./retracker zones explain 10.1.1.1 | grep -q 'city, by 10.0.0.0/8' || exit 3
        ./retracker --print-config 2>/dev/null | grep -q 'port = 81 ' || exit 4
        ./retracker --check-config || exit 5
        RETRACKER_CONFIG=/etc/retracker/../retracker/config.ini ./retracker token list | grep -q grafana || exit 6
        find . /var/lib/retracker -name 'retracker.tokens' -exec stat -c '%u:%g %a %n' {} +
        rm -r /var/lib/retracker
        ./retracker token new lost && exit 7
        mkdir config && echo '[SNAPSHOTS]
file = here/db.sqlite' > config/config.ini
        ./retracker token new local >/dev/null 2>&1 && ls here
        ls /var/lib";
    let Some(done) = in_an_empty_system(&site, script) else {
        return;
    };
    let (printed, told) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{printed}{told}");
    let made = format!("{USER}:{GROUP} 600 /var/lib/retracker/kept/retracker.tokens\n");
    assert!(printed.contains(&made), "{printed}{told}");
    // The working directory's own comes first, and nothing was made for a service without a folder.
    assert!(
        printed.ends_with("\nretracker.tokens\nretracker.tokens-lock\n"),
        "{printed}"
    );
    let notice = "retracker: the configuration is the service's, /etc/retracker/config.ini; paths in it count from /var/lib/retracker\n";
    assert!(told.contains(notice), "{told}");
    assert!(told.contains("start the service once"), "{told}");
}

/// O17: `--check-config` and the start have one list of warnings.
#[test]
fn the_check_says_what_the_start_says() {
    let folder = tempfile::tempdir().unwrap();
    let host = address(4);
    let settings = format!(
        "[TRACKER]\nhost = [::ffff:{}]:8096\nannounce_interval = 5\nnumwant = 200\nmax_numwant = 100\n\
         [STATS]\naccess_password = password\n[FLASK]\nsecret_key = short\n\
         [LOGGING]\nlog_file = log\nformat = %(levelname)s %(message)s\n",
        host.strip_suffix(":8096").unwrap()
    );
    fs::write(folder.path().join("my.ini"), settings).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retracker"));
        command
            .args(arguments)
            .current_dir(folder.path())
            .env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let check = command(&["--config", "my.ini", "--check-config"])
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(0));
    let told = text(&check.stderr);
    let told: Vec<&str> = told
        .lines()
        .map(|line| line.strip_prefix("retracker: warning: ").unwrap())
        .collect();
    assert!(!folder.path().join("log").exists(), "a check makes nothing");
    for word in [
        "::ffff:127.",
        "each 5 s",
        "max_numwant",
        "every manual",
        "secret_key",
    ] {
        assert!(
            told.iter().any(|line| line.contains(word)),
            "{word}: {told:#?}"
        );
    }
    let mut child = command(&["--config", "my.ini"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    wait(|| child.try_wait().unwrap().is_some() || log().contains("in the foreground"));
    assert_eq!(end(&mut child), 0, "{}", log());
    let log = log();
    let logged: Vec<&str> = log
        .lines()
        .filter_map(|line| {
            line.strip_prefix("WARNING ")
                .or(line.strip_prefix("ERROR "))
        })
        .collect();
    assert_eq!(logged, told);
    assert!(log.contains("INFO the configuration is my.ini\n"), "{log}");
}

/// O17: what would end the start ends the check.
#[test]
fn the_check_refuses_what_the_start_would_end_with() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for (settings, word) in [
        ("[LOGGING]\nlog_file = file/tracker.log\n", "log file"),
        ("[LOGGING]\nlog_file = .\n", "log file"),
        ("[STATS]\naccess_password = $argon2id$x\n", "PHC string"),
        ("[STATS]\ntemplates = bad\n", "templates"),
    ] {
        fs::create_dir_all(folder.path().join("bad")).unwrap();
        fs::write(folder.path().join("bad/about.html"), "{{").unwrap();
        fs::write(folder.path().join("my.ini"), settings).unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_retracker"))
            .args(["--config", "my.ini", "--check-config"])
            .current_dir(folder.path())
            .env_clear()
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(78), "{settings}");
        let told = text(&done.stderr);
        assert!(told.contains("error: ") && told.contains(word), "{told}");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            3,
            "a check makes nothing"
        );
    }
}

/// O17: so does what can be no database, and each fault is told once; a file of tokens that is none is told of.
#[test]
fn the_check_refuses_what_can_be_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let fifo = |name: &str| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, at(name), mode).unwrap();
    };
    let run = |arguments: &[&str], file: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_retracker"))
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("RETRACKER_SNAPSHOTS_FILE", file)
            .env("RETRACKER_TRACKER_HOST", address(7))
            .output()
            .unwrap();
        (done.status.code(), text(&done.stderr))
    };
    let is_told_once = |told: &str, word: &str| {
        let once = |line: &str| line.matches(word).count() < 2;
        told.contains(word) && told.lines().all(once)
    };
    fs::write(at("file"), "somebody's").unwrap();
    fs::create_dir(at("folder")).unwrap();
    fifo("fifo");
    symlink("file", at("link")).unwrap();
    for (file, word) in [
        ("fifo", "it is a FIFO"),
        ("folder", "it is a folder"),
        ("file/db", "Not a directory"),
        ("link", "it is a link to file"),
    ] {
        let (code, told) = run(&["--check-config"], file);
        assert_eq!(code, Some(78), "{file}: {told}");
        assert!(is_told_once(&told, word), "{file}: {told}");
        let (code, told) = run(&[], file);
        assert_eq!(code, Some(78), "{file}: {told}");
        assert!(is_told_once(&told, word), "{file}: {told}");
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "somebody's");
    }
    fifo("retracker.tokens");
    let (code, told) = run(&["--check-config"], "db");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("retracker.tokens: it is a FIFO"), "{told}");
}

/// O17, O23: a file that the configuration names and that is bad is told with the key that names it, by the check and by the start.
#[test]
fn what_the_check_refuses_ends_the_start_in_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad"), "no certificate\n").unwrap();
    let ini = "[SITES]\nname = a\nengines = rediss://e1\nca_file = bad";
    fs::write(folder.path().join("my.ini"), ini).unwrap();
    for arguments in [
        &["--config", "my.ini", "--check-config"][..],
        &["--config", "my.ini"],
    ] {
        let done = Command::new(env!("CARGO_BIN_EXE_retracker"))
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("RETRACKER_TRACKER_HOST", address(9))
            .output()
            .unwrap();
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(78), "{told}");
        let place = "my.ini:4: [SITES] ca_file: ";
        assert!(told.contains(place) && told.contains("bad"), "{told}");
    }
}

/// O17: the first minute: what was read, where the pages are, how to end it.
#[test]
fn a_first_run_says_where_it_is_and_how_to_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let address = address(5);
    let mut child = Command::new(env!("CARGO_BIN_EXE_retracker"))
        .args(["--listen", &address])
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait(|| child.try_wait().unwrap().is_some() || log().contains("in the foreground"));
    assert_eq!(end(&mut child), 0, "{}", log());
    for line in [
        "there is no configuration file",
        &format!("serving http://{address}/announce"),
        &format!("the pages: http://{address}/\n"),
        "until Ctrl-C or SIGTERM",
        "user name  admin",
    ] {
        assert!(log().contains(line), "{line}\n{}", log());
    }
}

/// O17: a password typed at a terminal is not shown, and asked for twice.
#[test]
fn a_password_is_not_shown_as_it_is_typed() {
    let program = env!("CARGO_BIN_EXE_retracker");
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new("script")
        .args(["-qec", &format!("'{program}' hash-password"), "typescript"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: there is no script(1), which gives a program a terminal");
        return;
    };
    let mut input = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut shown = String::new();
    for question in ["not shown): ", "once more: "] {
        let mut byte = [0];
        while !shown.ends_with(question) {
            assert_eq!(output.read(&mut byte).unwrap(), 1, "{shown}");
            shown.push(char::from(byte[0]));
        }
        input.write_all(b"gutes wort\n").unwrap();
    }
    output.read_to_string(&mut shown).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success(), "{shown}");
    assert!(shown.contains("$argon2id$"), "{shown}");
    assert!(!shown.contains("gutes"), "{shown}");
}
