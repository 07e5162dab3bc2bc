//! `retracker zones import` and `zones diff` as an operator calls them: what is printed, what is written, and the exit codes.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `retracker zones` in `folder` with `input` on its standard input.
fn zones(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retracker"));
    let mut child = command
        .arg("zones")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever has read enough may have closed it.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const TABLE: &str = "prefix;city;street\n192.0.2.0/25;msk;north\n192.0.2.128/25;msk;south\n2001:db8:7::/48;msk;north\n";

/// O14
#[test]
fn a_table_from_standard_input_becomes_a_file_that_the_tracker_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (place, path) = (folder.path(), ["--path", "{city}/{street}"]);
    let printed = zones(place, &[&["import", "-"][..], &path].concat(), TABLE);
    assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
    assert!(text(&printed.stderr).contains("3 prefixes in 2 zones"));
    let written = zones(
        place,
        &[&["import", "-o", "zones"][..], &path].concat(),
        TABLE,
    );
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let file = fs::read_to_string(place.join("zones")).unwrap();
    assert_eq!(file, text(&printed.stdout));
    fs::write(place.join("r.ini"), "[TRACKER]\nzones_file = zones\n").unwrap();
    let explained = zones(place, &["-c", "r.ini", "explain", "192.0.2.200"], "");
    assert!(text(&explained.stdout).contains("msk/south, by 192.0.2.128/25"));
    // What is there is not replaced unasked.
    let again = [&["import", "-o", "zones"][..], &path].concat();
    let refused = zones(place, &again, "prefix,city,street\n192.0.2.0/24,a,b\n");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("zones is there already; --force replaces it"));
    assert_eq!(fs::read_to_string(place.join("zones")).unwrap(), file);
    let forced = [again.as_slice(), &["--force"]].concat();
    let replaced = zones(place, &forced, "prefix,city,street\n192.0.2.0/24,a,b\n");
    assert_eq!(
        replaced.status.code(),
        Some(0),
        "{}",
        text(&replaced.stderr)
    );
    let file = fs::read_to_string(place.join("zones")).unwrap();
    assert!(file.ends_with("\n192.0.2.0/24 a/b\n"), "{file}");
}

/// O14
#[test]
fn nothing_is_written_of_a_table_with_a_bad_row_unless_that_may_be_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let table = "prefix,zone\n192.0.2.0/24,msk\n192.0.2.1/24,msk\n";
    let refused = zones(folder.path(), &["import", "-o", "zones"], table);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(
        told.contains("nothing was written: 1 rows cannot be used")
            && told.contains("standard input, line 3: `192.0.2.1/24` has bits set behind its length: as a network it is 192.0.2.0/24"),
        "{told}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let skipped = zones(folder.path(), &["import", "--skip-bad"], table);
    assert_eq!(skipped.status.code(), Some(0));
    assert!(text(&skipped.stdout).ends_with("\n192.0.2.0/24 msk\n"));
    assert!(text(&skipped.stderr).contains("1 rows cannot be used and were left out"));
}

/// O14
#[test]
fn netbox_is_asked_for_page_by_page_and_its_paths_are_made_by_a_template() {
    let folder = tempfile::tempdir().unwrap();
    let page = |prefix: &str, site: &str| {
        format!(
            r#"{{"count": 2, "results": [{{"prefix": "{prefix}", "site": {{"name": "{site}"}}, "role": {{"name": "access"}}}}]}}"#
        )
    };
    fs::write(folder.path().join("1.json"), page("192.0.2.0/24", "North")).unwrap();
    fs::write(
        folder.path().join("2.json"),
        page("198.51.100.0/24", "South"),
    )
    .unwrap();
    let template = ["--path", "{site}/{role}"];
    let both = [&["import", "1.json", "2.json"][..], &template].concat();
    let imported = zones(folder.path(), &both, "");
    let printed = text(&imported.stdout);
    assert!(
        printed.ends_with("\n192.0.2.0/24 North/access\n198.51.100.0/24 South/access\n"),
        "{printed}{}",
        text(&imported.stderr)
    );
    let half = [&["import", "1.json"][..], &template].concat();
    let refused = zones(folder.path(), &half, "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("1 of 2 prefixes"));
    let unnamed = zones(folder.path(), &["import", "1.json"], "");
    assert!(text(&unnamed.stderr).contains("--path '{site}/{role}'"));
}

/// O14
#[test]
fn a_comparison_ends_as_that_of_diff_does() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), "192.0.2.0/24 a\n").unwrap();
    fs::write(folder.path().join("bad"), "192.0.2.1/24 a\n").unwrap();
    let compare = |new: &str, input| zones(folder.path(), &["diff", "old", new], input);
    let same = compare("-", "# another order\n192.0.2.0/24\ta\n");
    assert_eq!(same.status.code(), Some(0));
    let other = compare("-", "192.0.2.0/24 b\n203.0.113.0/24 b\n");
    assert_eq!(other.status.code(), Some(1));
    let told = text(&other.stdout);
    for line in [
        "prefixes: 1 -> 2: 1 added, 0 removed, 1 moved\n",
        "> 192.0.2.0/24 a -> b\n+ 203.0.113.0/24 b\n",
        "peers that would move: not counted: ",
    ] {
        assert!(told.contains(line), "{told}");
    }
    for bad in ["bad", "none"] {
        let failed = compare(bad, "");
        assert_eq!(failed.status.code(), Some(2), "{bad}");
        assert_eq!(text(&failed.stdout), "");
    }
    let told = text(&compare("bad", "").stderr);
    assert!(
        told.contains("bad:1: `192.0.2.1/24` has bits set"),
        "{told}"
    );
}
