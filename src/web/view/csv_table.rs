//! Tables as CSV (RFC 4180): lines end in CR LF, the first names the columns, cells are quoted where they must be. What spreadsheets
//! would take for a formula is led by an apostrophe, for clients name themselves and operators write reasons.

use std::fmt::Display;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use csv::{Terminator, Writer, WriterBuilder};

use super::language::moment;
use super::parameters::Parameters;
use crate::clock::Wall;
use crate::invariant::present;

/// A table in the making. It is as long as the page that it belongs to may be in all: the caller bounds its rows.
#[derive(Debug)]
pub(crate) struct Csv {
    writer: Writer<Vec<u8>>,
}

impl Csv {
    /// A table with these columns, named as in the API.
    pub(crate) fn new(columns: &[&str]) -> Csv {
        let mut writer = WriterBuilder::new();
        let mut csv = Csv {
            writer: writer.terminator(Terminator::CRLF).from_writer(Vec::new()),
        };
        let cells: Vec<&dyn Display> = columns.iter().map(|name| name as &dyn Display).collect();
        csv.row(&cells);
        csv
    }

    /// Adds a row, a cell for each column.
    pub(crate) fn row(&mut self, cells: &[&dyn Display]) {
        let cells = cells.iter().map(|cell| no_formula(cell.to_string()));
        let written = self.writer.write_record(cells);
        debug_assert!(
            written.is_ok(),
            "memory takes all, and there is a cell for each column"
        );
    }

    fn into_bytes(self) -> Vec<u8> {
        present(self.writer.into_inner().ok(), "memory takes all").unwrap_or_default()
    }

    /// The table as a file that browsers save under this name, which is made of letters and dashes.
    pub(crate) fn reply(self, name: &str) -> HttpResponse {
        let disposition = format!("attachment; filename=\"retracker-{name}.csv\"");
        HttpResponse::Ok()
            .content_type("text/csv; charset=utf-8; header=present")
            .insert_header((CONTENT_DISPOSITION, disposition))
            .body(self.into_bytes())
    }
}

fn no_formula(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell
    }
}

/// The table that is asked for as CSV: one of `tables`, the first where none is named. Nothing when a page is asked for.
pub(crate) fn wanted(params: &Parameters, tables: &[&'static str]) -> Option<&'static str> {
    params.text("format").filter(|format| *format == "csv")?;
    let named = params.text("table");
    let found = tables.iter().find(|table| Some(**table) == named);
    found.or(tables.first()).copied()
}

/// A time as ISO 8601 has it.
pub(crate) fn iso(wall: u64) -> String {
    format!("{}Z", moment(Wall(wall)).replace(' ', "T"))
}

/// A share with as many places as anybody compares.
pub(crate) fn places(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    /// W15
    #[test]
    fn cells_are_quoted_where_they_must_be_and_no_cell_is_a_formula() {
        let mut csv = Csv::new(&["name", "count"]);
        for text in [
            "plain",
            "a,b",
            "say \"x\"",
            "two\r\nlines",
            "=1+1",
            "+1",
            "-qB4650-",
            "@SUM(A1)",
            "\t=1",
            "=\"x\",1",
            "спам",
        ] {
            csv.row(&[&text, &7]);
        }
        let expected = "name,count\r\nplain,7\r\n\"a,b\",7\r\n\"say \"\"x\"\"\",7\r\n\"two\r\nlines\",7\r\n\
                        '=1+1,7\r\n'+1,7\r\n'-qB4650-,7\r\n'@SUM(A1),7\r\n'\t=1,7\r\n\
                        \"'=\"\"x\"\",1\",7\r\nспам,7\r\n";
        assert_eq!(String::from_utf8(csv.into_bytes()).unwrap(), expected);
    }

    /// The one cell of a row, as RFC 4180 reads it.
    fn read(row: &str) -> String {
        let row = row.strip_suffix("\r\n").unwrap();
        match row.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"').unwrap().replace("\"\"", "\""),
            None => row.to_owned(),
        }
    }

    proptest! {
        /// W15
        #[test]
        fn any_text_is_one_cell_and_no_formula(text in any::<String>()) {
            let mut csv = Csv::new(&["x"]);
            csv.row(&[&text]);
            let text_of_table = String::from_utf8(csv.into_bytes()).unwrap();
            let row = text_of_table.strip_prefix("x\r\n").unwrap();
            let cell = read(row);
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
            prop_assert_eq!(cell.strip_prefix('\'').unwrap_or(&cell), text.strip_prefix('\'').unwrap_or(&text));
            let inner = row.strip_prefix('"').and_then(|row| row.strip_suffix("\"\r\n"));
            let is_whole = inner.map_or(!row.contains(['"', ',']), |inner| !inner.replace("\"\"", "").contains('"'));
            prop_assert!(is_whole, "{row}");
        }
    }

    #[test]
    fn a_table_is_named_or_the_first() {
        let params = |query: &str| {
            Parameters::of(&TestRequest::with_uri(&format!("/x?{query}")).to_http_request())
        };
        let tables = ["peers", "zones"];
        assert_eq!(wanted(&params("format=csv"), &tables), Some("peers"));
        assert_eq!(
            wanted(&params("format=csv&table=zones"), &tables),
            Some("zones")
        );
        assert_eq!(
            wanted(&params("format=csv&table=x"), &tables),
            Some("peers")
        );
        assert_eq!(wanted(&params("table=zones"), &tables), None);
        assert_eq!(wanted(&params("format=json"), &tables), None);
    }

    #[test]
    fn times_are_told_as_iso_8601_has_them() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(places(33.333_3), "33.33");
    }
}
