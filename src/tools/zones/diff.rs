//! `zones diff OLD NEW`: which prefixes come, go and move from one file of prefixes to another, and how many peers of the last
//! snapshot move with them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ipnet::IpNet;

use super::import::read_file;
use super::kept::{Kept, THEN};
use crate::config::{self, Config, Place, ZoneSources};
use crate::shown::with_causes;
use crate::tools::owner::become_owner;
use crate::tracker::{ZoneRule, Zones};

/// Lines of prefixes, and of ways that peers go, that are shown where not all are asked for.
const LINES: usize = 100;

/// What is compared.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// File of prefixes that is in force.
    old: PathBuf,
    /// The one that is to follow; `-` for standard input.
    new: PathBuf,
    /// Shows every line, however many there are.
    #[arg(long)]
    all: bool,
    /// Database whose peers are counted, whatever the configuration says.
    #[arg(long, value_name = "DATABASE")]
    database: Option<PathBuf>,
}

/// What a comparison says.
pub(super) struct Compared {
    pub text: String,
    pub is_same: bool,
}

/// Prefixes with the paths of their zones.
type Paths = BTreeMap<IpNet, String>;

impl Arguments {
    /// Compares; `loaded` is the configuration with its place, or why there is none. Before the database is read, which makes files
    /// beside it, the process becomes its owner.
    ///
    /// # Errors
    /// A file that the tracker would not take either.
    pub(super) fn compare(
        &self,
        loaded: anyhow::Result<(Config, Place)>,
    ) -> anyhow::Result<Compared> {
        let (old_name, old_bytes) = read_file(&self.old)?;
        let (new_name, new_bytes) = read_file(&self.new)?;
        let old = paths(&config::read_zones_file(&old_name, &old_bytes)?);
        let new = paths(&config::read_zones_file(&new_name, &new_bytes)?);
        if old == new {
            return Ok(Compared {
                text: format!("the same {} prefixes in the same zones\n", old.len()),
                is_same: true,
            });
        }
        let mut out = String::new();
        self.prefixes(&mut out, &old, &new)?;
        // Around them lie the zones of the configuration, which may name zones of the file too.
        let moved = loaded.and_then(|(config, place)| {
            let sources = &config.zoning;
            let zones = |name: &str, bytes| zones(sources, name, bytes);
            let old = zones(&old_name, &old_bytes)?;
            let new = zones(&new_name, &new_bytes).context("a reload would refuse the new file")?;
            let file = self.database.as_deref();
            let place = file.is_none().then_some(&place);
            let file = file.unwrap_or(&config.snapshot.file);
            let acting = become_owner(file, place)?;
            acting.blame(self.moved(file, &config, &old, &new))
        });
        match moved {
            Ok(moved) => out.push_str(&moved),
            Err(error) => writeln!(
                out,
                "\npeers that would move: not counted: {}",
                with_causes(&error)
            )?,
        }
        Ok(Compared {
            text: out,
            is_same: false,
        })
    }

    /// The counts and lines of prefixes.
    fn prefixes(&self, out: &mut String, old: &Paths, new: &Paths) -> std::fmt::Result {
        let mut lines = Vec::new();
        let (mut added, mut removed, mut moved) = (0, 0, 0);
        for (net, path) in old {
            match new.get(net) {
                None => {
                    removed += 1;
                    lines.push(format!("- {net} {path}"));
                }
                Some(to) if to != path => {
                    moved += 1;
                    lines.push(format!("> {net} {path} -> {to}"));
                }
                Some(_) => {}
            }
        }
        for (net, path) in new.iter().filter(|(net, _)| !old.contains_key(*net)) {
            added += 1;
            lines.push(format!("+ {net} {path}"));
        }
        let of = |paths: &Paths| paths.values().cloned().collect::<HashSet<String>>();
        let (old_zones, new_zones) = (of(old), of(new));
        let (from, to) = (old.len(), new.len());
        writeln!(
            out,
            "prefixes: {from} -> {to}: {added} added, {removed} removed, {moved} moved"
        )?;
        let (from, to) = (old_zones.len(), new_zones.len());
        let (come, go) = (
            new_zones.difference(&old_zones).count(),
            old_zones.difference(&new_zones).count(),
        );
        writeln!(out, "zones: {from} -> {to}: {come} come, {go} go\n")?;
        self.lines(out, &lines)
    }

    /// The peers of the last snapshot that would lie elsewhere.
    fn moved(
        &self,
        file: &Path,
        config: &Config,
        old: &Zones,
        new: &Zones,
    ) -> anyhow::Result<String> {
        let kept = Kept::open(file).with_context(|| file.display().to_string())?;
        let kept = kept.with_context(|| format!("{}: no snapshot there", file.display()))?;
        let lifetime = config.tracker.lifetime();
        let mut ways: HashMap<(&str, &str), u64> = HashMap::new();
        let (mut peers, mut moved) = (0_u64, 0_u64);
        let damaged = kept.visit(|swarm| {
            let alive = |last_seen| THEN.since(last_seen) < lifetime;
            for peer in swarm.peers.iter().filter(|peer| alive(peer.last_seen)) {
                peers += 1;
                let (from, to) = (path(old, peer.ip), path(new, peer.ip));
                if from != to {
                    moved += 1;
                    *ways.entry((from, to)).or_default() += 1;
                }
            }
        })?;
        let mut out = String::new();
        let written = kept.written()?;
        writeln!(
            out,
            "\npeers that would move: {moved} of {peers} (in {}, as of {written})",
            file.display()
        )?;
        let mut ways: Vec<_> = ways.into_iter().collect();
        ways.sort_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
        let named = |path: &str| if path.is_empty() { "no zone" } else { path }.to_owned();
        let lines: Vec<String> = ways
            .iter()
            .map(|((from, to), count)| format!("{count:>8} {} -> {}", named(from), named(to)))
            .collect();
        self.lines(&mut out, &lines)?;
        if damaged > 0 {
            writeln!(out, "{damaged} damaged rows were passed over")?;
        }
        Ok(out)
    }

    fn lines(&self, out: &mut String, lines: &[String]) -> std::fmt::Result {
        let shown = if self.all { lines.len() } else { LINES };
        for line in lines.iter().take(shown) {
            writeln!(out, "{line}")?;
        }
        if lines.len() > shown {
            writeln!(
                out,
                "… {} more lines; --all shows them",
                lines.len() - shown
            )?;
        }
        Ok(())
    }
}

fn paths(rules: &[ZoneRule]) -> Paths {
    let prefixes = rules.iter().flat_map(|rule| {
        let path = &rule.path;
        rule.prefixes.iter().map(move |net| (*net, path.clone()))
    });
    prefixes.collect()
}

fn zones(sources: &ZoneSources, name: &str, bytes: &[u8]) -> anyhow::Result<Zones> {
    let rules = sources.with_file(name, bytes)?;
    Ok(Zones::new(&rules, &[])?)
}

fn path(zones: &Zones, ip: IpAddr) -> &str {
    zones.path(zones.of(ip))
}

#[cfg(test)]
mod tests {
    use super::super::explain::tests::{house, peer};
    use super::*;
    use std::fs;

    const OLD: &str = "192.0.2.0/25 msk/a\n192.0.2.128/25 msk/b\n198.51.100.0/24 tver\n";
    const NEW: &str = "192.0.2.0/25 msk/a\n192.0.2.128/25 msk/c\n203.0.113.0/24 tver\n";

    fn compare(folder: &tempfile::TempDir, new: &str, config: anyhow::Result<Config>) -> Compared {
        let place = |name: &str, text| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let arguments = Arguments {
            old: place("old", OLD),
            new: place("new", new),
            all: false,
            database: None,
        };
        let loaded = config.map(|config| (config, Place::default()));
        arguments.compare(loaded).unwrap()
    }

    /// O14
    #[test]
    fn prefixes_that_come_go_and_move_are_told_and_the_living_peers_that_move_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut gone = peer("192.0.2.130", 5, true);
        gone.last_seen = gone.last_seen.minus(1_000_000);
        let config = house(
            &folder,
            vec![
                peer("192.0.2.1", 1, false),
                peer("192.0.2.129", 2, true),
                peer("192.0.2.131", 3, false),
                peer("198.51.100.1", 4, false),
                gone,
            ],
        );
        let compared = compare(&folder, NEW, Ok(config));
        assert!(!compared.is_same);
        for line in [
            "prefixes: 3 -> 3: 1 added, 1 removed, 1 moved\nzones: 3 -> 3: 1 come, 1 go\n",
            "> 192.0.2.128/25 msk/b -> msk/c\n- 198.51.100.0/24 tver\n+ 203.0.113.0/24 tver\n",
            "peers that would move: 3 of 4 (in ",
            "       2 msk/b -> msk/c\n       1 tver -> no zone\n",
        ] {
            assert!(compared.text.contains(line), "{line}\n{}", compared.text);
        }
    }

    /// O14
    #[test]
    fn peers_that_cannot_be_counted_are_no_fault_but_told() {
        let folder = tempfile::tempdir().unwrap();
        let without = |reason| compare(&folder, NEW, Err(anyhow::Error::msg(reason))).text;
        assert!(without("no such file").contains("not counted: no such file"));
        let mut config = Config::default();
        config.snapshot.file = folder.path().join("none.sqlite");
        let text = compare(&folder, NEW, Ok(config)).text;
        assert!(text.contains("none.sqlite: no snapshot there"), "{text}");
        let mut config = Config::default();
        config.zoning.strict = vec!["msk/b".into()];
        let text = compare(&folder, NEW, Ok(config)).text;
        assert!(
            text.contains(
                "a reload would refuse the new file: [TRACKER] strict_zones: there is no zone msk/b"
            ),
            "{text}"
        );
    }

    /// O14
    #[test]
    fn the_same_in_another_order_is_the_same_and_of_many_lines_some_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let turned: Vec<&str> = OLD.lines().rev().collect();
        let config = || Err(anyhow::Error::msg("none"));
        assert!(compare(&folder, &turned.join("\n"), config()).is_same);
        let many: String = (0..250).map(|n| format!("203.0.113.{n} x\n")).collect();
        let text = compare(&folder, &many, config()).text;
        assert!(
            text.contains("\n… 153 more lines; --all shows them\n"),
            "{text}"
        );
    }
}
