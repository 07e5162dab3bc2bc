//! The page of a program, from the description of its command line: one page for the program and all its commands.

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command};

use super::roff::Page;
use super::words::Words;
use super::{Block, Part};

/// The page in `section` of the manual, which is called `manual`; `about` follows what the command line says of the program, `parts`
/// stand at the end. What clap knows is in English; `words` may have it in another language.
pub(super) fn page(
    mut command: Command,
    section: &str,
    manual: &str,
    (about, parts): (&[Block], &[Part]),
    words: &Words,
) -> String {
    // What clap adds by itself, and the names of commands in full.
    command.build();
    let name = command.get_name().to_owned();
    let mut page = Page::new(words.head, &name, section, manual);
    page.heading(words.name);
    let what = about_of(&command, "", words);
    page.paragraph(&format!("{name} - {}", what.trim_end_matches('.')));
    page.heading(words.synopsis);
    if !command.is_subcommand_required_set() {
        page.usage(&format!("`{name}` {}", words.any_options));
    }
    page.usage(&format!(
        "`{name}` {} {}",
        words.command, words.any_arguments
    ));
    page.heading(words.description);
    page.paragraph(&what);
    super::add_blocks(&mut page, about);
    page.heading(words.options);
    for argument in shown(&command) {
        add_argument(&mut page, argument, "", words);
    }
    page.heading(words.commands);
    for tool in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        add_command(&mut page, tool, tool.get_name(), &[], words);
    }
    super::add(&mut page, parts);
    page.into_text()
}

/// What a command does, as a sentence; `path` is its name with those of the commands above it, nothing for the program.
fn about_of(command: &Command, path: &str, words: &Words) -> String {
    if let Some(about) = (words.about)(path) {
        return about.to_owned();
    }
    let mut about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    if !about.ends_with('.') {
        about.push('.');
    }
    about
}

/// What is worth a word: not that which clap hides.
fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
}

/// Adds a command, called `name` with those that it stands below, and all below it; `known` are options that were explained there.
fn add_command(page: &mut Page, command: &Command, name: &str, known: &[&str], words: &Words) {
    let is_new = |argument: &&Arg| {
        let is_help = matches!(
            argument.get_action(),
            ArgAction::Help | ArgAction::HelpShort
        );
        !is_help && !known.contains(&argument.get_id().as_str())
    };
    let arguments: Vec<&Arg> = shown(command).filter(is_new).collect();
    let mut usage = format!("`{name}`");
    if arguments.iter().any(|argument| !argument.is_positional()) {
        usage.push(' ');
        usage.push_str(words.any_options);
    }
    for argument in arguments.iter().filter(|argument| argument.is_positional()) {
        let value = values(argument);
        let dots = if argument
            .get_num_args()
            .is_some_and(|many| many.max_values() > 1)
        {
            "..."
        } else {
            ""
        };
        if argument.is_required_set() {
            usage.push_str(&format!(" {value}{dots}"));
        } else {
            usage.push_str(&format!(" [{value}]{dots}"));
        }
    }
    let below: Vec<&Command> = command
        .get_subcommands()
        .filter(|tool| tool.get_name() != "help")
        .collect();
    if !below.is_empty() {
        usage.push(' ');
        usage.push_str(words.command);
    }
    page.subheading(&usage);
    page.paragraph(&about_of(command, name, words));
    for argument in &arguments {
        add_argument(page, argument, name, words);
    }
    let mut known = known.to_vec();
    known.extend(arguments.iter().map(|argument| argument.get_id().as_str()));
    for tool in below {
        let path = format!("{name} {}", tool.get_name());
        add_command(page, tool, &path, &known, words);
    }
}

/// The names of an argument's values, as `FILE`.
fn values(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let names: Vec<String> = names.iter().map(|name| format!("*{name}*")).collect();
    names.join(" ")
}

fn add_argument(page: &mut Page, argument: &Arg, path: &str, words: &Words) {
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("`-{short}`")));
    names.extend(argument.get_long().map(|long| format!("`--{long}`")));
    let takes_values = argument.get_action().takes_values();
    let mut term = names.join(", ");
    if argument.is_positional() {
        term = values(argument);
    } else if takes_values {
        term.push_str(&format!(" {}", values(argument)));
    }
    let mut sentences = Vec::new();
    let own = argument.get_long_help().or(argument.get_help());
    let translated = (words.help)(path, argument.get_id().as_str()).map(str::to_owned);
    if let Some(help) = translated.or(own.map(ToString::to_string)) {
        sentences.push(format!("{}.", help.trim_end_matches('.')));
    }
    if takes_values {
        let possible = argument.get_possible_values();
        let possible: Vec<&str> = possible.iter().map(PossibleValue::get_name).collect();
        if !possible.is_empty() {
            sentences.push(format!("{} {}.", words.one_of, possible.join(", ")));
        }
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
        if defaults.iter().any(|value| !value.is_empty()) {
            sentences.push(format!("{} {}.", words.default, defaults.join(" ")));
        }
    }
    page.item(&term, &sentences.join(" "));
}
