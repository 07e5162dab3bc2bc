//! `retracker hash-password`: makes the hash that stands for the password of the pages in the configuration.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};

use crate::web;

/// Passwords are never longer, in bytes.
const MAX_BYTES: u64 = 1_024;

/// Takes the password from standard input, so that it stands in no history of commands and no list of processes.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Reads one line and prints its hash.
///
/// # Errors
/// When there is no line, or the system gives no randomness.
pub fn run(_: &Arguments) -> anyhow::Result<()> {
    let input = io::stdin();
    if input.is_terminal() {
        // Nobody reads it when standard error is closed; the password can be typed all the same.
        drop(write!(io::stderr(), "Password (it is shown as you type): "));
    }
    let hash = read_and_hash(&mut input.lock())?;
    writeln!(io::stdout(), "{hash}").context("the hash cannot be printed")
}

fn read_and_hash(input: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    io::Read::take(input, MAX_BYTES).read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.chars().count() < 8 {
        bail!("a password has at least 8 characters");
    }
    Ok(web::hash_password(password)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_becomes_a_hash_and_short_ones_do_not() {
        let hash = read_and_hash(&mut "gutes wort\nmore\n".as_bytes()).unwrap();
        assert!(hash.starts_with("$argon2id$"));
        for short in ["", "\n", "1234567\r\n"] {
            assert!(read_and_hash(&mut short.as_bytes()).is_err(), "{short:?}");
        }
    }
}
