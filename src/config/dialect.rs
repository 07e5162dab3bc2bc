//! The text of a configuration file in the dialect of Python's configparser: bytes to sections and keys with line numbers.
//!
//! The `ini` crate splits sections, keys and values. It drops continuation lines, knows no comments behind a value and gives
//! no line for a key; so the physical lines are first made into logical ones that each keep the place of their first line.
//! What the keys mean is decided elsewhere.

use ini::{Ini, ParseOption};

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub section: String,
    pub key: String,
    pub value: String,
    /// Where it begins, from 1.
    pub line: usize,
}

/// A whole file: sections in order, also those without keys, and keys in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    pub sections: Vec<(String, usize)>,
    pub entries: Vec<Entry>,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub line: usize,
    pub text: &'static str,
}

/// Reads a file: `=` or `:` between key and value, `#` and `;` comments at the start of a line or after two blanks (or a
/// tab), indented continuation lines (joined with a blank), `%%` for a percent sign (a single one is itself), UTF-8 with or
/// without a mark, any line ends.
///
/// # Errors
/// Every line that cannot be read.
pub(super) fn parse(bytes: &[u8]) -> Result<Document, Vec<Fault>> {
    let mut lines = Lines::default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        lines.fault(1, "the file is UTF-16; save it as UTF-8");
        return Err(lines.faults);
    }
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        lines.take(at + 1, line.strip_suffix(b"\r").unwrap_or(line));
    }
    if lines.faults.is_empty() {
        lines.split()
    } else {
        Err(lines.faults)
    }
}

/// A logical line, checked so far that the `ini` crate cannot see anything else in it.
enum Logical {
    Section(String),
    Entry { key: String, value: String },
}

#[derive(Default)]
struct Lines {
    lines: Vec<(usize, Logical)>,
    faults: Vec<Fault>,
    /// Blanks before the key that may be continued; `None` after a section's header.
    open_indent: Option<usize>,
}

impl Lines {
    fn fault(&mut self, line: usize, text: &'static str) {
        self.faults.push(Fault { line, text });
    }

    fn take(&mut self, number: usize, bytes: &[u8]) {
        let indent = bytes
            .iter()
            .take_while(|byte| is_blank(**byte) || **byte == b'\x0c')
            .count();
        let content = without_comment(bytes.get(indent..).unwrap_or_default());
        if content.is_empty() {
            return;
        }
        let Ok(content) = str::from_utf8(content) else {
            return self.fault(number, "not UTF-8");
        };
        let content = content.trim();
        if content.chars().any(|c| c.is_control() && c != '\t') {
            return self.fault(number, "a control character");
        }
        if content.is_empty() {
            return;
        }
        if self.open_indent.is_some_and(|open| indent > open) {
            if let Some((_, Logical::Entry { value, .. })) = self.lines.last_mut() {
                value.push(' ');
                value.push_str(content);
            }
            return;
        }
        match logical(content) {
            Ok(line) => {
                self.open_indent = matches!(line, Logical::Entry { .. }).then_some(indent);
                if matches!(line, Logical::Entry { .. }) && !self.has_section() {
                    return self.fault(number, "a key before the first [SECTION]");
                }
                self.lines.push((number, line));
            }
            Err(text) => self.fault(number, text),
        }
    }

    fn has_section(&self) -> bool {
        matches!(self.lines.first(), Some((_, Logical::Section(_))))
    }

    /// Lets the `ini` crate split the logical lines; the n-th key it finds stands on the n-th line that holds one.
    fn split(self) -> Result<Document, Vec<Fault>> {
        let mut text = String::new();
        let mut document = Document::default();
        let mut locations = Vec::new();
        for (number, line) in self.lines {
            match line {
                Logical::Section(name) => {
                    text.push_str(&format!("[{name}]\n"));
                    document.sections.push((name, number));
                }
                Logical::Entry { key, value } => {
                    // A backslash at the very end would pull the next line in, whatever the options say.
                    text.push_str(&format!("{key}={value} \n"));
                    locations.push(number);
                }
            }
        }
        let options = ParseOption {
            enabled_quote: false,
            enabled_escape: false,
            ..ParseOption::default()
        };
        let ini = Ini::load_from_str_opt(&text, options).map_err(|_| {
            let text = "not a configuration file";
            vec![Fault { line: 1, text }]
        })?;
        let found = ini.iter().flat_map(|(section, properties)| {
            let section = section.unwrap_or_default();
            properties
                .iter()
                .map(move |(key, value)| (section, key, value))
        });
        for ((section, key, value), line) in found.zip(locations) {
            document.entries.push(Entry {
                section: section.to_owned(),
                key: key.to_owned(),
                value: value.replace("%%", "%"),
                line,
            });
        }
        Ok(document)
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Cuts a comment off: the whole of a line that begins with one, else from two blanks or a tab before `#` or `;` on. Works on
/// bytes, so that a comment may be in any encoding.
fn without_comment(line: &[u8]) -> &[u8] {
    for (at, byte) in line.iter().enumerate() {
        if !matches!(byte, b'#' | b';') {
            continue;
        }
        let before = line.get(..at).unwrap_or_default();
        let is_comment = match before {
            [] | [.., b'\t'] => true,
            [.., one, two] => is_blank(*one) && is_blank(*two),
            [_] => false,
        };
        if is_comment {
            return before;
        }
    }
    line
}

fn logical(content: &str) -> Result<Logical, &'static str> {
    if let Some(rest) = content.strip_prefix('[') {
        let Some((name, rest)) = rest.split_once(']') else {
            return Err("a section's name without its closing `]`");
        };
        if !rest.trim_start().is_empty() && !rest.trim_start().starts_with(['#', ';']) {
            return Err("text behind a section's name");
        }
        return match name.trim() {
            "" => Err("a section without a name"),
            name if name.contains('\\') => Err("a section's name with a backslash"),
            name => Ok(Logical::Section(name.to_owned())),
        };
    }
    let Some((key, value)) = content.split_once(['=', ':']) else {
        return Err("neither a [SECTION] nor `key = value` nor a comment");
    };
    match key.trim() {
        "" => Err("a value without its key"),
        key if key.contains('\\') => Err("a key with a backslash"),
        key => Ok(Logical::Entry {
            key: key.to_owned(),
            value: value.trim().to_owned(),
        }),
    }
}

/// Writes `value` so that [`parse`] gives it back, behind `key = `.
pub(super) fn escape(value: &str) -> String {
    if value.contains("%%") {
        value.replace('%', "%%")
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(text: &str) -> Vec<(String, String, String, usize)> {
        let document = parse(text.as_bytes()).unwrap();
        let fields = |entry: Entry| (entry.section, entry.key, entry.value, entry.line);
        document.entries.into_iter().map(fields).collect()
    }

    fn values(text: &str) -> Vec<String> {
        entries(text).into_iter().map(|entry| entry.2).collect()
    }

    fn fault(text: &[u8]) -> (usize, &'static str) {
        let faults = parse(text).unwrap_err();
        (faults[0].line, faults[0].text)
    }

    /// C1
    #[test]
    fn keys_keep_the_line_they_begin_on() {
        let text = "\u{feff}# Настройки\r\n\r\n[A]\r\nk = v\r\n; note\r\nL: x\r\n   y\r\n\r\n  z\r\n[B]\r\nm=";
        let expected = [
            ("A", "k", "v", 4),
            ("A", "L", "x y z", 6),
            ("B", "m", "", 11),
        ];
        let found = entries(text);
        let found: Vec<_> = found
            .iter()
            .map(|(section, key, value, line)| {
                (section.as_str(), key.as_str(), value.as_str(), *line)
            })
            .collect();
        assert_eq!(found, expected);
    }

    /// C1
    #[test]
    fn a_comment_behind_a_value_needs_two_blanks() {
        assert_eq!(values("[A]\nk = 0.0.0.0  # all\n"), ["0.0.0.0"]);
        assert_eq!(values("[A]\nk = 600 \t; s\nl = 1\t# one"), ["600", "1"]);
        assert_eq!(
            values("[A]\np = a #b;c\nq = p#ss;word"),
            ["a #b;c", "p#ss;word"]
        );
        assert_eq!(values("[A]\nk =  # nothing"), [""]);
    }

    /// C1
    #[test]
    fn percent_signs_may_be_doubled() {
        assert_eq!(
            values("[A]\nf = %(a)s 100%%\ng = %%(a)s"),
            ["%(a)s 100%", "%(a)s"]
        );
    }

    #[test]
    fn quotes_and_backslashes_are_themselves() {
        assert_eq!(
            values("[A]\nk = \"x y\"\np = C:\\new\\\nq = 'z"),
            ["\"x y\"", "C:\\new\\", "'z"]
        );
    }

    #[test]
    fn keys_that_are_all_indented_are_keys() {
        assert_eq!(
            values("[A]\n  k = 1\n  l = 2\n\tm = 3\n  n"),
            ["1", "2", "3 n"]
        );
    }

    #[test]
    fn comments_may_be_in_any_encoding() {
        let document = parse(b"[A]\n# \xcf\xee\xf0\xf2\nk = 1  # \xcf\xee\xf0\xf2\n").unwrap();
        assert_eq!(document.entries[0].value, "1");
        assert_eq!(fault(b"[A]\n\nk = \xcf\xee\n"), (3, "not UTF-8"));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        assert_eq!(fault(b"k = v").0, 1);
        assert_eq!(
            fault(b"[A]\nk\n"),
            (2, "neither a [SECTION] nor `key = value` nor a comment")
        );
        assert_eq!(fault(b"[A\nk = v\n").0, 1);
        assert_eq!(fault(b"[A] b\n").0, 1);
        assert_eq!(fault(b"[]\n").0, 1);
        assert_eq!(fault(b"[A]\n= v\n").0, 2);
        assert_eq!(fault(b"[A]\nk = a\0b\n").0, 2);
        assert_eq!(fault(b"\xff\xfe[\0A\0").0, 1);
    }

    #[test]
    fn sections_without_keys_are_seen_and_headers_may_carry_a_comment() {
        let document = parse(b"[A] # one\n[B]   \n[ C ]\n").unwrap();
        let names: Vec<_> = document
            .sections
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["A", "B", "C"]);
    }

    proptest! {
        /// C1
        #[test]
        fn any_bytes_give_a_document_or_faults(bytes: Vec<u8>) {
            if let Err(faults) = parse(&bytes) {
                prop_assert!(!faults.is_empty());
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            keys in prop::collection::vec(("[a-z_/.-]{1,9}", "([!-~а-я]{1,5} ?){0,4}"), 0..9),
        ) {
            let keys: Vec<_> = keys.iter().map(|(key, value)| (key.as_str(), value.trim())).collect();
            let mut text = String::from("[A]\n");
            for (key, value) in &keys {
                text.push_str(&format!("{key} = {}\n", escape(value)));
            }
            // A value that begins like a comment cannot be written.
            prop_assume!(keys.iter().all(|(_, value)| !value.starts_with(['#', ';'])));
            let found = entries(&text);
            prop_assert_eq!(found.len(), keys.len());
            for ((at, (key, value)), found) in keys.iter().enumerate().zip(found) {
                prop_assert_eq!(found, ("A".into(), (*key).into(), (*value).into(), at + 2));
            }
        }
    }
}
