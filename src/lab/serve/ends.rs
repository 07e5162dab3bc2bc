//! When the program ends: at a signal, with the program that started it, when its standard input is closed, when nobody reads what it
//! shows.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::pipe;

/// How often the parent is looked for where the system does not tell of its end.
const LOOK: Duration = Duration::from_millis(250);

/// What ends it beside signals.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Ending {
    /// Goes on when the program that started this one ends.
    #[arg(long)]
    outlive_parent: bool,
    /// Ends when standard input is closed.
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
}

impl Ending {
    /// Catches signals, and looks who the parent is, if that matters.
    ///
    /// # Errors
    /// When the system gives no descriptor or no handler.
    pub(crate) fn watch(self) -> io::Result<Ends> {
        Ends::new(!self.outlive_parent, self.until_stdin_closes)
    }
}

/// Everything that ends it.
#[derive(Debug)]
pub(crate) struct Ends {
    signals: UnixStream,
    parent: Option<Parent>,
    has_stdin: bool,
    /// Closed with the other end.
    reader: UnixStream,
    reader_end: Option<UnixStream>,
}

/// The program that started this one.
#[derive(Debug)]
struct Parent {
    pid: Pid,
    /// Readable when it has ended; none where the system has no such thing.
    sign: Option<OwnedFd>,
}

impl Parent {
    /// The program that started this one; none when it is not to be seen (another namespace).
    fn find() -> Option<Parent> {
        let pid = getppid()?;
        let sign = pidfd_open(pid, PidfdFlags::empty()).ok();
        Some(Parent { pid, sign })
    }

    /// Whether it has ended: somebody else is the parent then.
    fn has_ended(&self) -> bool {
        getppid() != Some(self.pid)
    }
}

impl Ends {
    /// Signals alone.
    ///
    /// # Errors
    /// When the system gives no descriptor or no handler.
    pub(crate) fn of_signals() -> io::Result<Ends> {
        Ends::new(false, false)
    }

    fn new(with_parent: bool, with_stdin: bool) -> io::Result<Ends> {
        let (signals, sender) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT, SIGQUIT] {
            pipe::register(signal, sender.try_clone()?)?;
        }
        // Who is to outlive his parent is to outlive its terminal, if nohup says so.
        if with_parent || !ignores_hangup() {
            pipe::register(SIGHUP, sender)?;
        }
        let (reader, reader_end) = UnixStream::pair()?;
        Ok(Ends {
            signals,
            parent: if with_parent { Parent::find() } else { None },
            has_stdin: with_stdin,
            reader,
            reader_end: Some(reader_end),
        })
    }

    /// What ends it when it is dropped.
    pub(crate) fn take_end(&mut self) -> Option<UnixStream> {
        self.reader_end.take()
    }

    /// Waits until it is to end.
    ///
    /// # Errors
    /// When the system does not let it wait.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let must_look = self.parent.as_ref().is_some_and(|it| it.sign.is_none());
        while !self.come_within(must_look.then_some(LOOK))? {}
        Ok(())
    }

    /// Whether a second signal has come: somebody will not wait for an end in order. Never waits.
    pub(crate) fn is_urgent(&self) -> bool {
        // Each signal is a byte, and nobody takes them out.
        let mut signs = [0; 2];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&self.signals, &mut signs[..], flags), Ok((_, 2..)))
    }

    /// Whether it is to end by now; never waits.
    ///
    /// # Errors
    /// As of `wait`.
    pub(crate) fn have_come(&self) -> io::Result<bool> {
        self.come_within(Some(Duration::ZERO))
    }

    /// Whether it is to end; looks for so long, or until there is something to see.
    fn come_within(&self, wait: Option<Duration>) -> io::Result<bool> {
        // It may have ended before its sign was there.
        if self.parent.as_ref().is_some_and(Parent::has_ended) {
            return Ok(true);
        }
        let stdin = io::stdin();
        let stdin = self.has_stdin.then(|| stdin.as_fd());
        let sign = self.parent.as_ref().and_then(|parent| parent.sign.as_ref());
        let mut polled = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.reader, PollFlags::IN),
        ];
        polled.extend(sign.map(|sign| PollFd::new(sign, PollFlags::IN)));
        let ending = polled.len();
        polled.extend(
            stdin
                .as_ref()
                .map(|stdin| PollFd::new(stdin, PollFlags::IN)),
        );
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        match poll(&mut polled, wait.as_ref()) {
            Err(rustix::io::Errno::INTR) | Ok(0) => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let mut signs = polled.iter().map(|there| !there.revents().is_empty());
        if signs.by_ref().take(ending).any(|is_there| is_there) {
            return Ok(true);
        }
        Ok(signs.next() == Some(true) && io::stdin().lock().read(&mut [0; 4_096])? == 0)
    }
}

/// Whether this program was started to ignore SIGHUP, as by nohup. Where the system does not say, it was not.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bits are counted from signal 1, which it is.
    mask.is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}
