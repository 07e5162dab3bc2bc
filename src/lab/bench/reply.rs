//! Checks replies: where they end, bencode, UDP packets. Strict about structure, and a view of what counts in a benchmark. Bodies are
//! read in place and not as values, for every reply of a run is checked at the cost of the load that the run can make.

use crate::http_reply::{Framing, Head};

/// Heads longer than this are no tracker's.
const HEAD_LIMIT: usize = 8_192;
/// Replies longer than this are no tracker's.
const REPLY_LIMIT: usize = 1 << 20;

/// What a good reply to an announce says; zeros for other requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub complete: u32,
    pub incomplete: u32,
    /// Peers in it.
    pub peers: u32,
}

/// Why a reply does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection ended before the reply did.
    Closed,
    /// No connection to be had.
    Refused,
    /// No reply in time.
    TimedOut,
    /// No HTTP, or nothing that shows where the body ends.
    Head,
    /// Another status than 200.
    Status,
    /// No canonical bencode dictionary, or one without what has to be in it.
    Body,
    /// `failure reason`, or a UDP error packet.
    Failure,
    /// A datagram of a wrong action or length.
    Packet,
    /// More peers than were asked for.
    TooManyPeers,
    /// Counts that cannot be true.
    WrongCounts,
}

impl Fault {
    pub(super) fn label(self) -> &'static str {
        match self {
            Fault::Closed => "closed early",
            Fault::Refused => "no connection",
            Fault::TimedOut => "no reply in time",
            Fault::Head => "bad http head",
            Fault::Status => "status not 200",
            Fault::Body => "bad body",
            Fault::Failure => "failure reason",
            Fault::Packet => "bad packet",
            Fault::TooManyPeers => "more peers than asked for",
            Fault::WrongCounts => "wrong counts",
        }
    }
}

/// The body of a reply, once it is whole, and whether the server will end the connection.
pub(super) fn whole(received: &[u8], has_ended: bool) -> Result<Option<(&[u8], bool)>, Fault> {
    let Some(head) = Head::read(received).map_err(|_| Fault::Head)? else {
        return if has_ended {
            Err(Fault::Closed)
        } else if received.len() > HEAD_LIMIT {
            Err(Fault::Head)
        } else {
            Ok(None)
        };
    };
    if head.status != 200 {
        return Err(Fault::Status);
    }
    let body = received.get(head.length..);
    debug_assert!(body.is_some(), "a head ends within what has come");
    let body = body.unwrap_or_default();
    match head.framing {
        Framing::Length(length) if body.len() == length => Ok(Some((body, head.closes))),
        Framing::Length(length) if body.len() > length => Err(Fault::Head),
        // No tracker has a reason to; whoever does is not compared.
        Framing::Chunked => Err(Fault::Head),
        Framing::Connection if has_ended => Ok(Some((body, true))),
        _ if has_ended => Err(Fault::Closed),
        _ if received.len() > REPLY_LIMIT => Err(Fault::Body),
        _ => Ok(None),
    }
}

/// Checks the body of a reply to an announce.
pub(super) fn announce(body: &[u8]) -> Result<Answer, Fault> {
    let mut answer = Answer::default();
    let mut peers = None;
    let mut has_interval = false;
    let mut rest = body.strip_prefix(b"d").ok_or(Fault::Body)?;
    let mut last_key: &[u8] = b"";
    while rest.first() != Some(&b'e') {
        let (key, after) = string(rest).ok_or(Fault::Body)?;
        if key <= last_key {
            return Err(Fault::Body);
        }
        last_key = key;
        match key {
            b"failure reason" => return Err(Fault::Failure),
            b"complete" => (answer.complete, rest) = integer(after).ok_or(Fault::Body)?,
            b"incomplete" => (answer.incomplete, rest) = integer(after).ok_or(Fault::Body)?,
            b"interval" => {
                has_interval = true;
                (_, rest) = integer(after).ok_or(Fault::Body)?;
            }
            b"peers" => {
                let (count, after) = compact(after, 6)?;
                peers = Some(count);
                answer.peers += count;
                rest = after;
            }
            b"peers6" => {
                let (count, after) = compact(after, 18)?;
                answer.peers += count;
                rest = after;
            }
            _ => rest = skip(after, 4).ok_or(Fault::Body)?,
        }
    }
    // opentracker leaves `peers` out for v6 requesters, hence not on `peers` alone.
    if is_end(rest) && has_interval && (peers.is_some() || answer.peers > 0) {
        Ok(answer)
    } else {
        Err(Fault::Body)
    }
}

/// Checks the body of a reply to a scrape.
pub(super) fn scrape(body: &[u8]) -> Result<Answer, Fault> {
    let mut has_files = false;
    let mut rest = body.strip_prefix(b"d").ok_or(Fault::Body)?;
    while rest.first() != Some(&b'e') {
        let (key, after) = string(rest).ok_or(Fault::Body)?;
        if key == b"failure reason" {
            return Err(Fault::Failure);
        }
        has_files |= key == b"files";
        rest = skip(after, 4).ok_or(Fault::Body)?;
    }
    if is_end(rest) && has_files {
        Ok(Answer::default())
    } else {
        Err(Fault::Body)
    }
}

/// Whether a dictionary ends here and with it the reply; `aquatic_http` 0.9 sends a line end behind it.
fn is_end(bytes: &[u8]) -> bool {
    matches!(bytes, b"e" | b"e\r\n")
}

fn compact(bytes: &[u8], size: usize) -> Result<(u32, &[u8]), Fault> {
    let (list, after) = string(bytes).ok_or(Fault::Body)?;
    if !list.len().is_multiple_of(size) {
        return Err(Fault::Body);
    }
    let count = u32::try_from(list.len() / size).map_err(|_| Fault::Body)?;
    Ok((count, after))
}

/// Passes over one value, nested at most `depth` deep.
fn skip(bytes: &[u8], depth: u8) -> Option<&[u8]> {
    match bytes.first()? {
        b'i' => integer(bytes).map(|(_, rest)| rest),
        b'0'..=b'9' => string(bytes).map(|(_, rest)| rest),
        kind @ (b'l' | b'd') => {
            let depth = depth.checked_sub(1)?;
            let mut rest = bytes.get(1..)?;
            while rest.first()? != &b'e' {
                if *kind == b'd' {
                    (_, rest) = string(rest)?;
                }
                rest = skip(rest, depth)?;
            }
            rest.get(1..)
        }
        _ => None,
    }
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().take(8).position(|byte| *byte == b':')?;
    let (digits, rest) = bytes.split_at_checked(colon)?;
    rest.get(1..)?.split_at_checked(number(digits)?)
}

fn integer(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let rest = bytes.strip_prefix(b"i")?;
    let end = rest.iter().take(12).position(|byte| *byte == b'e')?;
    let (digits, rest) = rest.split_at_checked(end)?;
    Some((u32::try_from(number(digits)?).ok()?, rest.get(1..)?))
}

fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    digits.iter().try_fold(0_usize, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(usize::from(digit))
    })
}

/// Checks the packet that answers a UDP announce (from behind the transaction id), for peers of `size` bytes.
pub(super) fn udp_announce(body: &[u8], size: usize) -> Result<Answer, Fault> {
    let (words, _) = body.as_chunks::<4>();
    let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
    let (Some(_interval), Some(incomplete), Some(complete)) =
        (words.next(), words.next(), words.next())
    else {
        return Err(Fault::Packet);
    };
    let peers = body.len().saturating_sub(12);
    if !peers.is_multiple_of(size) {
        return Err(Fault::Packet);
    }
    Ok(Answer {
        complete,
        incomplete,
        peers: u32::try_from(peers / size).map_err(|_| Fault::Packet)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_announce_reply_is_read() {
        let body = b"d8:completei3e10:downloadedi1e10:incompletei2e8:intervali1800e5:peers12:abcdefghijkle";
        assert_eq!(
            announce(body),
            Ok(Answer {
                complete: 3,
                incomplete: 2,
                peers: 2
            })
        );
        for end in 0..body.len() {
            assert_eq!(announce(&body[..end]), Err(Fault::Body), "cut at {end}");
        }
    }

    #[test]
    fn wrong_bodies_are_told_from_refusals() {
        assert_eq!(announce(b"d14:failure reason2:noe"), Err(Fault::Failure));
        assert_eq!(
            announce(b"d8:intervali1800e5:peers5:abcdee"),
            Err(Fault::Body)
        );
        assert_eq!(announce(b"d5:peers0:8:intervali1800ee"), Err(Fault::Body));
        assert_eq!(announce(b"d8:intervali01e5:peers0:e"), Err(Fault::Body));
        assert_eq!(announce(b"d8:intervali1e5:peers0:ee"), Err(Fault::Body));
        assert_eq!(announce(b"<html>"), Err(Fault::Body));
    }

    #[test]
    fn a_scrape_reply_needs_its_files() {
        let body =
            b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei0e10:downloadedi0e10:incompletei0eeee";
        assert_eq!(scrape(body), Ok(Answer::default()));
        assert_eq!(scrape(b"de"), Err(Fault::Body));
    }

    #[test]
    fn replies_come_in_pieces_and_say_where_they_end() {
        let reply = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\nConnection: close\r\n\r\nde";
        assert_eq!(whole(reply, false), Ok(Some((&b"de"[..], true))));
        for end in 0..reply.len() {
            assert_eq!(whole(&reply[..end], false), Ok(None), "{end}");
            assert_eq!(whole(&reply[..end], true), Err(Fault::Closed), "{end}");
        }
        let more = [&reply[..], b"x"].concat();
        assert_eq!(whole(&more, false), Err(Fault::Head));
        let open = b"HTTP/1.1 200 OK\r\n\r\nde";
        assert_eq!(whole(open, false), Ok(None));
        assert_eq!(whole(open, true), Ok(Some((&b"de"[..], true))));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(whole(chunked, false), Err(Fault::Head));
        assert_eq!(
            whole(b"HTTP/1.1 404 Not Found\r\n\r\n", false),
            Err(Fault::Status)
        );
        assert_eq!(whole(b"garbage\r\n\r\n", false), Err(Fault::Head));
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; HEAD_LIMIT]].concat();
        assert_eq!(whole(&endless, false), Err(Fault::Head));
    }

    #[test]
    fn udp_replies_hold_whole_peers() {
        let mut body = vec![0; 12 + 12];
        body[7] = 4;
        body[11] = 9;
        let answer = udp_announce(&body, 6).unwrap();
        assert_eq!(
            (answer.incomplete, answer.complete, answer.peers),
            (4, 9, 2)
        );
        assert_eq!(udp_announce(&body[..23], 6), Err(Fault::Packet));
        assert_eq!(udp_announce(&body[..8], 6), Err(Fault::Packet));
    }
}
