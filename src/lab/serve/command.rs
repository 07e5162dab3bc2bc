//! `retracker-lab serve` and `watch`: the laboratory's tracker as a program.

use std::io;

use super::ca_file::CaFile;
use super::ends::Ends;
use super::ready::{self, Played};
use super::serving::{Serving, Showing};
use super::writers::{Missed, Writers};
use super::{Events, Lab};
use crate::lab::watch::{Form, Watcher};
use crate::program;

/// What is served, and how it is shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    serving: Serving,
    /// Shows every request as it comes.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    showing: Showing,
}

impl Arguments {
    /// The same, showing every request: `retracker-lab watch`.
    #[must_use]
    pub fn watching(self) -> Arguments {
        Arguments {
            watch: true,
            ..self
        }
    }
}

/// Serves until it is to end: at a signal, with the program that started this one, when standard input closes if that was asked for, or
/// when nobody reads what is shown.
///
/// # Errors
/// When it cannot listen as it was told to, or a file cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    use_small_pages();
    let ends = arguments.serving.ending.watch()?;
    let lab = Lab::start(arguments.serving.options())?;
    let show = |events: &Events, form| {
        program::printed(Watcher::new(form).show_all(events, &mut io::stdout()))
    };
    let show = arguments.watch.then_some(show);
    serve(
        lab,
        &arguments.serving,
        &arguments.showing,
        None,
        show,
        ends,
    )
}

/// Serves until it is to end, and shows by `show` what happens, where it is to be shown; it is told first what it `played`.
///
/// # Errors
/// When a file cannot be written, or what is shown cannot.
pub(crate) fn serve(
    lab: Lab,
    serving: &Serving,
    showing: &Showing,
    played: Option<&Played>,
    show: Option<impl FnOnce(&Events, Form) -> anyhow::Result<()> + Send + 'static>,
    mut ends: Ends,
) -> anyhow::Result<()> {
    let authority = CaFile::write(serving.ca_file.as_deref(), &lab)?;
    let mut writers = Writers::new(ends.take_end());
    showing.keep(&lab, &mut writers)?;
    // Before anybody knows where to announce to.
    let shown = show.map(|show| (show, lab.events()));
    let ready = if showing.json {
        ready::json(&lab, &authority, serving.speed, played)
    } else {
        ready::lines(&lab, &authority, played)
    };
    program::print(&ready)?;
    if let Some((show, events)) = shown {
        let form = showing.form();
        writers.begin(move || show(&events, form))?;
    }
    ends.wait()?;
    let missed = Missed::of(&lab);
    drop(lab);
    writers.finish(missed)
}

/// Takes memory in small pages from now on. Each connection has a thread, and the heap of each touches a little of many pages: of huge ones
/// that is more than a megabyte. What this program starts would do the same, so it is for commands that start nothing.
pub(crate) fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        log::debug!("lab: connections take more memory than they need: {error}");
    }
}
