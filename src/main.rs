//! Arguments and exit code.

use std::process::ExitCode;

use clap::Parser;
use retracker::app;
use retracker::cli::{self, Arguments, Order};
use retracker::logging;

/// Swarms are very many small lists that grow by little: this allocator wastes the least on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::obey(Arguments::parse()) {
        Order::Done(code) => code,
        Order::Serve(loader) => match loader.load() {
            Ok(loaded) => match logging::start(&loaded.config.logging) {
                Ok(log) => app::serve(&loader, loaded, &log),
                Err(error) => {
                    cli::tell(&format!("error: {:#}", anyhow::Error::new(error)));
                    ExitCode::FAILURE
                }
            },
            Err(problems) => cli::refuse(&problems),
        },
    }
}
