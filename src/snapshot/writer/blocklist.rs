//! Edits of the blocklist: the operator's, which are on the disk and in force before the answer, and those of other trackers. Of each
//! target the stamp of its last edit is kept, so that trackers that share the list agree.

use std::collections::HashMap;

use super::{Writer, failed};
use crate::clock::Wall;
use crate::metrics::Gauge;
use crate::snapshot::database::Database;
use crate::snapshot::database::tables::{self, EditRow};
use crate::snapshot::edits::{BlockChange, BlockEdit};
use crate::snapshot::mailbox::{MAX_BLOCKS, Refused};
use crate::tracker::{Block, Enforced, Target};

impl Writer {
    pub(super) fn block(
        &mut self,
        database: &Database,
        mut block: Block,
        may_change: bool,
    ) -> Result<Block, Refused> {
        // Judged here, where edits come one after another: of two who block the same at once, the second changes nothing unasked.
        let in_force = self.tracker.access().blocks();
        let mut same = in_force.iter().filter(|known| known.target == block.target);
        let is_other =
            |known: &Block| (&known.reason, known.expires) != (&block.reason, block.expires);
        if !may_change && same.any(is_other) {
            return Err(Refused::Known);
        }
        // A target that is on the list gets the new reason and end and takes no more room.
        let kept = self.tracker.access().kept_blocks();
        let is_new = kept.iter().all(|kept| kept.target != block.target);
        if is_new && self.judge(database, database.count_blocks())? >= MAX_BLOCKS {
            // Entries that have ended make room before anybody is refused.
            let ended = database.forget_blocks(self.clock.wall());
            self.judge(database, ended)?;
            if self.judge(database, database.count_blocks())? >= MAX_BLOCKS {
                return Err(Refused::ListFull);
            }
        }
        let stamp = self.judge(database, self.next_stamp(database, &block.target))?;
        let put = database.in_transaction(|| {
            database.put_block_edit(&EditRow {
                target: block.target,
                stamp,
                lifted: None,
                told_by: None,
            })?;
            database.put_block(&block)
        });
        block.number = self.judge(database, put)?;
        self.enforce(database)?;
        self.tell(&BlockEdit::of(&block, stamp));
        Ok(block)
    }

    /// Takes the entry `number` off the list; whether there was one.
    pub(super) fn unblock(&mut self, database: &Database, number: i64) -> Result<bool, Refused> {
        let known = self.judge(database, database.numbered_block(number))?;
        let Some(Block { target, .. }) = known else {
            // One that cannot be understood is removed all the same, and has no target that others know.
            let removed = self.judge(database, database.remove_block(number))?;
            return self.enforce(database).map(|()| removed);
        };
        let stamp = self.judge(database, self.next_stamp(database, &target))?;
        let lifted = database.in_transaction(|| {
            database.put_block_edit(&EditRow {
                target,
                stamp,
                lifted: Some(self.clock.wall()),
                told_by: None,
            })?;
            database.remove_block(number)
        });
        let removed = self.judge(database, lifted)?;
        self.enforce(database)?;
        self.tell(&BlockEdit {
            target,
            change: BlockChange::Lifted,
            stamp,
            told_by: None,
        });
        Ok(removed)
    }

    /// Tells others of an edit that was made here.
    fn tell(&self, edit: &BlockEdit) {
        if let Some(tell) = &self.links.edited {
            tell(edit);
        }
    }

    /// The stamp of an edit that is made here and at this moment.
    fn next_stamp(&self, database: &Database, target: &Target) -> rusqlite::Result<u64> {
        let last = last_edit(database, target)?;
        let after_last = last.map_or(0, |last| last.stamp.saturating_add(1));
        Ok(self.clock.wall().0.max(after_last))
    }

    /// Makes the edits that have come from elsewhere, when there are any; those that the disk refuses stay for the next time.
    pub(super) fn take_in_edits(&mut self) {
        if self.shared.edits.is_empty() {
            return;
        }
        let merged = self.ready().and_then(|database| {
            let merged = self.merge_edits(&database);
            let merged = merged.map_err(|source| failed(&database, source));
            self.database = Some(database);
            merged
        });
        if let Err(error) = merged {
            self.complain(&error);
        }
    }

    /// Makes the edits that have come from elsewhere, in one transaction of their own, and puts the list in force.
    ///
    /// # Errors
    /// The disk refuses; the edits stay where they were.
    pub(super) fn merge_edits(&mut self, database: &Database) -> rusqlite::Result<()> {
        let edits = self.shared.edits.take();
        if edits.is_empty() {
            return Ok(());
        }
        let wall = self.clock.wall();
        let merged = database.in_transaction(|| {
            let mut merged = Merged {
                entries: database.count_blocks()?,
                ..Merged::default()
            };
            if merged.entries >= MAX_BLOCKS {
                database.forget_blocks(wall)?;
                merged.entries = database.count_blocks()?;
            }
            for edit in &edits {
                merge(database, edit, wall, &mut merged)?;
            }
            // Not only with the next snapshot: until then a partner could tell of millions.
            database.forget_lifts(Wall(0), MAX_BLOCKS)?;
            Ok(merged)
        });
        let merged = match merged {
            Ok(merged) => merged,
            Err(error) => {
                self.shared.edits.put_back(edits);
                return Err(error);
            }
        };
        if merged.is_full {
            log::warn!(
                "the blocklist is full with {MAX_BLOCKS} entries: blocks of other trackers are not in force here"
            );
        }
        if merged.put + merged.lifted > 0 {
            let Merged { put, lifted, .. } = merged;
            log::info!("blocklist: from other trackers {put} entries, {lifted} lifted");
            self.put_in_force(database)?;
        }
        Ok(())
    }

    /// Puts the blocklist in force as the database has it.
    pub(super) fn enforce(&mut self, database: &Database) -> Result<(), Refused> {
        let enforced = self.put_in_force(database);
        self.judge(database, enforced)
    }

    fn put_in_force(&self, database: &Database) -> rusqlite::Result<()> {
        let blocks = tables::blocks(&database.connection)?;
        self.note_edits(database, &blocks)?;
        let (wall, now) = (self.clock.wall(), self.clock.now());
        let enforced = self.tracker.block(blocks, wall, now);
        log_effect(enforced);
        self.count_blocks();
        Ok(())
    }

    pub(super) fn count_blocks(&self) {
        let entries = self.tracker.access().blocks().len() as u64;
        self.tracker.metrics().set(Gauge::BlocklistEntries, entries);
    }

    /// Notes the last edits as the database has them when the thread starts.
    pub(in crate::snapshot) fn note_edits_at_start(&self) {
        let Some(database) = &self.database else {
            return;
        };
        let blocks = self.tracker.access().kept_blocks();
        if let Err(error) = self.note_edits(database, &blocks) {
            log::error!("when the blocklist was edited cannot be read: {error}");
        }
    }

    /// Notes the last edit of every target for whoever asks, where anybody does.
    fn note_edits(&self, database: &Database, blocks: &[Block]) -> rusqlite::Result<()> {
        if self.links.edited.is_none() {
            return Ok(());
        }
        let rows = database.block_edits()?;
        let lifted = rows.iter().filter(|row| row.lifted.is_some());
        let lifted = lifted.map(|row| BlockEdit {
            target: row.target,
            change: BlockChange::Lifted,
            stamp: row.stamp,
            told_by: row.told_by,
        });
        let stamps: HashMap<Target, u64> = rows.iter().map(|row| (row.target, row.stamp)).collect();
        let put = blocks.iter().map(|block| {
            let stamp = stamps.get(&block.target).copied();
            BlockEdit::of(block, stamp.unwrap_or(block.created.0))
        });
        let edits = lifted.chain(put).collect();
        self.shared.known_edits.store(std::sync::Arc::new(edits));
        Ok(())
    }

    /// Writes what is known of edits into a database that was made anew.
    pub(super) fn put_known_edits(&self, database: &Database) -> rusqlite::Result<()> {
        for edit in self.shared.known_edits.load().iter() {
            let lifted = edit.change == BlockChange::Lifted;
            database.put_block_edit(&EditRow {
                target: edit.target,
                stamp: edit.stamp,
                lifted: lifted.then(|| self.clock.wall()),
                told_by: edit.told_by,
            })?;
        }
        Ok(())
    }
}

/// What became of edits from elsewhere.
#[derive(Clone, Copy, Debug, Default)]
struct Merged {
    /// Entries of the list.
    entries: u64,
    put: u64,
    lifted: u64,
    /// Whether some found no room.
    is_full: bool,
}

/// The last edit of a target; an entry without a stamp is of the time when stamps were not kept, and was made when it says.
fn last_edit(database: &Database, target: &Target) -> rusqlite::Result<Option<BlockEdit>> {
    let row = database.block_edit(target)?;
    let lifted = row.filter(|row| row.lifted.is_some());
    if let Some(row) = lifted {
        return Ok(Some(BlockEdit {
            target: *target,
            change: BlockChange::Lifted,
            stamp: row.stamp,
            told_by: row.told_by,
        }));
    }
    let block = database.block_of(target)?;
    Ok(block.map(|block| {
        let stamp = row.map_or(block.created.0, |row| row.stamp);
        BlockEdit::of(&block, stamp)
    }))
}

fn merge(
    database: &Database,
    edit: &BlockEdit,
    wall: Wall,
    merged: &mut Merged,
) -> rusqlite::Result<()> {
    let last = last_edit(database, &edit.target)?;
    if last.as_ref().is_some_and(|last| !edit.counts_over(last)) {
        return Ok(());
    }
    let mut lifted = None;
    match &edit.change {
        BlockChange::Put {
            reason,
            created,
            expires,
        } => {
            let is_there = last.is_some_and(|last| last.change != BlockChange::Lifted);
            if !is_there && merged.entries >= MAX_BLOCKS {
                merged.is_full = true;
                return Ok(());
            }
            merged.entries += u64::from(!is_there);
            database.put_block(&Block {
                number: 0,
                target: edit.target,
                reason: reason.clone(),
                created: *created,
                expires: *expires,
            })?;
            merged.put += 1;
        }
        BlockChange::Lifted => {
            lifted = Some(wall);
            // A lift of what never was here is remembered as well: the block may come after it.
            if let Some(block) = database.block_of(&edit.target)? {
                database.remove_block(block.number)?;
                merged.entries = merged.entries.saturating_sub(1);
                merged.lifted += 1;
            }
        }
    }
    database.put_block_edit(&EditRow {
        target: edit.target,
        stamp: edit.stamp,
        lifted,
        told_by: edit.told_by.filter(|_| lifted.is_some()),
    })
}

/// Has the log tell what a change did to stored peers.
pub(super) fn log_effect(enforced: Enforced) {
    if enforced != Enforced::default() {
        let Enforced {
            withheld,
            freed,
            restored,
            waiting: _,
        } = enforced;
        log::info!(
            "blocklist: {withheld} peers are hidden and kept for ten minutes, {restored} have come back, {freed} are freed"
        );
    }
    if let Some(shortage) = enforced.shortage() {
        log::warn!("{shortage}");
    }
}
