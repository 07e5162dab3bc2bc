//! The words of a page's frame in each language: headings, and what stands between names.

use super::russian;

/// Words, and where the texts of commands come from.
#[derive(Debug)]
pub(super) struct Words {
    /// What stands above the page, for programs that ask for the encoding.
    pub head: &'static str,
    pub name: &'static str,
    pub synopsis: &'static str,
    pub description: &'static str,
    pub options: &'static str,
    pub commands: &'static str,
    pub sections: &'static str,
    pub any_options: &'static str,
    pub command: &'static str,
    pub any_arguments: &'static str,
    pub one_of: &'static str,
    pub default: &'static str,
    pub configuration: &'static str,
    pub own_names: &'static str,
    pub administration: &'static str,
    pub file_formats: &'static str,
    /// What a command does, by its name and those above it; without one the command line's own text.
    pub about: fn(path: &str) -> Option<&'static str>,
    /// What an argument means, by the command and its own name; likewise.
    pub help: fn(path: &str, argument: &str) -> Option<&'static str>,
}

pub(super) const ENGLISH: Words = Words {
    head: "",
    name: "NAME",
    synopsis: "SYNOPSIS",
    description: "DESCRIPTION",
    options: "OPTIONS",
    commands: "COMMANDS",
    sections: "SECTIONS AND KEYS",
    any_options: "[*OPTIONS*]",
    command: "*COMMAND*",
    any_arguments: "[*ARGUMENTS*]",
    one_of: "One of",
    default: "Default:",
    configuration: "configuration of retracker",
    own_names: "Its keys are names that you give:",
    administration: "System administration",
    file_formats: "File formats",
    about: |_| None,
    help: |_, _| None,
};

pub(super) const RUSSIAN: Words = Words {
    // Else groff takes the page for Latin 1 where neither its folder nor the locale says otherwise.
    head: ".\\\" -*- coding: utf-8 -*-\n",
    name: "ИМЯ",
    synopsis: "СИНТАКСИС",
    description: "ОПИСАНИЕ",
    options: "ПАРАМЕТРЫ",
    commands: "КОМАНДЫ",
    sections: "РАЗДЕЛЫ И КЛЮЧИ",
    any_options: "[*ПАРАМЕТРЫ*]",
    command: "*КОМАНДА*",
    any_arguments: "[*АРГУМЕНТЫ*]",
    one_of: "Одно из:",
    default: "По умолчанию:",
    configuration: "настройки retracker",
    own_names: "Ключи в нём — имена, которые даёте вы:",
    administration: "Администрирование системы",
    file_formats: "Форматы файлов",
    about: russian::about,
    help: russian::help,
};
