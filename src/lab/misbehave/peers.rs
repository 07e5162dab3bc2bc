//! The peers of an answer: which addresses the names of a script stand for, and how they are written.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::act::{Content, Peer};
use super::script::AddressFamily;
use crate::lab::bencode::writing::{Dictionary, Value};
use crate::lab::exchange::Request;
use crate::lab::reading::Announce;

/// What the names of a script stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Peers that listen, one of each family at most. They are in every answer that names no other peers.
    pub planted: Vec<SocketAddr>,
    /// Peers that listen too, and are in no honest answer.
    pub decoys: Vec<SocketAddr>,
    /// `http://…` of the second tracker, without a path.
    pub second: Option<String>,
    /// `udp://…` of the second tracker, without a path.
    pub second_udp: Option<String>,
}

/// The peers that an answer is to have: those of the script, or the honest ones and the planted one; and the crowd.
pub(super) fn chosen(
    content: &Content,
    places: &Places,
    request: &Request,
    announce: &Announce,
    honest: Vec<SocketAddr>,
) -> Vec<SocketAddr> {
    let own = SocketAddr::new(
        request.client.ip().to_canonical(),
        announce.port.unwrap_or_default(),
    );
    let mut peers = Vec::new();
    match &content.peers {
        Some(named) => {
            for peer in named {
                match peer {
                    Peer::Planted => peers.extend(&places.planted),
                    Peer::PlantedV6 => {
                        peers.extend(places.planted.iter().filter(|peer| peer.is_ipv6()));
                    }
                    Peer::Decoy => peers.extend(&places.decoys),
                    Peer::Own => peers.push(own),
                    Peer::At(address) => peers.push(*address),
                }
            }
        }
        None => {
            peers = honest;
            peers.extend(&places.planted);
        }
    }
    peers.extend((0..content.crowd).map(crowded));
    peers
}

/// The nth address of a crowd, on the discard port: nothing leaves the machine for it.
fn crowded(number: u32) -> SocketAddr {
    let base = u32::from(Ipv4Addr::new(127, 64, 0, 1));
    SocketAddr::new(Ipv4Addr::from(base + number).into(), 9)
}

/// The compact list of one family (BEP 23, BEP 7, BEP 15): address and port, big-endian.
pub(super) fn compact(peers: &[SocketAddr], family: AddressFamily) -> Vec<u8> {
    let mut bytes = Vec::new();
    for peer in peers
        .iter()
        .filter(|peer| AddressFamily::of(peer.ip()) == family)
    {
        match peer.ip().to_canonical() {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
        bytes.extend(peer.port().to_be_bytes());
    }
    bytes
}

/// Reads a compact list; what is left over at its end is left aside.
pub(super) fn read_compact(bytes: &[u8], family: AddressFamily) -> Vec<SocketAddr> {
    match family {
        AddressFamily::V4 => entries::<4>(bytes),
        AddressFamily::V6 => entries::<16>(bytes),
    }
}

fn entries<const SIZE: usize>(bytes: &[u8]) -> Vec<SocketAddr>
where
    IpAddr: From<[u8; SIZE]>,
{
    let entry = |chunk: &[u8]| {
        let (ip, port) = chunk.split_first_chunk::<SIZE>()?;
        Some(SocketAddr::new(
            IpAddr::from(*ip),
            u16::from_be_bytes(port.try_into().ok()?),
        ))
    };
    bytes.chunks_exact(SIZE + 2).filter_map(entry).collect()
}

/// A list of dictionaries (BEP 3).
pub(super) fn dictionaries(peers: &[SocketAddr]) -> Value {
    let entry = |peer: &SocketAddr| {
        let mut entry = Dictionary::default();
        entry.set("ip", Value::bytes(peer.ip().to_string()));
        entry.set("peer id", Value::bytes(*b"-XX0000-laboratory00"));
        entry.set("port", Value::Integer(peer.port().into()));
        Value::Dictionary(entry)
    };
    Value::List(peers.iter().map(entry).collect())
}

/// Reads the peers of an honest answer over HTTP, however they are written.
pub(super) fn of_answer(answer: &Dictionary) -> Vec<SocketAddr> {
    let mut peers = match answer.find("peers") {
        Some(Value::Bytes(bytes)) => read_compact(bytes, AddressFamily::V4),
        Some(Value::List(entries)) => entries.iter().filter_map(of_dictionary).collect(),
        _ => Vec::new(),
    };
    if let Some(Value::Bytes(bytes)) = answer.find("peers6") {
        peers.extend(read_compact(bytes, AddressFamily::V6));
    }
    peers
}

fn of_dictionary(entry: &Value) -> Option<SocketAddr> {
    let Value::Dictionary(entry) = entry else {
        return None;
    };
    let (Some(Value::Bytes(ip)), Some(Value::Integer(port))) =
        (entry.find("ip"), entry.find("port"))
    else {
        return None;
    };
    let ip = std::str::from_utf8(ip).ok()?.parse().ok()?;
    Some(SocketAddr::new(ip, u16::try_from(*port).ok()?))
}
