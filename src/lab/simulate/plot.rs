//! The figures as a drawing in SVG: for each crowd and policy a bar of what crosses into a zone, and one of the download times.

use std::fmt::{Arguments, Write};

use super::comparison::{Comparison, change};
use super::outcome::Outcome;
use super::policy::Policy;

const WIDTH: f64 = 860.0;
const TOP: f64 = 62.0;
const BAR_HEIGHT: f64 = 9.0;
const BAR_STEP: f64 = 11.0;
const GROUP_GAP: f64 = 12.0;
const INK: &str = "#1f2933";
const FAINT: &str = "#d9dee4";

/// Colours that people who see few of them can tell apart (Okabe and Ito), one for each policy.
const COLOURS: [&str; 6] = [
    "#7b8794", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00",
];

/// Where copies are drawn: from nothing to one for each peer of a zone.
const COPIES: Panel = Panel {
    left: 150.0,
    width: 300.0,
    values: (0.0, 100.0),
    step: 20.0,
};

/// A panel of the drawing: where it is, and what its axis shows.
struct Panel {
    left: f64,
    width: f64,
    /// The values at the left and at the right.
    values: (f64, f64),
    /// Between two lines of the grid.
    step: f64,
}

/// Draws the figures.
pub(super) fn draw(comparisons: &[Comparison]) -> String {
    let policies = policies(comparisons);
    let bars: usize = comparisons.iter().map(|one| one.all().count()).sum();
    let bottom = TOP + bars as f64 * BAR_STEP + comparisons.len() as f64 * GROUP_GAP;
    let height = bottom + 56.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <title>Copies of a file that cross into a zone, and download times, by crowd and policy</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let times = times(comparisons);
    COPIES.frame(
        &mut svg,
        bottom,
        "Copies crossing into a zone",
        "in % of the peers there",
    );
    times.frame(
        &mut svg,
        bottom,
        "Mean download time, change",
        "in % of that with random lists",
    );
    let mut y = TOP;
    for comparison in comparisons {
        let name = &comparison.crowd;
        let (left, text) = (COPIES.left - 10.0, y + BAR_HEIGHT);
        put(
            &mut svg,
            format_args!("<text x=\"{left}\" y=\"{text}\" text-anchor=\"end\">{name}</text>"),
        );
        for (policy, outcome) in comparison.all() {
            let colour = colour(&policies, policy);
            let share = outcome.copies / comparison.zone_size * 100.0;
            COPIES.bar(
                &mut svg,
                y,
                share,
                colour,
                &format!("{:.1}", outcome.copies),
            );
            if policy != Policy::Random {
                let change = change(outcome.mean, comparison.random.mean);
                times.bar(&mut svg, y, change, colour, &label(change, outcome));
            }
            y += BAR_STEP;
        }
        y += GROUP_GAP;
    }
    legend(&mut svg, &policies, height - 14.0);
    svg.push_str("</svg>\n");
    svg
}

/// All policies that were compared, `random` first.
fn policies(comparisons: &[Comparison]) -> Vec<Policy> {
    let mut policies = Vec::new();
    for (policy, _) in comparisons.iter().flat_map(Comparison::all) {
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    policies
}

fn colour(policies: &[Policy], policy: Policy) -> &'static str {
    let colours = COLOURS.into_iter().cycle();
    let mut pairs = policies.iter().zip(colours);
    let of_policy = pairs.find(|(this, _)| **this == policy);
    of_policy.map_or(INK, |(_, colour)| colour)
}

/// A change in percent, and how many were never done.
fn label(change: f64, outcome: &Outcome) -> String {
    match outcome.unfinished {
        0 => format!("{change:+.1}"),
        unfinished => format!("{change:+.1}, {unfinished} never"),
    }
}

/// Where changes of download times are drawn: as wide as they are far apart, and ten percent at least.
fn times(comparisons: &[Comparison]) -> Panel {
    let changes = comparisons.iter().flat_map(|comparison| {
        let others = comparison.others.iter();
        others.map(|(_, outcome)| change(outcome.mean, comparison.random.mean))
    });
    let (low, high) = changes.fold((-5.0_f64, 5.0_f64), |(low, high), change| {
        (low.min(change), high.max(change))
    });
    let step = nice_step(high - low);
    Panel {
        left: 520.0,
        width: 270.0,
        values: ((low / step).floor() * step, (high / step).ceil() * step),
        step,
    }
}

/// A round step that divides `span` into three to eight: more labels than that would run into each other.
fn nice_step(span: f64) -> f64 {
    let power = 10_f64.powf((span / 3.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|factor| factor * power);
    steps
        .into_iter()
        .find(|step| span / step >= 3.0)
        .unwrap_or(power)
}

impl Panel {
    fn x(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        self.left + self.width * (value - low) / (high - low)
    }

    fn frame(&self, svg: &mut String, bottom: f64, title: &str, note: &str) {
        let left = self.left;
        put(
            svg,
            format_args!(
                "<text x=\"{left}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{title}</text>"
            ),
        );
        put(
            svg,
            format_args!("<text x=\"{left}\" y=\"40\">{note}</text>"),
        );
        let (low, high) = self.values;
        let mut value = low;
        while value <= high + self.step / 2.0 {
            let (x, top, y) = (self.x(value), TOP - 6.0, bottom + 14.0);
            let is_zero = value.abs() < self.step / 2.0;
            let colour = if is_zero { INK } else { FAINT };
            put(
                svg,
                format_args!(
                    "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{colour}\"/>"
                ),
            );
            put(
                svg,
                format_args!(
                    "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{value:.0}</text>"
                ),
            );
            value += self.step;
        }
    }

    /// Draws a bar from zero to `value`, with its label behind it, which no line of the grid crosses.
    fn bar(&self, svg: &mut String, y: f64, value: f64, colour: &str, label: &str) {
        let (zero, end) = (self.x(0.0), self.x(value));
        let (left, width) = (zero.min(end), (end - zero).abs());
        put(
            svg,
            format_args!(
                "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>"
            ),
        );
        let (x, y) = (zero.max(end) + 4.0, y + BAR_HEIGHT - 0.5);
        put(
            svg,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"10\" paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"3\">{label}</text>"
            ),
        );
    }
}

fn legend(svg: &mut String, policies: &[Policy], y: f64) {
    let mut x = COPIES.left;
    for &policy in policies {
        let (top, colour) = (y - BAR_HEIGHT, colour(policies, policy));
        put(
            svg,
            format_args!(
                "<rect x=\"{x}\" y=\"{top}\" width=\"18\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>"
            ),
        );
        let text = x + 24.0;
        put(
            svg,
            format_args!("<text x=\"{text}\" y=\"{y}\">{policy}</text>"),
        );
        x += 110.0;
    }
}

/// Adds a line of text. Writing to a `String` cannot fail.
fn put(text: &mut String, line: Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_so_few_labels_that_they_do_not_touch() {
        for span in [10.0, 14.9, 15.0, 29.0, 31.0, 70.0, 99.0, 1_533.9] {
            let intervals = span / nice_step(span);
            assert!((3.0..8.0).contains(&intervals), "{span}: {intervals}");
        }
    }
}
