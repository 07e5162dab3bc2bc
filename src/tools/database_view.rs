//! `retracker db [FILE]`: what is in a database, ours or the Flask original's: schema, counts, latest rows. Only reads.

use std::collections::HashSet;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::clock::Seconds;
use crate::program;
use crate::shown::{in_lines, on_one_line};
use crate::snapshot::{APPLICATION, Owner, has_plain_table, open_read_only, read_record};
use crate::tools::configuration;
use crate::tools::owner::become_owner;
use crate::tracker::{InfoHash, StoredPeer};

/// Rows shown of the latest.
const LATEST: usize = 10;

/// How long may be read.
const MAX_READ: Duration = Duration::from_secs(60);

/// Distinct addresses counted at most.
const MAX_ADDRESSES: usize = 10_000_000;

/// Statements of the schema shown at most, and characters of each.
const MAX_STATEMENTS: u32 = 100;
const MAX_CHARACTERS: u32 = 2_000;

/// What is shown.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database; the tracker may be running. Without it, the one that the configuration names.
    file: Option<PathBuf>,
    /// Configuration that names the database; looked for as the tracker does when it is not given, then where the installed service
    /// has it.
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

/// Prints the view.
///
/// # Errors
/// The file cannot be read, or is neither ours nor the original's.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (file, place) = match &arguments.file {
        Some(file) => (file.clone(), None),
        None => {
            let loaded = configuration(arguments.config.clone())?;
            (loaded.config.snapshot.file, Some(loaded.place))
        }
    };
    // Reading a database makes files beside it.
    let acting = become_owner(&file, place.as_ref())?;
    acting.blame(show(&file))
}

fn show(path: &Path) -> anyhow::Result<()> {
    let file = path.display();
    let size = std::fs::metadata(path)
        .with_context(|| file.to_string())?
        .len();
    let view = || -> anyhow::Result<View> {
        // The record of a swarm of ours is the longest value there is.
        let connection = open_read_only(path, Owner::Us, MAX_READ)?;
        let view = if pragma(&connection, "application_id")? == i64::from(APPLICATION) {
            of_ours(&connection)?
        } else if has_plain_table(&connection, "tracker")? {
            of_the_original(&connection)?
        } else {
            bail!("neither a database of this tracker nor of the Flask retracker");
        };
        Ok(view)
    };
    let view = view().map_err(|error| {
        if is_interrupted(&error) {
            let seconds = MAX_READ.as_secs();
            error.context(format!("it cannot be read within {seconds} s"))
        } else {
            error
        }
    });
    let view = view.with_context(|| file.to_string())?;
    program::printed(view.print(&file.to_string(), size, &mut io::stdout().lock()))
}

/// What is printed, whosever database it is.
struct View {
    kind: String,
    schema: Vec<String>,
    counts: Vec<(&'static str, String)>,
    header: [&'static str; 5],
    latest: Vec<[String; 5]>,
}

impl View {
    fn print(&self, file: &str, size: u64, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{file}: {}, {size} bytes\n\nSchema", self.kind)?;
        for statement in &self.schema {
            writeln!(out, "  {}", in_lines(statement).replace('\n', "\n  "))?;
        }
        writeln!(out, "\nCounts")?;
        for (name, value) in &self.counts {
            writeln!(out, "  {name:<20} {}", in_lines(value))?;
        }
        writeln!(out, "\nLatest peers")?;
        let widths = [19, 40, 28, 8, 0];
        for row in std::iter::once(&self.header.map(str::to_owned)).chain(&self.latest) {
            for (cell, width) in row.iter().zip(widths) {
                write!(out, "  {:<width$}", on_one_line(&format_args!("{cell}")))?;
            }
            writeln!(out)?;
        }
        out.flush()
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    let source = error.downcast_ref::<rusqlite::Error>();
    source.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::OperationInterrupted)
}

fn schema(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT substr(sql, 1, ?1) FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid LIMIT ?2";
    let bounds = [MAX_CHARACTERS, MAX_STATEMENTS];
    connection
        .prepare(sql)?
        .query_map(bounds, |row| row.get(0))?
        .collect()
}

fn count(connection: &Connection, what: &str) -> rusqlite::Result<String> {
    // The sum of no rows is NULL.
    let sum: Option<i64> = connection.query_row(&format!("SELECT {what}"), [], |row| row.get(0))?;
    Ok(sum.unwrap_or(0).to_string())
}

/// A time as people write it, or nothing.
fn written(connection: &Connection, unix: Option<i64>) -> rusqlite::Result<String> {
    let text: Option<String> =
        connection.query_row("SELECT datetime(?1, 'unixepoch')", [unix], |row| row.get(0))?;
    Ok(text.map_or("-".to_owned(), |text| text + " UTC"))
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    connection
        .query_row(sql, [key], |row| row.get(0))
        .optional()
}

fn of_ours(connection: &Connection) -> anyhow::Result<View> {
    for table in ["meta", "swarms", "blocklist", "rings"] {
        ensure!(
            has_plain_table(connection, table)?,
            "it has no table {table}"
        );
    }
    // Rows are dated in the database's own time; the last snapshot says how far that is from the wall clock.
    let finished_wall = meta(connection, "finished_wall")?;
    let ahead = match (meta(connection, "finished")?, finished_wall) {
        (Some(own), Some(wall)) => wall.saturating_sub(own),
        _ => 0,
    };
    let Seen {
        addresses,
        latest,
        oldest,
        damaged,
        of_others,
        downloaded_elsewhere,
    } = read_swarms(connection, ahead)?;
    let newest = latest.first().map(|(seen, _, _)| *seen);
    let counts = vec![
        ("torrents", count(connection, "count(*) FROM swarms")?),
        ("peers", count(connection, "sum(peers) FROM swarms")?),
        ("of other trackers", of_others.to_string()),
        ("seeders", count(connection, "sum(seeders) FROM swarms")?),
        (
            "downloaded",
            count(connection, "sum(downloaded) FROM swarms")?,
        ),
        ("downloaded elsewhere", downloaded_elsewhere.to_string()),
        ("distinct addresses", addresses.len().to_string()),
        ("oldest announce", written(connection, oldest)?),
        ("newest announce", written(connection, newest)?),
        ("last snapshot", written(connection, finished_wall)?),
        ("blocklist", count(connection, "count(*) FROM blocklist")?),
        ("rings", count(connection, "count(*) FROM rings")?),
        ("damaged rows", damaged.to_string()),
    ];
    let latest = latest.into_iter().map(|(seen, hash, peer)| {
        Ok([
            written(connection, Some(seen))?.replace(" UTC", ""),
            hash.to_string(),
            std::net::SocketAddr::new(peer.ip, peer.port).to_string(),
            if peer.is_seeder { "seeder" } else { "leecher" }.to_owned(),
            peer.id.to_string(),
        ])
    });
    Ok(View {
        kind: format!(
            "database of this tracker, version {}",
            pragma(connection, "user_version")?
        ),
        schema: schema(connection)?,
        counts,
        header: ["time (UTC)", "info hash", "address", "role", "peer id"],
        latest: latest.collect::<rusqlite::Result<_>>()?,
    })
}

/// What the swarms of a database hold.
#[derive(Default)]
struct Seen {
    addresses: HashSet<IpAddr>,
    /// When, of which torrent, who.
    latest: Vec<(i64, InfoHash, StoredPeer)>,
    oldest: Option<i64>,
    damaged: u64,
    /// Peers that other trackers are known to have.
    of_others: u64,
    /// What other trackers counted of `downloaded`.
    downloaded_elsewhere: u64,
}

/// Reads every swarm; `ahead` is how far the wall clock is ahead of the database's own time.
fn read_swarms(connection: &Connection, ahead: i64) -> rusqlite::Result<Seen> {
    let mut seen_in_all = Seen::default();
    let Seen {
        addresses,
        latest,
        oldest,
        damaged,
        of_others,
        downloaded_elsewhere,
    } = &mut seen_in_all;
    // What is too long to be a record is counted as damaged, and not read.
    let mut statement = connection.prepare(
        "SELECT CASE octet_length(info_hash) WHEN 20 THEN info_hash END, saved, \
         CASE WHEN octet_length(record) <= 67108000 THEN record END FROM swarms",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = (row.get(0), row.get::<_, i64>(1), row.get::<_, Vec<u8>>(2));
        let (Ok(hash), Ok(saved), Ok(record)) = row else {
            *damaged += 1;
            continue;
        };
        let Ok(read) = read_record(&record, Seconds::START) else {
            *damaged += 1;
            continue;
        };
        let counts = read.downloaded_elsewhere.iter();
        *downloaded_elsewhere += counts.map(|(_, count)| u64::from(*count)).sum::<u64>();
        for peer in read.peers {
            *of_others += u64::from(peer.origin.is_some());
            let age = i64::from(Seconds::START.since(peer.last_seen));
            let seen = saved.saturating_add(ahead).saturating_sub(age);
            if addresses.len() < MAX_ADDRESSES {
                addresses.insert(peer.ip);
            }
            *oldest = Some(oldest.map_or(seen, |oldest: i64| oldest.min(seen)));
            latest.push((seen, InfoHash(hash), peer));
        }
        if latest.len() > 4_096 {
            keep_latest(latest);
        }
    }
    keep_latest(latest);
    Ok(seen_in_all)
}

fn keep_latest(peers: &mut Vec<(i64, InfoHash, StoredPeer)>) {
    peers.sort_by_key(|(seen, _, _)| std::cmp::Reverse(*seen));
    peers.truncate(LATEST);
}

fn of_the_original(connection: &Connection) -> anyhow::Result<View> {
    // Its values are short.
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 1 << 20)?;
    let when = |what: &str| -> rusqlite::Result<String> {
        let sql = format!("SELECT CAST({what}(update_time) AS INTEGER) FROM tracker");
        let time = connection.query_row(&sql, [], |row| row.get(0))?;
        written(connection, time)
    };
    let blocks = if has_plain_table(connection, "blocklist")? {
        count(connection, "count(*) FROM blocklist")?
    } else {
        "no such table".to_owned()
    };
    let counts = vec![
        (
            "torrents",
            count(connection, "count(DISTINCT info_hash) FROM tracker")?,
        ),
        ("peers", count(connection, "count(*) FROM tracker")?),
        (
            "seeders",
            count(connection, "count(*) FROM tracker WHERE \"left\" = 0")?,
        ),
        (
            "distinct addresses",
            count(connection, "count(DISTINCT ip) FROM tracker")?,
        ),
        ("oldest announce", when("min")?),
        ("newest announce", when("max")?),
        ("blocklist", blocks),
    ];
    let sql = format!(
        "SELECT coalesce(datetime(update_time, 'unixepoch'), '-'), \
         CASE typeof(info_hash) WHEN 'blob' THEN lower(hex(info_hash)) ELSE info_hash END, \
         ip, port, \"left\" FROM tracker ORDER BY update_time DESC LIMIT {LATEST}"
    );
    let mut statement = connection.prepare(&sql)?;
    let latest = statement.query_map([], |row| {
        let text = |at: usize| -> rusqlite::Result<String> {
            use rusqlite::types::ValueRef;
            Ok(match row.get_ref(at)? {
                ValueRef::Null => "-".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) | ValueRef::Blob(text) => {
                    String::from_utf8_lossy(text).into_owned()
                }
            })
        };
        let address = format!("{}:{}", dotted(&text(2)?), text(3)?);
        let role = if text(4)? == "0" { "seeder" } else { "leecher" };
        Ok([text(0)?, text(1)?, address, role.to_owned(), text(4)?])
    })?;
    Ok(View {
        kind: "database of the Flask retracker".to_owned(),
        schema: schema(connection)?,
        counts,
        header: ["time (UTC)", "info hash", "address", "role", "left"],
        latest: latest.collect::<rusqlite::Result<_>>()?,
    })
}

/// 8 hex digits as an address; what is none stays as it is.
fn dotted(ip: &str) -> String {
    match u32::from_str_radix(ip, 16) {
        Ok(bits) if ip.len() == 8 => IpAddr::from(Ipv4Addr::from_bits(bits)).to_string(),
        _ => ip.to_owned(),
    }
}
