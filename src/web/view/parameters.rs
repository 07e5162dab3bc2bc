//! The query of a page: read leniently (a bad value is as good as none), and written back into links.

use actix_web::HttpRequest;
use actix_web::web::Query;

use crate::tracker::report::census::LISTED_ROWS;

/// Parameters of one request at most.
const MAX: usize = 32;

/// The parameters of a query, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn of(request: &HttpRequest) -> Parameters {
        let parsed = Query::<Vec<(String, String)>>::from_query(request.query_string());
        // A query that is malformed, which anybody can send, has no parameters.
        let mut pairs = parsed.map(Query::into_inner).unwrap_or_default();
        pairs.truncate(MAX);
        Parameters(pairs)
    }

    /// The first value of this name, without blanks around it; empty values count as none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The page that is asked for, from 1.
    pub(crate) fn page(&self) -> u64 {
        let page = self.text("page").and_then(|page| page.parse::<u64>().ok());
        page.unwrap_or(1).clamp(1, 1_000_000_000)
    }

    /// A link to `path` with these parameters, where `changes` stand for those of their names; an empty value leaves one out.
    pub(crate) fn link(&self, path: &str, changes: &[(&str, &str)]) -> String {
        let is_changed = |key: &str| changes.iter().any(|(name, _)| *name == key);
        let kept = self.0.iter().filter(|(key, _)| !is_changed(key));
        let kept = kept.map(|(key, value)| (key.as_str(), value.as_str()));
        let mut link = String::new();
        for (key, value) in kept.chain(changes.iter().copied()) {
            if value.is_empty() || key.is_empty() {
                continue;
            }
            link.push(if link.is_empty() { '?' } else { '&' });
            link.push_str(&encode(key));
            link.push('=');
            link.push_str(&encode(value));
        }
        format!("{path}{link}")
    }
}

/// A text as it stands in a query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Where a list stands: which page of how many, and the links to others.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Pager {
    page: u64,
    pages: u64,
    total: u64,
    from: u64,
    to: u64,
    first: Option<String>,
    previous: Option<String>,
    next: Option<String>,
    last: Option<String>,
    /// Whether rows stand behind this page that no page shows.
    is_cut: bool,
}

impl Pager {
    /// For a list of `total` rows, of which pages show the first [`LISTED_ROWS`], `rows` to a page, at `page` of `path`.
    pub(crate) fn new(params: &Parameters, path: &str, page: u64, rows: u32, total: u64) -> Pager {
        let rows = u64::from(rows.max(1));
        let listed = total.min(LISTED_ROWS.into());
        let pages = listed.div_ceil(rows).max(1);
        let to = |target: u64| {
            let value = target.to_string();
            let value = if target == 1 { "" } else { &value };
            params.link(path, &[("page", value)])
        };
        let from = (page - 1).saturating_mul(rows);
        Pager {
            page,
            pages,
            total,
            from: (from + 1).min(listed),
            to: from.saturating_add(rows).min(listed),
            first: (page > 1).then(|| to(1)),
            previous: (page > 1).then(|| to((page - 1).min(pages))),
            next: (page < pages).then(|| to(page + 1)),
            last: (page < pages).then(|| to(pages)),
            is_cut: page >= pages && listed < total,
        }
    }
}

/// The head of one column.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Column {
    /// Key of its text.
    label: String,
    /// Link that sorts by it; none when it cannot be sorted by.
    href: Option<String>,
    /// `ascending` or `descending` when the list is sorted by it.
    sorted: Option<&'static str>,
    is_number: bool,
}

impl Column {
    /// A column that cannot be sorted by.
    pub(crate) fn plain(label: &str) -> Column {
        Column {
            label: label.to_owned(),
            href: None,
            sorted: None,
            is_number: false,
        }
    }

    /// The same with figures in it.
    pub(crate) fn figures(label: &str) -> Column {
        Column {
            is_number: true,
            ..Column::plain(label)
        }
    }

    /// Makes it a link that sorts by `key`, in the other direction when it is sorted by that already. `sort_name` is the
    /// parameter that holds the key.
    pub(crate) fn sorting(
        mut self,
        params: &Parameters,
        path: &str,
        sort_name: &str,
        key: &str,
        current: (&str, bool),
    ) -> Column {
        let (current_key, is_descending) = current;
        let is_current = current_key == key;
        let flip = if is_current {
            !is_descending
        } else {
            self.is_number
        };
        let direction = if flip { "desc" } else { "asc" };
        self.href = Some(params.link(path, &[(sort_name, key), ("sort", direction), ("page", "")]));
        self.sorted = is_current.then_some(if is_descending {
            "descending"
        } else {
            "ascending"
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn params(query: &str) -> Parameters {
        Parameters::of(&TestRequest::with_uri(&format!("/x?{query}")).to_http_request())
    }

    /// W5
    #[test]
    fn odd_pages_mean_the_first_one() {
        for query in [
            "",
            "page=",
            "page=abc",
            "page=-1",
            "page=0",
            "page=%00",
            "page=1e9",
            "%zz&&=&page=x",
        ] {
            assert_eq!(params(query).page(), 1, "{query}");
        }
        assert_eq!(params("page=99999999999999999999").page(), 1);
        assert_eq!(params("page=18446744073709551615").page(), 1_000_000_000);
        assert_eq!(params("page=7&page=8").page(), 7);
    }

    #[test]
    fn links_keep_the_other_parameters_and_encode_them() {
        let params = params("q=a%26b%3D%22%3C&page=3&sort=asc");
        assert_eq!(
            params.link("/p", &[("page", "4")]),
            "/p?q=a%26b%3D%22%3C&sort=asc&page=4"
        );
        assert_eq!(
            params.link("/p", &[("page", ""), ("q", ""), ("sort", "")]),
            "/p"
        );
    }

    #[test]
    fn a_page_beyond_the_end_leads_back_to_the_last() {
        let params = params("page=9");
        let pager = Pager::new(&params, "/p", 9, 20, 45);
        assert_eq!((pager.pages, pager.from, pager.to), (3, 45, 45));
        assert_eq!(pager.previous.as_deref(), Some("/p?page=3"));
        assert_eq!(pager.next, None);
        let pager = Pager::new(&params, "/p", 1, 20, 0);
        assert_eq!((pager.pages, pager.from, pager.to), (1, 0, 0));
        assert!(!pager.is_cut);
    }

    /// W5
    #[test]
    fn a_long_list_ends_where_no_page_shows_more() {
        let params = params("page=500");
        let pager = Pager::new(&params, "/p", 499, 20, 10_001);
        assert_eq!((pager.pages, pager.is_cut), (500, false));
        let pager = Pager::new(&params, "/p", 500, 20, 10_001);
        assert_eq!((pager.from, pager.to, pager.is_cut), (9_981, 10_000, true));
        assert_eq!((pager.next, pager.last), (None, None));
        let pager = Pager::new(&params, "/p", 700, 20, 10_001);
        assert_eq!((pager.from, pager.to, pager.is_cut), (10_000, 10_000, true));
        assert!(!Pager::new(&params, "/p", 500, 20, 10_000).is_cut);
    }
}
