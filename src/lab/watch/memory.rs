//! What each client said last of each torrent, and what has changed since.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::lab::exchange::{Body, Moment, Request};
use crate::lab::reading::Announce;

use super::request::{hex, text};

/// Clients of torrents that are remembered; when there are more, all are forgotten.
const MAX_REMEMBERED: usize = 20_000;

/// What is known of the announce before this one.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    /// Real and virtual seconds since then.
    pub since: Moment,
    /// What differs.
    pub changed: Vec<Changed>,
}

/// A value that differs.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Changed {
    pub name: &'static str,
    /// Empty for nothing.
    pub from: String,
    /// Empty for nothing.
    pub to: String,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By torrent and peer id.
    last: HashMap<(Vec<u8>, Vec<u8>), Last>,
    /// The peer id that was last announced of a torrent from an address and port, to know who has taken another.
    ids: HashMap<(Vec<u8>, IpAddr, u16), Vec<u8>>,
}

#[derive(Debug)]
struct Last {
    at: Moment,
    said: Vec<(&'static str, String)>,
}

impl Memory {
    /// Notes a request, and tells what has changed since the last announce of the same client for the same torrent: by its peer id, or
    /// else by address and port. Nothing of the first one, and of what is no announce.
    pub(super) fn note(
        &mut self,
        request: &Request,
        announce: Option<&Announce>,
    ) -> Option<Change> {
        let announce = announce?;
        let hash = announce.info_hash.clone()?;
        let id = announce.peer_id.clone()?;
        let place = (
            hash.clone(),
            request.client.ip(),
            announce.port.unwrap_or(0),
        );
        if self.last.len() >= MAX_REMEMBERED || self.ids.len() >= MAX_REMEMBERED {
            *self = Memory::default();
        }
        let said = said(request, announce);
        let before = self.last.remove(&(hash.clone(), id.clone())).or_else(|| {
            let other = self.ids.get(&place)?.clone();
            self.last.remove(&(hash.clone(), other))
        });
        let change = before.map(|before| Change {
            since: Moment {
                real: request.at.real.saturating_sub(before.at.real),
                virtual_time: request
                    .at
                    .virtual_time
                    .saturating_sub(before.at.virtual_time),
            },
            changed: difference(before.said, &said),
        });
        self.ids.insert(place, id.clone());
        let at = request.at;
        self.last.insert((hash, id), Last { at, said });
        change
    }
}

/// What is compared of an announce.
fn said(request: &Request, announce: &Announce) -> Vec<(&'static str, String)> {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(text).unwrap_or_default();
    let mut said = vec![
        ("event", text(announce.event.as_bytes())),
        ("left", number(announce.left)),
        ("downloaded", number(announce.downloaded)),
        ("uploaded", number(announce.uploaded)),
        ("port", number(announce.port.map(u64::from))),
        ("peer_id", bytes(&announce.peer_id)),
        ("key", key(announce)),
        (
            "numwant",
            announce
                .numwant
                .map(|wanted| wanted.to_string())
                .unwrap_or_default(),
        ),
        ("compact", bytes(&announce.compact)),
        ("transport", request.transport.to_string()),
        ("address", request.client.ip().to_string()),
    ];
    if let Body::Http(head) = &request.body {
        let agent = head.header("user-agent").map(text);
        said.push(("user-agent", agent.unwrap_or_default()));
        said.push(("path", text(&head.path)));
    }
    said
}

/// The key as it is written: text over HTTP, hex over UDP.
pub(super) fn key(announce: &Announce) -> String {
    let key = announce.key.as_deref().unwrap_or_default();
    if announce.udp.is_some() {
        hex(key)
    } else {
        text(key)
    }
}

fn difference(
    before: Vec<(&'static str, String)>,
    after: &[(&'static str, String)],
) -> Vec<Changed> {
    let mut before: HashMap<&str, String> = before.into_iter().collect();
    let changed = after.iter().filter_map(|(name, to)| {
        let from = before.remove(name).unwrap_or_default();
        // What only one transport has says nothing of the client.
        let is_new = from.is_empty() && matches!(*name, "user-agent" | "path");
        (from != *to && !is_new).then(|| Changed {
            name,
            from,
            to: to.clone(),
        })
    });
    changed.collect()
}
