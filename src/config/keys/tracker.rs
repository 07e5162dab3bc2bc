//! `[TRACKER]`: where it listens, what it hands out, whom it serves.

use crate::config::key::{Key, Section, key};
use crate::config::list::{ClientList, ListenAddressList, NetworkList, PairList};
use crate::config::value::{FileList, Flag, OptionalFile, Text, choice, number, seconds};
use crate::config::zones::PathList;
use crate::lists::MAX_BLOCKLIST_FILES;
use crate::net::client_address::Mode;
use crate::tracker::{KeyMode, Selection};

const DAY: u32 = 86_400;

const MODES: &[(&str, Mode)] = &[
    ("direct", Mode::Direct),
    ("proxy", Mode::Proxy),
    ("none", Mode::Direct),
];

const KEY_MODES: &[(&str, KeyMode)] = &[
    ("off", KeyMode::Off),
    ("accepted", KeyMode::Accepted),
    ("required", KeyMode::Required),
];

/// Whether only listed torrents are served.
const TORRENTS: &[(&str, bool)] = &[("all", false), ("listed", true)];

const SELECTIONS: &[(&str, Selection)] = &[("few", Selection::Few), ("shares", Selection::Shares)];

pub(super) const SECTION: Section = Section {
    name: "TRACKER",
    about: "Where the tracker listens, what it hands out and whom it serves.",
    keys: KEYS,
    free: None,
};

const KEYS: &[Key] = &[
    key(
        "host",
        "Addresses to listen at, each with its own port if one is given. Nothing: all addresses, IPv4 and IPv6; 0.0.0.0 means \
         all of IPv4 only, :: all of IPv6 only.",
        |c| Box::new(ListenAddressList(&mut c.hosts)),
    )
    .plain()
    .fixed(),
    key("port", "TCP port of HTTP, and UDP port unless [UDP] says another.", |c| {
        Box::new(number(&mut c.port, 1..=65_535))
    })
    .plain()
    .fixed(),
    key(
        "free_bind",
        "Whether addresses of host may be listened at that this machine does not have yet, as the standby of an address that moves.",
        |c| Box::new(Flag(&mut c.free_bind)),
    )
    .fixed(),
    key(
        "mode",
        "direct: a client's address is the connection's. proxy: it stands in a header that a trusted proxy sent.",
        |c| Box::new(choice(&mut c.address_rules.mode, MODES)),
    )
    .plain(),
    key("trusted_proxies", "The proxies that are believed in proxy mode.", |c| {
        Box::new(NetworkList(&mut c.address_rules.trusted_proxies))
    })
    .plain(),
    key("use_x_real_ip", "Whether X-Real-IP is read in proxy mode, where there is no X-Forwarded-For.", |c| {
        Box::new(Flag(&mut c.address_rules.use_x_real_ip))
    })
    .plain(),
    key(
        "use_x_forwarded_for",
        "Whether X-Forwarded-For is read in proxy mode: from the right, past the trusted proxies.",
        |c| Box::new(Flag(&mut c.address_rules.use_x_forwarded_for)),
    )
    .plain(),
    key("admin_networks", "Who sees /metrics and the details of /status, and may use run_gc_key.", |c| {
        Box::new(NetworkList(&mut c.address_rules.admin_networks))
    }),
    key("ignore_reported_ip", "Whether addresses that clients report of themselves are not looked at.", |c| {
        Box::new(Flag(&mut c.reported.ignore))
    }),
    key(
        "verify_reported_ip",
        "Whether a reported address counts only if a trusted proxy's header or a pair of networks confirms it. Without it \
         anybody can send your subscribers to any public address.",
        |c| Box::new(Flag(&mut c.reported.verify)),
    ),
    key(
        "allow_internal_ip",
        "Whether a reported address may be a private one without a pair of networks that says so.",
        |c| Box::new(Flag(&mut c.reported.allow_internal)),
    ),
    key(
        "address_pairs",
        "Networks whose hosts have an address inside and one outside: those inside are handed the inner one. Of two networks of the \
         same size each host has the same place in both; else it is clients that tell, which wants ignore_reported_ip = no.",
        |c| Box::new(PairList(&mut c.reported.pairs)),
    ),
    key("announce_interval", "Seconds between the announces of a client.", |c| {
        Box::new(number(&mut c.tracker.announce_interval, 1..=7 * DAY))
    })
    .plain(),
    key(
        "interval_jitter",
        "Each reply's interval is drawn from so many percent below to as many above it, so that clients spread out.",
        |c| Box::new(number(&mut c.tracker.interval_jitter, 0..=50)),
    ),
    key(
        "min_interval_share",
        "The `min interval` of a reply, in percent of its interval. rTorrent takes it for its period.",
        |c| Box::new(number(&mut c.tracker.min_interval_share, 1..=100)),
    ),
    key(
        "peer_expire_factor",
        "A peer is handed out for so many intervals after its last announce. Below 2 counts as 2.",
        |c| Box::new(number(&mut c.tracker.peer_expire_factor, 0.0..=1_000.0)),
    )
    .plain(),
    key("numwant", "Peers handed out to a client that does not say how many it wants.", |c| {
        Box::new(number(&mut c.tracker.num_want, 0..=10_000))
    })
    .plain(),
    key("max_numwant", "Peers handed out at most, whatever the client wants.", |c| {
        Box::new(number(&mut c.tracker.max_num_want, 0..=10_000))
    }),
    key(
        "seed_share",
        "Seeders in a leecher's list at most, in percent, while there are leechers to fill it.",
        |c| Box::new(number(&mut c.tracker.seed_share, 0..=100)),
    ),
    key(
        "selection",
        "Where there are zones: few hands out neighbours (the own top zone) and about one stranger at most, so that few copies of a file \
         enter a zone, and lists are shorter than asked for. shares fills every list, with near peers up to local_share and with \
         strangers then.",
        |c| Box::new(choice(&mut c.tracker.selection, SELECTIONS)),
    ),
    key(
        "enough",
        "By the rule few: a leecher with fewer neighbours than this is handed strangers until it has so many peers.",
        |c| Box::new(number(&mut c.tracker.enough, 1..=10_000)),
    ),
    key(
        "short_interval",
        "By the rule few: some of those whose zone lacks what they want are told to come again after once to twice so many seconds. \
         0: after the usual interval.",
        |c| Box::new(number(&mut c.tracker.short_interval, 0..=DAY)),
    ),
    key(
        "local_share",
        "Near peers in a list at most, in percent, while there are peers farther away to fill it; by the rule few, while there are others \
         in the own top zone.",
        |c| Box::new(number(&mut c.tracker.local_share, 0..=100)),
    ),
    key(
        "min_external",
        "Strangers in a list at least, when there are any, and as many from around the nearest of the own zone: swarms do not fall apart. \
         By the rule few, how many strangers there are is not asked here.",
        |c| Box::new(number(&mut c.tracker.min_external, 0..=10_000)),
    ),
    key(
        "zones_file",
        "A file with more networks of zones, a line each: `10.7.0.0/24 moscow/north/building-7`. Nothing: none.",
        |c| Box::new(OptionalFile(&mut c.zoning.file)),
    ),
    key("strict_zones", "Zones whose clients, those of the zones below them included, are handed only one another.", |c| {
        Box::new(PathList(&mut c.zoning.strict))
    }),
    key(
        "nat_zones",
        "Zones whose clients, those of the zones below them included, live behind one address: each is handed three of its own \
         address and not two.",
        |c| Box::new(PathList(&mut c.zoning.behind_nat)),
    ),
    key(
        "max_line_rate",
        "What a subscriber's line carries at most, in MiB a second: bounds what is counted as kept inside the network.",
        |c| Box::new(number(&mut c.tracker.line_mib, 1..=1_000_000)),
    ),
    key("compact_default", "Whether peers are sent compact to a client that does not say.", |c| {
        Box::new(Flag(&mut c.http.compact_default))
    }),
    key("external_ip", "Whether a reply tells the client its own address (BEP 24).", |c| {
        Box::new(Flag(&mut c.http.external_ip))
    }),
    key("max_scrape", "Torrents in one scrape over HTTP at most. 0: scrapes are refused.", |c| {
        Box::new(number(&mut c.http.max_scrape, 0..=10_000))
    }),
    key(
        "full_scrape",
        "Whether /scrape without an info hash tells all torrents, to admin_networks and to tokens of the API only; also a file of the \
         API, /api/v1/full-scrape.",
        |c| Box::new(Flag(&mut c.http.full_scrape)),
    ),
    key(
        "run_gc_key",
        "Announces of admin networks with a parameter of this name run a sweep and are answered `OK`; nobody else's do. \
         Nothing: there is no such parameter.",
        |c| Box::new(Text(&mut c.http.run_gc_key)),
    )
    .plain()
    .secret(),
    key(
        "ignore_ip",
        "Clients whose announces and scrapes are refused. Subscribers with private addresses are clients like others: do not \
         list their networks.",
        |c| Box::new(NetworkList(&mut c.ignore_ip)),
    )
    .plain(),
    key(
        "allow_networks",
        "The only addresses that are served; an address that a client reports and the outer one of address_pairs must lie in them too. \
         Pages do not ask it. Nothing: everybody is served.",
        |c| Box::new(NetworkList(&mut c.allow_networks)),
    ),
    key(
        "torrents",
        "all: every torrent is served. listed: only those of torrents_file and those that pages and API have listed.",
        |c| Box::new(choice(&mut c.lists.only_listed, TORRENTS)),
    ),
    key(
        "torrents_file",
        "A file of listed torrents, an info hash a line, # before comments; read again when it changes. Nothing: none.",
        |c| Box::new(OptionalFile(&mut c.lists.torrents_file)),
    ),
    key(
        "blocklist_file",
        "Files of what is blocked, separated by commas, 16 at most: networks, ranges, info hashes, P2P and DAT lists; read again when \
         they change. Nothing: none.",
        |c| Box::new(FileList { files: &mut c.lists.blocklist_files, most: MAX_BLOCKLIST_FILES }),
    ),
    key("deny_clients", "Clients that are refused, by the beginning of their peer ids.", |c| {
        let rules = &mut c.clients;
        Box::new(ClientList { rules, is_allowed: false })
    }),
    key(
        "allow_clients",
        "Exceptions from deny_clients; the longest beginning that matches decides.",
        |c| {
            let rules = &mut c.clients;
            Box::new(ClientList { rules, is_allowed: true })
        },
    ),
    key(
        "keys",
        "Keys in announce addresses, as /KEY/announce, for communities whose members have one each. off: they mean nothing. accepted: what \
         is done with a key is accounted for, and who has none is served all the same. required: who has none is refused.",
        |c| Box::new(choice(&mut c.tracker.keys, KEY_MODES)),
    ),
    key(
        "keys_file",
        "A file with keys, a line each: `KEY until=2027-01-31 addresses=3 torrents=100 a label`; all but the key may be left out. It is \
         read again when it changes, and a key that stands there no more is revoked; one that is bad changes nothing, and the keys that are \
         known stay, also over a restart. Nothing: keys are made on the page and by the API.",
        |c| Box::new(OptionalFile(&mut c.keys_file)),
    ),
    key("peer_cleanup_period", "Seconds between sweeps that free the memory of expired peers.", |c| {
        Box::new(seconds(&mut c.cleanup_period, 1..=u64::from(DAY)))
    })
    .plain(),
    key("max_peers", "Peers stored at most. 0: no bound.", |c| {
        Box::new(number(&mut c.tracker.max_peers, 0..=u32::MAX))
    }),
    key("max_torrents", "Torrents with peers stored at most, and as many without. 0: no bound.", |c| {
        Box::new(number(&mut c.tracker.max_torrents, 0..=u32::MAX))
    }),
    key("max_peers_per_torrent", "Peers of one torrent stored at most. 0: no bound.", |c| {
        Box::new(number(&mut c.tracker.max_peers_per_torrent, 0..=u32::MAX))
    }),
    key(
        "max_torrents_per_address",
        "Entries of one address (IPv6: one /64) in all torrents at most, torrents that it completed and left behind included; \
         a /24 or a /48 may have 16 times as many, a /56 four times, and once it has, each 256th of it a 256th of that. 0: no bound.",
        |c| Box::new(number(&mut c.tracker.max_torrents_per_address, 0..=u32::MAX)),
    ),
    key("max_ports_per_address", "Ports of one address (IPv6: one /64) in one torrent at most. 0: no bound.", |c| {
        Box::new(number(&mut c.tracker.max_ports_per_address, 0..=u32::MAX))
    }),
    key(
        "keep_downloaded",
        "Seconds for which the download count of a torrent without peers is kept.",
        |c| Box::new(number(&mut c.tracker.keep_downloaded, 0..=u32::MAX)),
    ),
    key(
        "keep_peer_ids",
        "Whether peer ids are kept: 20 bytes a peer. Without them clients are not counted by name, and replies that are not \
         compact come without ids.",
        |c| Box::new(Flag(&mut c.tracker.keep_peer_ids)),
    )
    .fixed(),
];
