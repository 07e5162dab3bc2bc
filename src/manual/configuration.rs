//! retracker.ini(5): every key, from the table that reads them.

use super::Block::{Example, Item, Text};
use super::roff::Page;
use super::words::Words;
use super::{Block, Part, example};
use crate::config::{self, Language};

pub(super) fn page(
    language: Language,
    (about, parts): (&[Block], &[Part]),
    words: &Words,
) -> String {
    let mut page = Page::new(words.head, "retracker.ini", "5", words.file_formats);
    page.heading(words.name);
    page.paragraph(&format!("retracker.ini - {}", words.configuration));
    page.heading(words.synopsis);
    page.paragraph("/etc/retracker/config.ini");
    page.heading(words.description);
    super::add_blocks(&mut page, about);
    page.heading(words.sections);
    for section in config::SECTIONS {
        page.subheading(&format!("[{}]", section.name));
        page.paragraph(config::about(section, language));
        for key in section.keys {
            page.item(
                &format!("`{}`", key.name),
                &config::meaning(section, key, language),
            );
        }
        if let Some(example) = config::example(section, language) {
            page.paragraph(words.own_names);
            page.example(example);
        }
    }
    super::add(&mut page, parts);
    page.into_text()
}

pub(super) const ABOUT: &[Block] = &[
    Text(
        "The configuration of `retracker`(8): sections in brackets, and in each of them keys with their values. Every key has a \
         default, so that an empty file is a good one. `retracker sample` prints a file that has all of them.",
    ),
    Text(
        "The dialect is that of Python's configparser: a comment begins a line with `#` or `;`, or stands two blanks behind a \
         value; an indented line continues the value above it; a percent sign may be doubled. The case of a section's name \
         counts, that of a key's does not.",
    ),
    Text(
        "The file is taken whole or not at all: an unknown section or key, a value out of its bounds, or a key that stands twice \
         is an error with its line, and nothing changes. `retracker --check-config` tells before. SIGHUP has the running tracker \
         read the file anew; a key that is taken at the start waits for a restart.",
    ),
];

pub(super) const PARTS: &[Part] = &[
    (
        "ENVIRONMENT",
        &[Item(
            "RETRACKER_SECTION_KEY",
            "Overrides a key of the file, as RETRACKER_TRACKER_PORT does [TRACKER] port; from the environment, or from a file \
             .env in the working directory, which the environment overrides. The command line overrides all of them.",
        )],
    ),
    (
        "FILES",
        &[
            Item(
                "/etc/retracker/config.ini",
                "The configuration of the service.",
            ),
            Item(
                "/etc/retracker/zones.txt",
                "A usual place for `zones_file`: a network and the path of its zone in each line.",
            ),
        ],
    ),
    (
        "EXAMPLES",
        &[
            Text(
                "Two cities, with two houses in one of them; the pages for whoever is at the two addresses named:",
            ),
            Example(example::EXAMPLE),
        ],
    ),
    ("SEE ALSO", &[Text("`retracker`(8)")]),
];
