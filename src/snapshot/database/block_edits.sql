-- Of each target that is or was on the blocklist the stamp of its last edit, and when it was taken off the list (Unix
-- seconds in the low 40 bits, above them the number of the other tracker that told of it). Networks are written as in
-- `blocklist`, info hashes in 40 hex digits.
CREATE TABLE block_edits (
    target TEXT PRIMARY KEY,
    stamp  INTEGER NOT NULL,
    lifted INTEGER
) STRICT, WITHOUT ROWID;
