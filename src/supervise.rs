//! The threads of the process: named, and watched, so that none ends unnoticed.
//!
//! A part that panics or returns before it was told to stop is reported on the channel that the composition root waits on;
//! it then ends the process in order (last snapshot, status 1), and a service manager starts it again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::thread::{Builder, JoinHandle};

/// The end of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The thread's name.
    pub part: String,
    /// What it panicked with, or the error that it ended with; `None` when it simply returned.
    pub fault: Option<String>,
}

/// Starts a thread called `part` (at most 15 bytes are shown by the system) that runs `work` and then reports its end.
///
/// # Errors
/// When the system gives no thread.
pub fn start<F>(part: &str, ends: Sender<Exit>, work: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() -> Result<(), String> + Send + 'static,
{
    let name = part.to_owned();
    let started = Builder::new().name(name.clone()).spawn(move || {
        let fault = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(panic) => Some(describe(panic.as_ref())),
        };
        // Nobody listens any more when the process is ending; that is fine.
        drop(ends.send(Exit { part: name, fault }));
    });
    started.map_err(|error| {
        let why = format!("no thread for {part} (TasksMax of the service, `ulimit -u`): {error}");
        io::Error::new(error.kind(), why)
    })
}

/// Lets every other thread of the machine come first, where all cores are busy: for work that takes long and that nobody's announce waits for.
/// Of the calling thread only, and for good. Where it is not allowed, the thread goes on as it is.
pub fn step_back() {
    /// Where all are busy, others get nine times as much.
    const NICE: i32 = 10;
    if let Err(error) = rustix::process::nice(NICE) {
        log::debug!("a thread keeps its priority: {error}");
    }
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

    /// P22: the priority is of a thread and not of the process.
    #[test]
    fn who_steps_back_lets_others_come_first_and_nobody_else_does() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        let stepped = std::thread::spawn(move || {
            step_back();
            priority()
        });
        assert_eq!(stepped.join().unwrap(), (before + 10).min(19));
        assert_eq!(priority(), before);
    }

    #[test]
    fn every_end_is_reported_with_its_cause() {
        let (ends, reports) = channel();
        start("calm", ends.clone(), || Ok(())).unwrap();
        assert_eq!(
            reports.recv().unwrap(),
            Exit {
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
