//! Answers over UDP (BEP 15), right or wrong, byte for byte.

use super::act::{Act, Content, Cut, Figure};
use super::peers::{self, Places};
use super::script::AddressFamily;
use crate::lab::exchange::{Body, Request, Step};
use crate::lab::reading::{Announce, Reading, UdpHead};

const ANNOUNCE: u32 = 1;
const ERROR: u32 = 3;
/// Bytes of a datagram at most, over IPv4.
const LARGEST: usize = 65_507;
/// What is wrong with a transaction id that is wrong.
const OTHER_TRANSACTION: u32 = 0x5a5a_5a5a;

/// What is sent in the place of an honest answer. `is_expired` says that the request's connection id is older than the act allows.
pub(super) fn answer(
    act: &Act,
    places: &Places,
    request: &Request,
    reading: &Reading,
    is_expired: bool,
    honest: &[u8],
) -> Vec<Step> {
    let Some(head) = head_of(request) else {
        return Vec::new();
    };
    let mut datagram = match (&act.content.failure, reading) {
        (Some(failure), _) => error(head, failure),
        (None, _) if is_expired => error(head, "connection id expired"),
        (None, Reading::Announce(announce)) => {
            let form = act.udp.is_of_other_family;
            announced(&act.content, places, request, announce, form, honest)
                .unwrap_or_else(|| honest.to_vec())
        }
        (None, _) => honest.to_vec(),
    };
    if let Some(action) = act.udp.action {
        overwrite(&mut datagram, 0, action);
    }
    if act.udp.is_of_other_transaction {
        overwrite(&mut datagram, 4, head.transaction ^ OTHER_TRANSACTION);
    }
    let padding = usize::try_from(act.content.padding).unwrap_or(LARGEST);
    let room = LARGEST.saturating_sub(datagram.len());
    datagram.extend(vec![0; padding.min(room)]);
    datagram.truncate(LARGEST);
    // A datagram has no reset: what breaks off, breaks off.
    if let Some(Cut::Reset(after) | Cut::Truncated(after)) = act.sending.cut {
        datagram.truncate(after);
    }
    if datagram.is_empty() {
        return Vec::new();
    }
    let mut steps = vec![Step::Send(datagram.clone())];
    if act.sending.is_twice {
        steps.push(Step::Send(datagram));
    }
    steps
}

/// The honest answer to an announce with the planted peer; `None` where the answer is no such thing.
pub(super) fn with_peers(
    places: &Places,
    request: &Request,
    announce: &Announce,
    honest: &[u8],
) -> Option<Vec<u8>> {
    announced(
        &Content::default(),
        places,
        request,
        announce,
        false,
        honest,
    )
}

fn head_of(request: &Request) -> Option<UdpHead> {
    match &request.body {
        Body::Datagram(datagram) => UdpHead::read(datagram),
        Body::Http(_) | Body::Unreadable(_) => None,
    }
}

fn error(head: UdpHead, text: &str) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(ERROR.to_be_bytes());
    datagram.extend(head.transaction.to_be_bytes());
    datagram.extend(text.as_bytes());
    datagram
}

/// `0 action 4 transaction 8 interval 12 leechers 16 seeders 20 peers`.
fn announced(
    content: &Content,
    places: &Places,
    request: &Request,
    announce: &Announce,
    is_of_other_family: bool,
    honest: &[u8],
) -> Option<Vec<u8>> {
    let (head, list) = honest.split_at_checked(20)?;
    if head.first_chunk() != Some(&ANNOUNCE.to_be_bytes()) {
        return None;
    }
    let own = AddressFamily::of(request.client.ip());
    let there = peers::read_compact(list, own);
    let peers = peers::chosen(content, places, request, announce, there);
    let family = match (own, is_of_other_family) {
        (AddressFamily::V4, false) | (AddressFamily::V6, true) => AddressFamily::V4,
        (AddressFamily::V6, false) | (AddressFamily::V4, true) => AddressFamily::V6,
    };
    let mut datagram = head.to_vec();
    if let Some(Figure::Is(interval)) = content.interval {
        // What is no 32-bit number is the nearest one; negative ones are sent as such.
        let least = i64::from(i32::MIN);
        let interval = interval.clamp(least, i64::from(u32::MAX));
        let [_, _, _, _, low @ ..] = interval.to_be_bytes();
        overwrite(&mut datagram, 8, u32::from_be_bytes(low));
    }
    datagram.extend(peers::compact(&peers, family));
    datagram.extend(vec![
        0;
        usize::try_from(content.odd_bytes).unwrap_or_default()
    ]);
    Some(datagram)
}

fn overwrite(datagram: &mut [u8], offset: usize, number: u32) {
    let place = datagram.get_mut(offset..).and_then(<[u8]>::first_chunk_mut);
    if let Some(place) = place {
        *place = number.to_be_bytes();
    }
}
