//! Text that strangers or files gave, as it may be shown to people: in the log, on a terminal, in an error. It can neither begin
//! a line of its own nor steer a terminal, nor turn round the order in which the rest of its line is read.

use std::fmt::{self, Write};

/// Whether a character does something else than to be seen: control characters, ends of lines, directions of writing, and what
/// has no width.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text on one line, with what steers escaped.
pub fn on_one_line(message: &fmt::Arguments<'_>) -> String {
    let mut line = Escaped {
        text: String::with_capacity(80),
        keeps_lines: false,
    };
    // Only a value whose Display fails can fail here; what it wrote until then is kept.
    let _ = line.write_fmt(*message);
    line.text
}

/// The text with its lines and tabs, and with what else steers escaped.
pub fn in_lines(text: &str) -> String {
    let mut lines = Escaped {
        text: String::with_capacity(text.len()),
        keeps_lines: true,
    };
    let _ = lines.write_str(text);
    lines.text
}

/// An error with what led to it, each said once: some errors say themselves what their source says, or whom they are about.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        match told.last_mut() {
            Some(last) if last.ends_with(&cause) => {}
            Some(last) if cause.starts_with(&format!("{last}: ")) => *last = cause,
            _ => told.push(cause),
        }
    }
    told.join(": ")
}

/// Escapes on the way, so that nothing is copied twice.
struct Escaped {
    text: String,
    keeps_lines: bool,
}

impl Write for Escaped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if steers(c) && !(self.keeps_lines && matches!(c, '\n' | '\t')) {
                self.text.extend(c.escape_default());
            } else {
                self.text.push(c);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cause_is_told_twice() {
        let fifo = anyhow::Error::msg("it is a FIFO");
        let of_file = fifo.context("db: it is a FIFO").context("db");
        let told = with_causes(&of_file.context("nothing was imported"));
        assert_eq!(told, "nothing was imported: db: it is a FIFO");
        let other = anyhow::Error::msg("b").context("a");
        assert_eq!(with_causes(&other), "a: b");
    }

    /// R20
    #[test]
    fn what_steers_a_terminal_is_escaped_and_what_is_read_is_not() {
        let text = "улица «Мира»\n\x1b[2J\r\t\x07\u{9b}1m\u{202e}evil\u{2028}";
        let line = on_one_line(&format_args!("{text}"));
        assert_eq!(
            line,
            r"улица «Мира»\n\u{1b}[2J\r\t\u{7}\u{9b}1m\u{202e}evil\u{2028}"
        );
        assert_eq!(in_lines(text).lines().count(), 2);
        assert!(!in_lines(text).contains(|c| !matches!(c, '\n' | '\t') && steers(c)));
        // Joiners are part of how some scripts are written.
        assert!(!"क्‍ष 👩‍🚒 ё".contains(steers));
    }
}
