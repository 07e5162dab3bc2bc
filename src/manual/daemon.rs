//! What retracker(8) says beside its options and commands.

use super::Block::{Example, Item, Text};
use super::{Block, Part};

pub(super) const ABOUT: &[Block] = &[
    Text(
        "It serves announces and scrapes over HTTP and UDP, and hands out peers of the same network first. Swarms live in memory \
         and are kept in a database over a restart. Pages for people, metrics and an API are on the HTTP port.",
    ),
    Text(
        "Without a command the tracker runs in the foreground until it is told to stop. It needs no configuration; \
         `retracker.ini`(5) explains every key of one.",
    ),
];

pub(super) const PARTS: &[Part] = &[
    (
        "ENVIRONMENT",
        &[
            Item(
                "RETRACKER_SECTION_KEY",
                "Overrides a key of the configuration; see `retracker.ini`(5).",
            ),
            Item(
                "RUST_LOG",
                "What the commands log on standard error; warnings without it. The tracker itself follows its configuration.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            Item(
                "/etc/retracker/config.ini",
                "The configuration of the service.",
            ),
            Item(
                "/var/lib/retracker/snapshots/retracker.sqlite",
                "The database of the service. Without the service it is snapshots/retracker.sqlite below the working directory.\n\
                 Beside it, readable by their owner only: retracker.key signs session cookies, retracker.password is the hash of \
                 a password that was made, retracker.tokens has the hashes of API tokens, retracker.udp-key is behind the \
                 connection ids of UDP. A file NAME.corrupt-TIME is a database that was set aside because it was damaged.",
            ),
            Item(
                "/var/log/retracker",
                "A folder for `log_file`; without one the log goes to standard error, and so into the journal.",
            ),
        ],
    ),
    (
        "SIGNALS",
        &[
            Item(
                "SIGTERM, SIGINT, SIGQUIT",
                "Stop listening, finish requests, take the last snapshot, end. A second one changes nothing.",
            ),
            Item(
                "SIGHUP",
                "Read the configuration anew. A bad one is refused whole, and the old one stays.",
            ),
            Item("SIGUSR1", "Open the log file again, after it was rotated."),
            Item(
                "SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ, SIGPIPE",
                "Nothing.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            Item(
                "0",
                "An orderly stop; a command that did what it was asked for.",
            ),
            Item(
                "1",
                "A failure: a port that is taken, a database in use, a part that ended. The log says which.",
            ),
            Item("2", "A command line that cannot be read."),
            Item(
                "77",
                "Files of the tracker that their permissions keep from it; each is named, with what mends it. systemd does not \
                 start it again.",
            ),
            Item(
                "78",
                "A configuration that cannot be used. The service is not started again then.",
            ),
        ],
    ),
    (
        "EXAMPLES",
        &[
            Text("A tracker to try, for this machine only; its pages' password is shown once:"),
            Example("retracker --listen 127.0.0.1:8080"),
            Text(
                "Before a reload or restart of the service, whether its configuration is good, and what is in force:",
            ),
            Example(
                "retracker --config /etc/retracker/config.ini --check-config\n\
                 retracker --config /etc/retracker/config.ini --print-config",
            ),
            Text("What a client would see of the tracker, over HTTP and UDP:"),
            Example("retracker check http://retracker.local/announce udp://retracker.local:80"),
            Text("Where an address lies, and who is near it:"),
            Example("retracker zones --config /etc/retracker/config.ini explain 10.7.0.9"),
        ],
    ),
    (
        "SEE ALSO",
        &[Text("`retracker.ini`(5), `systemctl`(1), `logrotate`(8)")],
    ),
];
