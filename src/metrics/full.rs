//! At which bounds stored peers leave for newcomers.

labelled! {
    /// A bound at which stored peers leave for newcomers.
    Full {
        /// Peers in all.
        Peers = "peers",
        /// Torrents in all.
        Torrents = "torrents",
        /// Peers per torrent.
        Swarm = "peers_per_torrent",
    }
}
