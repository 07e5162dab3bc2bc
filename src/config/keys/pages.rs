//! `[STATS]`, `[USERS]` and `[FLASK]`: the pages and who may see them. The names of the first and the last are those of the original.

use crate::config::key::{FreeKeys, HIDDEN, Key, Section, key};
use crate::config::list::{AnnounceUrlList, HostNames};
use crate::config::value::{Flag, OptionalFile, SecretText, Text, number, seconds};
use crate::web::User;

pub(super) const STATS: Section = Section {
    name: "STATS",
    about: "The pages with statistics and the blocklist, and the login for them.",
    keys: STATS_KEYS,
    free: None,
};

pub(super) const USERS: Section = Section {
    name: "USERS",
    about: "Who else may log in to the pages, besides the user of [STATS], who is an operator: a name each, with a role and behind \
        it the hash that `retracker hash-password` prints. A viewer sees the pages and changes nothing; an operator blocks, makes \
        tokens and sees the audit. Taken on SIGHUP as well: who is gone, or has got another role or password, is logged out at \
        once.",
    keys: &[],
    free: Some(&FreeKeys {
        example: "anna = viewer $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        is_secret: true,
        read: |c, name, text, location| {
            let user = User::parse(name, text).map_err(|error| error.to_string())?;
            c.users.push((user, location.clone()));
            Ok(())
        },
        write: |c| {
            let users = c.users.iter();
            let hidden = |role| format!("{role} {HIDDEN}");
            users
                .map(|(user, at)| (user.name().to_owned(), hidden(user.role()), at.clone()))
                .collect()
        },
    }),
};

pub(super) const FLASK: Section = Section {
    name: "FLASK",
    about: "The sessions of the pages; the section is named after what the original ran on.",
    keys: FLASK_KEYS,
    free: None,
};

const STATS_KEYS: &[Key] = &[
    key("enabled", "Whether there are pages and an API. /health, /ready and /metrics stay without.", |c| {
        Box::new(Flag(&mut c.web.is_enabled))
    })
    .fixed(),
    key("access_username", "Name for the login.", |c| Box::new(Text(&mut c.web.username))).plain().fixed(),
    key(
        "access_password",
        "Password for the login, as `retracker hash-password` prints it, or plain (with a warning). Nothing: one is made at the \
         first start and shown once on the console.",
        |c| Box::new(SecretText(&mut c.web.password)),
    )
    .plain()
    .secret()
    .fixed(),
    key("templates", "A folder whose templates stand before those in the program. Nothing: none.", |c| {
        Box::new(OptionalFile(&mut c.web.templates))
    })
    .fixed(),
    key("session_idle", "Seconds without a view of a page after which a login is over.", |c| {
        Box::new(seconds(&mut c.web.session_idle, 60..=86_400))
    })
    .fixed(),
    key("session_limit", "Seconds after which a login is over, whatever happens.", |c| {
        Box::new(seconds(&mut c.web.session_limit, 60..=30 * 86_400))
    })
    .fixed(),
    key(
        "login_failures",
        "Wrong passwords from one address (IPv6: one /64) within login_window before it has to wait.",
        |c| Box::new(number(&mut c.web.login_failures, 1..=1_000)),
    )
    .fixed(),
    key("login_window", "Seconds for which a wrong password counts.", |c| {
        Box::new(seconds(&mut c.web.login_window, 1..=86_400))
    })
    .fixed(),
    key(
        "max_page_connections",
        "Connections to pages at one time at most; more are refused. Admin networks have 64 besides, which nobody else takes.",
        |c| Box::new(number(&mut c.web.max_connections, 1..=100_000)),
    )
    .fixed(),
    key(
        "max_page_connections_per_address",
        "Of these from one address (IPv6: one /64) outside the admin networks. 0: any number.",
        |c| Box::new(number(&mut c.web.max_connections_per_address, 0..=100_000)),
    )
    .fixed(),
    key("page_limit", "Seconds after which a connection to a page is closed, whatever it does; of a scrape of all torrents, when its reader takes nothing for as long.", |c| {
        Box::new(seconds(&mut c.web.connection_limit, 1..=600))
    })
    .fixed(),
    key(
        "host_names",
        "Names under which /metrics and what else needs no login is shown to admin networks, besides addresses, localhost, retracker.local and \
         the machine's own name: what a monitoring system calls this tracker. Under a name that is not here a foreign web site \
         could read them in an administrator's browser.",
        |c| Box::new(HostNames(&mut c.address_rules.hosts)),
    ),
    key(
        "watch",
        "Whether operators and tokens of scope admin may watch requests as they are answered, by /api/v1/watch: they see who asks for \
         which torrent. no: nobody may, whatever his token says.",
        |c| Box::new(Flag(&mut c.web.may_watch)),
    )
    .fixed(),
    key("refresh", "Seconds between fetches of the live figures on a page. 0: never.", |c| {
        Box::new(seconds(&mut c.web.refresh, 0..=3_600))
    })
    .fixed(),
    key(
        "subscriber_page",
        "The announce addresses that subscribers are to add to their clients, as http://retracker.local/announce \
         udp://retracker.local:80/announce. With them a page at / tells everybody, without a login, how that is done; they stand on \
         the overview as well. Nothing: no such page, / leads to the statistics.",
        |c| Box::new(AnnounceUrlList(&mut c.web.subscriber_page)),
    )
    .fixed(),
];

const FLASK_KEYS: &[Key] = &[
    key(
        "secret_key",
        "Key that signs the cookies of sessions, 64 bytes or more; a shorter one, or one out of a sample, is passed over with a \
         warning. Nothing: one is made at the first start and kept.",
        |c| Box::new(SecretText(&mut c.web.secret_key)),
    )
    .plain()
    .secret()
    .fixed(),
];
