//! Where the address of a connection came from.

/// Who named the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Tracker,
    Dht,
    /// Peer exchange (BEP 11).
    Pex,
}

impl Source {
    pub(super) const ALL: [Source; 3] = [Source::Tracker, Source::Dht, Source::Pex];
}
