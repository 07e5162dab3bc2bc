//! The figures as a drawing in SVG: copies into a zone, and download times, over `local_share`, a line for each `min_external`.

use std::fmt::Write;

use super::outcome::Outcome;
use super::plan::Plan;
use super::table::{Row, change};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
const TOP: f64 = 78.0;
const BOTTOM: f64 = 340.0;
const PANEL_WIDTH: f64 = 330.0;
const COPIES_LEFT: f64 = 60.0;
const TIMES_LEFT: f64 = 500.0;
const INK: &str = "#1f2933";
const FAINT: &str = "#d9dee4";

/// Colours that people who see few of them can tell apart (Okabe and Ito).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00",
];

/// A panel of the drawing: where it is, and what its axes show.
struct Panel {
    left: f64,
    shares: (f64, f64),
    /// The values at the bottom and at the top.
    values: (f64, f64),
    /// Between two lines of the grid.
    step: f64,
}

/// Draws the figures.
pub(super) fn draw(plan: &Plan, random: &Outcome, rows: &[Row]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <title>Neighbours first: copies crossing into a zone, and download time</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let shares = rows.iter().map(|row| f64::from(row.local_share));
    let shares = (
        shares.clone().fold(100.0, f64::min),
        shares.fold(0.0, f64::max),
    );
    let copies: fn(&Row, &Outcome) -> f64 = |row, _| row.outcome.copies;
    let times: fn(&Row, &Outcome) -> f64 = |row, random| change(row.outcome.mean, random.mean);
    let highest = rows
        .iter()
        .map(|row| row.outcome.copies)
        .fold(1.0, f64::max);
    let slowest = whole(rows).map(|row| times(row, random));
    let (fastest, slowest) = (
        slowest.clone().fold(-5.0, f64::min),
        slowest.fold(10.0, f64::max),
    );
    let step = nice_step(highest);
    let crossing = Panel {
        left: COPIES_LEFT,
        shares,
        values: (0.0, (highest / step).ceil() * step),
        step,
    };
    crossing.frame(
        &mut svg,
        "Copies of the file crossing into a zone",
        &format!(
            "random selection: {:.1}, of {} peers",
            random.copies, plan.peers_per_zone
        ),
    );
    let step = nice_step(slowest - fastest);
    let taking = Panel {
        left: TIMES_LEFT,
        shares,
        values: (
            (fastest / step).floor() * step,
            (slowest / step).ceil() * step,
        ),
        step,
    };
    let note = format!("in % of {:.0} s with random selection", random.mean);
    taking.frame(&mut svg, "Mean download time, change", &note);
    crossing.lines(&mut svg, rows, |row| Some(copies(row, random)));
    taking.lines(&mut svg, rows, |row| {
        (row.outcome.unfinished == 0).then(|| times(row, random))
    });
    legend(&mut svg, rows);
    svg.push_str("</svg>\n");
    svg
}

/// The rows in which everybody got the file.
fn whole(rows: &[Row]) -> impl Iterator<Item = &Row> + Clone {
    rows.iter().filter(|row| row.outcome.unfinished == 0)
}

/// A round step that divides `span` into four to ten.
fn nice_step(span: f64) -> f64 {
    let power = 10_f64.powf((span / 4.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|factor| factor * power);
    steps
        .into_iter()
        .find(|step| span / step >= 4.0)
        .unwrap_or(power)
}

/// The values of `min_external`, each with its colour.
fn externals(rows: &[Row]) -> Vec<(u32, &'static str)> {
    let mut externals: Vec<u32> = rows.iter().map(|row| row.min_external).collect();
    externals.sort_unstable();
    externals.dedup();
    externals
        .into_iter()
        .zip(COLOURS.into_iter().cycle())
        .collect()
}

impl Panel {
    fn x(&self, share: f64) -> f64 {
        let (first, last) = self.shares;
        self.left + PANEL_WIDTH * (share - first) / (last - first).max(1.0)
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)
    }

    fn frame(&self, svg: &mut String, title: &str, note: &str) {
        let (left, right) = (self.left, self.left + PANEL_WIDTH);
        put(
            svg,
            format_args!(
                "<text x=\"{left}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{title}</text>"
            ),
        );
        put(
            svg,
            format_args!("<text x=\"{left}\" y=\"42\">{note}</text>"),
        );
        let (low, high) = self.values;
        let mut value = low;
        while value <= high + self.step / 2.0 {
            let y = self.y(value);
            let colour = if value.abs() < self.step / 2.0 {
                INK
            } else {
                FAINT
            };
            put(
                svg,
                format_args!(
                    "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"{colour}\"/>"
                ),
            );
            let (x, y) = (left - 8.0, y + 4.0);
            put(
                svg,
                format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{value:.0}</text>"),
            );
            value += self.step;
        }
        let (first, last) = self.shares;
        let mut share = first;
        while share <= last {
            let (x, y) = (self.x(share), BOTTOM + 18.0);
            put(
                svg,
                format_args!(
                    "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{share:.0} %</text>"
                ),
            );
            share += 10.0;
        }
    }

    /// Draws a line for each `min_external`; it is broken where there is no value.
    fn lines(&self, svg: &mut String, rows: &[Row], value: impl Fn(&Row) -> Option<f64>) {
        for (external, colour) in externals(rows) {
            let mut points = String::new();
            for row in rows.iter().filter(|row| row.min_external == external) {
                let Some(value) = value(row) else {
                    continue;
                };
                let (x, y) = (self.x(row.local_share.into()), self.y(value));
                let pen = if points.is_empty() { 'M' } else { 'L' };
                put(&mut points, format_args!("{pen}{x:.1} {y:.1}"));
                put(
                    svg,
                    format_args!(
                        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
                    ),
                );
            }
            put(
                svg,
                format_args!(
                    "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                    points.trim_end().replace('\n', " ")
                ),
            );
        }
    }
}

fn legend(svg: &mut String, rows: &[Row]) {
    let y = HEIGHT - 14.0;
    put(
        svg,
        format_args!("<text x=\"{COPIES_LEFT}\" y=\"{y}\">over local_share; min_external:</text>"),
    );
    let mut x = COPIES_LEFT + 200.0;
    for (external, colour) in externals(rows) {
        let (line, end) = (y - 4.0, x + 22.0);
        put(
            svg,
            format_args!(
                "<line x1=\"{x}\" y1=\"{line}\" x2=\"{end}\" y2=\"{line}\" stroke=\"{colour}\" stroke-width=\"3\"/>"
            ),
        );
        let text = end + 6.0;
        put(
            svg,
            format_args!("<text x=\"{text}\" y=\"{y}\">{external}</text>"),
        );
        x += 64.0;
    }
}

/// Adds a line of text. Writing to a `String` cannot fail.
fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}
