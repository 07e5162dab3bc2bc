//! Arguments and exit code.

use std::process::ExitCode;

use clap::Parser;
use retracker::cli::{self, Arguments, Order};

fn main() -> ExitCode {
    match cli::obey(Arguments::parse()) {
        Order::Done(code) => code,
        Order::Serve(loader) => match loader.load() {
            Ok(_) => ExitCode::SUCCESS,
            Err(problems) => cli::refuse(&problems),
        },
    }
}
