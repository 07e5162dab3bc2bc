//! Prefixes from NetBox: what its API answers to `/api/ipam/prefixes/`, one page or several, or a bare list of prefixes.

use std::collections::HashSet;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};

use super::found::{Found, Place};
use super::template::Template;
use crate::config;

/// One page of the API. What it holds is read prefix by prefix, so that a large answer does not stand in memory twice.
#[derive(Deserialize)]
struct Page<'a> {
    /// How many prefixes all pages have together.
    count: Option<u64>,
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

/// How many prefixes the pages of all files hold, and how many there should be.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Each prefix once, however often its page is handed in.
    held: HashSet<Identity>,
    count: u64,
}

/// By what a prefix of NetBox is known again: two may be of one network, in two VRFs.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Identity {
    Id(u64),
    /// Of one without a number, all that is said of it.
    Text(Box<str>),
}

/// Of an entry, its number.
#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

impl Identity {
    fn of(entry: &RawValue) -> Identity {
        match serde_json::from_str::<Numbered>(entry.get()) {
            Ok(Numbered { id }) => Identity::Id(id),
            Err(_) => Identity::Text(entry.get().into()),
        }
    }
}

impl Pages {
    /// Reads documents that follow one another, each a page, a list of pages or a list of prefixes.
    ///
    /// # Errors
    /// It is no JSON of this kind; entries that cannot be used are noted in `found`.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        template: &Template,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = str::from_utf8(bytes).context("not UTF-8")?;
        let mut number = 0;
        for document in Deserializer::from_str(text).into_iter::<&RawValue>() {
            let document = document.context("no JSON")?.get();
            if document.starts_with('[') {
                for entry in serde_json::from_str::<Vec<&RawValue>>(document)? {
                    if is_page(entry) {
                        self.page(entry.get(), &mut number, template, found)?;
                    } else {
                        number += 1;
                        take(entry, number, template, found);
                    }
                }
            } else {
                self.page(document, &mut number, template, found)?;
            }
        }
        Ok(())
    }

    fn page(
        &mut self,
        text: &str,
        number: &mut u64,
        template: &Template,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        let page: Page<'_> = serde_json::from_str(text).context(
            "no answer of NetBox: an object with `results` is expected, or a list of prefixes",
        )?;
        self.count = self.count.max(page.count.unwrap_or(0));
        for entry in page.results {
            *number += 1;
            self.held.insert(Identity::of(entry));
            take(entry, *number, template, found);
        }
        Ok(())
    }

    /// Whether nothing is missing.
    ///
    /// # Errors
    /// NetBox has more prefixes than the pages hold.
    pub(super) fn finish(&self) -> anyhow::Result<()> {
        ensure!(
            self.held.len() as u64 >= self.count,
            "{} of {} prefixes: the answer has more pages; hand in all of them, or ask for `?limit=0`",
            self.held.len(),
            self.count
        );
        Ok(())
    }
}

/// Whether an entry of a list is a page and no prefix.
fn is_page(entry: &RawValue) -> bool {
    serde_json::from_str::<Page<'_>>(entry.get()).is_ok()
}

fn take(entry: &RawValue, number: u64, template: &Template, found: &mut Found) {
    let place = Place::Entry(number);
    match read_entry(entry) {
        Ok((prefix, entry)) => {
            let path = template.fill(false, |field| field.of_json(&entry));
            found.add(place, prefix, path);
        }
        Err(error) => found.refuse(place, &format!("{error:#}")),
    }
}

fn read_entry(entry: &RawValue) -> anyhow::Result<(ipnet::IpNet, Value)> {
    let mut entry: Value = serde_json::from_str(entry.get())?;
    let Some(prefix) = entry.get("prefix").and_then(Value::as_str) else {
        bail!("no prefix; an object with `prefix` is expected, as 192.0.2.0/24");
    };
    let prefix = config::network(prefix).map_err(anyhow::Error::msg)?;
    // Since NetBox 4.2 a prefix has a scope, which may be a site, where it had a site.
    let is_site = entry.get("scope_type").and_then(Value::as_str) == Some("dcim.site");
    if is_site && entry.get("site").is_none_or(Value::is_null) {
        let site = entry.get("scope").cloned();
        if let (Some(site), Some(entry)) = (site, entry.as_object_mut()) {
            entry.insert("site".into(), site);
        }
    }
    Ok((prefix, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"id": 7, "prefix": "192.0.2.0/24", "site": {"name": "North", "slug": "north"}, "role": {"name": "Access"}}"#;
    const OTHER: &str = r#"{"prefix": "2001:db8::/32", "scope_type": "dcim.site", "scope": {"name": "South"}, "role": null}"#;

    fn import(text: &str) -> anyhow::Result<Found> {
        let mut found = Found::default();
        found.begin("n".into());
        let mut pages = Pages::default();
        let template = Template::parse("{site}/{role}").map_err(anyhow::Error::msg)?;
        pages.read(text.as_bytes(), &template, &mut found)?;
        pages.finish()?;
        Ok(found)
    }

    /// O14
    #[test]
    fn a_page_several_pages_and_a_bare_list_say_the_same() {
        for text in [
            format!(r#"{{"count": 2, "next": null, "results": [{ONE}, {OTHER}]}}"#),
            format!(r#"{{"count": 2, "results": [{ONE}]}}{{"count": 2, "results": [{OTHER}]}}"#),
            format!(
                r#"[{{"count": 2, "results": [{ONE}]}}, {{"count": 2, "results": [{OTHER}]}}]"#
            ),
            format!("\u{feff} [{ONE},\n{OTHER}]\n"),
        ] {
            let found = import(&text).unwrap();
            assert_eq!(found.complaint(), "");
            assert!(
                found
                    .written()
                    .ends_with("\n192.0.2.0/24 North/Access\n2001:db8::/32 South\n"),
                "{}",
                found.written()
            );
        }
    }

    /// O14
    #[test]
    fn an_answer_that_is_not_whole_is_no_answer() {
        let error = import(&format!(r#"{{"count": 5, "results": [{ONE}]}}"#)).unwrap_err();
        assert!(error.to_string().contains("1 of 5 prefixes"), "{error}");
        // A page handed in twice stands for no other.
        for one in [ONE, OTHER] {
            let page = format!(r#"{{"count": 3, "results": [{one}]}}"#);
            let error = import(&format!("{page}{page}{page}")).unwrap_err();
            assert!(error.to_string().contains("1 of 3 prefixes"), "{error}");
        }
        for text in ["{", "{}", "7", r#"{"results": 7}"#, "{\"results\": [}"] {
            assert!(import(text).is_err(), "{text}");
        }
    }

    /// O14
    #[test]
    fn a_bad_entry_is_told_with_its_number() {
        let found = import(
            r#"[{"prefix": "192.0.2.9/24"}, 7, {"prefix": "192.0.2.0/24", "role": {"name": "x"}}]"#,
        );
        let told = found.unwrap().complaint();
        for line in [
            "n, entry 1: `192.0.2.9/24` has bits set behind its length: as a network it is 192.0.2.0/24",
            "n, entry 2: no prefix",
            "n, entry 3: 192.0.2.0/24: no value for {site}",
        ] {
            assert!(told.contains(line), "{line}\n{told}");
        }
    }
}
