//! Placeholders in the commands that start clients: `{name}`, of small letters, digits and underscores, a letter first. `{{name}}` stands
//! for `{name}` as it is; behind `$` and `%` braces are a shell's, or another program's, and stay as they are, and so do all others.

use anyhow::bail;

/// A part of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    /// As it is.
    Text(&'a str),
    /// A placeholder of this name.
    Name(&'a str),
}

/// The word with what its placeholders stand for. What is filled in is not looked at again.
///
/// # Errors
/// When a placeholder has no value.
pub(super) fn fill(word: &str, values: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut filled = String::new();
    for part in parts(word) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Name(name) => {
                let value = values.iter().find(|(there, _)| *there == name);
                let Some((_, value)) = value else {
                    let there: Vec<String> = values
                        .iter()
                        .map(|(there, _)| format!("{{{there}}}"))
                        .collect();
                    bail!(
                        "{{{name}}} in the command stands for nothing: there are {}; to pass {{{name}}} as it is, write {{{{{name}}}}}",
                        there.join(", ")
                    );
                };
                filled.push_str(value);
            }
        }
    }
    Ok(filled)
}

/// Whether a word has a placeholder of this name.
pub(super) fn has(word: &str, name: &str) -> bool {
    parts(word).contains(&Part::Name(name))
}

fn parts(word: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('{') {
        let is_open = !before.ends_with(['$', '%']);
        let name = name_before(behind, "}").filter(|_| is_open);
        let doubled = behind.strip_prefix('{').filter(|_| is_open);
        let literal = doubled.and_then(|behind| name_before(behind, "}}"));
        parts.push(Part::Text(before));
        if let Some((name, behind)) = name {
            parts.push(Part::Name(name));
            rest = behind;
        } else if let Some((name, behind)) = literal {
            parts.extend([Part::Text("{"), Part::Text(name), Part::Text("}")]);
            rest = behind;
        } else {
            parts.push(Part::Text("{"));
            rest = behind;
        }
    }
    parts.push(Part::Text(rest));
    parts
}

/// The name that something begins with, closed by `end`, and what follows.
fn name_before<'a>(text: &'a str, end: &str) -> Option<(&'a str, &'a str)> {
    let is_of_it = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let length = text.find(|c| !is_of_it(c))?;
    let (name, behind) = text.split_at_checked(length)?;
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase());
    Some((name, behind.strip_prefix(end)?)).filter(|_| is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &[(&str, &str)] = &[("http", "http://[::1]:1/{udp}"), ("udp6", "u")];

    /// O27, O29: placeholders are filled in, once; what is none stays as it is.
    #[test]
    fn what_is_no_placeholder_stays_as_it_is() {
        for (word, expected) in [
            ("", ""),
            ("--url={http}", "--url=http://[::1]:1/{udp}"),
            ("{udp6}{udp6}é{", "uué{"),
            ("{{http}} {{{udp6}}}", "{http} {{udp6}}"),
            ("{{nothing}}", "{nothing}"),
            (
                "${http} %{http_code} ${port}",
                "${http} %{http_code} ${port}",
            ),
            ("$ {udp6}", "$ u"),
            (
                "{} {Http} {a b} {4} {a,b} {a{b",
                "{} {Http} {a b} {4} {a,b} {a{b",
            ),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
        ] {
            assert_eq!(fill(word, VALUES).unwrap(), expected, "{word}");
        }
        assert!(has("a{http}", "http") && !has("a${http}{{http}}", "http"));
    }

    /// O27, O29: a placeholder that is misspelt is refused, and what would be right is said.
    #[test]
    fn a_misspelt_placeholder_is_refused() {
        for word in ["{htp}", "--x={htp}/y", "{http}{htp}"] {
            let error = fill(word, VALUES).unwrap_err().to_string();
            let expected = "{htp} in the command stands for nothing: there are {http}, {udp6}; to pass {htp} as it is, write {{htp}}";
            assert_eq!(error, expected, "{word}");
        }
    }
}
