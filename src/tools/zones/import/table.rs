//! Prefixes from a table: a header, and columns that commas, semicolons or tabs separate (RFC 4180).

use anyhow::{Context, bail, ensure};
use csv::{ByteRecord, Position, ReaderBuilder};

use super::found::{Found, Place};
use super::template::Template;
use crate::config;

/// What separates columns.
const SEPARATORS: [u8; 3] = *b",;\t";

/// Names of the column of prefixes, where none is given.
const PREFIX_NAMES: [&str; 5] = ["prefix", "network", "subnet", "cidr", "net"];

/// Names of a column of whole paths, where no template is given.
const PATH_NAMES: [&str; 2] = ["zone", "path"];

/// What the table's columns mean.
#[derive(Debug)]
struct Columns {
    names: Vec<String>,
    prefix: usize,
    template: Template,
}

/// Reads a table. `prefix` is the column of prefixes, `template` how the path is made of the others.
///
/// # Errors
/// The table has no header that fits; rows that cannot be used are noted in `found`.
pub(super) fn read(
    bytes: &[u8],
    prefix: Option<&str>,
    template: Option<&Template>,
    found: &mut Found,
) -> anyhow::Result<()> {
    ensure!(
        !bytes.starts_with(b"\xff\xfe") && !bytes.starts_with(b"\xfe\xff"),
        "a table in UTF-16; save it as \"CSV UTF-8\""
    );
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut rows = ReaderBuilder::new()
        .delimiter(separator(bytes))
        .flexible(true)
        .from_reader(bytes);
    let header = rows.byte_headers().context("the header cannot be read")?;
    let columns = Columns::new(header, prefix, template)?;
    let mut row = ByteRecord::new();
    while rows.read_byte_record(&mut row)? {
        let line = row.position().map_or(0, |position| line(bytes, position));
        if let Err(why) = columns.take(&row, line, found) {
            found.refuse(Place::Line(line), &why);
        }
    }
    Ok(())
}

/// The line on which a row begins, from 1. The reader passes over ends of lines that come before it.
fn line(bytes: &[u8], position: &Position) -> u64 {
    let from = usize::try_from(position.byte()).ok();
    let rest = from.and_then(|from| bytes.get(from..)).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + blank.filter(|byte| **byte == b'\n').count() as u64
}

/// What separates the columns of the header: that of which it has most.
fn separator(bytes: &[u8]) -> u8 {
    let mut counts = [0_usize; SEPARATORS.len()];
    let mut is_quoted = false;
    for byte in bytes.iter().take_while(|byte| **byte != b'\n') {
        is_quoted ^= *byte == b'"';
        let known = SEPARATORS.iter().position(|known| known == byte);
        if let Some(count) = known.and_then(|at| counts.get_mut(at))
            && !is_quoted
        {
            *count += 1;
        }
    }
    // Of equally many the first, so the last of the reversed.
    let most = SEPARATORS.iter().zip(counts).rev();
    most.max_by_key(|(_, count)| *count)
        .map_or(b',', |(separator, _)| *separator)
}

impl Columns {
    fn new(
        header: &ByteRecord,
        prefix: Option<&str>,
        template: Option<&Template>,
    ) -> anyhow::Result<Columns> {
        let names: Vec<String> = header
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        let all = names.join(", ");
        ensure!(
            !all.is_empty(),
            "an empty table; the first line names the columns"
        );
        let at = |name: &str| at(&names, name);
        let prefix = match prefix {
            Some(name) => {
                at(name).with_context(|| format!("no column {name}; the columns are {all}"))?
            }
            None => PREFIX_NAMES.iter().find_map(|name| at(name)).with_context(|| {
                format!("which column holds the prefixes? Say it, as --prefix NAME; the columns are {all}")
            })?,
        };
        let template = match template {
            Some(template) => template.clone(),
            None => {
                let whole = PATH_NAMES.iter().find(|name| at(name).is_some());
                let whole = whole.with_context(|| {
                    format!("which columns make the path? Say it, as --path '{{city}}/{{street}}'; the columns are {all}")
                })?;
                Template::parse(&format!("{{{whole}}}")).map_err(anyhow::Error::msg)?
            }
        };
        if let Some(field) = template.fields().find(|field| at(&field.name).is_none()) {
            bail!("no column {}; the columns are {all}", field.name);
        }
        Ok(Columns {
            names,
            prefix,
            template,
        })
    }

    /// Takes one row.
    fn take(&self, row: &ByteRecord, line: u64, found: &mut Found) -> Result<(), String> {
        let (has, wants) = (row.len(), self.names.len());
        if has != wants {
            return Err(format!("{has} columns, where the header has {wants}"));
        }
        let cell = |at: usize| {
            let text = str::from_utf8(row.get(at).unwrap_or_default());
            text.map_err(|_| "not UTF-8; save the table as \"CSV UTF-8\"".to_owned())
        };
        let prefix = cell(self.prefix)?.trim();
        if prefix.is_empty() {
            return Err("no prefix; one is expected, as 192.0.2.0/24".into());
        }
        let prefix = config::network(prefix)?;
        // A table may have whole paths in one column, so `/` is a level there.
        let path = self.template.fill(true, |field| {
            let at = at(&self.names, &field.name).unwrap_or(usize::MAX);
            Ok(field.of_text(cell(at)?))
        });
        found.add(Place::Line(line), prefix, path);
        Ok(())
    }
}

/// The column of a name, whatever its case.
fn at(names: &[String], name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    names.iter().position(|known| known.to_lowercase() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(text: &[u8], template: Option<&str>) -> anyhow::Result<Found> {
        let mut found = Found::default();
        found.begin("t".into());
        let template = template.map(|text| Template::parse(text).unwrap());
        read(text, None, template.as_ref(), &mut found)?;
        Ok(found)
    }

    /// O14
    #[test]
    fn commas_semicolons_and_tabs_separate_and_quotes_hold_together() {
        let lines = "\n192.0.2.0/24 msk/север\n2001:db8:7::/48 msk/юг, 2\n";
        for table in [
            "prefix,City,part\r\n192.0.2.0/24,msk,север\r\n2001:db8:7::/48,msk,\"юг, 2\"\r\n",
            "\u{feff}City;Prefix;Part\nmsk;192.0.2.0/24;север\nmsk;2001:db8:7::/48;юг, 2\n",
            "part\tcity\tSUBNET\nсевер\tmsk\t192.0.2.0/24\nюг, 2\tmsk\t2001:db8:7::/48",
        ] {
            let found = import(table.as_bytes(), Some("{city}/{part}")).unwrap();
            assert_eq!(found.complaint(), "");
            assert!(found.written().ends_with(lines), "{}", found.written());
        }
        let whole = import(b"prefix,zone\n192.0.2.9,msk/north\n", None).unwrap();
        assert!(whole.written().ends_with("\n192.0.2.9/32 msk/north\n"));
    }

    /// O14
    #[test]
    fn a_bad_row_is_told_with_its_line_and_what_would_be_right() {
        let table = b"prefix,zone\n\n192.0.2.1/24,a\n192.0.2.0/24\n,a\n203.0.113.0/24,\n198.51.100.0/24,\xcf\n\"198.51.100.0/25\",\"a\nb\"\n1.2.3/8,a\n";
        let told = import(table, None).unwrap().complaint();
        for line in [
            "t, line 3: `192.0.2.1/24` has bits set behind its length: as a network it is 192.0.2.0/24",
            "t, line 4: 1 columns, where the header has 2",
            "t, line 5: no prefix; one is expected, as 192.0.2.0/24",
            "t, line 6: 203.0.113.0/24: no value for {zone}; {zone|other} would put `other` there",
            "t, line 7: 198.51.100.0/24: not UTF-8; save the table as \"CSV UTF-8\"",
            "t, line 8: 198.51.100.0/25: `a\nb` is no zone: it holds a character that is not seen",
            "t, line 10: `1.2.3/8` is neither an address nor a network",
        ] {
            assert!(told.contains(line), "{line}\n{told}");
        }
        let told = import(b"prefix,zone\r\n192.0.2.0/24,a\r\n\r\n1,a\r\n", None);
        assert!(told.unwrap().complaint().contains("t, line 4: `1` is"));
    }

    /// O14
    #[test]
    fn a_table_whose_columns_are_not_known_is_refused_with_their_names() {
        for (table, template, told) in [
            ("a,b\n", None, "--prefix NAME; the columns are a, b"),
            (
                "prefix,b\n",
                None,
                "--path '{city}/{street}'; the columns are prefix, b",
            ),
            (
                "prefix,b\n",
                Some("{c}"),
                "no column c; the columns are prefix, b",
            ),
            ("", None, "an empty table"),
            ("\u{feff}", None, "an empty table"),
        ] {
            let error = import(table.as_bytes(), template).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        assert!(import(b"\xff\xfea\0", None).is_err());
    }
}
