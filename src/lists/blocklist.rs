//! Files of what is blocked, as others publish them: addresses, networks (`10.0.0.0/8`, `10.0.0.0/255.0.0.0`) and ranges, P2P plaintext
//! (`name:1.2.3.4-5.6.7.8`, `name:10.0.0.0/8`), DAT of eMule (`001.002.003.004 - 005.006.007.008 , 000 , name`), and info hashes. Comments
//! begin with `#` or `;`, or with `//` where a line begins. The lines of a file may be of several kinds.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};

use super::lines::{self, Bounds, Refused};
use crate::net::{AddressRange, UnsortedRanges};
use crate::tracker::{BlocklistFile, InfoHash, TorrentSet};

/// Twice what the largest public list has: 64 MB of memory, were all of it v6.
const BOUNDS: Bounds = Bounds {
    bytes: 256 << 20,
    line_bytes: 1_000,
    entries: 2_000_000,
};

/// A range of a DAT file above this level is one to let in.
const LAST_BLOCKED_LEVEL: u32 = 127;

/// What one line blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Addresses(AddressRange),
    Torrent(InfoHash),
    /// A comment, or a range that the file lets in.
    Nothing,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("neither an address, a network, a range, an info hash nor a line of a P2P or DAT list")]
    Unknown,
    #[error("a range that ends before it begins, or in the other family")]
    Backwards,
    #[error("a network with bits set behind its length")]
    Untrimmed,
    #[error("a netmask with ones behind zeros")]
    Mask,
    #[error("a level that is no number")]
    Level,
    #[error("every address of IPv4, or of IPv6: nobody would be served")]
    Everybody,
}

/// Reads a file.
///
/// # Errors
/// All that is wrong with it, by line.
pub(super) fn read(path: &Path) -> Result<BlocklistFile, Refused> {
    let (mut ranges, mut hashes) = (UnsortedRanges::default(), Vec::new());
    lines::each(path, BOUNDS, |line| {
        match judge(line)? {
            Line::Addresses(range) => ranges.push(range),
            Line::Torrent(hash) => hashes.push(hash),
            Line::Nothing => return Ok::<bool, Fault>(false),
        }
        Ok(true)
    })?;
    Ok(BlocklistFile {
        addresses: ranges.sorted(),
        torrents: TorrentSet::new(hashes),
    })
}

fn judge(line: &[u8]) -> Result<Line, Fault> {
    match in_some_format(line)? {
        // The pages ask before they take such a thing; nobody can be asked here.
        Line::Addresses(range) if range.is_whole_family() => Err(Fault::Everybody),
        line => Ok(line),
    }
}

fn in_some_format(line: &[u8]) -> Result<Line, Fault> {
    if [b"#".as_slice(), b";", b"//"]
        .iter()
        .any(|sign| line.starts_with(sign))
    {
        return Ok(Line::Nothing);
    }
    if let Some(listed) = dat(line) {
        return listed;
    }
    if let Some(listed) = plain(uncommented(line)) {
        return listed;
    }
    // A name may hold anything, of any encoding, `#` and colons too.
    p2p(line).ok_or(Fault::Unknown)?.map(Line::Addresses)
}

/// What is before a comment.
fn uncommented(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| b"#;".contains(byte));
    let line = line.get(..end.unwrap_or(line.len()));
    line.unwrap_or_default().trim_ascii()
}

/// A range and a level between commas.
fn dat(line: &[u8]) -> Option<Result<Line, Fault>> {
    let mut fields = line.splitn(3, |byte| *byte == b',');
    let (range, level) = (range(fields.next()?)?, fields.next()?);
    let level = str::from_utf8(level.trim_ascii()).ok();
    let Some(level) = level.and_then(|level| level.parse::<u32>().ok()) else {
        return Some(Err(Fault::Level));
    };
    Some(range.map(|range| {
        if level > LAST_BLOCKED_LEVEL {
            Line::Nothing
        } else {
            Line::Addresses(range)
        }
    }))
}

fn plain(text: &[u8]) -> Option<Result<Line, Fault>> {
    if let Some(hash) = InfoHash::from_text(text) {
        return Some(Ok(Line::Torrent(hash)));
    }
    if let Some(range) = range(text) {
        return Some(range.map(Line::Addresses));
    }
    let text = str::from_utf8(text).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return AddressRange::new(ip, ip).map(|range| Ok(Line::Addresses(range)));
    }
    network(text.as_bytes()).map(|network| network.map(Line::Addresses))
}

/// `A/LENGTH`, or `A/NETMASK` of v4; `None` for what is no network.
fn network(text: &[u8]) -> Option<Result<AddressRange, Fault>> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    let (address, length) = text.split_once('/')?;
    let network: IpNet = match length.parse::<Ipv4Addr>() {
        Ok(mask) => {
            let address: Ipv4Addr = address.parse().ok()?;
            match Ipv4Net::with_netmask(address, mask) {
                Ok(network) => network.into(),
                Err(_) => return Some(Err(Fault::Mask)),
            }
        }
        Err(_) => text.parse().ok()?,
    };
    if network.trunc() != network {
        return Some(Err(Fault::Untrimmed));
    }
    // By its ends, so that one of v4-mapped addresses is of v4.
    let range = AddressRange::new(network.network(), network.broadcast());
    Some(range.ok_or(Fault::Backwards))
}

/// What stands behind a name and a colon. Names have colons, and so have addresses of v6: the longest text that is a range or a network counts.
fn p2p(line: &[u8]) -> Option<Result<AddressRange, Fault>> {
    let behind = |at: usize| {
        let text = line.get(at + 1..)?;
        range(text).or_else(|| network(text))
    };
    let colon = |byte: &u8| *byte == b':';
    // Nearly all are of v4, whose colon is the last.
    let last = line.iter().rposition(colon)?;
    behind(last).or_else(|| {
        let mut colons = line.iter().enumerate().filter(|(_, byte)| colon(byte));
        colons.find_map(|(at, _)| behind(at))
    })
}

/// `A-B`, with blanks around the line between; `None` for what is no range.
fn range(text: &[u8]) -> Option<Result<AddressRange, Fault>> {
    let at = text.iter().position(|byte| *byte == b'-')?;
    let (first, last) = text.split_at_checked(at)?;
    let (first, last) = (address(first)?, address(last.get(1..)?)?);
    Some(AddressRange::new(first, last).ok_or(Fault::Backwards))
}

/// An address; one of v4 may be padded with zeros, which make it no octal.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    if text.contains(':') {
        return text.parse().ok();
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        *octet = if is_number {
            part.parse().ok()?
        } else {
            return None;
        };
    }
    parts
        .next()
        .is_none()
        .then(|| Ipv4Addr::from(octets).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn range_of(first: &str, last: &str) -> AddressRange {
        AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
    }

    fn addresses(first: &str, last: &str) -> Result<Line, Fault> {
        Ok(Line::Addresses(range_of(first, last)))
    }

    /// O22
    #[test]
    fn each_format_is_read() {
        let hash = "ab".repeat(20);
        let torrent = Ok(Line::Torrent(InfoHash([0xab; 20])));
        let (first, last) = ("1.2.3.4", "5.6.7.8");
        let (first_v6, last_v6) = ("2001:db8::", "2001:db8::ff");
        let v6 = || addresses(first_v6, last_v6);
        for (line, expected) in [
            ("# a comment", Ok(Line::Nothing)),
            ("// a comment", Ok(Line::Nothing)),
            ("1.2.3.4", addresses(first, first)),
            ("1.2.3.4 # why", addresses(first, first)),
            ("; a comment", Ok(Line::Nothing)),
            ("1.2.3.0/24 ; SBL1", addresses("1.2.3.0", "1.2.3.255")),
            ("1.2.3.4-5.6.7.8;why", addresses(first, last)),
            ("1.2.3.4-5.6.7.8", addresses(first, last)),
            ("1.2.3.4 - 5.6.7.8", addresses(first, last)),
            ("10.0.0.0/8", addresses("10.0.0.0", "10.255.255.255")),
            (
                "::ffff:10.0.0.0/104",
                addresses("10.0.0.0", "10.255.255.255"),
            ),
            (
                "10.0.0.0/255.255.0.0",
                addresses("10.0.0.0", "10.0.255.255"),
            ),
            ("0.0.0.0/128.0.0.0", addresses("0.0.0.0", "127.255.255.255")),
            ("1.2.3.4/255.255.255.255 # host", addresses(first, first)),
            ("name:10.0.0.0/8", addresses("10.0.0.0", "10.255.255.255")),
            (
                "na:me; x:10.0.0.0/255.0.0.0",
                addresses("10.0.0.0", "10.255.255.255"),
            ),
            ("name:2001:db8::/120", v6()),
            ("::ffff:1.2.3.4", addresses(first, first)),
            ("::ffff:1.2.3.4-::ffff:5.6.7.8", addresses(first, last)),
            ("2001:db8::/120", v6()),
            ("2001:db8::-2001:db8::ff", v6()),
            (&hash, torrent),
            (&format!("{hash}\t# v1"), torrent),
            (&"AB".repeat(32), torrent),
            ("Some name:1.2.3.4-5.6.7.8", addresses(first, last)),
            ("Name #5, Inc: a-b:1.2.3.4-5.6.7.8", addresses(first, last)),
            (":1.2.3.4-5.6.7.8", addresses(first, last)),
            ("name:2001:db8::-2001:db8::ff", v6()),
            ("na:me - x:2001:db8::-2001:db8::ff", v6()),
            (
                "001.002.003.004 - 005.006.007.008 , 000 , name",
                addresses(first, last),
            ),
            (
                "001.002.003.004-005.006.007.008,127,a, b",
                addresses(first, last),
            ),
            (
                "001.002.003.004 - 005.006.007.008 , 128 , let in",
                Ok(Line::Nothing),
            ),
            ("2001:db8::-2001:db8::ff , 100 , name", v6()),
            (
                "010.000.000.008 - 010.000.000.009 , 0 ,",
                addresses("10.0.0.8", "10.0.0.9"),
            ),
        ] {
            assert_eq!(judge(line.as_bytes()), expected, "{line}");
        }
        let latin = b"Caf\xe9:1.2.3.4-5.6.7.8";
        assert_eq!(judge(latin), addresses(first, last));
    }

    /// O22
    #[test]
    fn what_is_of_no_format_is_told() {
        for (line, fault) in [
            ("name", Fault::Unknown),
            ("name:1.2.3.4", Fault::Unknown),
            ("1.2.3.4-5.6.7", Fault::Unknown),
            ("1.2.3.4-5.6.7.999", Fault::Unknown),
            ("1.2.3.4-5.6.7.0008", Fault::Unknown),
            ("1.2.3.4 5.6.7.8", Fault::Unknown),
            ("010.0.0.1", Fault::Unknown),
            ("abcd", Fault::Unknown),
            ("name:5.6.7.8-1.2.3.4", Fault::Backwards),
            ("5.6.7.8-1.2.3.4", Fault::Backwards),
            ("1.2.3.4-2001:db8::1", Fault::Backwards),
            ("::-::ffff:1.2.3.4", Fault::Backwards),
            ("10.0.0.1/8", Fault::Untrimmed),
            ("10.0.0.0/33", Fault::Unknown),
            ("10.0.0.1/255.0.0.0", Fault::Untrimmed),
            ("name:10.0.0.1/8", Fault::Untrimmed),
            ("10.0.0.0/255.0.255.0", Fault::Mask),
            ("10.0.0.0/0.255.255.255", Fault::Mask),
            ("10.0.0.0/255.0.0", Fault::Unknown),
            ("2001:db8::/255.0.0.0", Fault::Unknown),
            ("name ; 10.0.0.0/8", Fault::Unknown),
            ("1.2.3.4 - 5.6.7.8 , many , name", Fault::Level),
            ("0.0.0.0/0", Fault::Everybody),
            ("0.0.0.0/0.0.0.0", Fault::Everybody),
            ("::/0", Fault::Everybody),
            ("::ffff:0:0/96", Fault::Everybody),
            ("0.0.0.0-255.255.255.255", Fault::Everybody),
            ("name:0.0.0.0/0", Fault::Everybody),
            (
                "000.000.000.000 - 255.255.255.255 , 000 , x",
                Fault::Everybody,
            ),
        ] {
            assert_eq!(judge(line.as_bytes()), Err(fault), "{line}");
        }
    }

    /// O22: what would be refused as a block is let in where a file says so.
    #[test]
    fn every_address_may_be_let_in() {
        let line = b"0.0.0.0 - 255.255.255.255 , 200 , let in";
        assert_eq!(judge(line), Ok(Line::Nothing));
    }

    /// O22: files as they are published, with a mark, ends of lines and names of Windows, are read; a packed one is told by its kind.
    #[test]
    fn files_are_read_as_others_publish_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let read_bytes = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path)
        };
        let p2p = b"\xef\xbb\xbf# List distributed by somebody\r\n\r\nCaf\xe9, Inc:1.2.4.0-1.2.4.255\r\nBogon:0.0.0.0/8\r\n";
        assert_eq!(read_bytes(p2p).unwrap().addresses.len(), 2);
        let dat = b"# ipfilter.dat\n000.000.000.000 - 000.255.255.255 , 000 , Bogon\n001.002.004.000 - 001.002.004.255 , 200 , let in\n";
        assert_eq!(read_bytes(dat).unwrap().addresses.len(), 1);
        let drop = b"; DROP list\n1.10.16.0/20 ; SBL256894\n2.56.192.0/22 ; SBL459831\n";
        assert_eq!(read_bytes(drop).unwrap().addresses.len(), 2);
        for (bytes, told) in [
            (
                &b"\x1f\x8b\x08\x00\x00\n\xff\xff"[..],
                ":1: packed with gzip",
            ),
            (b"PK\x03\x04 ipfilter.dat", ":1: a zip archive"),
            (b"\xff\xff\xff\xffP2B\x02name\0", ":1: a binary list"),
            (b"\xff\xfe1\0.\0", ":1: text of 16 bits"),
            (b"1.2.3.4\nname:5-6\n", ":2: neither an address"),
        ] {
            let refused = read_bytes(bytes).unwrap_err();
            assert_eq!(refused.lines().count(), 1, "{refused}");
            assert!(refused.to_string().contains(told), "{refused}");
        }
    }

    proptest! {
        /// O22: any bytes are read or refused.
        #[test]
        fn any_line_is_judged(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let judged = judge(&line);
            prop_assert!(judged.is_err() || !line.is_empty());
        }

        /// O22: a network is the same by its length and by its mask, with a name and without.
        #[test]
        fn networks_are_read_in_either_form(ip in any::<u32>(), length in 1_u8..=32) {
            let network = Ipv4Net::new(Ipv4Addr::from(ip), length).unwrap().trunc();
            let (mask, address) = (network.netmask(), network.network());
            let expected = Ok(Line::Addresses(AddressRange::from(IpNet::from(network))));
            for line in [
                format!("{network}"),
                format!("{address}/{mask}"),
                format!("a name:{network}"),
                format!("a name:{address}/{mask}"),
            ] {
                prop_assert_eq!(judge(line.as_bytes()), expected, "{}", line);
            }
        }

        /// O22: whatever its name holds, the range of a P2P line is the one at its end.
        #[test]
        fn names_hide_no_range(name in "[ -~]{0,20}", first in any::<u32>(), more in any::<u32>()) {
            // All of IPv4 is refused.
            let (first, last) = (first.max(1), first.saturating_add(more).max(1));
            let (from, to) = (Ipv4Addr::from(first), Ipv4Addr::from(last));
            // No comment, and no range with a level in front.
            let line = format!("n{name}:{from}-{to}");
            let judged = judge(line.as_bytes());
            prop_assert!(judged.is_ok());
            prop_assert_eq!(judged.unwrap(), Line::Addresses(AddressRange::V4(first, last)));
        }
    }
}
