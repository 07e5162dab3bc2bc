//! Manual pages, made from what the program knows of itself: a command line gives its options and commands, the table of keys all
//! of retracker.ini(5). So no page can name what is not there.
//!
//! Only what no table holds is written here by hand: files, signals, examples.

mod command;
mod configuration;
mod daemon;
mod example;
mod roff;
mod russian;
mod words;

use clap::Command;

use roff::Page;
use words::{ENGLISH, RUSSIAN};

use crate::config::Language;

/// The day on which the pages were last looked at as a whole; docs/RELEASING.md sets it.
const DATE: &str = "2026-11-30";

/// A section of a page that is written by hand: its heading, and what stands below it.
pub type Part = (&'static str, &'static [Block]);

/// A piece of a section. In its texts, what stands between two backquotes is shown in bold.
#[derive(Clone, Copy, Debug)]
pub enum Block {
    /// A paragraph.
    Text(&'static str),
    /// A term, and what it means.
    Item(&'static str, &'static str),
    /// Lines to be typed or written as they stand.
    Example(&'static str),
}

/// retracker(8), of the daemon and its tools.
pub fn daemon(command: Command, language: Language) -> String {
    let (texts, words): ((&[Block], &[Part]), _) = match language {
        Language::English => ((daemon::ABOUT, daemon::PARTS), &ENGLISH),
        Language::Russian => ((russian::DAEMON, russian::DAEMON_PARTS), &RUSSIAN),
    };
    command::page(command, "8", words.administration, texts, words)
}

/// The page of a program that people use, in section 1; `parts` follow what its command line gives.
pub fn program(command: Command, parts: &[Part]) -> String {
    command::page(command, "1", "User commands", (&[], parts), &ENGLISH)
}

/// retracker.ini(5), of the configuration.
pub fn configuration(language: Language) -> String {
    match language {
        Language::English => {
            let texts = (configuration::ABOUT, configuration::PARTS);
            configuration::page(language, texts, &ENGLISH)
        }
        Language::Russian => {
            let texts = (russian::CONFIGURATION, russian::CONFIGURATION_PARTS);
            configuration::page(language, texts, &RUSSIAN)
        }
    }
}

fn add(page: &mut Page, parts: &[Part]) {
    for (heading, blocks) in parts {
        page.heading(heading);
        add_blocks(page, blocks);
    }
}

fn add_blocks(page: &mut Page, blocks: &[Block]) {
    for block in blocks {
        match block {
            Block::Text(text) => page.paragraph(text),
            Block::Item(term, text) => page.item(&format!("`{term}`"), text),
            Block::Example(lines) => page.example(lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli, config};
    use clap::CommandFactory;

    const LANGUAGES: [Language; 2] = [Language::English, Language::Russian];

    fn pages() -> Vec<(&'static str, Language, String)> {
        let pages = LANGUAGES.map(|language| {
            let command = cli::Arguments::command();
            [
                ("retracker(8)", language, daemon(command, language)),
                ("retracker.ini(5)", language, configuration(language)),
            ]
        });
        pages.into_iter().flatten().collect()
    }

    /// O13: what the packages install names only pages that they install too.
    #[test]
    fn no_page_names_a_page_that_does_not_exist() {
        let exist = [
            "retracker(8)",
            "retracker.ini(5)",
            "systemctl(1)",
            "logrotate(8)",
        ];
        for (name, _, page) in pages() {
            let plain = page
                .replace("\\fB", "")
                .replace("\\fR", "")
                .replace('\\', "");
            let named = plain.split_whitespace().filter_map(|word| {
                let (name, rest) = word.split_once('(')?;
                let section = rest.get(..2).filter(|it| it.ends_with(')'))?;
                let is_page = section.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
                is_page.then(|| format!("{name}({section}"))
            });
            let named: Vec<String> = named.collect();
            assert!(!named.is_empty(), "{name}");
            for other in named {
                assert!(exist.contains(&other.as_str()), "{name} names {other}");
            }
        }
    }

    /// O13
    #[test]
    fn the_page_of_the_configuration_has_every_key() {
        for language in LANGUAGES {
            let page = configuration(language);
            let mut at = 0;
            for section in config::SECTIONS {
                let heading = format!("\n.SS \"[{}]\"\n", section.name);
                at += page[at..].find(&heading).expect(section.name);
                for key in section.keys {
                    let item = format!("\n.TP\n\\fB{}\\fR\n", key.name);
                    at += page[at..].find(&item).expect(key.name);
                }
            }
        }
    }

    /// O13
    #[test]
    fn the_page_of_the_daemon_has_every_command_and_option() {
        let command = cli::Arguments::command();
        for language in LANGUAGES {
            let page = daemon(command.clone(), language);
            for tool in command.get_subcommands() {
                assert!(page.contains(&format!("\n.SS \"\\fB{}", roff::escaped(tool.get_name()))));
            }
            for option in command.get_arguments().filter_map(|it| it.get_long()) {
                assert!(
                    page.contains(&roff::escaped(&format!("--{option}"))),
                    "{option}"
                );
            }
        }
    }

    /// O13: the tables of docs/OPERATIONS.md and the page say the same.
    #[test]
    fn the_page_of_the_daemon_has_the_signals_and_exit_codes_of_the_handbook() {
        let pages = LANGUAGES.map(|language| daemon(cli::Arguments::command(), language));
        let handbook = include_str!("../../docs/OPERATIONS.md");
        let (_, rest) = handbook.split_once("## Signals and exit codes").unwrap();
        let (tables, _) = rest.split_once("\n## ").unwrap();
        let firsts = tables.lines().filter_map(|line| line.strip_prefix("| "));
        let terms = firsts
            .filter_map(|row| row.split_once(" |"))
            .map(|row| row.0);
        let terms: Vec<&str> = terms
            .filter(|term| !matches!(*term, "signal" | "exit code"))
            .collect();
        assert!(terms.len() > 7, "{terms:?}");
        for (term, page) in terms
            .iter()
            .flat_map(|term| pages.iter().map(move |page| (term, page)))
        {
            assert!(page.contains(&format!("\n.TP\n\\fB{term}\\fR\n")), "{term}");
        }
    }

    /// O13
    #[test]
    fn the_example_of_the_configuration_can_be_used() {
        let sources = config::Sources {
            file: Some(("example".into(), example::EXAMPLE.into())),
            ..config::Sources::default()
        };
        let loaded = sources.resolve(&|_| Ok(Vec::new())).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }

    /// O13: what groff or mandoc would complain of: control lines that are none, and lines that are too long.
    #[test]
    fn every_line_is_one_that_roff_takes_as_it_is_meant() {
        let controls = ["TH", "SH", "SS", "PP", "TP", "EX", "EE", "br", "\\\""];
        for (name, language, page) in pages() {
            let mut is_example = false;
            for line in page.lines() {
                let is_plain = line.is_ascii() || language == Language::Russian;
                assert!(is_plain && !line.starts_with('\''), "{name}: {line}");
                assert!(!line.ends_with(' ') && !line.is_empty(), "{name}: {line:?}");
                is_example = line == ".EX" || is_example && line != ".EE";
                // Usage and examples stand as they are.
                let is_filled = !is_example && !line.starts_with(['.', '\\']);
                let fits = roff::width(line) <= 80 || !line.contains(' ');
                assert!(!is_filled || fits, "{name}: {line}");
                if let Some(control) = line.strip_prefix('.') {
                    let known = controls.iter().any(|known| control.starts_with(known));
                    assert!(known, "{name}: {line}");
                }
            }
        }
    }
}
