//! What a run found, for people and as JSON.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::{Expense, Tally};

/// The outcome of loading one tracker.
pub(super) struct Report {
    pub url: String,
    pub peers_announced: u32,
    pub warm_up: Tally,
    pub tally: Tally,
    pub took: Duration,
    /// The server before anything was sent.
    pub at_start: Option<Expense>,
    /// The server before and after measuring.
    pub server: Option<(Expense, Expense)>,
    /// The generator before and after measuring.
    pub own: (Expense, Expense),
}

impl Report {
    pub(super) fn has_faults(&self) -> bool {
        self.tally.faulty() + self.warm_up.faulty() > 0 || self.tally.answered() == 0
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let text = if as_json {
            format!("{}\n", self.to_json())
        } else {
            self.to_text()
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }

    fn rate(&self) -> f64 {
        self.tally.answered() as f64 / self.took.as_secs_f64().max(1e-9)
    }

    fn percentile(&self, percent: f64) -> f64 {
        self.tally.latency.value_at_percentile(percent) as f64 / 1e3
    }

    fn mean_peers(&self) -> f64 {
        self.tally.peers as f64 / self.tally.announces.max(1) as f64
    }

    /// CPU microseconds per request of a process, and the share of one core that it was busy.
    fn spent(&self, before: &Expense, after: &Expense) -> (f64, f64) {
        let spent = after.cpu().saturating_sub(before.cpu()).as_secs_f64();
        (
            spent * 1e6 / self.tally.answered().max(1) as f64,
            spent / self.took.as_secs_f64().max(1e-9),
        )
    }

    /// Growth of the server's memory during the warm-up, per peer announced.
    fn bytes_per_peer(&self) -> Option<f64> {
        let (before, _) = self.server?;
        let growth = before.resident_bytes as f64 - self.at_start?.resident_bytes as f64;
        (self.peers_announced > 0).then(|| growth / f64::from(self.peers_announced))
    }

    fn to_json(&self) -> Value {
        let latency = |percent| self.percentile(percent);
        let (own_micros, own_busy) = self.spent(&self.own.0, &self.own.1);
        let mut report = json!({
            "url": self.url,
            "answered": self.tally.answered(),
            "announces": self.tally.announces,
            "scrapes": self.tally.scrapes,
            "connects": self.tally.connects,
            "seconds": self.took.as_secs_f64(),
            "rate": self.rate(),
            "peers_per_announce": self.mean_peers(),
            "latency_us": {
                "p50": latency(50.0), "p90": latency(90.0), "p99": latency(99.0), "p99_9": latency(99.9), "max": latency(100.0),
            },
            "reopened": self.tally.reopened,
            "handshakes": self.tally.handshakes,
            "resumed": self.tally.resumed,
            "faults": self.tally.faults,
            "warm_up_faults": self.warm_up.faults,
            "generator": { "cpu_us_per_request": own_micros, "busy": own_busy },
        });
        if let (Some((before, after)), Some(fields)) = (self.server, report.as_object_mut()) {
            let (micros, busy) = self.spent(&before, &after);
            fields.insert(
                "server".to_owned(),
                json!({
                    "cpu_us_per_request": micros,
                    "busy": busy,
                    "user_share": (after.user.saturating_sub(before.user)).as_secs_f64()
                        / after.cpu().saturating_sub(before.cpu()).as_secs_f64().max(1e-9),
                    "resident_bytes": after.resident_bytes,
                    "bytes_per_peer": self.bytes_per_peer(),
                }),
            );
        }
        report
    }

    fn to_text(&self) -> String {
        let tally = &self.tally;
        let mut lines = vec![
            self.url.clone(),
            format!(
                "  answered   {} in {:.2} s, {:.0}/s ({} announces with {:.1} peers each, {} scrapes, {} connects)",
                tally.answered(),
                self.took.as_secs_f64(),
                self.rate(),
                tally.announces,
                self.mean_peers(),
                tally.scrapes,
                tally.connects
            ),
            format!(
                "  latency    50 % {:.0} µs, 90 % {:.0} µs, 99 % {:.0} µs, 99.9 % {:.0} µs, worst {:.0} µs",
                self.percentile(50.0),
                self.percentile(90.0),
                self.percentile(99.0),
                self.percentile(99.9),
                self.percentile(100.0)
            ),
        ];
        if let Some((before, after)) = self.server {
            let (micros, busy) = self.spent(&before, &after);
            let mut line = format!(
                "  server     {micros:.2} µs of CPU per request, {:.0} % of a core, {:.1} MiB",
                busy * 100.0,
                after.resident_bytes as f64 / 1_048_576.0
            );
            if let Some(bytes) = self.bytes_per_peer() {
                line.push_str(&format!(
                    ", grew by {bytes:.0} bytes per peer in the warm-up"
                ));
            }
            lines.push(line);
        }
        let (micros, busy) = self.spent(&self.own.0, &self.own.1);
        lines.push(format!(
            "  generator  {micros:.2} µs of CPU per request, {:.0} % of a core",
            busy * 100.0
        ));
        if tally.handshakes + tally.resumed > 0 {
            lines.push(format!(
                "  handshakes {} whole, {} resumed",
                tally.handshakes, tally.resumed
            ));
        }
        if tally.reopened > 0 {
            lines.push(format!(
                "  reopened   {} connections that the server had ended",
                tally.reopened
            ));
        }
        for (when, tally) in [
            ("in the warm-up", &self.warm_up),
            ("while measuring", tally),
        ] {
            for (fault, count) in &tally.faults {
                lines.push(format!("  FAULTS     {count} × {fault} {when}"));
            }
        }
        lines.join("\n") + "\n"
    }
}
