//! The built programs: what they print, what they refuse, and their exit codes.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The configuration in the README of the Flask original, blanks at the ends of lines included.
const ORIGINAL_README: &str = "[FLASK] \nsecret_key = your_random_session_secret_key\n[LOGGING]\nlog_file = tracker.log \n\
    level = INFO \nformat = %(asctime)s [%(levelname)s] %(message)s \nconsole_output = True \nmax_bytes = 5242880 \n\
    backup_count = 5 \nclear_on_start = False\n\n[TRACKER] \nhost = 0.0.0.0 \nport = 8080 \nannounce_interval = 1800 \n\
    peer_expire_factor = 2 \nignore_reported_ip = False \nverify_reported_ip = True \nallow_internal_ip = False \n\
    numwant = 50 \nrun_gc_key = gc\n\n[CACHE] \ntype = sqlite\n\n[DB] \ntype = sqlite\n\n[STATS] \n\
    access_username = admin \naccess_password = password\n";

/// A later sample of the original: comments behind values, doubled percent signs, schemas over several lines, CRLF.
const ORIGINAL_SAMPLE: &str = "\u{feff}; Настройки трекера\r\n[LOGGING]\r\nlog_file = data/tracker.log\r\nlevel = INFO\r\n\
    format = %%(asctime)s [%%(levelname)s] %%(message)s\r\nconsole_output = true\r\nmax_bytes = 5242880\r\nbackup_count = 5\r\n\
    clear_on_start = false\r\n\r\n[TRACKER]\r\nmode = direct\r\ntrusted_proxies = 127.0.0.1, 10.0.0.1\r\nuse_x_real_ip = true\r\n\
    use_x_forwarded_for = true\r\nhost = 0.0.0.0  # все адреса\r\nport = 8080\r\nannounce_interval = 1800\r\n\
    peer_expire_factor = 2.5\r\nignore_ip = 192.168.0.0/16 172.16.0.0/12 127.0.0.1\r\nnumwant = 50\r\nrun_gc_key = gc\r\n\
    peer_cleanup_period = 600  # секунд\r\ndebug = true\r\nuse_reloader = true\r\n\r\n[CACHE]\r\ntype = sqlite\r\n\r\n\
    [CACHE.sqlite]\r\nfile = data/cache.sqlite\r\n\r\n[DB]\r\ntype = sqlite\r\n\r\n[DB.sqlite]\r\nfile = data/tracker.sqlite\r\n\
    table_name = tracker\r\ntable_schema = CREATE TABLE tracker (\r\n    info_hash BLOB,\r\n    ip TEXT\r\n    )\r\n";

/// Runs the tracker's program in `folder` with no variables but those given.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let program = env!("CARGO_BIN_EXE_retracker");
    run_program(program, folder, arguments, variables)
}

/// Runs `retracker-lab`, which has nothing to read or write where it runs.
fn run_lab(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_retracker-lab");
    run_program(program, Path::new("/"), arguments, &[])
}

fn run_program(
    program: &str,
    folder: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env_clear();
    command
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// C1, original.md 7 (25, 26, 29): both samples, of which the original itself could not start one.
#[test]
fn configurations_of_the_original_are_taken_as_they_stand() {
    for (sample, warnings) in [(ORIGINAL_README, 5), (ORIGINAL_SAMPLE, 7)] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("config")).unwrap();
        let file = folder.path().join("config/config.ini");
        fs::write(&file, sample).unwrap();
        // What is said of the file itself depends on the umask.
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let output = run(folder.path(), &["--check-config"], &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert_eq!(
            told.lines()
                .filter(|line| line.contains("warning") && !line.contains("runs as root"))
                .count(),
            warnings,
            "{told}"
        );
    }
}

/// C1, C2
#[test]
fn a_bad_configuration_ends_with_78_and_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.ini");
    fs::write(&file, "[TRACKER]\nport = 8080\nanounce_interval = 1\n").unwrap();
    for arguments in [
        &["--config", "my.ini"][..],
        &["--config", "my.ini", "--check-config"],
        &["-c", "my.ini", "--print-config"],
    ] {
        let output = run(folder.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        assert_eq!(
            text(&output.stderr),
            "retracker: error: my.ini:3: [TRACKER] has no key anounce_interval; did you mean announce_interval?\n"
        );
        assert_eq!(text(&output.stdout), "");
    }
}

/// C2
#[test]
fn a_file_that_was_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(
        folder.path(),
        &["--config", "none.ini", "--check-config"],
        &[],
    );
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text(&output.stderr).contains("none.ini: cannot be read"),
        "{}",
        text(&output.stderr)
    );
}

/// C2
#[test]
fn every_value_is_printed_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("my.ini"),
        "[TRACKER]\nport = 1\nnumwant = 20\n",
    )
    .unwrap();
    fs::write(
        folder.path().join(".env"),
        "TRACKER_ANNOUNCE_INTERVAL=900\n",
    )
    .unwrap();
    let arguments = [
        "--config",
        "my.ini",
        "--print-config",
        "--listen",
        "127.0.0.1:81",
        "--listen",
        "::1",
    ];
    let output = run(
        folder.path(),
        &arguments,
        &[
            ("TRACKER_PORT", "8088"),
            ("RETRACKER_LOGGING_LEVEL", "debug"),
        ],
    );
    assert_eq!(output.status.code(), Some(0));
    let printed = text(&output.stdout);
    for line in [
        "host = 127.0.0.1:81 ::1  # command line --listen",
        "port = 8088  # environment variable TRACKER_PORT",
        "announce_interval = 900  # .env:1 (TRACKER_ANNOUNCE_INTERVAL)",
        "numwant = 20  # my.ini:3",
        "level = DEBUG  # environment variable RETRACKER_LOGGING_LEVEL",
        "max_numwant = 200  # default",
    ] {
        assert!(
            printed.lines().any(|found| found == line),
            "{line}\n{printed}"
        );
    }
}

/// C2
#[test]
fn a_bad_command_line_ends_with_2_and_a_bad_value_in_it_with_78() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        run(folder.path(), &["--prot", "1"], &[]).status.code(),
        Some(2)
    );
    let output = run(folder.path(), &["--port", "99999", "--check-config"], &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text(&output.stderr).contains("command line --port: [TRACKER] port = `99999`"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_sample_the_manual_and_completions_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let printed = |arguments: &[&str]| {
        let output = run(folder.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        text(&output.stdout)
    };
    let sample = |name| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        fs::read_to_string(folder.join(name)).unwrap()
    };
    assert_eq!(printed(&["sample"]), sample("config_example.ini"));
    assert_eq!(
        printed(&["sample", "--language", "ru"]),
        sample("config_example.ru.ini")
    );
    assert!(printed(&["man"]).starts_with(".TH RETRACKER 8 "));
    assert!(printed(&["man", "retracker.ini"]).starts_with(".TH RETRACKER.INI 5 "));
    for page in [&[][..], &["retracker.ini"]] {
        let russian = printed(&[&["man", "--language", "ru"], page].concat());
        assert!(russian.contains("\n.SH \"ИМЯ\"\n"), "{russian}");
    }
    assert!(printed(&["completions", "bash"]).contains("complete -F"));
    assert_eq!(
        printed(&["--version"]),
        format!("retracker {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(printed(&["--help"]).contains("78"));
}

#[test]
fn load_and_simulation_are_a_program_of_their_own_and_the_tracker_says_where() {
    let folder = tempfile::tempdir().unwrap();
    for tool in [
        "acid",
        "bench",
        "judge",
        "misbehave",
        "serve",
        "simulate",
        "watch",
    ] {
        let output = run(folder.path(), &[tool, "udp://127.0.0.1:1", "--json"], &[]);
        assert_eq!(output.status.code(), Some(2), "{tool}");
        let told = text(&output.stderr);
        assert!(told.contains(&format!("retracker-lab {tool}")), "{told}");
        assert_eq!(run_lab(&[tool, "--help"]).status.code(), Some(0), "{tool}");
    }
    let misspelt = run(folder.path(), &["smaple"], &[]);
    let told = text(&misspelt.stderr);
    assert!(told.contains("'sample'") && !told.contains("lab"), "{told}");
}

#[test]
fn the_lab_measures_and_prints_its_manual_and_completions() {
    let printed = |arguments: &[&str]| {
        let output = run_lab(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        text(&output.stdout)
    };
    assert!(printed(&["man"]).starts_with(".TH RETRACKER\\-LAB 1 "));
    assert!(printed(&["completions", "bash"]).contains("retracker-lab"));
    let small = [
        "simulate",
        "--zones=2",
        "--peers=4",
        "--pieces=2",
        "--runs=1",
        "--policies=shares:90/1",
    ];
    assert!(printed(&small).contains("| shares:90/1 |"));
    assert_eq!(run_lab(&[]).status.code(), Some(2));
    let refused = run_lab(&["bench", "ftp://127.0.0.1:1"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(told.starts_with("retracker-lab: error: ftp://"), "{told}");
}

/// O12
#[test]
fn zones_are_printed_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("z.ini");
    fs::write(&file, "[ZONES]\nmoscow/north = 10.1.0.0/16\n").unwrap();
    let policy = run(
        folder.path(),
        &["zones", "peer-policy", "--config", "z.ini"],
        &[],
    );
    assert!(policy.status.success());
    assert!(text(&policy.stdout).contains("<iprange start=\"10.1.0.0\" end=\"10.1.255.255\""));
    let map = run(
        folder.path(),
        &["zones", "-c", "z.ini", "alto", "network-map"],
        &[],
    );
    assert!(text(&map.stdout).contains("\"moscow:north\""));
    let explained = run(
        folder.path(),
        &["zones", "-c", "z.ini", "explain", "10.1.2.3"],
        &[],
    );
    assert!(text(&explained.stdout).contains("moscow/north, by 10.1.0.0/16"));
    let words = [
        "zones",
        "-c",
        "z.ini",
        "explain",
        "10.1.2.3",
        "--database",
        "none.db",
    ];
    let lost = run(folder.path(), &words, &[]);
    assert_eq!(lost.status.code(), Some(1));
    assert!(text(&lost.stderr).contains("none.db: no snapshot there"));
    let none = run(folder.path(), &["zones", "alto", "network-map"], &[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("no zones are configured"));
}

/// R8
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retracker"));
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command
        .arg("sample")
        .current_dir(folder.path())
        .stdout(writer)
        .stderr(full);
    assert_eq!(command.status().unwrap().code(), Some(0));
}

/// R8: what does not fit is missing, unlike what nobody wants to read.
#[test]
fn a_full_output_is_a_failure_of_every_tool() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    place("my.ini", "[ZONES]\ncity = 10.0.0.0/8\n");
    place("a", "10.0.0.0/8 city\n");
    place("b", "10.0.0.0/9 city\n");
    place("t.csv", "prefix,zone\n10.0.0.0/8,city\n");
    place("retracker.tokens", "");
    assert!(
        run(folder.path(), &["token", "--file", "db", "new", "x"], &[])
            .status
            .success()
    );
    for (arguments, code) in [
        (&["sample"][..], 1),
        (&["man"], 1),
        (&["completions", "bash"], 1),
        (&["--config", "my.ini", "--print-config"], 1),
        (&["--config", "my.ini", "--check-config"], 1),
        (&["zones", "import", "t.csv", "--path", "{zone}"], 1),
        (&["zones", "--config", "my.ini", "explain", "10.0.0.1"], 1),
        (&["token", "--file", "db", "list"], 1),
        (&["zones", "--config", "my.ini", "diff", "a", "b"], 2),
        (&["zones", "--config", "my.ini", "diff", "a", "a"], 2),
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_retracker"))
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(
            told.contains("standard output cannot be written"),
            "{arguments:?}: {told}"
        );
    }
}

/// W13: tools that change the tokens at once, each a process, lose nothing of each other's.
#[test]
fn tokens_made_by_many_processes_at_once_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    std::thread::scope(|scope| {
        for name in names {
            let new = ["token", "--file", "db", "new", name];
            let folder = folder.path();
            scope.spawn(move || {
                loop {
                    let made = run(folder, &new, &[]);
                    let told = text(&made.stderr);
                    if made.status.success() {
                        break;
                    }
                    // A loaded machine may let nobody have the lock in time: that is told, and changes nothing.
                    assert!(told.contains("being changed by another process"), "{told}");
                }
            });
        }
    });
    let listed = run(folder.path(), &["token", "--file", "db", "list"], &[]);
    let listed = text(&listed.stdout);
    for (number, name) in names.iter().enumerate() {
        let is_there = |line: &str| line.ends_with(&format!("  {name}"));
        assert_eq!(
            listed.lines().filter(|line| is_there(line)).count(),
            1,
            "{listed}"
        );
        assert!(
            listed.contains(&format!("   {}  read ", number + 1)),
            "{listed}"
        );
    }
}

/// A token is shown once, so nobody is told that all is well when it was not.
#[test]
fn a_token_that_cannot_be_printed_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = Command::new(env!("CARGO_BIN_EXE_retracker"));
    command
        .args(["token", "--file", "db.sqlite", "new", "grafana"])
        .current_dir(folder.path())
        .stdout(full.unwrap());
    let done = command.output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("revoke it"));
}

/// C1, C2: whatever lies in the place of a file that is read, the program does not wait for it, and says what is wrong.
#[test]
fn what_is_no_regular_file_is_refused_at_once_wherever_a_file_is_read() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    fs::write(at("large"), vec![b'\n'; 33 << 20]).unwrap();
    fs::create_dir(at("folder")).unwrap();
    for (place, why) in [
        ("fifo", "FIFO"),
        ("/dev/zero", "device"),
        ("folder", "folder"),
        ("large", "larger than"),
        ("missing", "No such file"),
    ] {
        fs::write(at("z.ini"), format!("[TRACKER]\nzones_file = {place}\n")).unwrap();
        for arguments in [
            &["--config", "z.ini", "--check-config"][..],
            &["--config", "z.ini"],
            &["--config", place, "--check-config"],
            &["zones", "alto", "network-map", "--config", place],
            &["import", place, "--into", "new.sqlite"],
            &["db", place],
            &["import", "x", "--config", place],
        ] {
            let output = run(folder.path(), arguments, &[]);
            let told = text(&output.stderr);
            assert!(!output.status.success(), "{arguments:?}");
            assert!(output.status.code().is_some(), "{arguments:?}: {told}");
            let is_database = matches!(arguments[0], "import" | "db") && arguments[1] == place;
            // A file that is large is a bad database, and no large one.
            if !(is_database && place == "large") {
                assert!(told.contains(why), "{arguments:?}: {told}");
            }
        }
    }
    // Where another program's `.env` is no file of ours, the program says so.
    fs::rename(at("fifo"), at(".env")).unwrap();
    let output = run(folder.path(), &["--check-config"], &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains(".env: cannot be read: it is a FIFO"));
}

/// R20: names in a file steer no terminal.
#[test]
fn a_hostile_file_writes_nothing_to_the_terminal_but_text() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("zones"),
        b"10.1.0.0/16 a\x1b[2J\n\x1b]0;x\x07\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("z.ini"),
        "[TRACKER]\nzones_file = zones\n",
    )
    .unwrap();
    for arguments in [
        &["--config", "z.ini", "--check-config"][..],
        &["zones", "alto", "network-map", "--config", "z.ini"],
    ] {
        let output = run(folder.path(), arguments, &[]);
        assert!(!output.status.success());
        let told = text(&output.stderr);
        assert!(
            told.contains("zones:1") && told.contains("zones:2"),
            "{told}"
        );
        assert!(
            !told.contains(|c: char| c.is_control() && c != '\n'),
            "{told:?}"
        );
    }
}
