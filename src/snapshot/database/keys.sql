CREATE TABLE keys (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    digest        BLOB NOT NULL UNIQUE,
    label         TEXT NOT NULL,
    is_from_file  INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    expires       INTEGER,
    revoked       INTEGER,
    max_addresses INTEGER NOT NULL,
    max_torrents  INTEGER NOT NULL,
    uploaded      INTEGER NOT NULL,
    downloaded    INTEGER NOT NULL,
    last_seen     INTEGER,
    saved         INTEGER NOT NULL,
    sessions      BLOB NOT NULL
) STRICT;
