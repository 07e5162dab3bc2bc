//! Tests of the whole way from texts to settings.

mod listening;
mod printing;
mod sites;
mod tls;

use super::*;

fn resolve(file: &str) -> Result<Loaded, Problems> {
    sources(file).resolve(&no_file)
}

fn no_file(_: &Path) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

fn sources(file: &str) -> Sources {
    Sources {
        file: Some(("c.ini".into(), file.as_bytes().to_vec())),
        ..Sources::default()
    }
}

/// The text of the one thing that is wrong.
fn problem(file: &str) -> String {
    let Problems(problems) = resolve(file).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

fn with_environment(file: &str, variables: &[(&str, &str)]) -> Sources {
    let pairs = variables
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    Sources {
        environment: pairs.collect(),
        ..sources(file)
    }
}

/// Every value as text.
fn values(config: &Config) -> Vec<String> {
    let mut config = config.clone();
    keys::all()
        .map(|(section, key)| {
            format!(
                "[{}] {} = {}",
                section.name,
                key.name,
                key.text(&mut config)
            )
        })
        .collect()
}

/// C3
#[test]
fn without_anything_the_defaults_hold() {
    let loaded = Sources::default().resolve(&no_file).unwrap();
    assert_eq!(values(&loaded.config), values(&Config::default()));
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let listen: Vec<String> = loaded
        .config
        .http
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["0.0.0.0:8080", "[::]:8080"]);
}

/// P13, P15
#[test]
fn udp_listens_where_http_does_unless_told_otherwise() {
    let listen = |text: &str| {
        let config = resolve(text).unwrap().config;
        let addresses = |listen: &[SocketAddr]| {
            listen
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        (
            addresses(&config.http.listen),
            addresses(&config.udp.listen),
        )
    };
    assert_eq!(
        listen("[TRACKER]\nhost = 0.0.0.0\n"),
        ("0.0.0.0:8080".into(), "0.0.0.0:8080".into())
    );
    assert_eq!(
        listen("[TRACKER]\nhost = ::1 127.0.0.1:81\nport = 80\n[UDP]\nport = 6969"),
        (
            "[::1]:80 127.0.0.1:81".into(),
            "[::1]:6969 127.0.0.1:6969".into()
        )
    );
}

/// C1
#[test]
fn an_unknown_name_is_refused_with_its_place_and_the_nearest_known_one() {
    assert_eq!(
        problem("[TRACKER]\n\nanounce_interval = 5"),
        "c.ini:3: [TRACKER] has no key anounce_interval; did you mean announce_interval?"
    );
    assert_eq!(
        problem("[tracker]\nport = 5"),
        "c.ini:1: [tracker] is no section; did you mean [TRACKER]?"
    );
    assert_eq!(
        problem("[TRACKER]\nlevel = INFO"),
        "c.ini:2: [TRACKER] has no key level; level belongs to [LOGGING]"
    );
    assert_eq!(
        problem("[TEMPLATES]\nx = y"),
        "c.ini:1: [TEMPLATES] is no section"
    );
    assert_eq!(
        problem("[TRACKER]\nqqqqqqqqqqqq = y"),
        "c.ini:2: [TRACKER] has no key qqqqqqqqqqqq"
    );
}

#[test]
fn a_bad_value_is_refused_with_place_key_value_and_what_would_be_right() {
    assert_eq!(
        problem("[TRACKER]\nport = 80800"),
        "c.ini:2: [TRACKER] port = `80800`: expected a whole number from 1 to 65535"
    );
    assert_eq!(
        problem("[TRACKER]\npeer_cleanup_period = 600 # seconds"),
        "c.ini:2: [TRACKER] peer_cleanup_period = `600 # seconds`: expected a whole number from 1 to 86400; \
         a comment behind a value wants two blanks before it"
    );
    assert!(problem("[TRACKER]\nignore_ip = 10.0.0.0/8 192.168.0.0/8").contains("192.0.0.0/8"));
    assert!(problem("[TRACKER]\nport =").contains("expected a whole number"));
    assert!(problem("[LOGGING]\nformat = %(asctim)s").contains("asctime"));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let Problems(problems) =
        resolve("[TRACKER]\nport = x\nprot = 1\n[NOWHERE]\nk = v").unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn a_name_that_stands_twice_is_refused_with_both_lines() {
    assert_eq!(
        problem("[TRACKER]\nport = 1\nPort = 2"),
        "c.ini:3: [TRACKER] Port stands twice, first in line 2"
    );
    assert_eq!(
        problem("[TRACKER]\n[TRACKER]"),
        "c.ini:2: [TRACKER] stands twice, first in line 1"
    );
}

/// C1
#[test]
fn what_lost_its_meaning_is_accepted_with_one_warning() {
    let text = "[TRACKER]\ndebug = True\n[CACHE]\ntype = sqlite\n[DB.sqlite]\nfile = x\nschema = CREATE TABLE a (\n  b INT\n  )";
    let loaded = resolve(text).unwrap();
    let locations: Vec<&str> = loaded
        .warnings
        .iter()
        .filter_map(|text| text.split(" means").next())
        .collect();
    assert_eq!(
        locations,
        [
            "c.ini:2: [TRACKER] debug",
            "c.ini:3: [CACHE]",
            "c.ini:5: [DB.sqlite]"
        ]
    );
    let environment = with_environment("", &[("DB_TYPE", "sqlite"), ("TRACKER_DEBUG", "true")]);
    assert_eq!(environment.resolve(&no_file).unwrap().warnings.len(), 2);
}

/// C2
#[test]
fn each_source_overrides_the_one_before() {
    let mut sources = with_environment("[TRACKER]\nport = 1\n", &[]);
    let port = |sources: &Sources| sources.resolve(&no_file).unwrap().config.port;
    assert_eq!(port(&sources), 1);
    sources.env_file = b"TRACKER_PORT=2\n".to_vec();
    assert_eq!(port(&sources), 2);
    sources.environment = vec![("TRACKER_PORT".into(), "3".into())];
    assert_eq!(port(&sources), 3);
    sources
        .environment
        .insert(0, ("RETRACKER_TRACKER_PORT".into(), "4".into()));
    assert_eq!(port(&sources), 4);
    sources.overrides.push(Override {
        option: "--port",
        section: "TRACKER",
        key: "port",
        value: "5".into(),
    });
    assert_eq!(port(&sources), 5);
}

/// C2
#[test]
fn a_bad_variable_is_named_and_a_strange_one_of_ours_is_told() {
    let Problems(problems) = with_environment("", &[("TRACKER_PORT", "tcp://10.0.0.1:80")])
        .resolve(&no_file)
        .unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .starts_with("environment variable TRACKER_PORT: [TRACKER] port = `tcp://")
    );
    let strange = [
        ("RETRACKER_TRACKER_PROT", "1"),
        ("TRACKER_PROT", "1"),
        ("PATH", "/bin"),
    ];
    let warnings = with_environment("", &strange)
        .resolve(&no_file)
        .unwrap()
        .warnings;
    assert_eq!(
        warnings,
        [
            "environment variable RETRACKER_TRACKER_PROT sets no key; did you mean RETRACKER_TRACKER_PORT?"
        ]
    );
}

#[test]
fn an_empty_variable_is_none_unless_nothing_is_a_value() {
    let empty = [("TRACKER_PORT", ""), ("TRACKER_IGNORE_IP", "")];
    let loaded = with_environment("[TRACKER]\nignore_ip = 192.0.2.1\n", &empty)
        .resolve(&no_file)
        .unwrap();
    assert_eq!(loaded.config.port, 8080);
    assert!(loaded.config.ignore_ip.is_empty());
}

#[test]
fn odd_combinations_are_told_with_their_place() {
    let warnings = |text: &str| resolve(text).unwrap().warnings;
    let text = "[TRACKER]\npeer_expire_factor = 1.5\nnumwant = 300\nignore_ip = 192.168.0.0/16 172.16.0.0/12 127.0.0.1";
    let told = warnings(text);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("c.ini:2: [TRACKER] peer_expire_factor is below 2"));
    assert!(told[1].contains("numwant is above max_numwant: 200"));
    assert!(told[2].contains("(172.16.0.0/12, 192.168.0.0/16)"));
    let told = warnings("[HTTP]\nproxy_protocol = yes");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("c.ini:2: [HTTP] proxy_protocol is on and no proxy is believed"));
    assert!(
        !warnings("[TRACKER]\nmode = proxy\n[HTTP]\nproxy_protocol = yes")
            .iter()
            .any(|told| told.contains("proxy_protocol"))
    );
}

/// W11
#[test]
fn networks_that_nobody_means_to_refuse_whole_are_told() {
    let warnings = |networks: &str| {
        let text = format!("[TRACKER]\nignore_ip = {networks}");
        resolve(&text).unwrap().warnings
    };
    let told = warnings("198.0.0.0/8 203.0.113.0/24 2001::/16");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("providers (198.0.0.0/8, 2001::/16)"),
        "{told:?}"
    );
    assert_eq!(
        warnings("198.51.0.0/16 2001:db8::/32"),
        Vec::<String>::new()
    );
}

/// O21, O22
#[test]
fn whom_and_what_is_served_is_read_and_what_contradicts_itself_is_told() {
    let keys = |text: &str| resolve(&format!("[TRACKER]\n{text}")).unwrap();
    let loaded = keys(
        "allow_networks = 10.0.0.0/8 ::ffff:192.0.2.1\ntorrents = listed\ntorrents_file = a b\nblocklist_file = c d, /e,",
    );
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let config = &loaded.config;
    assert!(config.allow_networks.covers("192.0.2.1".parse().unwrap()));
    assert!(config.lists.only_listed && config.lists.torrents_file == Some("a b".into()));
    assert_eq!(
        config.lists.blocklist_files,
        [Path::new("c d"), Path::new("/e")]
    );
    for (text, told) in [
        (
            "torrents = listed",
            "[TRACKER] torrents is listed and there is no torrents_file",
        ),
        ("torrents_file = a", "has no effect while torrents = all"),
        (
            "allow_networks = 10.0.0.0/8\naddress_pairs = 10.7.0.0/16=198.18.0.0/16",
            "is without 198.18.0.0/16",
        ),
    ] {
        let warnings = keys(text).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(told), "{warnings:?}");
    }
    let many: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    let many = many.join(",");
    assert!(
        problem(&format!("[TRACKER]\nblocklist_file = {many}")).contains("16 files are the most")
    );
    assert!(problem("[TRACKER]\nblocklist_file = a, b, a").contains("a stands twice"));
    assert!(problem("[TRACKER]\ntorrents = some").contains("torrents = `some`"));
}

/// C7: the original's meanings differ, so whoever relied on them is told the new ones.
#[test]
fn options_for_reported_addresses_are_told_once() {
    let warnings = |text: &str| resolve(&format!("[TRACKER]\n{text}")).unwrap().warnings;
    let flask = warnings(
        "ignore_reported_ip = False\nverify_reported_ip = True\nallow_internal_ip = False",
    );
    assert_eq!(flask.len(), 1, "{flask:?}");
    assert!(flask[0].starts_with(
        "c.ini:3: [TRACKER] verify_reported_ip: an address that a client reports counts only"
    ));
    let pairs = warnings("address_pairs = 100.64.0.0/16=198.51.100.0/24");
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    assert!(pairs[0].starts_with("c.ini:2: [TRACKER] address_pairs has no effect"));
    let one_to_one = warnings("address_pairs = 100.64.0.0/16=198.18.0.0/16");
    assert_eq!(one_to_one, Vec::<String>::new());
    let open = warnings("ignore_reported_ip = no\nverify_reported_ip = no");
    assert!(open[0].contains("any public address"), "{open:?}");
    assert_eq!(
        warnings("ignore_reported_ip = yes\nverify_reported_ip = yes"),
        Vec::<String>::new()
    );
}

/// S7, S9, P19
#[test]
fn zones_come_from_their_section_and_from_a_file() {
    let text = "[TRACKER]\nzones_file = z.txt\nstrict_zones = moscow/south\nnat_zones = moscow\n[ZONES]\n\
        moscow/north/building-7 = 10.7.0.0/24 2001:db8:7::/48\n[ZONE_WARNINGS]\nmoscow = works tonight\n";
    let file = |path: &Path| {
        assert_eq!(path, Path::new("z.txt"));
        Ok(b"10.8.0.0/16 moscow/south\n".to_vec())
    };
    let loaded = sources(text).resolve(&file).unwrap();
    let zones: Vec<_> = loaded
        .config
        .zones
        .iter()
        .map(|zone| (zone.path.as_str(), zone.prefixes.len()))
        .collect();
    assert_eq!(
        zones,
        [
            ("moscow/north/building-7", 2),
            ("moscow/south", 1),
            ("moscow", 0)
        ]
    );
    assert!(loaded.config.zones[1].is_strict);
    let behind_nat = loaded.config.zones.iter().map(|zone| zone.is_behind_nat);
    assert_eq!(behind_nat.collect::<Vec<_>>(), [false, false, true]);
    let printed = printed(&loaded);
    assert!(
        printed.contains("moscow/north/building-7 = 10.7.0.0/24 2001:db8:7::/48  # c.ini:6\n"),
        "{printed}"
    );
    let again = sources(&printed).resolve(&file).unwrap();
    assert_eq!(again.config.zones, loaded.config.zones);
}

#[test]
fn bad_zones_are_named_with_their_lines() {
    let text = "[ZONES]\na = 10.0.0.0/8 10.1.0.0/8\nb//c = 10.0.0.0/8\n";
    let Problems(problems) = resolve(text).unwrap_err();
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        texts[0].starts_with("c.ini:2: [ZONES] a = `10.0.0.0/8 10.1.0.0/8`: `10.1.0.0/8` has bits"),
        "{texts:?}"
    );
    assert!(texts[1].starts_with("c.ini:3: [ZONES] b//c"), "{texts:?}");
    assert!(
        problem("[ZONES]\na = 10.0.0.0/8\nb = 10.0.0.0/8")
            .starts_with("c.ini:3: [ZONES] b: 10.0.0.0/8 stands twice, first in c.ini:2")
    );
    assert!(
        problem("[TRACKER]\nzones_file = none.txt")
            .starts_with("c.ini:2: [TRACKER] zones_file = `none.txt`: cannot be read")
    );
}

/// O2
#[test]
fn a_reload_knows_which_changes_want_a_restart() {
    let old = resolve("[TRACKER]\nport = 1\nnumwant = 20").unwrap();
    let new = resolve("[TRACKER]\nport = 2\nnumwant = 30\n[LOGGING]\nlevel = DEBUG").unwrap();
    assert_eq!(old.changed_but_fixed(&new), ["[TRACKER] port"]);
}
