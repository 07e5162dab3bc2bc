-- Torrents that pages and API have listed; `created` is in Unix seconds.
CREATE TABLE listed_torrents (
    info_hash BLOB PRIMARY KEY,
    created   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
