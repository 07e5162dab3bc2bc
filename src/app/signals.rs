//! Signals, caught from the first line of `main` on: a signal that comes while the tracker is still being built is remembered
//! and obeyed when it serves.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXFSZ,
};
use signal_hook::{flag, iterator, low_level};

const ENDING: [i32; 3] = [SIGTERM, SIGINT, SIGQUIT];
const OTHERS: [i32; 8] = [
    SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ,
];

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// To end in order.
    Stop,
    /// To read the configuration anew.
    Reload,
    /// To open the log file again.
    Reopen,
}

/// The signals that have come. They stay caught until the process ends, also when this is dropped.
///
/// | signal | what it does |
/// |---|---|
/// | SIGTERM, SIGINT, SIGQUIT | ends in order; a second one changes nothing |
/// | SIGHUP | reloads the configuration and opens the log file again |
/// | SIGUSR1 | opens the log file again |
/// | SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ | a debug line; by default they would kill |
/// | SIGPIPE | ignored, by Rust's runtime |
///
/// Left at their defaults: what tells of a fault of the program (SIGABRT, SIGSEGV …), SIGXCPU, which enforces a limit that an
/// operator set, and the signals of job control.
#[derive(Debug)]
pub struct Signals {
    come: iterator::Signals,
    /// Whether this process is a tool of the command line, which a signal ends as it ends any program.
    is_tool: Arc<AtomicBool>,
}

impl Signals {
    /// Catches them: the first thing that the process does.
    ///
    /// # Errors
    /// When the system gives no handler.
    pub fn catch() -> io::Result<Signals> {
        let come = iterator::Signals::new(ENDING.iter().chain(&OTHERS))?;
        let is_tool = Arc::new(AtomicBool::new(false));
        for signal in ENDING.into_iter().chain(OTHERS) {
            flag::register_conditional_default(signal, Arc::clone(&is_tool))?;
        }
        Ok(Signals { come, is_tool })
    }

    /// Lets signals do what they do to any program, for the tools; one that has come already does it now.
    pub fn let_be(mut self) {
        self.is_tool.store(true, Ordering::SeqCst);
        for signal in self.come.pending() {
            // The process ends here, unless the signal's default is to do nothing.
            drop(low_level::emulate_default_handler(signal));
        }
    }

    /// What the signals that have come since the last call ask for; each at most once.
    pub(super) fn wishes(&mut self) -> Vec<Command> {
        let command = |signal| match signal {
            SIGHUP => Some(Command::Reload),
            SIGUSR1 => Some(Command::Reopen),
            signal if ENDING.contains(&signal) => Some(Command::Stop),
            signal => {
                log::debug!("signal {signal} means nothing to the tracker");
                None
            }
        };
        self.come.pending().filter_map(command).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O2: what comes before anybody looks is not lost, and asks once however often it came.
    #[test]
    fn signals_are_remembered_until_somebody_looks() {
        let mut signals = Signals::catch().unwrap();
        assert_eq!(signals.wishes(), []);
        for signal in [SIGHUP, SIGUSR2, SIGALRM, SIGUSR1, SIGHUP, SIGXFSZ, SIGQUIT] {
            low_level::raise(signal).unwrap();
        }
        let wishes = signals.wishes();
        assert_eq!(wishes.len(), 3, "{wishes:?}");
        for command in [Command::Reload, Command::Reopen, Command::Stop] {
            assert!(wishes.contains(&command), "{command:?}");
        }
        assert_eq!(signals.wishes(), []);
        // The other tests of this process can be interrupted again.
        signals.let_be();
    }
}
