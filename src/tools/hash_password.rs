//! `retracker hash-password`: makes the hash that stands for the password of the pages in the configuration.

use std::io::{self, BufRead, IsTerminal, Read, Stdin, Write};

use anyhow::{Context, bail, ensure};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::web;

/// Passwords are never longer, in bytes.
const MAX_BYTES: usize = 1_024;

/// Takes the password from standard input, so that it stands in no history of commands and no list of processes. At a terminal it is
/// asked for twice and not shown.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Reads one line and prints its hash.
///
/// # Errors
/// When there is no line, the two of a terminal differ, or the system gives no randomness.
pub fn run(_: &Arguments) -> anyhow::Result<()> {
    let input = io::stdin();
    let password = if input.is_terminal() {
        let silence = Silence::begin(&input).context("the terminal would show the password")?;
        let password = ask(&input, "Password (it is not shown): ")?;
        let again = ask(&input, "The same once more: ")?;
        drop(silence);
        ensure!(password == again, "the two passwords differ");
        password
    } else {
        read_line(&mut input.lock())?
    };
    let hash = web::hash_password(&password)?;
    writeln!(io::stdout(), "{hash}").context("the hash cannot be printed")
}

/// Asks at the terminal. Nobody reads the question when standard error is closed; the password can be typed all the same.
fn ask(input: &Stdin, question: &str) -> anyhow::Result<String> {
    drop(write!(io::stderr(), "{question}"));
    let password = read_keys(&mut input.lock());
    // Neither was the end of the line shown.
    drop(writeln!(io::stderr()));
    password
}

fn read_line(input: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    let most = u64::try_from(MAX_BYTES)?;
    Read::take(input, most).read_line(&mut line)?;
    good(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads what is typed up to the end of the line. Keys that end a program come as bytes here: the terminal is as it was before the
/// program ends by one of them.
fn read_keys(input: &mut impl BufRead) -> anyhow::Result<String> {
    const INTERRUPT: u8 = 0x03;
    const END: u8 = 0x04;
    const BACKSPACE: u8 = 0x08;
    const KILL_LINE: u8 = 0x15;
    const QUIT: u8 = 0x1c;
    const DELETE: u8 = 0x7f;
    let mut typed = Vec::new();
    for key in input.bytes() {
        match key? {
            b'\n' | b'\r' | END => break,
            INTERRUPT | QUIT => bail!("interrupted"),
            BACKSPACE | DELETE => {
                // A letter has all its bytes.
                while typed.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
            }
            KILL_LINE => typed.clear(),
            byte if typed.len() < MAX_BYTES => typed.push(byte),
            _ => bail!("a password has at most {MAX_BYTES} bytes"),
        }
    }
    good(String::from_utf8(typed).context("the password is no UTF-8")?)
}

fn good(password: String) -> anyhow::Result<String> {
    if password.chars().count() < 8 {
        bail!("a password has at least 8 characters");
    }
    Ok(password)
}

/// A terminal that shows nothing of what is typed and hands over every key, until this is dropped.
struct Silence<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl Silence<'_> {
    fn begin(terminal: &Stdin) -> io::Result<Silence<'_>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before was shown, and is none of the password.
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Silence { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that went away has no modes.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_a_password_and_short_ones_are_not() {
        let line = read_line(&mut "gutes wort\nmore\n".as_bytes()).unwrap();
        assert_eq!(line, "gutes wort");
        assert!(web::hash_password(&line).unwrap().starts_with("$argon2id$"));
        for short in ["", "\n", "1234567\r\n"] {
            assert!(read_line(&mut short.as_bytes()).is_err(), "{short:?}");
        }
    }

    /// O17
    #[test]
    fn keys_correct_and_end_what_is_typed() {
        let typed = |keys: &str| read_keys(&mut keys.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(typed("gutes wort\nmore"), Ok("gutes wort".into()));
        assert_eq!(
            typed("x\u{7f}\u{7f}пароль1ё\u{8}2\r"),
            Ok("пароль12".into())
        );
        assert_eq!(typed("oops\u{15}gutes wort\u{4}"), Ok("gutes wort".into()));
        assert_eq!(typed("gutes wort\u{3}\n"), Err("interrupted".into()));
        assert!(typed("1234567\n").is_err());
        assert!(typed(&"x".repeat(1_025)).is_err());
    }
}
