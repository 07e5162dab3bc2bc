//! The end of the laboratory, told to every thread that waits: for a socket, or for time to pass.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::lock;

/// Whether it is over.
#[derive(Debug)]
pub(super) struct Stop {
    is_over: Mutex<bool>,
    over: Condvar,
    /// Readable once it is over; nobody reads it.
    sign: OwnedFd,
}

/// What waiting for a socket came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The socket is ready, or has an error to tell.
    Ready,
    /// The time is over.
    TimedOut,
    /// The laboratory is over.
    Over,
}

impl Stop {
    pub(super) fn new() -> io::Result<Stop> {
        Ok(Stop {
            is_over: Mutex::new(false),
            over: Condvar::new(),
            sign: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// It is over.
    pub(super) fn stop(&self) {
        *lock(&self.is_over) = true;
        self.over.notify_all();
        // The counter of an eventfd that is written once is not full.
        let _ = rustix::io::write(&self.sign, &1_u64.to_ne_bytes());
    }

    /// Lets time pass; whether it has, and not the end come.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        let guard = lock(&self.is_over);
        let waited = self
            .over
            .wait_timeout_while(guard, time, |is_over| !*is_over);
        let (is_over, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        !*is_over
    }

    /// Waits until a socket can be read or written, as `what` says; for any time without a `timeout`.
    pub(super) fn wait(
        &self,
        socket: impl AsFd,
        what: PollFlags,
        timeout: Option<Duration>,
    ) -> Waited {
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        let socket = socket.as_fd();
        loop {
            let mut polled = [
                PollFd::new(&socket, what),
                PollFd::new(&self.sign, PollFlags::IN),
            ];
            match poll(&mut polled, timeout.as_ref()) {
                Ok(0) => return Waited::TimedOut,
                Err(Errno::INTR) => {}
                // What is wrong with the socket, reading it tells.
                Err(_) => return Waited::Ready,
                Ok(_) => {
                    let [_, sign] = &polled;
                    let is_over = !sign.revents().is_empty();
                    return if is_over { Waited::Over } else { Waited::Ready };
                }
            }
        }
    }
}
