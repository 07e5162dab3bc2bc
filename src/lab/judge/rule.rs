//! The rules that clients are judged by: what each asks, how much it weighs, and where it is written.

/// How much it weighs that a rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Against what a specification or the practice of trackers recommends.
    Should,
    /// Against what a specification demands, or what harms a swarm or a tracker.
    Must,
}

impl Severity {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Should => "should",
            Severity::Must => "must",
        }
    }
}

/// Each rule once: its variant, its id, what it weighs, what it asks, where it is written.
macro_rules! rules {
    ($($variant:ident $id:literal $severity:ident $asks:literal $source:literal;)*) => {
        /// What a client is judged by. The id of a rule is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $asks] $variant,)*
        }

        impl Rule {
            /// Every rule, in the order of reports.
            pub const ALL: &[Rule] = &[$(Rule::$variant,)*];

            /// Its stable name.
            pub fn id(self) -> &'static str {
                match self { $(Rule::$variant => $id,)* }
            }

            /// What it weighs.
            pub fn severity(self) -> Severity {
                match self { $(Rule::$variant => Severity::$severity,)* }
            }

            /// What it asks of a client.
            pub fn asks(self) -> &'static str {
                match self { $(Rule::$variant => $asks,)* }
            }

            /// Where it is written: a BEP and its section, an RFC, or the practice of trackers.
            pub fn source(self) -> &'static str {
                match self { $(Rule::$variant => $source,)* }
            }
        }
    };
}

rules! {
    StartedFirst "started-first" Must
        "The first announce of a session has the event `started`." "BEP 3, Trackers, `event`";
    StartedOnce "started-once" Should
        "Once `started` is accepted, it is not sent again before a `stopped`." "BEP 3, Trackers, `event`";
    EventRepeated "event-repeated" Should
        "An event whose announce failed is sent again with the next announce to that tracker." "practice of trackers: an event that never arrived did not happen";
    CompletedOnce "completed-once" Must
        "`completed` is accepted once a session at most." "BEP 3, Trackers, `event`";
    CompletedWhenWhole "completed-when-whole" Must
        "`completed` comes with `left` 0." "BEP 3, Trackers, `event`";
    CompletedAfterLeft "completed-after-left" Must
        "`completed` is for who had something left; who was whole at the start sends none." "BEP 3, Trackers, `event`";
    CompletedSent "completed-sent" Should
        "Who has downloaded the last of it says `completed`." "BEP 3, Trackers, `event`";
    StoppedAtEnd "stopped-at-end" Should
        "A client that ends says `stopped` to each tracker that counts it." "BEP 3, Trackers, `event`";
    NothingAfterStopped "nothing-after-stopped" Must
        "After `stopped` comes nothing but `started`." "BEP 3, Trackers, `event`";
    EventKnown "event-known" Should
        "`event` is `started`, `completed`, `stopped`, `paused` or empty; over UDP 0 to 3." "BEP 3, Trackers; BEP 15; BEP 21";
    IntervalKept "interval-kept" Should
        "Announces without an event wait for the `interval` of the last answer, where that has no `min interval`." "BEP 3, Trackers, `interval`";
    MinIntervalKept "min-interval-kept" Must
        "Announces without an event never come before the `min interval` of the last answer." "practice of trackers: `min interval`";
    AnnouncesAgain "announces-again" Should
        "The next announce comes before twice the `interval` has passed, when trackers forget a peer." "practice of trackers: peers expire";
    RetryInKept "retry-in-kept" Should
        "After a failure with `retry in`, so many minutes pass before the next announce; after `never` none comes." "BEP 31";
    NotHammered "not-hammered" Should
        "A tracker that fails, is silent, or names no interval gets at most five announces a minute, or two with each that another tracker takes." "practice of trackers: back off; BEP 12; RFC 9112, 9.3.1";
    WarningIsNoFailure "warning-is-no-failure" Should
        "A `warning message` beside peers is an answer like any other: no event is repeated for it." "practice of trackers: `warning message`";
    TrackerIdReturned "tracker-id-returned" Should
        "A `tracker id` comes back as `trackerid` with the next announce." "practice of trackers: `tracker id`";
    NumbersPlausible "numbers-plausible" Should
        "`left`, `downloaded` and `uploaded` are below 2^60, and `left` is no more than the size of the torrent, where that is told." "BEP 3, Trackers";
    LeftShrinks "left-shrinks" Should
        "`left` does not grow by what was downloaded. By more files that are wanted, or by data that is found broken, it may grow." "BEP 3, Trackers, `left`";
    DownloadedGrows "downloaded-grows" Must
        "`downloaded` never shrinks within a session." "BEP 3, Trackers, `downloaded`";
    UploadedGrows "uploaded-grows" Must
        "`uploaded` never shrinks within a session." "BEP 3, Trackers, `uploaded`";
    DownloadedCounts "downloaded-counts" Should
        "Who says `completed` has `downloaded` something since the session began." "BEP 3, Trackers, `downloaded`";
    SamePeerId "same-peer-id" Must
        "The peer id stays the same over a session." "BEP 3, Trackers, `peer_id`";
    SameKey "same-key" Should
        "The key stays the same for a torrent over a session." "BEP 7, Announcing";
    KeyPresent "key-present" Note
        "Announces carry a `key`, by which a tracker knows a client whose address has changed." "BEP 7, Announcing";
    BothFamilies "both-families" Should
        "A tracker that has addresses of IPv4 and IPv6 is announced to over both." "BEP 7, Announcing";
    RequiredParameters "required-parameters" Must
        "Announces have `info_hash`, `peer_id`, `port`, `uploaded`, `downloaded` and `left`; the last three are whole numbers." "BEP 3, Trackers";
    ParametersOnce "parameters-once" Must
        "No parameter of an announce stands twice." "BEP 3, Trackers";
    QueryWellFormed "query-well-formed" Should
        "One question mark begins the query, and no pair of it is empty or without a name." "RFC 3986, 3.4";
    EscapesWellFormed "escapes-well-formed" Must
        "Every percent sign is followed by two hexadecimal digits." "RFC 3986, 2.1";
    EncodedOnce "encoded-once" Must
        "Binary values are percent-encoded once, not twice." "BEP 3, Trackers, `info_hash`";
    ReservedEncoded "reserved-encoded" Must
        "Of binary values only letters, digits and `-_.~` (by RFC 1738 also `$!*'(),`) stand as they are." "BEP 3, Trackers, `info_hash`; RFC 3986, 2.3";
    PlusEncoded "plus-encoded" Must
        "Bytes 0x20 and 0x2b of binary values are `%20` and `%2B`: a plus sign is a blank to some trackers and a plus to others." "BEP 3, Trackers, `info_hash`; RFC 3986, 2.3";
    HashLength "hash-length" Must
        "`info_hash` is 20 bytes; of a v2 hash the first 20." "BEP 3, Trackers, `info_hash`; BEP 52";
    PeerIdLength "peer-id-length" Must
        "`peer_id` is 20 bytes." "BEP 3, Trackers, `peer_id`";
    PeerIdNamed "peer-id-named" Note
        "The peer id begins with the client's name and version, `-XX1234-`." "BEP 20";
    PortValid "port-valid" Must
        "`port` is a number from 1 to 65535." "BEP 3, Trackers, `port`";
    CompactSane "compact-sane" Should
        "`compact` is 1 or 0." "BEP 23";
    NoPeerIdSane "no-peer-id-sane" Note
        "`no_peer_id` is 1 or 0." "practice of trackers: `no_peer_id`";
    NumwantSane "numwant-sane" Should
        "`numwant` is from 0 to 1000; over UDP -1 asks for the tracker's default." "BEP 15; practice of trackers: `numwant`";
    HttpReadable "http-readable" Must
        "What comes on a connection is requests of HTTP." "RFC 9112, 3";
    HttpGet "http-get" Must
        "Announces and scrapes are GET." "BEP 3, Trackers";
    HttpHost "http-host" Must
        "A request of HTTP/1.1 has one Host." "RFC 9112, 3.2";
    HttpNoBody "http-no-body" Should
        "A GET has no body." "RFC 9110, 9.3.1";
    HttpAnswersAwaited "http-answers-awaited" Note
        "The next request on a connection waits for the answer to the last: not every server can pipeline." "RFC 9112, 9.3.2";
    HttpCloseHonoured "http-close-honoured" Must
        "After `Connection: close`, or an HTTP/1.0 answer without keep-alive, nothing more is sent on the connection." "RFC 9112, 9.6";
    EncodingRead "encoding-read" Must
        "Who names an encoding in Accept-Encoding can read it." "RFC 9110, 12.5.3";
    UserAgent "user-agent" Note
        "Requests name the client in User-Agent." "RFC 9110, 10.1.5";
    RedirectsFollowed "redirects-followed" Should
        "A redirect to HTTP is followed before the old address is asked again." "RFC 9110, 15.4";
    RedirectsEnd "redirects-end" Must
        "A chain of redirects is given up after twenty." "RFC 9110, 15.4";
    ScrapeWhere "scrape-where" Must
        "Only a tracker whose announce URL ends in `announce…` is scraped, at the URL with `scrape` in its place." "BEP 48, Tracker HTTP Scrape convention";
    ScrapeHashes "scrape-hashes" Must
        "A scrape names its torrents, with 20 bytes each." "BEP 48; BEP 15";
    ScrapeSize "scrape-size" Must
        "A scrape over UDP names at most 74 torrents." "BEP 15";
    ScrapeRate "scrape-rate" Should
        "The same scrape is not sent again within 30 s, or within the `min_request_interval` of the answer." "BEP 48; practice of trackers";
    TierOrder "tier-order" Must
        "A tier is tried when every tracker of the tiers before it has failed." "BEP 12, Order of Processing";
    TierFallback "tier-fallback" Should
        "When a tracker fails, those not yet tried come before it is asked again." "BEP 12, Order of Processing";
    TierPromoted "tier-promoted" Should
        "Within a tier the tracker that answered is asked first the next time." "BEP 12, Order of Processing";
    UdpLength "udp-length" Must
        "A connect has 16 bytes, an announce at least 98, a scrape 16 and 20 for each torrent." "BEP 15, UDP tracker protocol";
    UdpAction "udp-action" Must
        "The action of a request is 0, 1 or 2." "BEP 15, UDP tracker protocol";
    UdpProtocol "udp-protocol" Must
        "A connect begins with 0x41727101980." "BEP 15, Connect";
    UdpIdIssued "udp-id-issued" Must
        "Requests carry a connection id that this tracker sent to this address." "BEP 15, UDP connections";
    UdpIdFresh "udp-id-fresh" Must
        "A connection id is used for a minute after it was received, and no longer." "BEP 15, UDP connections";
    UdpTransactionChecked "udp-transaction-checked" Must
        "A connection id of a reply with another transaction id is not used." "BEP 15, Connect";
    UdpTransactionNew "udp-transaction-new" Should
        "A request has another transaction id than those already answered." "BEP 15, UDP tracker protocol";
    UdpBackOff "udp-back-off" Should
        "A request that nobody answers is sent again after 15 · 2^n s, not before." "BEP 15, Time outs";
    UdpOptions "udp-options" Must
        "What follows the 98 bytes of an announce is options with their lengths." "BEP 41";
    UdpUrlData "udp-url-data" Should
        "The option `URLData` has the path and query of the announce URL, from its slash on." "BEP 41";
    UdpV6 "udp-v6" Must
        "Over IPv6 an announce has the same layout, with zeros where the IPv4 address is." "BEP 15, IPv6";
}

impl Rule {
    /// The table of all rules, in Markdown.
    pub fn table() -> String {
        let mut table = String::from("| rule | asks | weight | source |\n|---|---|---|---|\n");
        for rule in Rule::ALL {
            table.push_str(&format!(
                "| `{}` | {} | {} | {} |\n",
                rule.id(),
                rule.asks(),
                rule.severity().name(),
                rule.source()
            ));
        }
        table
    }
}
