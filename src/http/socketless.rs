//! One connection as the lean loop serves it, without a socket: bytes come in any pieces, replies go out. Tests and fuzzing compare
//! with it what no socket may change.

use std::net::IpAddr;
use std::sync::Arc;

use super::codec::head::{self, Parsed};
use super::handler::Handler;
use super::pipeline::{Next, PipelineContext, serve};
use super::settings::Settings;
use crate::clock::{Clock, Seconds};
use crate::tracker::Tracker;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The tracker closes it behind the last reply.
    Closed,
    /// Its next request is for the pages, with the bytes that [`SocketlessConnection::unanswered`] gives.
    HandedOver,
}

/// What stands at the front of bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Nothing, or a part of a head that is not too long yet.
    Partial,
    /// A whole head, of so many bytes.
    Head(usize),
    /// What is no head, or too long a one: the reply to it is the last.
    Unreadable,
}

/// One connection.
#[derive(Debug)]
pub struct SocketlessConnection {
    handler: Handler,
    settings: Settings,
    socket: IpAddr,
    has_pages: bool,
    now: Seconds,
    pending: Vec<u8>,
    answered: u32,
    ending: Option<Ending>,
}

impl SocketlessConnection {
    /// A connection of the canonical address `socket` to a tracker with pages. Random numbers come from `seed`.
    pub fn new(
        tracker: &Arc<Tracker>,
        settings: Settings,
        socket: IpAddr,
        seed: u64,
    ) -> SocketlessConnection {
        let clock = Clock::start();
        let mut handler = Handler::new(Arc::clone(tracker), clock, None);
        handler.seed(seed);
        SocketlessConnection {
            handler,
            settings,
            socket,
            has_pages: true,
            now: Seconds::START,
            pending: Vec::new(),
            answered: 0,
            ending: None,
        }
    }

    /// The same to a tracker without pages: what is not the tracker's is not found.
    #[must_use]
    pub fn without_pages(self) -> SocketlessConnection {
        SocketlessConnection {
            has_pages: false,
            ..self
        }
    }

    /// Sets the time of what is heard from now on.
    pub fn set_now(&mut self, now: Seconds) {
        self.now = now;
    }

    /// What stands at the front of `bytes`, so that requests can be heard one at a time.
    pub fn front(&self, bytes: &[u8]) -> Front {
        let limit = self.settings.head_limit();
        match head::parse(bytes.get(..limit).unwrap_or(bytes)) {
            Parsed::Complete(head) => Front::Head(head.length),
            Parsed::Partial { .. } if bytes.len() <= limit => Front::Partial,
            Parsed::Partial { .. } | Parsed::Malformed | Parsed::TooManyFields => Front::Unreadable,
        }
    }

    /// Takes the bytes of one reading and writes what is answered to them. What comes after the end is not looked at.
    pub fn hear(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        // No more is read at once than a worker has room for.
        for part in piece.chunks(self.settings.head_limit()) {
            if self.ending == Some(Ending::Closed) {
                return;
            }
            self.pending.extend_from_slice(part);
            while self.ending.is_none() && self.answer(out) {}
        }
    }

    /// Answers what is whole; whether there may be more.
    fn answer(&mut self, out: &mut Vec<u8>) -> bool {
        let pipeline = PipelineContext {
            settings: &self.settings,
            has_pages: self.has_pages,
            reports: None,
            port: 0,
            is_tls: false,
            is_stopping: false,
            now: self.now,
        };
        let mut replies = Vec::new();
        let served = serve(
            &mut self.handler,
            pipeline,
            self.socket,
            self.answered,
            || true,
            &self.pending,
            &mut replies,
        );
        out.append(&mut replies);
        self.answered += served.requests;
        self.pending.drain(..served.consumed);
        self.ending = match served.next {
            Next::Read | Next::Flush => None,
            Next::Close | Next::Drain => Some(Ending::Closed),
            Next::HandOver => Some(Ending::HandedOver),
        };
        served.next == Next::Flush
    }

    /// How it ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// What came and is not answered.
    pub fn unanswered(&self) -> &[u8] {
        &self.pending
    }
}
