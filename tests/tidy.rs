//! The house rules that no compiler knows: who may import whom, which crate is used where, how files begin, where a type lives.
//!
//! The rules are tables; a rule that must change is changed here, with its reason. Test modules at the end of a file are free
//! of them. How long a file may be is no rule; that a function over 70 lines needs a reason, clippy knows (`too_many_lines`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which top-level modules of `src` each one may import; a module that is not listed fails the test.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("invariant", &[]),
    ("clock", &[]),
    ("metrics", &[]),
    ("supervise", &[]),
    // How files are read, and how text is shown: for whoever meets either.
    ("regular_file", &[]),
    ("shown", &[]),
    // What is shown nowhere: passwords, hashes, keys.
    ("secret", &[]),
    // What stands encoded in paths and queries, for whoever reads either.
    ("percent", &[]),
    // What other servers answer, for the tools that ask and for the laboratory.
    ("http_reply", &[]),
    // Who did what: told by the pages, the composition root and the tools.
    ("audit", &["clock", "supervise", "regular_file", "shown"]),
    // TLS over anybody's bytes.
    ("tls", &["clock"]),
    // Addresses, and whose they are: arithmetic that the core needs as much as who meets clients. Bans end at a time; a connection
    // that is handed over goes with its TLS.
    ("net", &["metrics", "clock", "tls"]),
    // Keys of announce addresses stand in paths.
    ("tracker", &["metrics", "clock", "net", "percent"]),
    // Requests as they are answered, from those who answer to the pages: the values of the core, and nobody's protocol.
    ("watch", &["tracker", "metrics", "clock", "percent"]),
    // What stands in files beside the configuration, read into what the core looks at.
    (
        "lists",
        &[
            "tracker",
            "net",
            "metrics",
            "clock",
            "regular_file",
            "shown",
        ],
    ),
    // The six in the middle: never one another, never config.
    (
        "http",
        &[
            "tracker",
            "watch",
            "metrics",
            "clock",
            "supervise",
            "net",
            "tls",
            "percent",
        ],
    ),
    (
        "udp",
        &["tracker", "watch", "metrics", "clock", "supervise", "net"],
    ),
    (
        "web",
        &[
            "tracker",
            "watch",
            "metrics",
            "clock",
            "supervise",
            "net",
            "tls",
            "regular_file",
            "shown",
            "secret",
            "audit",
        ],
    ),
    (
        "snapshot",
        &[
            "tracker",
            "metrics",
            "clock",
            "supervise",
            "net",
            "regular_file",
            "shown",
        ],
    ),
    (
        "sites",
        &[
            "tracker",
            "metrics",
            "clock",
            "supervise",
            "shown",
            "secret",
        ],
    ),
    ("reaper", &["tracker", "metrics", "clock", "supervise"]),
    ("logging", &["clock", "regular_file", "shown"]),
    // Of the components, config takes the settings only; it starts nothing.
    (
        "config",
        &[
            "http",
            "udp",
            "web",
            "snapshot",
            "reaper",
            "sites",
            "logging",
            "tracker",
            "net",
            "lists",
            "tls",
            "regular_file",
            "shown",
            "secret",
        ],
    ),
    (
        // Of the pages, the tools take hashing and tokens: the same files are written by both.
        "tools",
        &[
            "config",
            "lists",
            "snapshot",
            "sites",
            "web",
            "logging",
            "tracker",
            "metrics",
            "clock",
            "supervise",
            "net",
            "http_reply",
            "regular_file",
            "shown",
            "audit",
            "program",
        ],
    ),
    // The laboratory measures trackers, ours from inside too; and it is one, of the same codecs, on sockets of its own. Only its own
    // program imports it.
    (
        "lab",
        &[
            "http",
            "udp",
            "tls",
            "tracker",
            "metrics",
            "clock",
            "supervise",
            "net",
            "percent",
            "http_reply",
            "shown",
            "program",
        ],
    ),
    (
        "app",
        &[
            "config",
            "lists",
            "logging",
            "http",
            "udp",
            "web",
            "snapshot",
            "sites",
            "reaper",
            "tracker",
            "watch",
            "metrics",
            "clock",
            "supervise",
            "net",
            "tls",
            "audit",
            // Whether a file is kept from the tracker is looked at before anything is built.
            "regular_file",
            "shown",
        ],
    ),
    // What both programs do alike on the command line.
    ("program", &["shown"]),
    // Manual pages: of command lines that are handed to it, and of the table of keys.
    ("manual", &["config"]),
    ("cli", &["config", "manual", "tools", "program", "shown"]),
    // The programs: a file below `bin` is a crate of its own, as `main` is, and has a row of its own.
    ("main", &["app", "cli", "config", "logging", "tools"]),
    ("bin/retracker-lab", &["lab", "manual", "program"]),
];

/// What every module may import besides: it knows nothing.
const FOR_EVERYBODY: &str = "invariant";

/// Words of code that only some places may use: one place knows SQL, one bincode, one INI, one tera, one the clock.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("bincode::", &["snapshot/record.rs"]),
    ("rusqlite::", &["snapshot/", "tools/"]),
    // Heads are read where they come in: the requests for pages, and the replies of other servers.
    ("httparse::", &["http_reply.rs", "web/server/request.rs"]),
    ("bendy::", &["tools/check/bencode.rs"]),
    (
        "csv::",
        &["tools/zones/import/table.rs", "web/view/csv_table.rs"],
    ),
    // The laboratory compresses where nobody asks for it.
    ("flate2::", &["web/full_scrape.rs", "lab/misbehave/http.rs"]),
    ("toml::", &["lab/misbehave/document.rs"]),
    ("proxy_header::", &["http/codec/proxy_protocol.rs"]),
    ("webpki::", &["tls/certificate.rs"]),
    ("rcgen::", &["lab/serve/authority.rs"]),
    ("maxminddb::", &["tools/zones/import/mmdb.rs"]),
    ("tera::", &["web/view/"]),
    // The load generator is a client of its own, which shares nothing with what it measures.
    ("rustls::", &["sites/engine/", "tls/", "lab/bench/tls.rs"]),
    ("sha1::", &["lab/acid/torrent.rs"]),
    ("ini::", &["config/"]),
    ("flexi_logger::", &["logging/"]),
    ("env_logger::", &["program.rs"]),
    ("actix_web::", &["web/", "http/actix.rs"]),
    ("actix_session::", &["web/"]),
    // Of the pages, one place registers routes, each with its class of access.
    (
        "ServiceConfig",
        &["web/routes.rs", "web/backend.rs", "http/actix.rs"],
    ),
    ("dashmap::", &["tracker/swarm/map/mod.rs"]),
    ("Instant::now", &["clock.rs"]),
    ("SystemTime::now", &["clock.rs"]),
    ("OffsetDateTime::now", &[]),
    ("UtcDateTime::now", &[]),
    ("thread::spawn", &[]),
];

/// What the core must not know: no socket, no file, no clock, no protocol.
const NOT_IN_TRACKER: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::fs",
    "std::io",
    "std::time",
    "tokio::",
    "async ",
    "socket2::",
];

/// Charter words that say nothing about a subject.
const EMPTY_NAMES: &[&str] = &[
    "types", "utils", "util", "common", "helpers", "misc", "structs", "enums", "traits",
];

/// Words by which a time, a pace or a share of the processor is measured. A busy machine must not fail the gate, so below `tests`
/// only the files of [`MAY_MEASURE`] use them.
const MEASURING: &[&str] = &[
    "p99",
    "percentile",
    "latency_us",
    "cpu_us",
    "SC_CLK_TCK",
    "os.nice",
    "setpriority",
    "elapsed()",
    "Instant::now",
];

/// What is run by hand (`abuse.py --long`, ignored tests, what `tests/long` asks for), and what allows for more the longer it takes.
const MAY_MEASURE: &[&str] = &[
    "tests/e2e/figures.py",
    "tests/web/crowd.rs",
    "tests/snapshot/kills.rs",
    "tests/long/",
    "tests/file_limit.rs",
    "tests/tidy.rs",
];

#[test]
fn nobody_imports_upwards() {
    let faults: Vec<String> = sources().iter().flat_map(Source::imports_upwards).collect();
    assert!(
        faults.is_empty(),
        "see MAY_IMPORT in tests/tidy.rs:\n{}",
        faults.join("\n")
    );
}

#[test]
fn an_import_upwards_is_noticed_however_it_is_written() {
    for (path, line) in [
        ("tracker/swarm.rs", "use crate::http::Settings;"),
        ("tracker/swarm.rs", "use crate::{clock::Seconds, udp};"),
        (
            "tracker/swarm.rs",
            "let config = crate::config::Config::default();",
        ),
        ("tracker/swarm.rs", "use super::super::snapshot::Store;"),
        ("tracker/mod.rs", "use super::web::Pages;"),
        (
            "http/mod.rs",
            "pub(crate) use crate::{\n    tracker::{Tracker, Event},\n    udp::packet,\n};",
        ),
        ("http/query.rs", "use crate::config;"),
        ("udp/mod.rs", "use super::http;"),
        ("clock.rs", "use super::tracker::Tracker;"),
        ("main.rs", "use retracker::udp::Server;"),
        ("main.rs", "use retracker::lab::bench;"),
        ("bin/retracker-lab.rs", "use retracker::app;"),
        (
            "bin/retracker-lab.rs",
            "use retracker::{lab, config::Loader};",
        ),
        ("bin/unheard-of.rs", "use retracker::lab;"),
        ("cli.rs", "use crate::lab::bench;"),
        ("unheard_of.rs", "use std::fs;"),
    ] {
        let source = Source {
            path: path.into(),
            text: format!("//! Charter.\n{line}\n"),
        };
        assert!(!source.imports_upwards().is_empty(), "{path}: {line}");
    }
}

#[test]
fn imports_downwards_and_words_in_comments_are_fine() {
    for (path, text) in [
        ("http/mod.rs", "use crate::tracker::{Announce, Event};"),
        (
            "http/query.rs",
            "use super::reply::Reply; use super::super::tracker::Event;",
        ),
        ("udp/mod.rs", "use crate::{clock, tracker::Tracker};"),
        (
            "tracker/mod.rs",
            "/// See [`crate::http`].\n// crate::udp reads this too.\nfn f() {}",
        ),
        (
            "tracker/mod.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::http;\n}",
        ),
        ("main.rs", "use retracker::app;"),
        (
            "bin/retracker-lab.rs",
            "use retracker::{lab, program}; use crate::tracker;",
        ),
    ] {
        let source = Source {
            path: path.into(),
            text: text.into(),
        };
        assert_eq!(
            source.imports_upwards(),
            Vec::<String>::new(),
            "{path}: {text}"
        );
    }
}

#[test]
fn one_place_knows_each_outside_thing() {
    let faults: Vec<String> = sources().iter().flat_map(Source::strange_words).collect();
    assert!(
        faults.is_empty(),
        "see ONLY_IN in tests/tidy.rs:\n{}",
        faults.join("\n")
    );
}

#[test]
fn a_strange_word_is_noticed() {
    for (path, text) in [
        ("http/reply.rs", "use bincode::config;"),
        ("udp/mod.rs", "let now = std::time::Instant::now();"),
        ("web/mod.rs", "let now = time::OffsetDateTime::now_utc();"),
        ("tracker/swarm/map/mod.rs", "use std::net::UdpSocket;"),
        ("tracker/swarm/upsert.rs", "use dashmap::DashMap;"),
        ("web/mod.rs", "std::thread::spawn(|| ());"),
        ("app.rs", "use rusqlite::Connection;"),
    ] {
        let source = Source {
            path: path.into(),
            text: text.into(),
        };
        assert_eq!(source.strange_words().len(), 1, "{path}: {text}");
    }
    let fine = Source {
        path: "config/mod.rs".into(),
        text: "use ini::Ini; use clap::mini::X;".into(),
    };
    assert_eq!(fine.strange_words(), Vec::<String>::new());
}

#[test]
fn every_file_begins_with_its_charter() {
    for source in sources() {
        assert!(
            source.text.starts_with("//! "),
            "{}: the first line is no `//!`",
            source.path
        );
        let charter = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count();
        let most = if source.path == "lib.rs" { 60 } else { 12 };
        assert!(
            charter <= most,
            "{}: a charter of {charter} lines; split the file or the thought",
            source.path
        );
    }
}

#[test]
fn every_file_is_named_after_its_subject() {
    for source in sources() {
        let name = Path::new(&source.path).file_stem().unwrap();
        assert!(
            !EMPTY_NAMES.contains(&name.to_str().unwrap()),
            "{}: a name that says no subject",
            source.path
        );
    }
}

/// One type, one module tree: its methods stand where it is defined or in a module below, which sees its private fields.
#[test]
fn every_type_lives_in_one_module_tree() {
    let faults = strayed_methods(&sources());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_method_elsewhere_is_noticed() {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.into(),
    };
    let swarm = source(
        "tracker/swarm/mod.rs",
        "pub struct Swarm<I> {}\nimpl<I: Id> Swarm<I> {}",
    );
    for (path, text, is_fine) in [
        ("tracker/swarm/evict.rs", "impl<I: Id> Swarm<I> {", true),
        ("tracker/swarm.rs", "impl Swarm<u8> {", true),
        ("tracker/evict.rs", "impl<I: Id> Swarm<I> {", false),
        ("tracker/evict.rs", "impl super::Swarm<u8> {", false),
        ("tracker/evict.rs", "impl Display for Swarm<u8> {", true),
        ("http/mod.rs", "struct Swarm;\nimpl Swarm {", true),
    ] {
        let swarm = source(&swarm.path, &swarm.text);
        let faults = strayed_methods(&[swarm, source(path, text)]);
        assert_eq!(faults.is_empty(), is_fine, "{path}: {text}: {faults:?}");
    }
}

#[test]
fn comments_carry_no_leftovers() {
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let line = line.trim();
            let at = format!("{}:{}: {line}", source.path, number + 1);
            let Some(comment) = line.strip_prefix("//") else {
                continue;
            };
            let words = comment.trim_start_matches(['/', '!']).trim();
            let decorative = words.len() > 3 && words.chars().all(|c| "-=*#~_".contains(c));
            assert!(!decorative, "a decorative line: {at}");
            let open = ["TODO", "FIXME", "XXX"]
                .iter()
                .any(|word| words.starts_with(word));
            assert!(
                !open || words.contains('#'),
                "a task without an issue's number: {at}"
            );
            let code =
                comment.starts_with(' ') && words.ends_with(';') && words.starts_with("let ");
            assert!(!code, "commented-out code: {at}");
        }
    }
}

/// The crate's documentation is the map: it must name every module.
#[test]
fn the_map_in_lib_rs_names_every_module() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for line in lib.lines() {
        let Some(module) = line
            .strip_prefix("pub mod ")
            .and_then(|rest| rest.strip_suffix(';'))
        else {
            continue;
        };
        assert!(
            lib.contains(&format!("[`{module}`]")),
            "src/lib.rs: the crate's documentation does not name {module}"
        );
    }
}

#[test]
fn the_gate_judges_no_times() {
    let mut checked = 0;
    for path in files_below(&root().join("tests"), &["node_modules"]) {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy();
        let is_code = path
            .extension()
            .is_none_or(|end| ["rs", "py", "mjs"].iter().any(|code| end == *code));
        if !is_code || MAY_MEASURE.iter().any(|place| name.starts_with(place)) {
            continue;
        }
        checked += 1;
        let text = fs::read_to_string(&path).unwrap();
        for word in MEASURING {
            assert!(
                !text.contains(word),
                "{name}: {word} belongs to what is run by hand, see MAY_MEASURE in tests/tidy.rs"
            );
        }
    }
    assert!(checked > 30, "the tests were not found");
    // Figures are judged when they are asked for only.
    let abuse = fs::read_to_string(root().join("tests/e2e/abuse.py")).unwrap();
    let (before, after) = abuse.split_once("import figures").unwrap();
    assert!(before.trim_end().ends_with("if arguments.long:") && !after.contains("import figures"));
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places: Vec<String> = ["work", "root", "home", "Users"]
        .iter()
        .map(|place| format!("/{place}/"))
        .collect();
    for path in files_below(
        &root(),
        &["target", ".git", "node_modules", "corpus", "artifacts"],
    ) {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for place in &places {
                // A path begins after nothing, a blank or a quote; `docs/home/` or `https://host/home/` is none.
                let found = line.match_indices(place.as_str()).any(|(at, _)| {
                    let before = line.get(..at).and_then(|before| before.chars().next_back());
                    before.is_none_or(|c| !c.is_alphanumeric() && !"/.-_~}".contains(c))
                });
                assert!(!found, "{}:{}: names {place}", path.display(), number + 1);
            }
        }
    }
}

/// Every id that code, tests or documentation name has a row, and every row is named by a test or says that it is not there yet.
#[test]
fn every_promise_is_named_by_a_test() {
    let promised = rows();
    let (mut unknown, mut tested) = (Vec::new(), BTreeSet::new());
    for path in files_below(
        &root(),
        &[
            "target",
            ".git",
            "node_modules",
            "corpus",
            "artifacts",
            "fixtures",
        ],
    ) {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let place = path
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if !NAMES_PROMISES
            .iter()
            .any(|folder| place.starts_with(folder))
        {
            continue;
        }
        for id in ids(&text) {
            if !promised.contains_key(&id) {
                unknown.push(format!(
                    "{place}: {id} stands in no row of docs/BEHAVIOUR.md"
                ));
            }
        }
        let is_test_module = place.contains("/tests/") || place.ends_with("/tests.rs");
        let tests = match (place.starts_with("src/"), text.find("#[cfg(test)]")) {
            (true, _) if is_test_module => text.as_str(),
            (true, Some(at)) => &text[at..],
            (true, None) => "",
            (false, _) if place.starts_with("docs/") => "",
            (false, _) => text.as_str(),
        };
        tested.extend(ids(tests));
    }
    let silent = promised
        .iter()
        .filter(|(id, is_open)| !**is_open && !tested.contains(*id))
        .map(|(id, _)| format!("{id}: no test names it, and its row does not say *not yet*"));
    let faults: Vec<String> = unknown.into_iter().chain(silent).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_id_is_a_word_of_its_own() {
    assert_eq!(
        ids("P2P, P2 and (S14); R3a, /C9/ W1–W3, S100, P0"),
        ["P2", "S14", "C9", "W1", "W3"]
    );
}

/// The blocks of methods that stand outside the module tree of their type.
fn strayed_methods(sources: &[Source]) -> Vec<String> {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources {
        for line in source.production().lines() {
            let words: Vec<&str> = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| !matches!(*word, "" | "pub" | "crate" | "super"))
                .collect();
            if let ["struct" | "enum" | "union", name, ..] = words.as_slice() {
                homes.entry((*name).into()).or_default().push(source.tree());
            }
        }
    }
    let mut faults = Vec::new();
    for source in sources {
        for line in source.production().lines() {
            let Some(of) = line
                .strip_prefix("impl")
                .filter(|rest| !rest.contains(" for "))
            else {
                continue;
            };
            let of = of.strip_prefix('<').map_or(of, after_generics);
            let path = of.split(['<', '{']).next().unwrap_or_default().trim();
            let name = path.rsplit("::").next().unwrap();
            let place = source.tree();
            let is_at_home = |home: &String| {
                place == *home || home.is_empty() || place.starts_with(&format!("{home}/"))
            };
            let Some(homes) = homes.get(name) else {
                continue;
            };
            if !homes.iter().any(is_at_home) {
                faults.push(format!(
                    "src/{}: methods of {name}, which lives in {homes:?}",
                    source.path
                ));
            }
        }
    }
    faults
}

/// What follows the generic parameters that `text` begins within: `I: Id<u8>> Swarm<I>` gives ` Swarm<I>`.
fn after_generics(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if !text[..at].ends_with('-') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

/// Where ids of promises are looked for.
const NAMES_PROMISES: &[&str] = &["src/", "tests/", "benches/", "fuzz/fuzz_targets/", "docs/"];

/// The ids of docs/BEHAVIOUR.md, each with whether its row begins with *not yet*.
fn rows() -> BTreeMap<String, bool> {
    let text = fs::read_to_string(root().join("docs/BEHAVIOUR.md")).unwrap();
    let rows: BTreeMap<String, bool> = text
        .lines()
        .filter_map(|line| {
            let (id, promise) = line.strip_prefix("| ")?.split_once(" | ")?;
            (ids(id) == [id]).then(|| (id.to_owned(), promise.starts_with("*not yet")))
        })
        .collect();
    assert!(
        rows.len() > 80,
        "the rows of docs/BEHAVIOUR.md were not found"
    );
    rows
}

/// The ids in a text: a letter of `PSCWOR` and a number of one or two digits, as a word of its own.
fn ids(text: &str) -> Vec<String> {
    let is_id = |word: &&str| {
        let number = word.strip_prefix(['P', 'S', 'C', 'W', 'O', 'R']);
        number.is_some_and(|digits| {
            matches!(digits.len(), 1 | 2)
                && !digits.starts_with('0')
                && digits.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(is_id).map(str::to_owned).collect()
}

/// One file of `src`, by its path below it.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Everything before the test module at the file's end; nothing of a file that is such a module.
    fn production(&self) -> &str {
        if self.path.contains("/tests/") || self.path.ends_with("/tests.rs") {
            return "";
        }
        let end = self
            .text
            .find("\n#[cfg(test)]\nmod ")
            .map_or(self.text.len(), |at| at + 1);
        &self.text[..end]
    }

    /// The production code without comments.
    fn code(&self) -> String {
        let uncommented = self
            .production()
            .lines()
            .map(|line| line.find("//").map_or(line, |at| &line[..at]));
        uncommented.collect::<Vec<_>>().join("\n")
    }

    /// Whether the file is the root of a program, for which the library is another crate.
    fn is_program(&self) -> bool {
        self.path == "main.rs" || self.path.starts_with("bin/")
    }

    /// The top-level module that the file belongs to; of a program below `bin` its path.
    fn module(&self) -> &str {
        if self.path.starts_with("bin/") {
            return self.path.strip_suffix(".rs").unwrap();
        }
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Its module as a path: `tracker/swarm` of `tracker/swarm/mod.rs`.
    fn tree(&self) -> String {
        let path = self.path.strip_suffix(".rs").unwrap();
        path.strip_suffix("/mod").unwrap_or(path).to_owned()
    }

    /// How many `super` lead from the file's module to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    fn imports_upwards(&self) -> Vec<String> {
        let module = self.module();
        if module == "lib" {
            return Vec::new();
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            return vec![format!(
                "{}: the module {module} is in no row of the table",
                self.path
            )];
        };
        let code = self.code();
        let supers = "super::".repeat(self.depth());
        let roots = if self.is_program() {
            vec!["retracker::"]
        } else {
            vec!["crate::", supers.as_str()]
        };
        let mut faults = Vec::new();
        for prefix in roots {
            for (at, _) in code.match_indices(prefix) {
                let inside_a_word =
                    code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
                let imported = if inside_a_word {
                    Vec::new()
                } else {
                    first_segments(&code[at + prefix.len()..])
                };
                for name in imported {
                    let ours = MAY_IMPORT.iter().any(|(known, _)| *known == name);
                    let may =
                        name == module || name == FOR_EVERYBODY || allowed.contains(&name.as_str());
                    if ours && !may {
                        faults.push(format!("src/{}: {module} imports {name}", self.path));
                    }
                }
            }
        }
        faults
    }

    fn strange_words(&self) -> Vec<String> {
        let code = self.code();
        let used = |word: &str| {
            code.match_indices(word)
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        let mut faults = Vec::new();
        for (word, places) in ONLY_IN {
            if used(word) && !places.iter().any(|place| self.path.starts_with(place)) {
                faults.push(format!("src/{}: {word} belongs to {places:?}", self.path));
            }
        }
        for word in NOT_IN_TRACKER.iter().filter(|_| self.module() == "tracker") {
            if used(word) {
                faults.push(format!("src/{}: the core knows no {word}", self.path));
            }
        }
        faults
    }
}

/// The first names of a path or of a braced group of paths: `{clock::Seconds, udp}` gives `clock` and `udp`.
fn first_segments(rest: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

fn sources() -> Vec<Source> {
    let folder = root().join("src");
    let files = files_below(&folder, &[])
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let found: Vec<Source> = files
        .map(|path| Source {
            path: path
                .strip_prefix(&folder)
                .unwrap()
                .to_string_lossy()
                .into_owned(),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect();
    assert!(found.len() > 5, "the sources were not found");
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, except: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !except.contains(&name.as_str()) {
                found.extend(files_below(&path, except));
            }
        } else if !except.iter().any(|name| path.ends_with(name)) {
            found.push(path);
        }
    }
    found
}
