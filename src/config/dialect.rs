//! The text of a configuration file in the dialect of Python's configparser: bytes to sections and keys with line numbers.
//!
//! The `ini` crate splits section headers, keys and values. It gives no line for a key, drops continuation lines and knows no
//! comments behind a value; so it is handed one line at a time, and what goes over lines is done here. What the keys mean is
//! decided elsewhere.

use ini::{Ini, ParseOption};

use crate::invariant::present;

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
/// without a byte order mark, any line ends.
///
/// # Errors
/// Every line that cannot be read.
pub(super) fn parse(bytes: &[u8]) -> Result<Document, Vec<Fault>> {
    let mut reader = Reader::default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let text = "the file is UTF-16; save it as UTF-8";
        return Err(vec![Fault { line: 1, text }]);
    }
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Err(text) = reader.take(at + 1, line) {
            reader.faults.push(Fault { line: at + 1, text });
        }
    }
    if reader.faults.is_empty() {
        Ok(reader.document)
    } else {
        Err(reader.faults)
    }
}

/// A file that is being read, line by line.
#[derive(Default)]
struct Reader {
    document: Document,
    faults: Vec<Fault>,
    /// Blanks before the key that may be continued; `None` after a section's header.
    open_indent: Option<usize>,
}

impl Reader {
    fn take(&mut self, line: usize, bytes: &[u8]) -> Result<(), &'static str> {
        let indent = bytes
            .iter()
            .take_while(|byte| is_blank(**byte) || **byte == b'\x0c')
            .count();
        let content = present(bytes.get(indent..), "blanks are part of the line");
        let content = without_comment(content.unwrap_or_default());
        let content = str::from_utf8(content).map_err(|_| "not UTF-8")?.trim();
        if content.chars().any(|c| c.is_control() && c != '\t') {
            return Err("a control character");
        }
        // A no-break space may stand before a comment, as an editor leaves it.
        if content.is_empty() || content.starts_with(['#', ';']) {
            return Ok(());
        }
        if self.open_indent.is_some_and(|open| indent > open) {
            self.continue_value(content);
            return Ok(());
        }
        let (key, value) = match split(content)? {
            Line::Section(name) => {
                self.open_indent = None;
                self.document.sections.push((name, line));
                return Ok(());
            }
            Line::Entry { key, value } => (key, value),
        };
        self.open_indent = Some(indent);
        let Some((section, _)) = self.document.sections.last() else {
            return Err("a key before the first [SECTION]");
        };
        self.document.entries.push(Entry {
            section: section.clone(),
            key,
            value: unescape(&value),
            line,
        });
        Ok(())
    }

    fn continue_value(&mut self, more: &str) {
        // There is none when the key itself was at fault.
        if let Some(Entry { value, .. }) = self.document.entries.last_mut() {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(&unescape(more));
        }
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
        let before = present(line.get(..at), "a mark is part of the line").unwrap_or_default();
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

/// A line that begins something.
enum Line {
    Section(String),
    Entry { key: String, value: String },
}

/// Has the `ini` crate split one line, from which comments and outer blanks are gone.
fn split(content: &str) -> Result<Line, &'static str> {
    let content = without_comment_behind_header(content);
    let options = ParseOption {
        enabled_quote: false,
        enabled_escape: false,
        ..ParseOption::default()
    };
    // With a blank behind it, since a backslash at the very end would be taken for a continuation, whatever the options say.
    let ini = Ini::load_from_str_opt(&format!("{content} \n"), options);
    let ini = ini.map_err(|_| why_not(content))?;
    let mut found = None;
    for (section, properties) in &ini {
        match (section, properties.iter().next()) {
            (Some(_), Some(_)) => return Err("text behind a section's name"),
            (Some(name), None) => found = Some(Line::Section(name.to_owned())),
            (None, Some((key, value))) => {
                let (key, value) = (key.to_owned(), value.trim().to_owned());
                found = Some(Line::Entry { key, value });
            }
            (None, None) => {}
        }
    }
    match found.ok_or_else(|| why_not(content))? {
        Line::Section(name) if name.is_empty() => Err("a section without a name"),
        // The path of a zone as Windows would write it would be a zone of one part.
        Line::Entry { key, .. } if key.contains('\\') => Err("a key with a backslash"),
        line => Ok(line),
    }
}

/// A header may carry its comment without a blank before it.
fn without_comment_behind_header(content: &str) -> &str {
    let behind = content
        .strip_prefix('[')
        .and_then(|header| header.split_once(']'));
    match behind {
        Some((_, rest)) if rest.trim_start().starts_with(['#', ';']) => {
            content.strip_suffix(rest).unwrap_or(content)
        }
        _ => content,
    }
}

/// What is wrong with a line that the `ini` crate does not take.
fn why_not(content: &str) -> &'static str {
    if content.starts_with(['=', ':']) {
        "a value without its key"
    } else if !content.starts_with('[') {
        "neither a [SECTION] nor `key = value` nor a comment"
    } else if content.contains(']') {
        "text behind a section's name"
    } else {
        "a section's name without its closing `]`"
    }
}

fn unescape(value: &str) -> String {
    value.replace("%%", "%")
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

    /// C1
    #[test]
    fn a_comment_behind_a_no_break_space_moves_no_line() {
        let text = "[A]\n\u{a0}# k = 1\nl = 2\n\u{a0}\nm = 3\n  \u{2003}; x\n";
        let lines: Vec<usize> = entries(text).into_iter().map(|entry| entry.3).collect();
        assert_eq!(lines, [3, 5]);
        assert_eq!(values(text), ["2", "3"]);
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
