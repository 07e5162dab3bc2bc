//! One request as a watcher sees it: what was asked, by whom, and what was answered. Its texts have no secrets ([`super::hidden`]).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Serialize, Serializer};

use super::filter::Kind;
use super::hidden;
use super::hidden::ShownQuery;
use crate::metrics::AnnounceEvent;
use crate::tracker::{AnnounceReply, InfoHash, PeerId, PeerList};

/// The way that a request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Without TLS, at least not with the tracker itself.
    #[default]
    Http,
    /// With TLS to the tracker itself.
    Https,
    /// BEP 15.
    Udp,
}

/// Who asked.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Source {
    /// 4 or 6.
    ip_version: u8,
    ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

impl Source {
    /// A client by the address that counts for it, and the port that it sent from where that is known: a proxy does not tell it.
    pub const fn new(ip: IpAddr, port: Option<u16>) -> Source {
        Source {
            ip_version: if ip.is_ipv4() { 4 } else { 6 },
            ip,
            port,
        }
    }
}

impl Default for Source {
    fn default() -> Source {
        Source::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), None)
    }
}

/// One request.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Observed {
    /// When it was answered, in Unix milliseconds; for people.
    #[serde(skip)]
    pub time_ms: u64,
    /// What was asked for.
    pub kind: Kind,
    /// How it came.
    pub transport: Transport,
    /// Who asked.
    #[serde(flatten)]
    pub source: Source,
    /// Where it was sent to, without what may be a key; none over UDP, where the client sends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The parameters as they came; none over UDP.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub query: Option<ShownQuery>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Whom it asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What it means.
    #[serde(flatten)]
    pub asked: Asked,
    /// What was answered.
    pub answer: Answer,
}

/// What a request means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// An announce.
    Announce(Announced),
    /// A scrape.
    Scrape(Scraped),
}

impl Asked {
    /// Which of them it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Asked::Announce(_) => Kind::Announce,
            Asked::Scrape(_) => Kind::Scrape,
        }
    }
}

impl Default for Asked {
    fn default() -> Asked {
        Asked::Scrape(Scraped::default())
    }
}

/// An announce as it was read; what was left out, or could not be read, is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Announced {
    /// The torrent.
    #[serde(serialize_with = "text", skip_serializing_if = "is_hidden")]
    pub info_hash: Option<InfoHash>,
    /// The client's id.
    #[serde(serialize_with = "hex", skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<PeerId>,
    /// Where others are to reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downloaded: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// What has happened; `none` for words that mean nothing.
    #[serde(serialize_with = "label")]
    pub event: Option<AnnounceEvent>,
    /// Peers wanted; negative for as many as the tracker gives (BEP 15).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numwant: Option<i64>,
    /// Whether compact peers were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compact: Option<bool>,
    /// Whether peer ids were unwanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_peer_id: Option<bool>,
    /// Addresses that the client says it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reported: Vec<IpAddr>,
    /// Whether it sent a secret of its own (`key`), which is shown nowhere.
    pub key: bool,
}

/// Hashes of a scrape that are shown.
const SHOWN_HASHES: usize = 20;

/// A scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scraped {
    /// The first of the torrents.
    #[serde(serialize_with = "texts")]
    info_hashes: Vec<InfoHash>,
    /// How many there are.
    torrents: usize,
}

impl Scraped {
    /// A scrape of these torrents.
    pub fn new(hashes: impl ExactSizeIterator<Item = InfoHash>) -> Scraped {
        Scraped {
            torrents: hashes.len(),
            info_hashes: hashes.take(SHOWN_HASHES).collect(),
        }
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To an announce.
    Announce {
        /// Living seeders.
        seeders: u32,
        /// Living leechers.
        leechers: u32,
        /// Peers that ever completed the torrent, where the protocol tells it.
        #[serde(skip_serializing_if = "Option::is_none")]
        downloaded: Option<u32>,
        /// Seconds.
        interval: u32,
        /// Seconds, where the protocol tells it.
        #[serde(skip_serializing_if = "Option::is_none")]
        min_interval: Option<u32>,
        /// Peers handed out.
        peers: Peers,
    },
    /// To a scrape.
    Scrape {
        /// How many torrents were told of.
        torrents: usize,
    },
    /// A refusal.
    Failure {
        /// Its text.
        failure: Cow<'static, str>,
    },
}

/// Peers handed out, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Peers {
    /// v4 peers.
    pub ipv4: usize,
    /// v6 peers.
    pub ipv6: usize,
}

impl Default for Answer {
    fn default() -> Answer {
        Answer::Scrape { torrents: 0 }
    }
}

impl Answer {
    /// The answer to an announce over HTTP, with the peers of the list.
    pub fn announce(reply: &AnnounceReply, list: &PeerList) -> Answer {
        Answer::Announce {
            seeders: reply.complete,
            leechers: reply.incomplete,
            downloaded: Some(reply.downloaded),
            interval: reply.interval,
            min_interval: Some(reply.min_interval),
            peers: Peers {
                ipv4: list.v4.len(),
                ipv6: list.v6.len(),
            },
        }
    }

    /// A refusal with this text.
    pub fn failure(text: impl Into<Cow<'static, str>>) -> Answer {
        Answer::Failure {
            failure: text.into(),
        }
    }
}

fn text<S: Serializer>(hash: &Option<InfoHash>, out: S) -> Result<S::Ok, S::Error> {
    match hash {
        Some(hash) => out.collect_str(hash),
        None => out.serialize_none(),
    }
}

/// Whether a torrent is not told: there is none, or it is the beginning of a key that stands where a hash of the second version could.
#[expect(clippy::ref_option, reason = "as serde asks for it")]
fn is_hidden(hash: &Option<InfoHash>) -> bool {
    hash.is_none_or(|hash| hidden::is_text_of_key(&hash.0))
}

fn texts<S: Serializer>(hashes: &[InfoHash], out: S) -> Result<S::Ok, S::Error> {
    let shown = hashes.iter().filter(|hash| !is_hidden(&Some(**hash)));
    out.collect_seq(shown.map(ToString::to_string))
}

fn hex<S: Serializer>(id: &Option<PeerId>, out: S) -> Result<S::Ok, S::Error> {
    match id {
        // The same 20 bytes, in the same digits.
        Some(id) => out.collect_str(&InfoHash(id.0)),
        None => out.serialize_none(),
    }
}

fn label<S: Serializer>(event: &Option<AnnounceEvent>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(event.unwrap_or(AnnounceEvent::None).label())
}
