//! Prefixes from a MaxMind DB file (MMDB): networks with their country, autonomous system or whatever else it holds.

use std::collections::HashMap;

use anyhow::Context;
use ipnet::IpNet;
use maxminddb::{Reader, WithinOptions};
use serde_json::Value;

use super::found::{Found, Place};
use super::template::{Filled, Template};
use crate::config;

/// Before the description at the end of such a file.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// How far from the end the mark may stand (the format's own bound).
const MARK_WITHIN: usize = 128 << 10;

/// Whether it is such a file.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let tail = bytes.get(bytes.len().saturating_sub(MARK_WITHIN)..);
    tail.is_some_and(|tail| memchr::memmem::rfind(tail, MARK).is_some())
}

/// Reads all networks of a database; `is_wanted` says of which a zone is made. Where a network has none of what the template
/// names, it is left out: databases of countries have holes.
///
/// # Errors
/// It cannot be read, or it is not known what its zones are named after.
pub(super) fn read(
    bytes: &[u8],
    template: Option<&Template>,
    is_wanted: impl Fn(&IpNet) -> bool,
    found: &mut Found,
) -> anyhow::Result<()> {
    let database = Reader::from_source(bytes).context("the database cannot be read")?;
    let kind = database.metadata().database_type.clone();
    let template = match template {
        Some(template) => template.clone(),
        None => by_kind(&kind).with_context(|| {
            format!("what are zones named after? Say it, as --path '{{country.iso_code}}'; the database is of type {kind}")
        })?,
    };
    // Very many networks share few records.
    let mut paths: HashMap<usize, Result<Filled, String>> = HashMap::new();
    let mut number = 0;
    for network in database.networks(WithinOptions::default())? {
        let network = network.context("the database is damaged")?;
        number += 1;
        let (place, text) = (Place::Entry(number), network.network()?.to_string());
        let prefix = match config::network(&text) {
            Ok(prefix) => prefix,
            Err(why) => {
                found.refuse(place, &why);
                continue;
            }
        };
        if !is_wanted(&prefix) {
            continue;
        }
        let Some(offset) = network.offset() else {
            continue;
        };
        let path = match paths.get(&offset) {
            Some(path) => path.clone(),
            None => {
                let record: Option<Value> = network.decode().context("the database is damaged")?;
                let record = record.unwrap_or_default();
                let path = template.fill(false, |field| field.of_json(&record));
                paths.insert(offset, path.clone());
                path
            }
        };
        match path {
            Ok(_) => found.add(place, prefix, path),
            Err(_) => found.left_out += 1,
        }
    }
    Ok(())
}

/// What zones are named after where nobody says it.
fn by_kind(kind: &str) -> Option<Template> {
    let kind = kind.to_ascii_lowercase();
    let text = if kind.contains("asn") || kind.contains("isp") {
        "AS{autonomous_system_number}"
    } else if kind.contains("country") || kind.contains("city") {
        "{country.iso_code}"
    } else {
        return None;
    };
    Template::parse(text).ok()
}

#[cfg(test)]
pub(in crate::tools::zones) mod sample {
    //! Small databases, made as the format's specification says (version 2.0).

    /// A map of strings and numbers.
    #[derive(Clone)]
    pub(in crate::tools::zones) enum Datum {
        Text(&'static str),
        Number(u32),
        Short(u16),
        Wide(u64),
        Map(Vec<(&'static str, Datum)>),
    }

    fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
        let size = u8::try_from(size).ok().filter(|size| *size < 29);
        out.push(kind << 5 | size.expect("fits into the control byte"));
    }

    fn number(count: usize) -> u32 {
        count.try_into().unwrap()
    }

    fn encode(out: &mut Vec<u8>, datum: &Datum) {
        match datum {
            Datum::Text(text) => {
                control(out, 2, text.len());
                out.extend(text.as_bytes());
            }
            Datum::Number(number) => {
                control(out, 6, 4);
                out.extend(number.to_be_bytes());
            }
            Datum::Short(number) => {
                control(out, 5, 2);
                out.extend(number.to_be_bytes());
            }
            Datum::Wide(number) => {
                // Kinds from 8 on stand in a byte of their own, less 7.
                control(out, 0, 8);
                out.push(9 - 7);
                out.extend(number.to_be_bytes());
            }
            Datum::Map(entries) => {
                control(out, 7, entries.len());
                for (key, value) in entries {
                    encode(out, &Datum::Text(key));
                    encode(out, value);
                }
            }
        }
    }

    /// A database of IPv4 networks, each with a record.
    pub(in crate::tools::zones) fn database(
        kind: &'static str,
        networks: &[(&str, Datum)],
    ) -> Vec<u8> {
        const NONE: u32 = u32::MAX;
        let mut data = Vec::new();
        // Left and right of every node: a node, or from `LEAF` on a place in the data.
        const LEAF: u32 = 1 << 24;
        let mut nodes = vec![[NONE; 2]];
        for (network, record) in networks {
            let net: ipnet::Ipv4Net = network.parse().unwrap();
            let (bits, mut at) = (u32::from(net.addr()), 0);
            let place = number(data.len());
            encode(&mut data, record);
            for depth in 0..net.prefix_len() {
                let side = (bits >> (31 - depth) & 1) as usize;
                if depth + 1 == net.prefix_len() {
                    nodes[at][side] = LEAF + place;
                } else if nodes[at][side] == NONE {
                    nodes.push([NONE; 2]);
                    nodes[at][side] = number(nodes.len() - 1);
                    at = nodes.len() - 1;
                } else {
                    at = nodes[at][side] as usize;
                }
            }
        }
        let count = number(nodes.len());
        let mut file = Vec::new();
        for record in nodes.iter().flatten() {
            let value = match *record {
                NONE => count,
                leaf if leaf >= LEAF => count + 16 + (leaf - LEAF),
                node => node,
            };
            file.extend(&value.to_be_bytes()[1..]);
        }
        file.extend([0; 16]);
        file.extend(data);
        file.extend(super::MARK);
        encode(
            &mut file,
            &Datum::Map(vec![
                ("node_count", Datum::Number(count)),
                ("record_size", Datum::Short(24)),
                ("ip_version", Datum::Short(4)),
                ("database_type", Datum::Text(kind)),
                ("binary_format_major_version", Datum::Short(2)),
                ("binary_format_minor_version", Datum::Short(0)),
                ("build_epoch", Datum::Wide(1)),
                ("description", Datum::Map(Vec::new())),
            ]),
        );
        // An empty list (11).
        let languages = [b"\x49languages".as_slice(), &[0, 4]].concat();
        let at = memchr::memmem::rfind(&file, super::MARK).unwrap() + super::MARK.len();
        file[at] += 1;
        file.extend(languages);
        file
    }

    /// A record of a database of countries.
    pub(in crate::tools::zones) fn country(code: &'static str) -> Datum {
        Datum::Map(vec![(
            "country",
            Datum::Map(vec![("iso_code", Datum::Text(code))]),
        )])
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{Datum, country, database};
    use super::*;

    fn import(bytes: &[u8], template: Option<&str>) -> anyhow::Result<Found> {
        let mut found = Found::default();
        found.begin("m".into());
        let template = template.map(|text| Template::parse(text).unwrap());
        read(bytes, template.as_ref(), |_| true, &mut found)?;
        Ok(found)
    }

    /// O14
    #[test]
    fn networks_of_a_database_are_zones_by_country_or_autonomous_system() {
        let countries = database(
            "Test-Country",
            &[
                ("192.0.2.0/24", country("RU")),
                ("198.51.100.0/25", country("UA")),
                ("203.0.113.0/24", Datum::Map(Vec::new())),
            ],
        );
        assert!(is_one(&countries));
        let found = import(&countries, None).unwrap();
        assert!(
            found
                .written()
                .ends_with("\n192.0.2.0/24 RU\n198.51.100.0/25 UA\n"),
            "{}",
            found.written()
        );
        assert_eq!((found.left_out, found.bad_rows()), (1, 0));
        let number = Datum::Map(vec![("autonomous_system_number", Datum::Number(64_500))]);
        let systems = database("Test-ASN", &[("192.0.2.0/24", number.clone())]);
        let written = import(&systems, None).unwrap().written();
        assert!(written.ends_with("\n192.0.2.0/24 AS64500\n"), "{written}");
        let other = database("Own", &[("192.0.2.0/24", number)]);
        let error = import(&other, None).unwrap_err().to_string();
        assert!(error.contains("of type Own"), "{error}");
        let written = import(&other, Some("as/{autonomous_system_number}"))
            .unwrap()
            .written();
        assert!(written.ends_with("\n192.0.2.0/24 as/64500\n"), "{written}");
    }

    /// O14
    #[test]
    fn a_damaged_database_gives_an_error() {
        let whole = database("Test-Country", &[("192.0.2.0/24", country("RU"))]);
        for end in [whole.len() - 1, whole.len() - 60, 8] {
            assert!(import(&whole[..end], None).is_err(), "{end}");
        }
        assert!(!is_one(b"prefix,zone\n"));
    }
}
