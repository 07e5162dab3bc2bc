//! The configuration as text: every value with its location, and the sample file that is the manual.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::dialect::escape;
use super::key::{HIDDEN, Key, Section};
use super::language::Language;
use super::sources::Loaded;
use super::{Config, keys, russian};

/// How wide the sample's comments are.
const WIDTH: usize = 100;

/// One value of the configuration, as a person may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its section.
    pub section: &'static str,
    /// Its key.
    pub key: String,
    /// The value as a file takes it; `(hidden)` for a secret that is set.
    pub value: String,
    /// Where it was given; nothing else than `default` when it was not.
    pub location: String,
}

/// Every value with its location.
pub fn rows(loaded: &Loaded) -> Vec<Row> {
    let mut rows = Vec::new();
    for section in keys::SECTIONS {
        rows.extend(section_rows(loaded, section));
    }
    rows
}

fn section_rows(loaded: &Loaded, section: &'static Section) -> impl Iterator<Item = Row> {
    let mut config = loaded.config.clone();
    // Most sections have no free keys.
    let free = section
        .free
        .map(|free| (free.write)(&config))
        .unwrap_or_default();
    let free = free.into_iter().map(|(key, value, location)| Row {
        section: section.name,
        key,
        value,
        location: location.to_string(),
    });
    let keys = section.keys.iter().map(move |key| {
        let location = loaded.locations.get(&(section.name, key.name));
        let value = key.text(&mut config);
        Row {
            section: section.name,
            key: key.name.to_owned(),
            value: if key.is_secret && !value.is_empty() {
                HIDDEN.to_owned()
            } else {
                value
            },
            // What is given nowhere is at its default.
            location: location.cloned().unwrap_or_default().to_string(),
        }
    });
    keys.chain(free)
}

/// Every value with its location, as a file that may be used again but for its secrets.
pub fn printed(loaded: &Loaded) -> String {
    let mut text = String::new();
    for section in keys::SECTIONS {
        text.push_str(&format!("[{}]\n", section.name));
        for row in section_rows(loaded, section) {
            let blank = if row.value.is_empty() { "" } else { " " };
            text.push_str(&format!(
                "{} ={blank}{}  # {}\n",
                row.key,
                escape(&row.value),
                row.location
            ));
        }
        text.push('\n');
    }
    text
}

/// A number of 48 bits by which to tell whether two trackers of one version are configured alike: of every value, wherever it was
/// given, and of the zones that the file of prefixes gives. Secrets are not in it, only whether they are set, so that nobody
/// finds one by trying.
pub fn digest(loaded: &Loaded) -> u64 {
    let mut digest = Sha256::new();
    // Each text with its length, so that nothing flows into its neighbour.
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    for row in rows(loaded) {
        for text in [row.section, &row.key, &row.value] {
            add(text.as_bytes());
        }
    }
    for zone in &loaded.config.zones {
        add(zone.path.as_bytes());
        for prefix in &zone.prefixes {
            match prefix.network() {
                IpAddr::V4(network) => add(&network.octets()),
                IpAddr::V6(network) => add(&network.octets()),
            }
            add(&[prefix.prefix_len()]);
        }
        add(&[u8::from(zone.is_strict), u8::from(zone.is_behind_nat)]);
        add(zone.warning.as_deref().unwrap_or_default().as_bytes());
    }
    let digest = digest.finalize();
    let first = digest.iter().take(DIGEST_BYTES);
    first.fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// As many bytes of a digest as a floating-point number, which is what a metric is, holds exactly.
const DIGEST_BYTES: usize = 6;

/// The sample file: every key with its meaning, unit and default.
pub fn sample(language: Language) -> String {
    let mut text = String::new();
    let head = match language {
        Language::English => HEAD,
        Language::Russian => russian::HEAD,
    };
    comment(&mut text, head);
    let mut defaults = Config::default();
    for section in keys::SECTIONS {
        text.push_str(&format!("\n\n[{}]\n", section.name));
        comment(&mut text, about(section, language));
        for key in section.keys {
            text.push('\n');
            comment(&mut text, &meaning(section, key, language));
            row(&mut text, key, &mut defaults);
        }
        if let Some(example) = example(section, language) {
            text.push_str(&format!("\n#{example}\n"));
        }
    }
    text
}

/// What a section is for.
pub fn about(section: &Section, language: Language) -> &'static str {
    match language {
        Language::English => section.about,
        // A test holds that none is missing.
        Language::Russian => russian::section(section.name).unwrap_or(section.about),
    }
}

/// A line of a section whose keys are names that the operator gives.
pub fn example(section: &Section, language: Language) -> Option<&'static str> {
    match language {
        Language::English => section.example(),
        Language::Russian => russian::example(section.name).or(section.example()),
    }
}

const HEAD: &str = "The configuration of retracker: every key with its meaning, its bounds and its default. This file changes \
    nothing as it stands; keep what you change.\n\
    It is read from where --config says, else from where the variable RETRACKER_CONFIG says, else from /config/config.ini, else from \
    config/config.ini below the working directory; tools and --check-config look for /etc/retracker/config.ini after that, and paths \
    in that one count from /var/lib/retracker. Comments begin a line or stand two blanks behind a value; an indented line continues the value above it; % may be \
    doubled.\n\
    A variable RETRACKER_SECTION_KEY in .env or in the environment overrides a key here, the command line overrides both.";

/// What a key means, what it expects, its default, and whether a change wants a restart; in two lines at least.
pub fn meaning(section: &Section, key: &Key, language: Language) -> String {
    let mut defaults = Config::default();
    let slot = (key.slot)(&mut defaults);
    let default = slot.write();
    let expects = sentence(&slot.expects());
    match language {
        Language::English => {
            let default = or_word(&default, "nothing");
            let restart = if key.is_fixed {
                " Taken at the start."
            } else {
                ""
            };
            format!("{}\n{expects}. Default: {default}.{restart}", key.about)
        }
        // Tests hold that no text is missing.
        Language::Russian => {
            let about = russian::key(section.name, key.name).unwrap_or(key.about);
            let expects = russian::expects(&slot.expects()).unwrap_or(expects);
            let default = or_word(&default, "пусто");
            let restart = if key.is_fixed {
                " Применяется при запуске."
            } else {
                ""
            };
            format!("{about}\n{expects}. По умолчанию: {default}.{restart}")
        }
    }
}

/// The text as a sentence begins.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// The text, or the word for none.
fn or_word<'a>(text: &'a str, nothing: &'a str) -> &'a str {
    if text.is_empty() { nothing } else { text }
}

fn row(text: &mut String, key: &Key, defaults: &mut Config) {
    let value = key.text(defaults);
    if value.is_empty() {
        text.push_str(&format!("{} =\n", key.name));
    } else {
        text.push_str(&format!("{} = {}\n", key.name, escape(&value)));
    }
}

/// Adds `paragraphs` as comment lines, wrapped.
fn comment(text: &mut String, paragraphs: &str) {
    for paragraph in paragraphs.lines() {
        let mut line = String::from("#");
        for word in paragraph.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                text.push_str(&line);
                text.push('\n');
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
    }
}
