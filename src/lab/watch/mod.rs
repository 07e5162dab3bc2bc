//! Shows what clients say and what they are answered, as it comes: for people as lines, for programs as JSON, one object a line
//! (docs/CLIENT-DEVELOPERS.md has its fields).

mod json;
mod lines;
mod memory;
mod request;

use std::io::{self, Write};

use super::exchange::Event;
use super::serve::Events;
use memory::Memory;

/// In which form it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Lines {
        /// With colours of a terminal.
        has_colour: bool,
        /// Every parameter raw and read, every header, and each connection.
        has_all: bool,
    },
}

/// Shows events, and remembers what each client said last.
#[derive(Debug)]
pub struct Watcher {
    form: Form,
    memory: Memory,
}

impl Watcher {
    /// One that has seen nothing.
    pub fn new(form: Form) -> Watcher {
        Watcher {
            form,
            memory: Memory::default(),
        }
    }

    /// What is shown of an event: whole lines with their ends; none of what is not shown.
    pub fn show(&mut self, event: &Event) -> String {
        match (event, self.form) {
            (Event::Exchange(exchange), form) => {
                let request = request::Shown::of(&exchange.request);
                let change = self.memory.note(&exchange.request, request.announce());
                match form {
                    Form::Json => json::exchange(exchange, &request, change.as_ref()),
                    Form::Lines {
                        has_colour,
                        has_all,
                    } => {
                        let paint = lines::Paint { has_colour };
                        lines::exchange(exchange, &request, change.as_ref(), paint, has_all)
                    }
                }
            }
            (event, Form::Json) => json::connection(event),
            (
                event,
                Form::Lines {
                    has_colour,
                    has_all,
                },
            ) => lines::connection(event, lines::Paint { has_colour }, has_all),
        }
    }

    /// Shows everything that comes until the laboratory ends.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn show_all(&mut self, events: &Events, out: &mut impl Write) -> io::Result<()> {
        for event in events.iter() {
            let shown = self.show(&event);
            if !shown.is_empty() {
                out.write_all(shown.as_bytes())?;
                out.flush()?;
            }
        }
        Ok(())
    }
}
