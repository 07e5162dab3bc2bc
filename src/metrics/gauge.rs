//! What one part of the process sets and others read.

labelled! {
    /// A figure that one part of the process sets and others read.
    Gauge {
        /// Living v4 seeders at the last census.
        SeedersV4 = "seeders_v4",
        /// Living v6 seeders.
        SeedersV6 = "seeders_v6",
        /// Living v4 leechers, paused partial seeds included.
        LeechersV4 = "leechers_v4",
        /// Living v6 leechers, paused partial seeds included.
        LeechersV6 = "leechers_v6",
        /// Torrents with at least one peer.
        Torrents = "torrents",
        /// Peers freed by sweeps since the start.
        ExpiredPeers = "expired_peers",
        /// Open HTTP connections.
        Connections = "connections",
        /// Open HTTP connections over TLS, handshakes under way included.
        TlsConnections = "tls_connections",
        /// Wall time of the last snapshot that finished, to be shown; 0 before the first.
        SnapshotFinishedAt = "snapshot_finished_at",
        /// Monotonic seconds at which it finished, for its age; 0 before the first.
        SnapshotFinished = "snapshot_finished",
        /// How long it took, in milliseconds.
        SnapshotMillis = "snapshot_millis",
        /// Size of the database with its log, in bytes.
        SnapshotBytes = "snapshot_bytes",
        /// Swarms that the last snapshot wrote.
        SnapshotSwarms = "snapshot_swarms",
        /// Peers that the last snapshot wrote.
        SnapshotPeers = "snapshot_peers",
        /// Peers in the database, as of the last snapshot or the restore.
        DatabasePeers = "database_peers",
        /// Snapshots that failed since the start.
        SnapshotFailures = "snapshot_failures",
        /// Monotonic seconds (`Seconds::raw`) at which the snapshot thread last gave a sign of life.
        SnapshotAlive = "snapshot_alive",
        /// Monotonic seconds at which the reaper last gave a sign of life.
        ReaperAlive = "reaper_alive",
        /// How long the last sweep took, in milliseconds.
        SweepMillis = "sweep_millis",
        /// 1 after a restore that was whole; 2 when the database had to be set aside; 0 while restoring.
        Restored = "restored",
        /// Entries in the blocklist.
        BlocklistEntries = "blocklist_entries",
        /// Keys of announce addresses, as of the last snapshot or change.
        Keys = "keys",
        /// Torrents that pages and API have listed.
        TorrentsAdded = "torrents_added",
        /// Torrents that `torrents_file` lists.
        TorrentsOfFile = "torrents_of_file",
        /// Ranges of addresses that files block.
        RangesBlockedByFiles = "ranges_blocked_by_files",
        /// Torrents that files block.
        TorrentsBlockedByFiles = "torrents_blocked_by_files",
        /// Files of lists that are configured.
        ListFiles = "list_files",
        /// Of these, files that are not in force as they are: the last reading was refused.
        ListFilesRefused = "list_files_refused",
        /// Readings of such files that were refused since the start.
        ListFileFailures = "list_file_failures",
        /// How long the last reading of them took, in milliseconds.
        ListReadMillis = "list_read_millis",
        /// Whether `keys_file` is not in force as it is (0 or 1): it cannot be read, is bad, has no key, or the disk refused it.
        KeysFileRefused = "keys_file_refused",
        /// Wall time of the last one that was taken; 0 before the first.
        ListsReadAt = "lists_read_at",
        /// Panics that were caught.
        Panics = "panics",
        /// Reloads that put a configuration in force.
        ReloadsDone = "reloads_done",
        /// Reloads that were refused.
        ReloadsRefused = "reloads_refused",
        /// 1 when the last reload was refused; 0 after one that was not, and after the start.
        LastReloadRefused = "last_reload_refused",
        /// 1 when certificates whose files had changed could not be used; 0 once they can.
        CertificatesRefused = "certificates_refused",
        /// Wall time at which the configuration in force was read: at the start, or by the last reload that was not refused.
        ConfiguredAt = "configured_at",
        /// Its digest (`config::digest`).
        ConfigurationDigest = "configuration_digest",
        /// 1 once an admin's machine or our own has sent headers of a proxy that is not believed.
        UntrustedProxy = "untrusted_proxy",
    }
}
