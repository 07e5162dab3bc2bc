//! The parts of the zones' page that say how near the peers were that were handed out: by level, and zone by zone (O11, W15).

use std::cmp::Reverse;
use std::fmt::Display;

use serde::Serialize;

use super::clients::percent;
use crate::tracker::report::flows::{FlowZone, Flows, ZoneFlows};
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;

/// Zones that have a row and a column of the matrix; more cannot be read. The rest is one row and one column.
const MATRIX_ZONES: usize = 12;

/// Zones that have a row by level; the rest is one row.
const LEVEL_ZONES: usize = 40;

/// One figure of a table: a share, and how much its colour says it is, in tenths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Cell {
    percent: f64,
    heat: u8,
    peers: u64,
    saved_bytes: u64,
    saved_heat: u8,
}

impl Cell {
    /// A line of CSV: where the cell stands, and its figures.
    fn write(&self, csv: &mut Csv, [row, column]: &[&dyn Display; 2]) {
        let percent = csv_table::places(self.percent);
        csv.row(&[row, column, &self.peers, &percent, &self.saved_bytes]);
    }
}

/// A zone as a head of rows and columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Head {
    /// `zone`, `none` or `others`.
    kind: &'static str,
    path: String,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    head: Head,
    cells: Vec<Cell>,
    peers: u64,
    saved_bytes: u64,
}

/// A table whose rows are zones.
#[derive(Clone, Debug, Serialize)]
struct Heat {
    rows: Vec<Row>,
    /// How many zones have a row of their own, and how many are in that of the others.
    shown: usize,
    others: usize,
}

/// What the templates show.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Locality {
    /// Whether there is one top zone only, so that nobody in a zone is a stranger to another.
    has_one_top: bool,
    /// How many zones up each column of levels is; the strangers have a column behind them.
    levels: Vec<usize>,
    all: Row,
    by_level: Heat,
    matrix: Heat,
}

/// The locality of what was handed out; nothing before anything was.
pub(crate) fn locality(flows: &Flows) -> Option<Locality> {
    let sums = flows.levels();
    if flows.zones.iter().all(|row| row.peers() == 0) {
        return None;
    }
    let named = sums.len().saturating_sub(1);
    let used = sums.iter().take(named).rposition(|peers| *peers > 0);
    // Two levels in any case: of a tree without depth the second is empty, which is worth seeing.
    let levels: Vec<usize> = (0..=used.unwrap_or(0).max(1)).collect();
    let all = Row::new(
        Head {
            kind: "all",
            path: String::new(),
        },
        &by_column(&sums, levels.len()),
        &by_column(&flows.saved_by_level(), levels.len()),
    );
    Some(Locality {
        has_one_top: flows.top_zones() == 1,
        by_level: by_level(flows, levels.len()),
        matrix: matrix(flows),
        levels,
        all,
    })
}

impl Locality {
    /// The shares and savings by level as CSV, a line for each cell of the page's tables; levels are named as in `/metrics`.
    pub(crate) fn level_table(&self) -> Csv {
        let mut csv = Csv::new(&["zone", "level", "peers", "percent", "saved_bytes"]);
        for row in std::iter::once(&self.all).chain(&self.by_level.rows) {
            let named = self.levels.iter().map(|level| match level {
                0 => "own".to_owned(),
                _ => level.to_string(),
            });
            let levels = named.chain(["stranger".to_owned()]);
            for (level, cell) in levels.zip(&row.cells) {
                cell.write(&mut csv, &[&row.head.label(), &level]);
            }
        }
        csv
    }

    /// The matrix as CSV, a line for each of its cells.
    pub(crate) fn matrix_table(&self) -> Csv {
        let mut csv = Csv::new(&[
            "client_zone",
            "peer_zone",
            "peers",
            "percent",
            "saved_bytes",
        ]);
        let rows = &self.matrix.rows;
        for row in rows {
            for (column, cell) in rows.iter().zip(&row.cells) {
                cell.write(&mut csv, &[&row.head.label(), &column.head.label()]);
            }
        }
        csv
    }
}

/// The share of peers from the asker's own zone, in percent of those handed out between two counts of levels.
pub(crate) fn own_share(before: &[u64], now: &[u64]) -> Option<f64> {
    let more = |at: usize| {
        let count = |levels: &[u64]| levels.get(at).copied().unwrap_or(0);
        count(now).saturating_sub(count(before))
    };
    let all: u64 = (0..now.len()).map(more).sum();
    (all > 0).then(|| percent(more(0), all))
}

/// Levels as columns: the first, and the strangers.
fn by_column(levels: &[u64], columns: usize) -> Vec<u64> {
    let near = levels.iter().take(columns).copied();
    near.chain(levels.last().copied()).collect()
}

/// Those with most peers, in the order of the tree, and the others.
fn busiest(flows: &Flows, most: usize, weight: impl Fn(usize) -> u64) -> (Vec<usize>, Vec<usize>) {
    let mut ranked: Vec<usize> = (0..flows.zones.len())
        .filter(|at| weight(*at) > 0)
        .collect();
    ranked.sort_by_key(|at| Reverse(weight(*at)));
    // One alone would be hidden behind a row of its own size.
    let shown = if ranked.len() > most + 1 {
        most
    } else {
        ranked.len()
    };
    let mut others = ranked.split_off(shown);
    ranked.sort_unstable();
    others.sort_unstable();
    (ranked, others)
}

fn by_level(flows: &Flows, columns: usize) -> Heat {
    let asked = |at: usize| flows.zones.get(at).map_or(0, |row| row.levels.iter().sum());
    let (shown, others) = busiest(flows, LEVEL_ZONES, asked);
    let figures = |some: &[usize]| {
        let rows = some.iter().filter_map(|at| flows.zones.get(*at));
        let (mut peers, mut saved) = (vec![0; columns + 1], vec![0; columns + 1]);
        for row in rows {
            add(&mut peers, &by_column(&row.levels, columns));
            add(&mut saved, &by_column(&row.saved_by_level(), columns));
        }
        (peers, saved)
    };
    Heat::new(flows, &shown, &others, figures)
}

fn matrix(flows: &Flows) -> Heat {
    let weight = |at: usize| {
        let received = flows.zones.get(at).map_or(0, ZoneFlows::peers);
        let given = flows.zones.iter().filter_map(|row| row.handed.get(at));
        received + given.sum::<u64>()
    };
    let (shown, others) = busiest(flows, MATRIX_ZONES, weight);
    let columns = |all: &[u64]| -> Vec<u64> {
        let figure = |at: &usize| all.get(*at).copied().unwrap_or(0);
        let mut columns: Vec<u64> = shown.iter().map(figure).collect();
        if !others.is_empty() {
            columns.push(others.iter().map(figure).sum());
        }
        columns
    };
    let figures = |some: &[usize]| {
        let (mut peers, mut saved) = (columns(&[]), columns(&[]));
        for row in some.iter().filter_map(|at| flows.zones.get(*at)) {
            add(&mut peers, &columns(&row.handed));
            add(&mut saved, &columns(&flows.saved_from(row)));
        }
        (peers, saved)
    };
    Heat::new(flows, &shown, &others, figures)
}

fn add(sums: &mut [u64], more: &[u64]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

impl Heat {
    /// A row for each zone that is shown, and one for the others.
    fn new(
        flows: &Flows,
        shown: &[usize],
        others: &[usize],
        figures: impl Fn(&[usize]) -> (Vec<u64>, Vec<u64>),
    ) -> Heat {
        let row = |at: &usize| {
            let head = Head::of(&flows.zones.get(*at)?.zone);
            let (peers, saved) = figures(&[*at]);
            Some(Row::new(head, &peers, &saved))
        };
        let mut rows: Vec<Row> = shown.iter().filter_map(row).collect();
        if !others.is_empty() {
            let (peers, saved) = figures(others);
            rows.push(Row::new(Head::of(&FlowZone::Others), &peers, &saved));
        }
        let cells = || rows.iter().flat_map(|row| &row.cells);
        let most = cells().map(|cell| cell.saved_bytes).max().unwrap_or(0);
        for cell in rows.iter_mut().flat_map(|row| &mut row.cells) {
            cell.saved_heat = heat(percent(cell.saved_bytes, most));
        }
        Heat {
            rows,
            shown: shown.len(),
            others: others.len(),
        }
    }
}

impl Row {
    fn new(head: Head, peers: &[u64], saved_mib: &[u64]) -> Row {
        let all: u64 = peers.iter().sum();
        let cells = peers.iter().zip(saved_mib).map(|(peers, mib)| {
            let percent = percent(*peers, all);
            Cell {
                percent,
                heat: heat(percent),
                peers: *peers,
                saved_bytes: mib.saturating_mul(1 << 20),
                saved_heat: 0,
            }
        });
        Row {
            head,
            cells: cells.collect(),
            peers: all,
            saved_bytes: saved_mib.iter().sum::<u64>().saturating_mul(1 << 20),
        }
    }
}

impl Head {
    /// As a file has it: the path, or what there is instead of one in brackets.
    fn label(&self) -> String {
        match self.kind {
            "zone" => self.path.clone(),
            kind => format!("({kind})"),
        }
    }

    fn of(zone: &FlowZone) -> Head {
        let (kind, path) = match zone {
            FlowZone::Zone(path) => ("zone", path.clone()),
            FlowZone::NoZone => ("none", String::new()),
            FlowZone::Others => ("others", String::new()),
        };
        Head { kind, path }
    }
}

/// A colour in tenths; whatever is there has the first at least.
fn heat(percent: f64) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tenths of a share are from 0 to 10"
    )]
    let tenths = (percent / 10.0).ceil().clamp(0.0, 10.0) as u8;
    tenths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(zones: usize) -> Flows {
        let row = |at: usize| ZoneFlows {
            zone: match at {
                0 => FlowZone::NoZone,
                _ => FlowZone::Zone(format!("a/{at}")),
            },
            levels: if at == 0 {
                vec![0; 4]
            } else {
                vec![60, 30, 0, 10]
            },
            handed: (0..zones)
                .map(|to| match (at, to) {
                    (0, _) => 0,
                    (_, 0) => 10,
                    _ if at == to => 60,
                    _ => 1,
                })
                .collect(),
            saved_mib: 9,
        };
        Flows {
            zones: (0..zones).map(row).collect(),
        }
    }

    /// O11, W15
    #[test]
    fn levels_are_shares_with_savings_up_to_the_last_that_is_used() {
        let shown = locality(&flows(3)).unwrap();
        assert_eq!(shown.levels, [0, 1]);
        let shares: Vec<f64> = shown.all.cells.iter().map(|cell| cell.percent).collect();
        assert_eq!(shares, [60.0, 30.0, 10.0]);
        let saved: Vec<u64> = shown
            .all
            .cells
            .iter()
            .map(|cell| cell.saved_bytes >> 20)
            .collect();
        assert_eq!(saved, [12, 6, 0]);
        assert!(shown.has_one_top);
        assert_eq!(
            shown.by_level.rows.len(),
            2,
            "who is in no zone has no levels"
        );
        assert!(locality(&Flows::default()).is_none());
        assert_eq!(own_share(&[60, 30, 10], &[80, 50, 70]), Some(20.0));
        assert_eq!(own_share(&[60, 30], &[60, 30]), None);
    }

    /// W15
    #[test]
    fn a_matrix_shows_the_busiest_zones_and_sums_up_the_others() {
        let matrix = locality(&flows(3)).unwrap().matrix;
        assert_eq!((matrix.rows.len(), matrix.others), (3, 0));
        let matrix = locality(&flows(100)).unwrap().matrix;
        assert_eq!(
            (matrix.shown, matrix.others),
            (MATRIX_ZONES, 100 - MATRIX_ZONES)
        );
        let last = matrix.rows.last().unwrap();
        assert_eq!(last.head.kind, "others");
        assert!(
            matrix
                .rows
                .iter()
                .all(|row| row.cells.len() == MATRIX_ZONES + 1)
        );
        let peers: u64 = matrix.rows.iter().map(|row| row.peers).sum();
        assert_eq!(
            peers,
            flows(100).zones.iter().map(ZoneFlows::peers).sum::<u64>()
        );
    }

    #[test]
    fn a_colour_is_none_for_nothing_and_the_last_for_all() {
        assert_eq!([0.0, 0.1, 10.0, 55.0, 100.0].map(heat), [0, 1, 1, 6, 10]);
    }
}
