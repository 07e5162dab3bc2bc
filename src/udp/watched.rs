//! A request over UDP as a watcher sees it.

use std::net::{IpAddr, SocketAddr};

use super::packet;
use super::packet::AnnounceRequest;
use crate::tracker::InfoHash;
use crate::watch::{self, Answer, Asked, Kind, Observed, Scraped, Source, Transport};

/// What the request of a client at `source` asks for; of one that is too short, nothing.
pub(super) fn asked(kind: Kind, body: &[u8], source: IpAddr) -> Asked {
    match kind {
        Kind::Announce => {
            let announced = AnnounceRequest::read(body);
            let said = announced.map(|announced| announced.said(source));
            Asked::Announce(said.unwrap_or_default())
        }
        Kind::Scrape => {
            let hashes = packet::scraped(body).unwrap_or_default().iter();
            Asked::Scrape(Scraped::new(hashes.copied().map(InfoHash)))
        }
    }
}

/// What is told of a request.
pub(super) fn observed(
    time_ms: u64,
    source: SocketAddr,
    body: &[u8],
    asked: Asked,
    answer: Answer,
) -> Observed {
    let kind = asked.kind();
    Observed {
        time_ms,
        kind,
        transport: Transport::Udp,
        source: Source::new(source.ip().to_canonical(), Some(source.port())),
        path: match kind {
            Kind::Announce => path(body),
            Kind::Scrape => None,
        },
        query: None,
        user_agent: None,
        host: None,
        asked,
        answer,
    }
}

/// The path in the options of an announce as it may be shown (BEP 41), where there is one.
fn path(body: &[u8]) -> Option<String> {
    let mut path = [0; packet::MAX_PATH];
    let path = packet::url_path(body, &mut path).ok()?.text;
    (!path.is_empty()).then(|| watch::path(path))
}
