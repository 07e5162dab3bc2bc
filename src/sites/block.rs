//! One change of the blocklist, as it travels between trackers.

use crate::clock::Wall;
use crate::tracker::{Origin, Target};

/// What became of one target of the blocklist. Of two for the same target the one with the greater stamp counts; of equal stamps a
/// block beats a lift, and of two blocks what they say decides, so that all trackers take the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDelta {
    /// What is blocked or was.
    pub target: Target,
    /// What became of it.
    pub change: BlockChange,
    /// The greater of the wall seconds when it was changed and the last stamp of the same target plus one, so that an edit wins even
    /// over one made by a clock that is ahead.
    pub stamp: u64,
}

/// What became of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockChange {
    /// It is blocked.
    Put {
        /// Why, in the operator's words; at most 500 characters.
        reason: String,
        /// When it was made.
        created: Wall,
        /// When it ends; `None` for never.
        expires: Option<Wall>,
    },
    /// It is blocked no longer.
    Lifted,
}

/// Takes a change that another tracker told of, `None` for this one's own log; an error when it is not taken. Called on a thread that
/// reads from an engine: it may wait a little, for no disk for long.
pub type TakeBlock = Box<dyn Fn(BlockDelta, Option<Origin>) -> Result<(), NotTaken> + Send + Sync>;

/// All that this tracker knows of its blocklist, lifts included, with who told of a lift: told again now and then, and when others have to be
/// told anew.
pub type ListBlocks = Box<dyn Fn() -> Vec<(Option<Origin>, BlockDelta)> + Send + Sync>;

/// Why a change of the blocklist is not taken; it comes again with a later round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Too many wait already.
    #[error("too many changes wait")]
    Busy,
    /// An operator would be asked whether it is meant, and a partner cannot be.
    #[error("its network is wider than a /16 (IPv6: /32); who means it blocks it on each tracker")]
    Wide,
    /// It would shut out who runs the tracker.
    #[error("it covers an admin network; who means it blocks it on each tracker")]
    AdminNetwork,
    /// Nobody can have made it.
    #[error("its time is more than a day ahead of the clock here, or its reason is too long")]
    Impossible,
}

/// The two doors to this tracker's own blocklist, which this part does not keep.
pub struct Blocklist {
    /// Takes one change.
    pub take: TakeBlock,
    /// Lists all.
    pub list: ListBlocks,
}

impl Blocklist {
    /// A blocklist that takes nothing and knows nothing: where it is not shared.
    pub fn none() -> Blocklist {
        Blocklist {
            take: Box::new(|_, _| Ok(())),
            list: Box::new(Vec::new),
        }
    }
}

impl std::fmt::Debug for Blocklist {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Blocklist")
    }
}
