//! One end of a connection: what came and went over it, and what is on its way.

/// Seconds without a byte after which what was asked for is asked of others (libtorrent's `piece_timeout`).
pub(super) const PIECE_TIMEOUT: u32 = 20;

/// One end of a connection.
#[derive(Clone, Debug)]
pub(in super::super) struct Link {
    /// The neighbour.
    pub to: usize,
    /// When it was opened.
    pub since: u32,
    /// Bytes that the neighbour sent us in this round and in the one before.
    pub(super) received: [u64; 2],
    /// Bytes since the last turnover, both ways.
    pub moved: u64,
    /// Whether we upload to it.
    pub is_unchoked: bool,
    /// When it was last chosen to be uploaded to.
    pub(super) unchoked_at: u32,
    /// The piece on its way to it.
    pub piece: Option<usize>,
    /// When that piece was asked for, or last moved on.
    pub(super) moved_at: u32,
    /// Whether the neighbour has waited for us in vain, and asks for nothing until it is unchoked anew.
    pub(super) is_snubbed: bool,
}

impl Link {
    pub(super) fn new(to: usize, now: u32) -> Link {
        Link {
            to,
            since: now,
            received: [0; 2],
            moved: 0,
            is_unchoked: false,
            unchoked_at: 0,
            piece: None,
            moved_at: now,
            is_snubbed: false,
        }
    }

    /// Whether the neighbour may ask us for a piece.
    pub(in super::super) fn takes_requests(&self) -> bool {
        self.is_unchoked && !self.is_snubbed
    }

    /// The neighbour has asked for a piece.
    pub(in super::super) fn begin(&mut self, piece: Option<usize>, now: u32) {
        self.piece = piece;
        self.moved_at = now;
    }

    /// So many bytes of the piece went out.
    pub(in super::super) fn note_sent(&mut self, bytes: u64, now: u32) {
        self.moved += bytes;
        self.moved_at = now;
    }

    /// The piece that the neighbour has waited for too long: it takes it back, and asks for no other.
    pub(in super::super) fn time_out(&mut self, now: u32) -> Option<usize> {
        if self.piece.is_none() || now < self.moved_at + PIECE_TIMEOUT {
            return None;
        }
        self.is_snubbed = true;
        self.piece.take()
    }
}
