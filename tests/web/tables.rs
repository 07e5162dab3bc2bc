//! W15: tables that are searched, whole, by zone, and as CSV.

use retracker::tracker::{ZoneRule, Zones};

use crate::harness::{Site, Visitor, start};

fn set_zones(site: &Site, zones: &[(&str, &str)]) {
    let rule = |(path, prefix): &(&str, &str)| ZoneRule {
        path: (*path).into(),
        prefixes: vec![prefix.parse().unwrap()],
        ..ZoneRule::default()
    };
    let rules: Vec<ZoneRule> = zones.iter().map(rule).collect();
    let zones = Zones::new(&rules, &[]).unwrap();
    site.tracker.set_zones(zones, site.clock.now());
}

/// A site with peers in two zones and one in none.
fn zoned() -> Site {
    let site = start();
    set_zones(
        &site,
        &[
            ("town/north & co", "10.1.0.0/16"),
            ("town/south", "10.2.0.0/16"),
        ],
    );
    for host in ["10.1.0.1", "10.1.0.2", "10.2.0.1", "192.0.2.1"] {
        assert!(site.announce(host, [7; 20], true));
    }
    site.count();
    site
}

fn program(site: &Site) -> Visitor {
    let mut program = site.visitor();
    let header = format!("Bearer {}", site.token());
    program.headers.push(("Authorization".into(), header));
    program
}

/// W15, W5
#[test]
fn a_search_that_cannot_be_read_says_so_and_shows_nothing() {
    let site = zoned();
    let mut operator = site.operator();
    let hash = "07".repeat(20);
    let (peers, torrent) = ("/all_peers".to_owned(), format!("/torrents/{hash}"));
    for (path, text, unread) in [
        (&peers, "q=nonsense%3Cb%3E", "id=\"q-unread\""),
        (&peers, "q=10.0.0.0/99", "id=\"q-unread\""),
        (&peers, "zone=nowhere%3Cb%3E", "id=\"zone-unread\""),
        (&torrent, "q=nonsense", "id=\"q-unread\""),
        (&torrent, "zone=nowhere", "id=\"zone-unread\""),
        (&"/torrents".to_owned(), "q=xyz", "id=\"q-unread\""),
        (
            &"/torrents".to_owned(),
            &format!("q={hash}0"),
            "id=\"q-unread\"",
        ),
    ] {
        let reply = operator.get(&format!("{path}?{text}"));
        assert_eq!(reply.status, 400, "{path}?{text}");
        assert!(reply.body.contains(unread) && reply.body.contains("aria-invalid=\"true\""));
        let (_, value) = text.split_once('=').unwrap();
        let value = value.replace("%3C", "&lt;").replace("%3E", "&gt;");
        assert!(
            reply.body.contains(&format!("value=\"{value}\"")),
            "{path}?{text}: the text stays"
        );
        assert!(
            !reply.body.contains("10.1.0.1"),
            "{path}?{text} shows peers"
        );
        let csv = operator.get(&format!("{path}?{text}&format=csv"));
        assert_eq!(csv.status, 400, "{path}?{text}");
        assert!(!csv.body.contains("10.1.0.1"));
    }
    assert!(
        operator
            .get("/torrents?q=xyz&lang=ru")
            .body
            .contains("поиск не выполнен")
    );
    let told = program(&site).get("/api/v1/torrents?q=xyz");
    assert_eq!(told.status, 400);
    assert!(
        told.json()["error"]
            .as_str()
            .unwrap()
            .contains("cannot be read")
    );
    assert_eq!(program(&site).get("/api/v1/torrents?q=07").status, 200);
}

/// W15, W5
#[test]
fn peers_are_shown_and_found_by_zone() {
    let site = zoned();
    let mut operator = site.operator();
    let hash = "07".repeat(20);
    for page in ["/all_peers", "/stat", &format!("/torrents/{hash}")] {
        let body = operator.get(page).body;
        assert!(
            body.contains("href=\"/all_peers?zone=town/north%20%26%20co\">town/north &amp; co<"),
            "{page}"
        );
    }
    for (query, found) in [
        ("zone=town", 3),
        ("zone=town/south", 1),
        ("q=town/south", 1),
        ("zone=town/north%20%26%20co", 2),
        ("zone=town&q=10.1.0.0/24", 2),
        ("zone=town/south&q=10.1.0.0/24", 0),
        ("zone=town&q=qBittorrent", 3),
        ("zone=/", 1),
        ("", 4),
    ] {
        let body = operator.get(&format!("/all_peers?{query}")).body;
        assert!(body.contains(&format!("/ {found}</span>")), "{query}");
        let of_torrent = operator.get(&format!("/torrents/{hash}?{query}")).body;
        assert!(of_torrent.contains(&format!("({found})")), "{query}");
    }
    let zones = operator.get("/zones").body;
    assert!(
        zones.contains("href=\"/all_peers?zone=town/south\"")
            && zones.contains("href=\"/all_peers?zone=/\"")
    );
    let torrent = operator.get(&format!("/torrents/{hash}")).body;
    assert!(torrent.contains(&format!("/torrents/{hash}?zone=town/south#peers")));
}

/// W15
#[test]
fn zones_are_a_tree_that_says_what_it_leaves_out() {
    let site = start();
    let houses: Vec<(String, String)> = (0..2_100)
        .map(|house| {
            (
                format!("town/house-{house:04}"),
                format!("10.{}.{}.0/24", house / 256, house % 256),
            )
        })
        .collect();
    let rules: Vec<(&str, &str)> = houses
        .iter()
        .map(|(path, prefix)| (path.as_str(), prefix.as_str()))
        .collect();
    set_zones(&site, &rules);
    // One in a house that has no row of its own, one in another.
    assert!(site.announce("10.8.50.1", [7; 20], true));
    assert!(site.announce("10.0.0.1", [7; 20], true));
    site.count();
    assert_eq!(site.census.load().rest.zones, 102);
    assert_eq!(site.census.load().rest.roles.peers(), 1);
    let mut operator = site.operator();
    let page = operator.get("/zones?lang=en").body;
    assert!(
        page.contains("Zones without a row: 102 (peers: 1)"),
        "what is left out is told"
    );
    let folded = page.matches("<details>").count();
    assert_eq!(folded, 2, "the town, and the savings by hour");
    assert!(!page.contains("<details open>"), "a long tree is folded");
    assert!(
        operator
            .get("/zones?open=all")
            .body
            .contains("<details open><summary class=\"fold")
    );
    assert!(
        operator
            .get("/zones?zone=town/house-0001")
            .body
            .contains("<details open>")
    );
    assert!(
        operator
            .get("/zones?lang=ru")
            .body
            .contains("Зон без отдельной строки: 102")
    );
    let csv = operator.get("/zones?format=csv").body;
    assert!(
        csv.ends_with(",\r\n") && csv.contains("\r\n(102 more zones),1,1,0,"),
        "{csv}"
    );
    let metrics = site.visitor().get("/metrics").body;
    assert!(
        metrics.contains("retracker_zones_in_other 2002\n"),
        "100 of 2,102 rows have series"
    );
    assert!(metrics.contains("retracker_zone_peers{zone=\"other\",role=\"seeder\"} 1\n"));
    assert_eq!(
        program(&site).get("/api/v1/zones").json()["more_zones"],
        102
    );
}

const PEERS: &str = "ip,port,info_hash,client,client_version,zone,role,update_time";
const SOUTH: &str = "10.2.0.1,6881,{hash},qBittorrent,4.5.2,town/south,seeder,20";
const REASON: &str = "=HYPERLINK(\"x\"), спам";

/// Every table, how its first line begins, and how one of the others does.
const TABLES: [(&str, &str, &str); 18] = [
    (
        "/stat?table=torrents",
        "info_hash,peers,seeders,leechers,downloaded",
        "{hash},4,4,0,0",
    ),
    ("/stat?table=peers", PEERS, SOUTH),
    ("/stat?table=protocols", "protocol,announces", "http,"),
    ("/torrents?", "info_hash,peers", "{hash},4,4,0,0"),
    ("/all_peers?zone=town/south", PEERS, SOUTH),
    ("/torrents/{hash}?", PEERS, "192.0.2.1,6881,"),
    (
        "/torrents/{hash}?table=zones",
        "zone,seeders,leechers",
        "town/south,1,0",
    ),
    (
        "/torrents/{hash}?table=clients",
        "client,version,peers",
        "qBittorrent,4.5.2,4,4,0,100.00",
    ),
    ("/zones?", "zone,peers,seeders", "town/south,1,1,0,1,"),
    ("/zones?table=savings", "start,saved_bytes", ""),
    (
        "/clients?",
        "client,version,peers",
        "qBittorrent,4.5.2,4,4,0,100.00",
    ),
    (
        "/clients?table=programs",
        "client,version,peers",
        "qBittorrent,,4,4,0,100.00",
    ),
    ("/callers?", "network,early,age_seconds", ""),
    (
        "/callers?table=bans",
        "number,ip,too_many,created,expires",
        "1,192.0.2.66,requests,20",
    ),
    (
        "/blocklist?",
        "number,ip,info_hash,reason,created,expires",
        "1,192.0.2.77,,\"'=HYPERLINK(\"\"x\"\"), спам\",20",
    ),
    ("/audit?", "time,last,actor,who,from,deed,about,count", "20"),
    (
        "/about?",
        "section,key,value,origin",
        "STATS,access_password,***,file",
    ),
    (
        "/about?table=tokens",
        "number,name,created",
        "1,test,1970-01-01T00:00:01Z",
    ),
];

/// W15
#[test]
fn every_table_is_there_as_csv_for_those_who_may_see_it() {
    let site = zoned();
    let mut operator = site.operator();
    let fields = [("ip", "192.0.2.77"), ("reason", REASON)];
    assert_eq!(
        operator.submit("/blocklist", "/blocklist", &fields).status,
        302
    );
    site.token();
    site.ban("192.0.2.66/32", 1);
    let of_torrent = |text: &str| text.replace("{hash}", &"07".repeat(20));
    for (path, head, row) in TABLES {
        let path = &of_torrent(&format!("{path}&format=csv"));
        let row = of_torrent(row);
        let reply = operator.get(path);
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(
            reply.header("content-type"),
            "text/csv; charset=utf-8; header=present"
        );
        let file = reply.header("content-disposition");
        assert!(
            file.starts_with("attachment; filename=\"retracker-"),
            "{path}: {file}"
        );
        let mut lines = reply.body.split("\r\n");
        assert!(
            lines.next().unwrap().starts_with(head),
            "{path}: {}",
            reply.body
        );
        assert!(
            lines.any(|line| line.starts_with(&row)),
            "{path}: {row} is not in {}",
            reply.body
        );
        assert!(reply.body.ends_with("\r\n"));
        let stranger = site.visitor().get(path);
        assert_eq!(
            (stranger.status, stranger.header("location")),
            (302, "/login"),
            "{path}"
        );
    }
}

/// W15
#[test]
fn a_table_as_csv_is_whole_where_the_page_is_one_of_many() {
    let site = start();
    for number in 0_u16..10_001 {
        let mut hash = [0; 20];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        assert!(site.announce("192.0.2.1", hash, true));
    }
    let last = format!("2710{}", "00".repeat(18));
    let mut operator = site.operator();
    for path in ["/all_peers", "/torrents"] {
        let page = operator
            .get(&format!("{path}?page=3&sort_by=info_hash&sort=asc"))
            .body;
        let link = "sort_by=info_hash&amp;sort=asc&amp;format=csv";
        assert!(
            page.contains(link),
            "{path}: the file has the order of the page"
        );
        let csv = operator
            .get(&format!(
                "{path}?format=csv&page=3&sort_by=info_hash&sort=asc"
            ))
            .body;
        assert_eq!(
            csv.matches("\r\n").count(),
            10_001,
            "{path}: as far as pages go, and the head"
        );
        let first = csv.split("\r\n").nth(1).unwrap();
        assert!(first.contains(&"00".repeat(20)), "{path}: {first}");
        assert!(!csv.contains(&last), "{path}: the 10,001st");
    }
}
