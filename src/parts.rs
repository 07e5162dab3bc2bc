//! The threads of the process: named, and watched, so that none ends unnoticed.
//!
//! A part that panics or returns before it was told to stop is reported on the channel that the composition root waits on;
//! it then ends the process in order (last snapshot, status 1), and a service manager starts it again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::thread::{Builder, JoinHandle};

use rustix::process::{getpriority_process, setpriority_process};

/// The end of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The thread's name.
    pub part: String,
    /// What it panicked with, or the error that it ended with; `None` when it simply returned.
    pub fault: Option<String>,
}

/// Starts a thread called `part` (at most 15 bytes are shown by the system) that runs `work` and then reports its end.
///
/// # Errors
/// When the system gives no thread.
pub fn start<F>(part: &str, ends: Sender<End>, work: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() -> Result<(), String> + Send + 'static,
{
    let name = part.to_owned();
    Builder::new().name(name.clone()).spawn(move || {
        let fault = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(panic) => Some(describe(panic.as_ref())),
        };
        // Nobody listens any more when the process is ending; that is fine.
        drop(ends.send(End { part: name, fault }));
    })
}

/// How much nicer the threads are that [`start_behind`] starts: on a busy core each gets a tenth of what one that serves gets.
const BEHIND: i32 = 10;

/// The nicest that a thread can be.
const NICEST: i32 = 19;

/// Starts a thread as [`start`] does, and has the system run it behind those that serve, so that on a busy core an announce waits
/// less for it. Where the system does not allow that, it runs as any other.
///
/// # Errors
/// When the system gives no thread.
pub fn start_behind<F>(part: &str, ends: Sender<End>, work: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() -> Result<(), String> + Send + 'static,
{
    let name = part.to_owned();
    start(part, ends, move || {
        if let Err(error) = step_back() {
            log::info!("{name} does not step back behind what serves: {error}");
        }
        work()
    })
}

/// On Linux both calls are about the calling thread alone.
fn step_back() -> io::Result<()> {
    let niceness = getpriority_process(None)?;
    setpriority_process(None, (niceness + BEHIND).min(NICEST))?;
    Ok(())
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// R14
    #[test]
    fn a_background_part_is_the_only_one_that_steps_back() {
        let (ends, _reports) = channel();
        let (told, heard) = channel();
        let before = getpriority_process(None).unwrap();
        let tell = move || {
            let niceness = getpriority_process(None).unwrap();
            told.send(niceness).map_err(|error| error.to_string())
        };
        start_behind("behind", ends.clone(), tell.clone()).unwrap();
        assert_eq!(heard.recv().unwrap(), (before + BEHIND).min(NICEST));
        start("serving", ends, tell).unwrap();
        assert_eq!(heard.recv().unwrap(), before);
    }

    #[test]
    fn every_end_is_reported_with_its_cause() {
        let (ends, reports) = channel();
        start("calm", ends.clone(), || Ok(())).unwrap();
        assert_eq!(
            reports.recv().unwrap(),
            End {
                part: "calm".into(),
                fault: None
            }
        );
        start("broken", ends.clone(), || Err("no socket".into())).unwrap();
        assert_eq!(reports.recv().unwrap().fault.as_deref(), Some("no socket"));
        start("rash", ends, || panic!("lost it")).unwrap();
        assert_eq!(
            reports.recv().unwrap().fault.as_deref(),
            Some("panic: lost it")
        );
    }
}
