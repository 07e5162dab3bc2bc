-- Version 1 (PRAGMA user_version); version 2 has the tables of the files beside this one as well. Times are Unix seconds; `saved` and `last_used` are the database's own time, which follows
-- the wall clock's pace but not its jumps.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;
CREATE TABLE swarms (
    info_hash  BLOB NOT NULL UNIQUE,
    downloaded INTEGER NOT NULL,
    last_used  INTEGER NOT NULL,
    saved      INTEGER NOT NULL,
    peers      INTEGER NOT NULL,
    seeders    INTEGER NOT NULL,
    record     BLOB NOT NULL
) STRICT;
CREATE TABLE blocklist (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    network   TEXT UNIQUE,
    info_hash BLOB UNIQUE,
    reason    TEXT NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER,
    CHECK ((network IS NULL) <> (info_hash IS NULL))
) STRICT;
CREATE TABLE rings (
    name TEXT PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;
