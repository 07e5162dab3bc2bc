//! The mailbox of the snapshot thread: what other parts may ask of the database, and the answers.
//!
//! Every call waits for the answer, and the answer may wait for the disk: call from threads that may wait, never from one that
//! answers announces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::edits::{BlockEdit, EditQueue};
use super::writer::keys::KeyMessage;
use crate::clock::Wall;
use crate::tracker::{Block, InfoHash, NewKey, Target};

/// How many messages may wait; more are refused, so that a disk that hangs does not fill the memory.
const LENGTH: usize = 256;

/// How long a caller waits for its answer. Longer than a full snapshot of ten million peers on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest reason of a block, in characters.
pub const MAX_REASON: usize = 500;

/// Most bytes of one saved state.
pub const MAX_SAVED_STATE_BYTES: usize = 4 << 20;

/// Most entries of the blocklist.
pub const MAX_BLOCKS: u64 = 100_000;

/// Most torrents that pages and API list; more belong into a file.
pub const MAX_LISTED: usize = 1_000_000;

/// Most torrents that are listed and taken off by one message.
pub const MAX_LIST_CHANGES: usize = 10_000;

/// What one change of the listed torrents did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListChange {
    /// Torrents that were not on the list before.
    pub added: usize,
    /// Torrents that were.
    pub removed: usize,
    /// Torrents on the list now.
    pub total: usize,
}

/// Why the database did not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many messages wait.
    #[error("the database is busy")]
    Busy,
    /// The thread has ended.
    #[error("the database is closed")]
    Closed,
    /// No answer in time; what was asked may still be done.
    #[error("the database does not answer")]
    Silent,
    /// The disk or the database failed; the log says how.
    #[error("the database cannot be written")]
    Failed,
    /// The listed torrents are as many as they may be, or more than one message may change.
    #[error("too many listed torrents")]
    TooManyTorrents,
    /// The blocklist has all the entries it may have.
    #[error("the blocklist is full")]
    ListFull,
    /// There are as many keys as there may be.
    #[error("there are too many keys")]
    KeysFull,
    /// A reason or a saved state is longer than may be kept.
    #[error("too long")]
    TooLong,
    /// The target is blocked with another reason or end, which nobody said is to be changed.
    #[error("it is blocked already, with another reason or end")]
    Known,
}

/// What one snapshot did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Swarms written.
    pub swarms: u64,
    /// Peers in them.
    pub peers: u64,
    /// Swarms removed.
    pub removed: u64,
    /// Milliseconds from the first look at the core to the last byte on the disk.
    pub millis: u64,
    /// Bytes of the database with its log afterwards.
    pub bytes: u64,
}

/// What has become of a file of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileKeys {
    /// Keys in it.
    pub keys: usize,
    /// Those that are new or have changed.
    pub put: usize,
    /// Keys that were in it before.
    pub revoked: usize,
}

/// Where an answer goes.
pub(super) type Reply<T> = SyncSender<Result<T, Refused>>;

/// What the thread can be asked.
#[derive(Debug)]
pub(super) enum Message {
    Save(Reply<Saved>),
    Block {
        target: Target,
        reason: String,
        expires: Option<Wall>,
        may_change: bool,
        reply: Reply<Block>,
    },
    Unblock {
        number: i64,
        reply: Reply<bool>,
    },
    ListTorrents {
        added: Vec<InfoHash>,
        removed: Vec<InfoHash>,
        reply: Reply<ListChange>,
    },
    PutSavedState {
        name: String,
        data: Vec<u8>,
        reply: Reply<()>,
    },
    SavedState {
        name: String,
        reply: Reply<Option<Vec<u8>>>,
    },
    Keys(KeyMessage),
    /// Look at the stop flag.
    Wake,
}

/// The handle of the snapshot thread; clones share it.
#[derive(Clone, Debug)]
pub struct Mailbox {
    messages: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// What the handles and the thread share besides messages.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Whether the thread is to end.
    pub stopping: AtomicBool,
    /// Edits of the blocklist from elsewhere that the thread has not made yet.
    pub edits: EditQueue,
    /// The last edit of every target, as of the last time that the list changed.
    pub known_edits: ArcSwap<Vec<BlockEdit>>,
}

/// Makes a mailbox: the handle, and for the thread the messages and what it shares with the handles.
pub(super) fn mailbox() -> (Mailbox, Receiver<Message>, Arc<Shared>) {
    let (messages, received) = sync_channel(LENGTH);
    let shared = Arc::new(Shared::default());
    let mailbox = Mailbox {
        messages,
        shared: Arc::clone(&shared),
    };
    (mailbox, received, shared)
}

impl Mailbox {
    /// Takes a snapshot that holds everything the tracker answered before this call, and returns when it is on the disk.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn save(&self) -> Result<Saved, Refused> {
        self.ask(Message::Save)
    }

    /// Blocks an address, a network or a torrent; a target that is blocked already gets the new reason and end. The entry is on
    /// the disk and in force, also on stored peers, when this returns.
    ///
    /// # Errors
    /// [`Refused::TooLong`] for a reason over [`MAX_REASON`], [`Refused::ListFull`], or see [`Refused`].
    pub fn block(
        &self,
        target: Target,
        reason: &str,
        expires: Option<Wall>,
    ) -> Result<Block, Refused> {
        self.put_block(target, reason, expires, true)
    }

    /// As [`Mailbox::block`], where a target that is blocked already keeps its reason and end.
    ///
    /// # Errors
    /// [`Refused::Known`] where these are others, and as [`Mailbox::block`].
    pub fn block_anew(
        &self,
        target: Target,
        reason: &str,
        expires: Option<Wall>,
    ) -> Result<Block, Refused> {
        self.put_block(target, reason, expires, false)
    }

    fn put_block(
        &self,
        target: Target,
        reason: &str,
        expires: Option<Wall>,
        may_change: bool,
    ) -> Result<Block, Refused> {
        if reason.chars().nth(MAX_REASON).is_some() {
            return Err(Refused::TooLong);
        }
        let reason = reason.to_owned();
        self.ask(|reply| Message::Block {
            target,
            reason,
            expires,
            may_change,
            reply,
        })
    }

    /// Removes an entry of the blocklist by its number; whether there was one.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn unblock(&self, number: i64) -> Result<bool, Refused> {
        self.ask(|reply| Message::Unblock { number, reply })
    }

    /// Takes in an edit of the blocklist that was made on another tracker. Never waits: the thread makes it within a second, unless it
    /// knows a later one, and tries again for as long as the disk refuses.
    ///
    /// # Errors
    /// [`Refused::Busy`] when too many wait, [`Refused::TooLong`] for one that nobody can have made by `wall`.
    pub fn edit_from_elsewhere(&self, edit: BlockEdit, wall: Wall) -> Result<(), Refused> {
        if self.shared.edits.push(edit, wall)? {
            // Where the mailbox is full, the thread looks soon anyway.
            drop(self.messages.try_send(Message::Wake));
        }
        Ok(())
    }

    /// The last edit of every target that is on the list, or was within 30 days; from memory.
    pub fn known_edits(&self) -> Arc<Vec<BlockEdit>> {
        self.shared.known_edits.load_full()
    }

    /// Lists torrents, then takes others off the list. It is on the disk and in force, also on stored peers, when this returns.
    ///
    /// # Errors
    /// [`Refused::TooManyTorrents`] beyond [`MAX_LIST_CHANGES`] or [`MAX_LISTED`], or see [`Refused`].
    pub fn list_torrents(
        &self,
        added: Vec<InfoHash>,
        removed: Vec<InfoHash>,
    ) -> Result<ListChange, Refused> {
        if added.len() + removed.len() > MAX_LIST_CHANGES {
            return Err(Refused::TooManyTorrents);
        }
        self.ask(|reply| Message::ListTorrents {
            added,
            removed,
            reply,
        })
    }

    /// Keeps a blob under a name for another part (samples of the graphs, savings), over what was there.
    ///
    /// # Errors
    /// [`Refused::TooLong`] over [`MAX_SAVED_STATE_BYTES`], or see [`Refused`].
    pub fn put_saved_state(&self, name: &str, data: Vec<u8>) -> Result<(), Refused> {
        if data.len() > MAX_SAVED_STATE_BYTES {
            return Err(Refused::TooLong);
        }
        let name = name.to_owned();
        self.ask(|reply| Message::PutSavedState { name, data, reply })
    }

    /// The blob kept under a name.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn saved_state(&self, name: &str) -> Result<Option<Vec<u8>>, Refused> {
        let name = name.to_owned();
        self.ask(|reply| Message::SavedState { name, reply })
    }

    /// Makes keys; one that is there already gets the new label, end and limits, and is in force again. They are on the disk and in
    /// force when this returns their numbers, in the same order.
    ///
    /// # Errors
    /// [`Refused::KeysFull`], or see [`Refused`].
    pub fn make_keys(&self, keys: Vec<NewKey>) -> Result<Vec<i64>, Refused> {
        self.ask(|reply| KeyMessage::Make { keys, reply }.into())
    }

    /// Revokes keys by their numbers; returns the numbers of those that were in force. The peers of their clients are gone when this
    /// returns. What was done with a revoked key is kept for 30 days.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn revoke_keys(&self, numbers: Vec<i64>) -> Result<Vec<i64>, Refused> {
        self.ask(|reply| KeyMessage::Revoke { numbers, reply }.into())
    }

    /// Puts the keys of `keys_file` in the place of those that stood there before: who stands there no more is revoked.
    ///
    /// # Errors
    /// [`Refused::KeysFull`], or see [`Refused`].
    pub fn set_keys_of_file(&self, keys: Vec<NewKey>) -> Result<FileKeys, Refused> {
        self.ask(|reply| KeyMessage::SetOfFile { keys, reply }.into())
    }

    /// Tells the thread to do what still waits, take the last snapshot and end. Returns at once; the end is waited for on the
    /// thread's handle.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        // A full mailbox is as good a reason to look at the flag.
        drop(self.messages.try_send(Message::Wake));
    }

    fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T, Refused> {
        let (reply, answer) = sync_channel(1);
        match self.messages.try_send(message(reply)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Refused::Busy),
            Err(TrySendError::Disconnected(_)) => return Err(Refused::Closed),
        }
        match answer.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(Refused::Silent),
            Err(RecvTimeoutError::Disconnected) => Err(Refused::Closed),
        }
    }
}
