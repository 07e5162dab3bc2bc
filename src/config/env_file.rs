//! The `.env` file of the working directory, as python-dotenv reads it: `NAME=value`, quotes, comments.

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub name: String,
    pub value: String,
    /// From 1.
    pub line: usize,
}

/// Reads the variables of a file. Lines without `=` are left out, as are lines that are not UTF-8: the file also serves other
/// programs, so nothing in it is a fault of ours before it names one of our variables.
pub(super) fn parse(bytes: &[u8]) -> Vec<Variable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter_map(|(at, line)| variable(str::from_utf8(line).ok()?.trim(), at + 1))
        .collect()
}

fn variable(text: &str, line: usize) -> Option<Variable> {
    if text.starts_with('#') {
        return None;
    }
    let text = text.strip_prefix("export ").unwrap_or(text);
    let (name, value) = text.split_once('=')?;
    Some(Variable {
        name: name.trim().to_owned(),
        value: unquote(value.trim()),
        line,
    })
}

/// Takes quotes off, or cuts a comment that follows a blank.
fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some((inside, _)) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.rsplit_once(quote))
        {
            return inside.to_owned();
        }
    }
    let comment = [" #", "\t#"]
        .iter()
        .filter_map(|mark| value.find(mark))
        .min();
    let value = value.get(..comment.unwrap_or(value.len())).unwrap_or(value);
    if value.starts_with('#') {
        ""
    } else {
        value.trim_end()
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<(String, String, usize)> {
        let variables = parse(text.as_bytes()).into_iter();
        variables
            .map(|variable| (variable.name, variable.value, variable.line))
            .collect()
    }

    /// C2
    #[test]
    fn variables_are_read_with_quotes_comments_and_export() {
        let text = "\u{feff}# порт\r\nTRACKER_PORT=8088\r\nexport A = 'x # y' # z\n\nB=\"1 2\"\nC=a#b # c\nD=\nnothing\n";
        let expected = [
            ("TRACKER_PORT", "8088", 2),
            ("A", "x # y", 3),
            ("B", "1 2", 5),
            ("C", "a#b", 6),
            ("D", "", 7),
        ];
        let expected =
            expected.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line));
        assert_eq!(values(text), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_give_variables(bytes: Vec<u8>) {
            for variable in parse(&bytes) {
                prop_assert!(!variable.value.contains('\n'));
            }
        }
    }
}
