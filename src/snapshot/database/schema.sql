-- Version 2 (PRAGMA user_version). Times are Unix seconds; `saved` and `last_used` are the database's own time, which follows
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
CREATE TABLE listed_torrents (
    info_hash BLOB PRIMARY KEY,
    created   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
