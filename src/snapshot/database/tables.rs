//! What is in the tables: swarms, the blocklist, saved states, and when the last snapshot finished. Only SQL.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Database;
use crate::clock::{Boot, Wall};
use crate::snapshot::timeline::Finished;
use crate::tracker::{Block, InfoHash, Origin, Target};

const PUT_SWARM: &str = "INSERT INTO swarms VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
    ON CONFLICT (info_hash) DO UPDATE SET downloaded = ?2, last_used = ?3, saved = ?4, \
    peers = ?5, seeders = ?6, record = ?7";
const REMOVE_SWARM: &str = "DELETE FROM swarms WHERE info_hash = ?1";
// Values that are longer than they can be are not read at all: the library looks at their lengths only.
const SWARMS: &str = "SELECT CASE octet_length(info_hash) WHEN 20 THEN info_hash END, downloaded, \
    last_used, saved, CASE WHEN octet_length(record) <= 67108000 THEN record END FROM swarms";
const SWARM: &str =
    "SELECT info_hash, downloaded, last_used, saved, record FROM swarms WHERE info_hash = ?1";
const BLOCKS: &str = "SELECT number, CASE WHEN octet_length(network) <= 100 THEN network END, \
    CASE octet_length(info_hash) WHEN 20 THEN info_hash END, \
    CASE WHEN octet_length(reason) <= 4000 THEN reason END, created, expires \
    FROM blocklist LIMIT 100000";
const ADD_NETWORK: &str = "INSERT INTO blocklist (network, reason, created, expires) \
    VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (network) DO UPDATE SET reason = ?2, created = ?3, expires = ?4 RETURNING number";
const ADD_TORRENT: &str = "INSERT INTO blocklist (info_hash, reason, created, expires) \
    VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (info_hash) DO UPDATE SET reason = ?2, created = ?3, expires = ?4 RETURNING number";
const REMOVE_BLOCK: &str = "DELETE FROM blocklist WHERE number = ?1";
const COUNT_BLOCKS: &str = "SELECT count(*) FROM blocklist";
const FORGET_BLOCKS: &str = "DELETE FROM blocklist WHERE expires < ?1";
const PUT_BLOCK_EDIT: &str = "INSERT INTO block_edits VALUES (?1, ?2, ?3) \
    ON CONFLICT (target) DO UPDATE SET stamp = ?2, lifted = ?3";
const BLOCK_EDIT: &str = "SELECT target, stamp, lifted FROM block_edits WHERE target = ?1";
const BLOCK_EDITS: &str = "SELECT CASE WHEN octet_length(target) <= 100 THEN target END, stamp, lifted FROM block_edits LIMIT 300000";
// A lift is remembered for a time, and as many of them as there may be blocks; the stamp of an entry goes with it. Who told it stands above
// the 40 bits of the time.
const FORGET_LIFTS: &str = "DELETE FROM block_edits WHERE lifted & 1099511627775 < ?1";
const COUNT_LIFTS: &str =
    "SELECT lifted >> 40, count(*) FROM block_edits WHERE lifted IS NOT NULL GROUP BY lifted >> 40";
const FORGET_OLDEST_LIFTS: &str = "DELETE FROM block_edits WHERE target IN \
    (SELECT target FROM block_edits WHERE lifted >> 40 = ?1 ORDER BY lifted LIMIT ?2)";
const LIFTED_BITS: u32 = 40;
const FORGET_ENDED_EDITS: &str = "DELETE FROM block_edits WHERE lifted IS NULL AND target NOT IN \
    (SELECT coalesce(network, lower(hex(info_hash))) FROM blocklist)";
const BLOCK: &str = "SELECT number, network, info_hash, reason, created, expires FROM blocklist \
    WHERE network = ?1 OR info_hash = ?2";
const NUMBERED_BLOCK: &str =
    "SELECT number, network, info_hash, reason, created, expires FROM blocklist WHERE number = ?1";
const LIST_TORRENT: &str =
    "INSERT INTO listed_torrents VALUES (?1, ?2) ON CONFLICT (info_hash) DO NOTHING";
const DELIST_TORRENT: &str = "DELETE FROM listed_torrents WHERE info_hash = ?1";
const LISTED_TORRENTS: &str = "SELECT CASE octet_length(info_hash) WHEN 20 THEN info_hash END \
    FROM listed_torrents LIMIT 1000000";
const PUT_SAVED_STATE: &str =
    "INSERT INTO rings VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET data = ?2";
const SAVED_STATE: &str =
    "SELECT data FROM rings WHERE name = ?1 AND octet_length(data) <= 4194304";
const PUT_META: &str =
    "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
const META: &str = "SELECT value FROM meta WHERE key = ?1 AND octet_length(value) <= 32";

/// One swarm as it lies in its row; the record is not decoded here.
#[derive(Clone, Debug)]
pub(crate) struct SwarmRow {
    pub info_hash: InfoHash,
    pub downloaded: u32,
    pub last_used: u64,
    pub saved: u64,
    pub record: Vec<u8>,
}

/// The last edit of a target as it lies in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EditRow {
    pub target: Target,
    pub stamp: u64,
    /// When it was taken off the list; `None` while it is on it.
    pub lifted: Option<Wall>,
    /// Which other tracker told of that; `None` for none.
    pub told_by: Option<Origin>,
}

/// When a target was taken off the list and who told of it, as one number.
fn lifted_word(lifted: Wall, told_by: Option<Origin>) -> i64 {
    let most = (1_i64 << LIFTED_BITS) - 1;
    let told_by = told_by.map_or(0, Origin::get);
    signed(lifted.0).min(most) | (i64::from(told_by) << LIFTED_BITS)
}

fn lifted_of(word: i64) -> (Wall, Option<Origin>) {
    let told_by = u8::try_from(word >> LIFTED_BITS).ok().and_then(Origin::new);
    let lifted = word & ((1 << LIFTED_BITS) - 1);
    (Wall(unsigned(lifted)), told_by)
}

/// SQLite's integers are signed; ours that go there are times and counts. One near the end of either comes from a file that was
/// read, and saturates.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A negative number was not written by us, and counts as the least.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Prepares every statement, and so finds a table or column that is missing before anything depends on it.
pub(super) fn prepare_all(connection: &Connection) -> rusqlite::Result<()> {
    for statement in [
        PUT_SWARM,
        REMOVE_SWARM,
        SWARMS,
        SWARM,
        BLOCKS,
        ADD_NETWORK,
        ADD_TORRENT,
        COUNT_BLOCKS,
        REMOVE_BLOCK,
        FORGET_BLOCKS,
        PUT_BLOCK_EDIT,
        BLOCK_EDIT,
        BLOCK_EDITS,
        FORGET_LIFTS,
        COUNT_LIFTS,
        FORGET_OLDEST_LIFTS,
        FORGET_ENDED_EDITS,
        BLOCK,
        NUMBERED_BLOCK,
        LIST_TORRENT,
        DELIST_TORRENT,
        LISTED_TORRENTS,
        PUT_SAVED_STATE,
        SAVED_STATE,
        PUT_META,
        META,
    ] {
        connection.prepare_cached(statement)?;
    }
    Ok(())
}

impl Database {
    /// Writes one swarm over what was known of it.
    pub(crate) fn put_swarm(
        &self,
        row: &SwarmRow,
        peers: usize,
        seeders: usize,
    ) -> rusqlite::Result<()> {
        let mut put = self.connection.prepare_cached(PUT_SWARM)?;
        put.execute(params![
            row.info_hash.0,
            row.downloaded,
            signed(row.last_used),
            signed(row.saved),
            signed(peers as u64),
            signed(seeders as u64),
            row.record,
        ])?;
        Ok(())
    }

    /// Forgets one swarm.
    pub(crate) fn remove_swarm(&self, hash: &InfoHash) -> rusqlite::Result<()> {
        let mut remove = self.connection.prepare_cached(REMOVE_SWARM)?;
        remove.execute(params![hash.0])?;
        Ok(())
    }

    /// One swarm.
    pub(crate) fn swarm(&self, hash: &InfoHash) -> rusqlite::Result<Option<SwarmRow>> {
        let mut swarm = self.connection.prepare_cached(SWARM)?;
        swarm.query_row(params![hash.0], swarm_row).optional()
    }

    /// Writes a block; see [`put_block`].
    pub(crate) fn put_block(&self, block: &Block) -> rusqlite::Result<i64> {
        put_block(&self.connection, block)
    }

    /// Entries of the blocklist, ended ones included.
    pub(crate) fn count_blocks(&self) -> rusqlite::Result<u64> {
        let mut count = self.connection.prepare_cached(COUNT_BLOCKS)?;
        Ok(unsigned(count.query_row([], |row| row.get(0))?))
    }

    /// Removes the block `number`; whether it was there.
    pub(crate) fn remove_block(&self, number: i64) -> rusqlite::Result<bool> {
        let mut remove = self.connection.prepare_cached(REMOVE_BLOCK)?;
        Ok(remove.execute(params![number])? > 0)
    }

    /// The entry of a target, ended or not.
    pub(crate) fn block_of(&self, target: &Target) -> rusqlite::Result<Option<Block>> {
        let (network, hash) = match target {
            Target::Network(network) => (Some(network.trunc().to_string()), None),
            Target::Torrent(hash) => (None, Some(hash.0)),
        };
        let mut of = self.connection.prepare_cached(BLOCK)?;
        let found = of.query_row(params![network, hash], block).optional()?;
        Ok(found.flatten())
    }

    /// The entry `number`.
    pub(crate) fn numbered_block(&self, number: i64) -> rusqlite::Result<Option<Block>> {
        let mut numbered = self.connection.prepare_cached(NUMBERED_BLOCK)?;
        let found = numbered.query_row(params![number], block).optional()?;
        Ok(found.flatten())
    }

    /// Removes the blocks that ended before `wall`, and forgets that there were some.
    pub(crate) fn forget_blocks(&self, wall: Wall) -> rusqlite::Result<()> {
        let mut forget = self.connection.prepare_cached(FORGET_BLOCKS)?;
        if forget.execute(params![signed(wall.0)])? > 0 {
            let mut forget = self.connection.prepare_cached(FORGET_ENDED_EDITS)?;
            forget.execute([])?;
        }
        Ok(())
    }

    /// Forgets the lifts before `wall`, and of more than `most` the oldest of whoever told most of them: one tracker that tells of very
    /// many pushes out its own only. Those that were made here go last, and leave the others half of `most` at least.
    pub(crate) fn forget_lifts(&self, wall: Wall, most: u64) -> rusqlite::Result<()> {
        let mut forget = self.connection.prepare_cached(FORGET_LIFTS)?;
        forget.execute(params![signed(wall.0)])?;
        let mut count = self.connection.prepare_cached(COUNT_LIFTS)?;
        let told = count.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        let told: Vec<(i64, u64)> = told.collect::<rusqlite::Result<_>>()?;
        for (teller, surplus) in surplus(told, most) {
            let mut forget = self.connection.prepare_cached(FORGET_OLDEST_LIFTS)?;
            forget.execute(params![teller, signed(surplus)])?;
        }
        Ok(())
    }

    /// Adds torrents to the list, then takes others off it, in the open transaction.
    pub(crate) fn change_listed(
        &self,
        added: &[InfoHash],
        removed: &[InfoHash],
        wall: Wall,
    ) -> rusqlite::Result<()> {
        for hash in added {
            list_torrent(&self.connection, hash, wall)?;
        }
        let mut delist = self.connection.prepare_cached(DELIST_TORRENT)?;
        for hash in removed {
            delist.execute(params![hash.0])?;
        }
        Ok(())
    }

    /// Notes the last edit of a target: its stamp and, if it was taken off the list, when.
    pub(crate) fn put_block_edit(&self, edit: &EditRow) -> rusqlite::Result<()> {
        let mut put = self.connection.prepare_cached(PUT_BLOCK_EDIT)?;
        let lifted = edit.lifted.map(|lifted| lifted_word(lifted, edit.told_by));
        put.execute(params![written(&edit.target), signed(edit.stamp), lifted])?;
        Ok(())
    }

    /// The last edit of a target, where it is known.
    pub(crate) fn block_edit(&self, target: &Target) -> rusqlite::Result<Option<EditRow>> {
        let mut edit = self.connection.prepare_cached(BLOCK_EDIT)?;
        let found = edit
            .query_row(params![written(target)], edit_row)
            .optional()?;
        Ok(found.flatten())
    }

    /// The last edits of all targets; rows that cannot be understood are passed over, and their targets count as never edited.
    pub(crate) fn block_edits(&self) -> rusqlite::Result<Vec<EditRow>> {
        let mut edits = self.connection.prepare_cached(BLOCK_EDITS)?;
        let mut rows = edits.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.extend(edit_row(row).ok().flatten());
        }
        Ok(found)
    }

    /// Keeps a blob under a name.
    pub(crate) fn put_saved_state(&self, name: &str, data: &[u8]) -> rusqlite::Result<()> {
        let mut put = self.connection.prepare_cached(PUT_SAVED_STATE)?;
        put.execute(params![name, data])?;
        Ok(())
    }

    /// The blob kept under a name; see [`saved_state`].
    pub(crate) fn saved_state(&self, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        saved_state(&self.connection, name)
    }

    /// Marks the snapshot that the open transaction holds as finished.
    pub(crate) fn finish(&self, finished: Finished) -> rusqlite::Result<()> {
        let boot = finished.boot;
        let mut put = self.connection.prepare_cached(PUT_META)?;
        put.execute(params!["finished", signed(finished.stamp)])?;
        put.execute(params!["finished_wall", signed(finished.wall.0)])?;
        put.execute(params!["boot", boot.map(|boot| boot.id.to_be_bytes())])?;
        put.execute(params![
            "boot_seconds",
            boot.map(|boot| signed(boot.seconds))
        ])?;
        Ok(())
    }
}

/// The blob kept under a name.
pub(crate) fn saved_state(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut saved_state = connection.prepare_cached(SAVED_STATE)?;
    saved_state
        .query_row(params![name], |row| row.get(0))
        .optional()
}

/// Writes a block and returns its number, which is new whatever `block` says: numbers are never used twice. The same target
/// again is the same entry with a new reason and end.
pub(super) fn put_block(connection: &Connection, block: &Block) -> rusqlite::Result<i64> {
    let created = signed(block.created.0);
    let expires = block.expires.map(|end| signed(end.0));
    match block.target {
        Target::Network(network) => {
            let mut add = connection.prepare_cached(ADD_NETWORK)?;
            let network = network.trunc().to_string();
            add.query_row(params![network, block.reason, created, expires], |row| {
                row.get(0)
            })
        }
        Target::Torrent(hash) => {
            let mut add = connection.prepare_cached(ADD_TORRENT)?;
            add.query_row(params![hash.0, block.reason, created, expires], |row| {
                row.get(0)
            })
        }
    }
}

/// How many lifts of whom are to be forgotten, so that `most` are left, or half as many again where that many were made here (teller 0). What
/// those leave is shared alike by the others: who has less than its share gives up none.
fn surplus(told: Vec<(i64, u64)>, most: u64) -> Vec<(i64, u64)> {
    let own = told.iter().filter(|(teller, _)| *teller == 0);
    let own: u64 = own.map(|(_, count)| *count).sum();
    let mut left = most.saturating_sub(own).max(most / 2);
    let mut others: Vec<(i64, u64)> = told
        .into_iter()
        .filter(|(teller, _)| *teller != 0)
        .collect();
    others.sort_unstable_by_key(|(_, count)| *count);
    let mut surplus = vec![(0, own.saturating_sub(most))];
    for (before, (teller, count)) in others.iter().enumerate() {
        let share = left / (others.len() - before) as u64;
        let kept = share.min(*count);
        left -= kept;
        surplus.push((*teller, count - kept));
    }
    surplus.retain(|(_, surplus)| *surplus > 0);
    surplus
}

/// A target as `block_edits` has it.
fn written(target: &Target) -> String {
    match target {
        Target::Network(network) => network.trunc().to_string(),
        Target::Torrent(hash) => hash.to_string(),
    }
}

fn edit_row(row: &Row<'_>) -> rusqlite::Result<Option<EditRow>> {
    let target: String = row.get(0)?;
    let target = match InfoHash::from_hex(&target) {
        Some(hash) => Some(Target::Torrent(hash)),
        None => target.parse().ok().map(Target::Network),
    };
    let stamp = unsigned(row.get(1)?);
    let lifted: Option<i64> = row.get(2)?;
    let lifted = lifted.map(lifted_of);
    Ok(target.map(|target| EditRow {
        target,
        stamp,
        lifted: lifted.map(|(lifted, _)| lifted),
        told_by: lifted.and_then(|(_, told_by)| told_by),
    }))
}

/// Adds a torrent to the list; one that is there stays as it is.
pub(super) fn list_torrent(
    connection: &Connection,
    hash: &InfoHash,
    wall: Wall,
) -> rusqlite::Result<()> {
    let mut list = connection.prepare_cached(LIST_TORRENT)?;
    list.execute(params![hash.0, signed(wall.0)])?;
    Ok(())
}

/// The listed torrents; rows that hold no info hash are passed over.
///
/// # Errors
/// The table cannot be read.
pub(crate) fn listed_torrents(connection: &Connection) -> rusqlite::Result<Vec<InfoHash>> {
    let mut statement = connection.prepare_cached(LISTED_TORRENTS)?;
    let mut rows = statement.query([])?;
    let mut hashes = Vec::new();
    while let Some(row) = rows.next()? {
        hashes.extend(row.get(0).ok().map(InfoHash));
    }
    Ok(hashes)
}

/// As many of a damaged database's listed torrents as can be read.
pub(super) fn readable_torrents(connection: &Connection) -> Vec<InfoHash> {
    let mut found = Vec::new();
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(LISTED_TORRENTS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found.extend(row.get(0).ok().map(InfoHash));
        }
        Ok(())
    };
    if let Err(error) = read() {
        log::debug!("rescuing the listed torrents: {error}");
    }
    found
}

/// When the last snapshot finished; `None` before the first.
pub(crate) fn finished(connection: &Connection) -> rusqlite::Result<Option<Finished>> {
    let mut meta = connection.prepare_cached(META)?;
    let mut value = |key: &str| -> rusqlite::Result<Value> {
        let value = meta.query_row(params![key], |row| row.get(0)).optional()?;
        Ok(value.unwrap_or(Value::Null))
    };
    let (Value::Integer(stamp), Value::Integer(wall)) =
        (value("finished")?, value("finished_wall")?)
    else {
        return Ok(None);
    };
    let boot = match (value("boot")?, value("boot_seconds")?) {
        (Value::Blob(id), Value::Integer(seconds)) => {
            <[u8; 16]>::try_from(id).ok().map(|id| Boot {
                id: u128::from_be_bytes(id),
                seconds: unsigned(seconds),
            })
        }
        _ => None,
    };
    Ok(Some(Finished {
        stamp: unsigned(stamp),
        wall: Wall(unsigned(wall)),
        boot,
    }))
}

/// Hands every swarm to `each`; rows that do not fit the schema are counted and passed over. Returns their number.
///
/// # Errors
/// The table cannot be read any further.
pub(crate) fn each_swarm(
    connection: &Connection,
    mut each: impl FnMut(SwarmRow),
) -> rusqlite::Result<u64> {
    let mut swarms = connection.prepare_cached(SWARMS)?;
    let mut rows = swarms.query([])?;
    let mut misfits = 0;
    while let Some(row) = rows.next()? {
        match swarm_row(row) {
            Ok(swarm) => each(swarm),
            Err(_) => misfits += 1,
        }
    }
    Ok(misfits)
}

fn swarm_row(row: &Row<'_>) -> rusqlite::Result<SwarmRow> {
    Ok(SwarmRow {
        info_hash: InfoHash(row.get(0)?),
        downloaded: row.get(1)?,
        last_used: unsigned(row.get(2)?),
        saved: unsigned(row.get(3)?),
        record: row.get(4)?,
    })
}

/// The blocklist; entries that do not parse are logged and passed over.
///
/// # Errors
/// The table cannot be read.
pub(crate) fn blocks(connection: &Connection) -> rusqlite::Result<Vec<Block>> {
    let mut statement = connection.prepare_cached(BLOCKS)?;
    let mut rows = statement.query([])?;
    let mut blocks = Vec::new();
    while let Some(row) = rows.next()? {
        match block(row) {
            Ok(Some(block)) => blocks.push(block),
            _ => log::error!("blocklist: an entry cannot be understood and is not in force"),
        }
    }
    Ok(blocks)
}

/// As much of a damaged database's blocklist as can be read.
pub(super) fn readable_blocks(connection: &Connection) -> Vec<Block> {
    let mut found = Vec::new();
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(BLOCKS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // A row that is damaged is lost.
            found.extend(block(row).ok().flatten());
        }
        Ok(())
    };
    if let Err(error) = read() {
        log::debug!("rescuing the blocklist: {error}");
    }
    found
}

fn block(row: &Row<'_>) -> rusqlite::Result<Option<Block>> {
    let network: Option<String> = row.get(1)?;
    let hash: Option<Vec<u8>> = row.get(2)?;
    let target = match (network, hash) {
        (Some(network), None) => network.parse().ok().map(Target::Network),
        (None, Some(hash)) => <[u8; 20]>::try_from(hash)
            .ok()
            .map(|hash| Target::Torrent(InfoHash(hash))),
        _ => None,
    };
    let number = row.get(0)?;
    let reason = row.get(3)?;
    let created = Wall(unsigned(row.get(4)?));
    let expires: Option<i64> = row.get(5)?;
    Ok(target.map(|target| Block {
        number,
        target,
        reason,
        created,
        expires: expires.map(|end| Wall(unsigned(end))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O25
    #[test]
    fn who_told_most_lifts_gives_up_most() {
        let surplus = |told: &[(i64, u64)]| surplus(told.to_vec(), 100);
        assert_eq!(surplus(&[(0, 40), (1, 60)]), []);
        assert_eq!(surplus(&[(0, 40), (1, 5), (2, 90)]), [(2, 35)]);
        assert_eq!(surplus(&[(1, 80), (2, 70), (3, 10)]), [(2, 25), (1, 35)]);
        // What was made here stays, and leaves the others something.
        assert_eq!(surplus(&[(0, 100), (1, 60)]), [(1, 10)]);
        assert_eq!(surplus(&[(0, 130), (1, 60)]), [(0, 30), (1, 10)]);
    }

    #[test]
    fn when_a_target_was_lifted_and_who_told_of_it_read_back() {
        for told_by in [None, Origin::new(1), Origin::new(63)] {
            let word = lifted_word(Wall(1_800_000_000), told_by);
            assert_eq!(lifted_of(word), (Wall(1_800_000_000), told_by));
        }
        assert_eq!(lifted_of(1_800_000_000), (Wall(1_800_000_000), None));
        let (latest, told_by) = lifted_of(lifted_word(Wall(u64::MAX), None));
        assert_eq!((latest, told_by), (Wall((1 << LIFTED_BITS) - 1), None));
        assert_eq!(lifted_of(-1).1, None);
    }
}
