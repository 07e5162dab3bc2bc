//! Makes `.torrent` files (BEP 3, BEP 12) for clients that are tried.

use sha1::{Digest, Sha1};

use crate::lab::bencode::writing::{Dictionary, Value};

/// What a torrent is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of its one file.
    pub name: String,
    /// Bytes of the file.
    pub length: usize,
    /// Bytes of a piece; 16 KiB at least.
    pub piece_length: usize,
    /// Announce URLs, tier by tier (BEP 12).
    pub tiers: Vec<Vec<String>>,
    /// Whether it is private (BEP 27): then clients look for peers nowhere else.
    pub is_private: bool,
    /// Seed of the file's bytes.
    pub seed: u64,
}

/// A torrent, and its file.
#[derive(Clone, Debug)]
pub struct Torrent {
    /// The `.torrent` file.
    pub metainfo: Vec<u8>,
    /// Of v1.
    pub info_hash: [u8; 20],
    /// The file that it describes.
    pub content: Vec<u8>,
}

/// Bytes of a piece at least: one block.
const LEAST_PIECE: usize = 16 << 10;

impl Plan {
    /// Makes the torrent.
    pub fn make(&self) -> Torrent {
        let piece_length = self.piece_length.max(LEAST_PIECE);
        let mut content = vec![0; self.length];
        fastrand::Rng::with_seed(self.seed).fill(&mut content);
        let pieces = content.chunks(piece_length);
        let pieces: Vec<u8> = pieces
            .flat_map(|piece| Sha1::digest(piece).to_vec())
            .collect();
        let number = |count: usize| Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
        let mut info = Dictionary::default();
        info.set("length", number(self.length));
        info.set("name", Value::bytes(self.name.as_str()));
        info.set("piece length", number(piece_length));
        info.set("pieces", Value::Bytes(pieces));
        if self.is_private {
            info.set("private", Value::Integer(1));
        }
        let info = Value::Dictionary(info);
        let info_hash = Sha1::digest(info.encode()).into();
        let mut metainfo = Dictionary::default();
        if let Some(first) = self.tiers.iter().flatten().next() {
            metainfo.set("announce", Value::bytes(first.as_str()));
        }
        if self.tiers.iter().flatten().nth(1).is_some() {
            let tier = |urls: &Vec<String>| {
                Value::List(urls.iter().map(|url| Value::bytes(url.as_str())).collect())
            };
            metainfo.set(
                "announce-list",
                Value::List(self.tiers.iter().map(tier).collect()),
            );
        }
        metainfo.set("info", info);
        Torrent {
            metainfo: Value::Dictionary(metainfo).encode(),
            info_hash,
            content,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_has_its_trackers_its_pieces_and_its_hash() {
        let plan = Plan {
            name: "it".into(),
            length: 40_000,
            piece_length: 16_384,
            tiers: vec![vec!["http://one/announce".into()], vec!["udp://two".into()]],
            is_private: true,
            seed: 7,
        };
        let torrent = plan.make();
        let Some(Value::Dictionary(read)) = Value::decode(&torrent.metainfo) else {
            panic!("no dictionary");
        };
        assert_eq!(
            read.find("announce"),
            Some(&Value::bytes("http://one/announce"))
        );
        let list = read.find("announce-list").unwrap().encode();
        assert_eq!(list, b"ll19:http://one/announceel9:udp://twoee");
        let info = read.find("info").unwrap();
        assert_eq!(
            <[u8; 20]>::from(Sha1::digest(info.encode())),
            torrent.info_hash
        );
        let Value::Dictionary(info) = info else {
            panic!("no dictionary");
        };
        let Some(Value::Bytes(pieces)) = info.find("pieces") else {
            panic!("no pieces");
        };
        assert_eq!(pieces.len(), 60);
        assert_eq!(
            &pieces[40..],
            Sha1::digest(&torrent.content[32_768..]).as_slice()
        );
        assert_eq!(info.find("private"), Some(&Value::Integer(1)));
        // One tracker needs no list.
        let one = Plan {
            tiers: vec![vec!["http://one/announce".into()]],
            ..plan
        };
        let metainfo = one.make().metainfo;
        assert!(!String::from_utf8_lossy(&metainfo).contains("announce-list"));
    }
}
