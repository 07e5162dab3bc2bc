//! What is done in the place of an honest answer, read from the `then` of a step. What contradicts itself is refused here.

use std::net::SocketAddr;
use std::time::Duration;

use super::document::{Fault, IntegerOrWord, Table};
use super::script::When;

/// How an answer differs from the honest one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Act {
    /// As the script says it.
    pub words: String,
    /// What it tells.
    pub content: Content,
    /// How HTTP carries it.
    pub http: HttpForm,
    /// How a datagram carries it.
    pub udp: UdpForm,
    /// How it is sent.
    pub sending: Sending,
}

/// What an answer tells. What is `None` stays as the honest answer has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// `failure reason` (BEP 3); over UDP an error packet (BEP 15). The rest of the answer goes, unless peers are named too.
    pub failure: Option<String>,
    /// `warning message`.
    pub warning: Option<String>,
    /// `retry in` (BEP 31).
    pub retry_in: Option<RetryIn>,
    /// `interval`, in seconds.
    pub interval: Option<Figure>,
    /// `min interval`, in seconds.
    pub min_interval: Option<Figure>,
    /// The peers; otherwise those of the honest answer, and the planted one.
    pub peers: Option<Vec<Peer>>,
    /// So many peers more on closed ports of loopback addresses (127.64.0.0/10).
    pub crowd: u32,
    /// How they are written.
    pub form: PeersForm,
    /// Bytes too many behind the compact list.
    pub odd_bytes: u32,
    /// Whether the keys are in the wrong order.
    pub is_unsorted: bool,
    /// A key with so many bytes.
    pub padding: u32,
    /// A key with lists nested so deep.
    pub nesting: u32,
    /// In the place of all of this, HTTP only.
    pub body: Option<String>,
}

/// A peer of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// One that listens: whoever reads the answer right connects to it.
    Planted,
    /// The same, over IPv6 only.
    PlantedV6,
    /// One that listens too, for answers that must not be believed.
    Decoy,
    /// The client itself: where the request comes from, with the port that it announces.
    Own,
    /// Anything else.
    At(SocketAddr),
}

/// When a client may come again (BEP 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryIn {
    /// In so many minutes.
    Minutes(i64),
    /// Never.
    Never,
}

/// A number of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// The key is not there.
    Absent,
    /// It says this.
    Is(i64),
}

/// How peers are written over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeersForm {
    /// As BEP 23 and BEP 7 have it.
    #[default]
    Compact,
    /// A list of dictionaries (BEP 3), whatever was asked for.
    Dictionaries,
    /// Under no key.
    Absent,
    /// `peers6` only.
    Peers6Only,
}

/// How HTTP carries an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpForm {
    /// The status; otherwise 200, and 302 of a redirect.
    pub status: Option<u16>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// `Location`.
    pub redirect: Option<Redirect>,
    /// HTTP/1.0 in the status line.
    pub is_old: bool,
    /// How the length of the body is told.
    pub length: Length,
    /// Whether the body is compressed, and whether that is said.
    pub gzip: Option<Gzip>,
}

/// Where a redirect leads. The query goes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// To the URL that was asked for.
    Loop,
    /// To another path of the same tracker.
    Path(String),
    /// To the second tracker, over HTTP.
    Second,
    /// To the second tracker, over UDP.
    Udp,
}

/// How the length of a body is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// Right.
    #[default]
    Right,
    /// 10 bytes less than there are.
    Short,
    /// 10 bytes more than there are.
    Long,
    /// Not at all: the body ends with the connection.
    Absent,
    /// In chunks.
    Chunked,
}

/// Compression that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gzip {
    /// With `Content-Encoding: gzip`.
    Told,
    /// Without a word.
    Untold,
}

/// How a datagram carries an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpForm {
    /// Another transaction id than the client's.
    pub is_of_other_transaction: bool,
    /// Another action than the request's.
    pub action: Option<u32>,
    /// Entries of the other family's size.
    pub is_of_other_family: bool,
    /// Whoever announces with a connection id that is older than this gets an error packet; the others the honest answer.
    pub id_lifetime: Option<Duration>,
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    /// Nothing for so long.
    pub delay: Duration,
    /// Not at all.
    pub is_lost: bool,
    /// How much of it comes.
    pub cut: Option<Cut>,
    /// Two times.
    pub is_twice: bool,
}

/// An answer that breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// After so many bytes of all, head included, with a reset.
    Reset(usize),
    /// After so many bytes of the body or of the datagram, and the connection is closed in order.
    Truncated(usize),
}

/// Bytes of padding at most: more than any client should take.
const MOST_PADDING: u32 = 64 << 20;
const MOST_CROWD: u32 = 20_000;

impl Act {
    pub(super) fn read(mut table: Table, when: &When) -> Result<Act, Fault> {
        let words = table.words();
        let place =
            |table: &Table, key: &str| table.line_of(key).map(|line| (line, key.to_owned()));
        let only = |table: &Table, keys: &[&str]| keys.iter().find_map(|key| place(table, key));
        // What only one transport has, and what is in the way of all else; with its line, for taking a key forgets it.
        let of_http = only(&table, HTTP_ONLY);
        let of_udp = only(&table, UDP_ONLY);
        let (loss, reset, truncate) = (
            place(&table, "loss"),
            place(&table, "reset_after"),
            place(&table, "truncate"),
        );
        let body = place(&table, "body");
        let content = Content::read(&mut table)?;
        let http = HttpForm::read(&mut table)?;
        let udp = UdpForm::read(&mut table)?;
        let sending = Sending::read(&mut table)?;
        table.end()?;
        let fault = |(line, key): &(usize, String), why: &str| Err(table.fault(*line, key, why));
        if let Some(at) = of_http.as_ref().filter(|_| when.is_of_udp()) {
            return fault(at, "only HTTP has it, and this step is for udp");
        }
        if let Some(at) = of_udp.as_ref().filter(|_| when.is_of_http()) {
            return fault(at, "only UDP has it, and this step is for HTTP");
        }
        if let (Some(at), Some(_)) = (&of_udp, &of_http) {
            return fault(at, "of UDP, beside a key of HTTP: make two steps");
        }
        if let Some(at) = loss
            && words.contains(", ")
        {
            return fault(&at, "what is lost differs in nothing else: it stands alone");
        }
        if let (Some(at), Some(_)) = (&truncate, &reset) {
            return fault(at, "beside `reset_after`: an answer breaks off once");
        }
        if let Some(at) = body
            && (content
                != Content {
                    body: content.body.clone(),
                    ..Content::default()
                })
        {
            return fault(
                &at,
                "stands in the place of the whole answer, beside no key of it",
            );
        }
        Ok(Act {
            words,
            content,
            http,
            udp,
            sending,
        })
    }
}

/// Keys that only HTTP has.
const HTTP_ONLY: &[&str] = &[
    "body",
    "chunked",
    "content_length",
    "form",
    "gzip",
    "http_version",
    "min_interval",
    "nesting",
    "order",
    "redirect",
    "retry_after",
    "retry_in",
    "status",
    "warning",
];
/// Keys that only UDP has.
const UDP_ONLY: &[&str] = &["action", "entries", "id_lifetime", "transaction"];

impl Content {
    fn read(table: &mut Table) -> Result<Content, Fault> {
        let figure = |said: Option<IntegerOrWord>| {
            said.map(|said| match said {
                IntegerOrWord::Integer(number) => Figure::Is(number),
                IntegerOrWord::Word => Figure::Absent,
            })
        };
        let all = i64::MIN..=i64::MAX;
        let retry_in = table.integer_or_word("retry_in", 0..=1_000_000, "never")?;
        let forms = [
            ("compact", PeersForm::Compact),
            ("dictionaries", PeersForm::Dictionaries),
            ("absent", PeersForm::Absent),
            ("peers6 only", PeersForm::Peers6Only),
        ];
        let right = "\"planted\", \"planted v6\", \"decoy\", \"own\" or an address with its port, as \"127.0.0.1:6881\" or \"[::1]:6881\"";
        Ok(Content {
            failure: table.text("failure")?,
            warning: table.text("warning")?,
            retry_in: retry_in.map(|said| match said {
                IntegerOrWord::Integer(minutes) => RetryIn::Minutes(minutes),
                IntegerOrWord::Word => RetryIn::Never,
            }),
            interval: figure(table.integer_or_word("interval", all.clone(), "absent")?),
            min_interval: figure(table.integer_or_word("min_interval", all, "absent")?),
            peers: table.list("peers", right, Peer::named)?,
            crowd: table.count("crowd", 1..=MOST_CROWD)?.unwrap_or_default(),
            form: table.choice("form", &forms)?.unwrap_or_default(),
            odd_bytes: table.count("odd_bytes", 1..=17)?.unwrap_or_default(),
            is_unsorted: table
                .choice("order", &[("unsorted", true)])?
                .unwrap_or_default(),
            padding: table
                .count("padding", 1..=MOST_PADDING)?
                .unwrap_or_default(),
            nesting: table
                .count("nesting", 1..=MOST_PADDING)?
                .unwrap_or_default(),
            body: table.any_text("body")?,
        })
    }
}

impl Peer {
    fn named(name: &str) -> Option<Peer> {
        match name {
            "planted" => Some(Peer::Planted),
            "planted v6" => Some(Peer::PlantedV6),
            "decoy" => Some(Peer::Decoy),
            "own" => Some(Peer::Own),
            address => address.parse().ok().map(Peer::At),
        }
    }
}

impl HttpForm {
    fn read(table: &mut Table) -> Result<HttpForm, Fault> {
        let line = table.line_of("redirect").unwrap_or_default();
        let redirect = match table.text("redirect")?.as_deref() {
            None => None,
            Some("loop") => Some(Redirect::Loop),
            Some("second") => Some(Redirect::Second),
            Some("udp") => Some(Redirect::Udp),
            Some(path)
                if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Some(Redirect::Path(path.to_owned()))
            }
            Some(_) => {
                let right = "one of \"loop\", \"second\" (tracker), \"udp\" (that of the second tracker), or a path as \"/announce.php\" should be";
                return Err(table.fault(line, "redirect", right));
            }
        };
        let lengths = [
            ("short", Length::Short),
            ("long", Length::Long),
            ("absent", Length::Absent),
        ];
        let chunked_at = table.line_of("chunked").unwrap_or_default();
        let length = table.choice("content_length", &lengths)?;
        let is_chunked = table.flag("chunked")?;
        if is_chunked && length.is_some() {
            let why = "beside `content_length`: chunks have none";
            return Err(table.fault(chunked_at, "chunked", why));
        }
        let status = table.count("status", 100..=599)?;
        Ok(HttpForm {
            status: status.and_then(|status| u16::try_from(status).ok()),
            retry_after: table.count("retry_after", 0..=1_000_000)?,
            redirect,
            is_old: table
                .choice("http_version", &[("1.0", true)])?
                .unwrap_or_default(),
            length: if is_chunked {
                Length::Chunked
            } else {
                length.unwrap_or_default()
            },
            gzip: table.choice("gzip", &[("told", Gzip::Told), ("untold", Gzip::Untold)])?,
        })
    }
}

impl UdpForm {
    fn read(table: &mut Table) -> Result<UdpForm, Fault> {
        Ok(UdpForm {
            is_of_other_transaction: table
                .choice("transaction", &[("wrong", true)])?
                .unwrap_or_default(),
            action: table.count("action", 0..=255)?,
            is_of_other_family: table
                .choice("entries", &[("other family", true)])?
                .unwrap_or_default(),
            id_lifetime: table.seconds("id_lifetime")?,
        })
    }
}

impl Sending {
    fn read(table: &mut Table) -> Result<Sending, Fault> {
        let bytes = |count: Option<u32>| count.and_then(|count| usize::try_from(count).ok());
        let reset = bytes(table.count("reset_after", 0..=MOST_PADDING)?);
        let truncated = bytes(table.count("truncate", 0..=MOST_PADDING)?);
        Ok(Sending {
            delay: table.seconds("delay")?.unwrap_or_default(),
            is_lost: table.flag("loss")?,
            cut: reset.map(Cut::Reset).or(truncated.map(Cut::Truncated)),
            is_twice: table.flag("twice")?,
        })
    }
}
