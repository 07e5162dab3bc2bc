//! What each client said last of each torrent, and what has changed since.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::lab::exchange::{Body, Moment, Request};
use crate::lab::reading::Announce;

use super::request::{hex, text};

/// Clients of torrents that are remembered, and the bytes of what they said; when there is more, all is forgotten.
const MAX_REMEMBERED: usize = 20_000;
const MAX_REMEMBERED_BYTES: usize = 32 << 20;

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
    /// Of both.
    bytes: usize,
}

#[derive(Debug)]
struct Last {
    /// The number of the request.
    number: u64,
    at: Moment,
    said: Vec<(&'static str, String)>,
    /// With those of what it is remembered by.
    bytes: usize,
}

impl Memory {
    /// Notes a request, and tells what has changed since the last announce of the same client for the same torrent: by its peer id, or
    /// else by address and port. Nothing of the first one, of what is no announce, and of one that is told late, behind those that came
    /// after it.
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
        let id_before = || self.ids.get(&place).cloned();
        let is_late = |id: &Vec<u8>| {
            let last = self.last.get(&(hash.clone(), id.clone()));
            last.is_some_and(|last| last.number > request.number)
        };
        if is_late(&id) || id_before().is_some_and(|id| is_late(&id)) {
            return None;
        }
        let is_full = self.last.len() >= MAX_REMEMBERED || self.ids.len() >= MAX_REMEMBERED;
        if is_full || self.bytes > MAX_REMEMBERED_BYTES {
            *self = Memory::default();
        }
        let said = said(request, announce);
        let before = self.last.remove(&(hash.clone(), id.clone())).or_else(|| {
            let other = self.ids.get(&place)?.clone();
            self.last.remove(&(hash.clone(), other))
        });
        self.bytes -= before.as_ref().map_or(0, |before| before.bytes);
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
        self.bytes += id.len();
        match self.ids.insert(place, id.clone()) {
            Some(other) => self.bytes -= other.len(),
            None => self.bytes += hash.len(),
        }
        let texts: usize = said.iter().map(|(_, text)| text.len()).sum();
        let bytes = hash.len() + id.len() + texts;
        self.bytes += bytes;
        let at = request.at;
        let last = Last {
            number: request.number,
            at,
            said,
            bytes,
        };
        self.last.insert((hash, id), last);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::exchange::{HttpHead, Transport};
    use crate::lab::reading::Reading;

    /// Announces with this peer id and a path of so many bytes; what has changed since.
    fn note(memory: &mut Memory, peer: usize, path: usize) -> Option<Change> {
        note_numbered(memory, 1, peer, path)
    }

    /// Likewise, with the number of the request.
    fn note_numbered(memory: &mut Memory, number: u64, peer: usize, path: usize) -> Option<Change> {
        let path = "x".repeat(path);
        let head = format!(
            "GET /{path}/announce?info_hash=hhhhhhhhhhhhhhhhhhhh&peer_id=-XX0001-{peer:012}&port={peer} HTTP/1.1\r\n\r\n"
        );
        let body = Body::Http(HttpHead::read(head.as_bytes()));
        let request = Request {
            number,
            ..Request::of_test(Transport::Http, body)
        };
        let Reading::Announce(announce) = Reading::of(&request) else {
            panic!("no announce");
        };
        memory.note(&request, Some(&announce))
    }

    /// O31: what is remembered has a bound in bytes; who comes again does not fill it.
    #[test]
    fn little_is_remembered_of_clients_that_say_much() {
        const MUCH: usize = 10_000;
        let mut memory = Memory::default();
        assert!(note(&mut memory, 1, MUCH).is_none());
        let each = memory.bytes;
        // More would be cut short before it is remembered.
        assert!((2_000..MUCH).contains(&each), "{each}");
        for _ in 0..3 {
            assert!(note(&mut memory, 1, MUCH).is_some());
            assert_eq!(memory.bytes, each);
        }
        let room = MAX_REMEMBERED_BYTES / each;
        assert!(room < MAX_REMEMBERED);
        for peer in 2..room + 4 {
            assert!(note(&mut memory, peer, MUCH).is_none());
            assert!(memory.bytes <= MAX_REMEMBERED_BYTES + each);
        }
        assert!(note(&mut memory, 1, 1).is_none(), "forgotten");
    }
    /// O31: a request that is told late changes nothing backwards.
    #[test]
    fn what_is_told_late_has_not_changed_since_what_came_after_it() {
        let mut memory = Memory::default();
        assert!(note_numbered(&mut memory, 1, 1, 1).is_none());
        assert!(note_numbered(&mut memory, 3, 1, 3).is_some());
        assert!(note_numbered(&mut memory, 2, 1, 2).is_none());
        let change = note_numbered(&mut memory, 4, 1, 4).unwrap();
        let paths = ["/xxx/announce", "/xxxx/announce"].map(str::to_owned);
        let [from, to] = paths;
        let name = "path";
        assert_eq!(change.changed, [Changed { name, from, to }]);
    }
}
