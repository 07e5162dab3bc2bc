//! One entry of a log: what a tracker tells the others, as bytes. At most [`MAX_FRAME`] of them; numbers are big-endian, `varint` is
//! LEB128 of at most 32 bits. Whose it is stands in the name of the stream, which the engine's rules of access watch over.

mod read;
mod write;

pub use read::read;
pub use write::{Packed, Packer};

use super::block::BlockDelta;
use super::name::SiteName;
use crate::tracker::{InfoHash, PeerDelta};

/// Most bytes of a frame.
pub const MAX_FRAME: usize = 16 << 10;

/// The version that is written, and the latest that is read. A later one would be for what no unknown entry can express.
const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"rtsf";
const HEADER_BYTES: usize = 28;
/// Where the checksum stands.
const CHECKSUM_AT: usize = 8;

const SWARM: u8 = 1;
const HELLO: u8 = 2;
const BLOCK: u8 = 3;

const IS_SEEDER: u8 = 1;
const IS_PAUSED: u8 = 1 << 1;
const HAS_COMPLETED: u8 = 1 << 2;
const IS_V6: u8 = 1 << 3;
/// An id and the proof of a key follow.
const HAS_ID: u8 = 1 << 4;
/// An address inside a pair of networks follows.
const HAS_INNER: u8 = 1 << 5;
const IS_REPORTED: u8 = 1 << 6;
const HAS_LEFT: u8 = 1 << 7;

const NETWORK_V4: u8 = 4;
const NETWORK_V6: u8 = 6;
const TORRENT: u8 = 1;
/// Beside what is blocked: it is blocked no longer.
const LIFTED: u8 = 1 << 7;

/// Longest text of a version.
pub const MAX_VERSION_TEXT: usize = 40;

/// Longest reason of a block, in bytes: 500 characters of four.
const MAX_REASON: usize = 2_000;

/// What stands before the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which run of the sender; another one after each start.
    pub epoch: u64,
    /// The number of the frame in its epoch.
    pub sequence: u32,
    /// After how many seconds peers die there.
    pub lifetime: u32,
    /// Milliseconds of the sender's second that had gone when the frame was made: ages are counted from its beginning.
    pub phase_ms: u16,
}

/// One torrent of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmEntry {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Absolute counts of completions by the tracker that counted them; `None` for the sender.
    pub counts: Vec<(Option<SiteName>, u32)>,
    /// Its peers, in the sender's order.
    pub peers: Vec<PeerDelta>,
}

/// What a tracker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// A digest of its zones.
    pub zones_digest: u64,
    /// Its version; printable.
    pub version: String,
}

/// One entry of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// News of a torrent.
    Swarm(SwarmEntry),
    /// What the sender says of itself.
    Hello(Hello),
    /// A change of the blocklist.
    Block(BlockDelta),
}

/// A frame that was read. Its bytes:
///
/// ```text
/// offset size name                                  an entry: kind (1), length of its body (2), body
///      0    4 magic "rtsf"                            1 a torrent: info hash (20), number of counts (1), counts, peers up to the end
///      4    1 version, 1                                count: length of a name (1; 0: the sender), name, varint
///      5    1 reserved, 0                               peer: flags (1), address (4 or 16), port (2), age in s (varint), MiB
///      6    2 ms of the second that is under way            downloaded (varint), [id (20), proof of key (3)], [4 or 6, address]
///      8    4 CRC-32 of all but these four            2 hello: digest of zones (8), length (1) and text of the version
///     12    8 epoch: which run of the sender          3 block: stamp (8), what (1), target, [created (8), end (8), length (2), reason]
///     20    4 number of the frame in its epoch        others: skipped, and what a later version adds behind a hello
///     24    4 lifetime of a peer, in seconds     28 … entries
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// What it says, in order.
    pub entries: Vec<Entry>,
    /// Entries that were skipped, because this version does not know their kind.
    pub unknown_entries: u32,
    /// Peers and blocks that were skipped, because nothing can be so: a port 0, a block without a network.
    pub invalid: u32,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes than a frame may have.
    #[error("frame too large")]
    TooLarge,
    /// Another magic number, or shorter than a header.
    #[error("not a frame")]
    Foreign,
    /// Of a later version.
    #[error("frame of a later version")]
    Newer,
    /// The bytes are not those that were written.
    #[error("frame with a wrong checksum")]
    Checksum,
    /// An entry that does not decode.
    #[error("frame with a malformed entry")]
    Entry,
}

/// The checksum of a frame, without the field that holds it.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    if let Some((before, rest)) = frame.split_at_checked(CHECKSUM_AT) {
        hasher.update(before);
        hasher.update(rest.get(4..).unwrap_or_default());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests;
