//! The status of the sites as a person reads it on a terminal.

use serde_json::Value;

use crate::shown::on_one_line;

/// The text; what a reply does not have is a dash.
pub(super) fn status(status: &Value) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Names and errors come from elsewhere.
        let line = on_one_line(&format_args!("{line}"));
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(format!(
        "{} of the network {}, version {}: {}",
        word(status, "name"),
        word(status, "network"),
        word(status, "version"),
        if status.get("ready") == Some(&Value::Bool(true)) {
            "ready"
        } else {
            "not ready"
        }
    ));
    for missing in list(status, "missing") {
        line(format!("  missing: {}", missing.as_str().unwrap_or("-")));
    }
    let lag = status.get("lag").unwrap_or(&Value::Null);
    line(format!(
        "own peers {}, lag half within {} ms, 99 of 100 within {} ms",
        word(status, "own_peers"),
        word(lag, "half_ms"),
        word(lag, "ninety_nine_ms")
    ));
    line(format!(
        "told: {} changes in {} frames; not told when they came {}, full queues {}, told again {} times, changes of engine {}, log begun anew {}",
        word(status, "sent_deltas"),
        word(status, "sent_frames"),
        word(status, "dropped"),
        word(status, "overflows"),
        word(status, "resends"),
        word(status, "engine_changes"),
        word(status, "new_logs")
    ));
    line(row([
        "tracker", "heard s", "lag ms", "peers", "changes", "missed", "dropped", "version",
        "differs",
    ]));
    for site in list(status, "sites") {
        let dropped = site.get("dropped").and_then(Value::as_object);
        let dropped = dropped.into_iter().flat_map(serde_json::Map::values);
        let dropped: u64 = dropped.filter_map(Value::as_u64).sum();
        let differs: Vec<&str> = list(site, "differs").filter_map(Value::as_str).collect();
        line(row([
            &word(site, "name"),
            &word(site, "heard_s"),
            &word(site, "lag_ms"),
            &word(site, "peers"),
            &word(site, "deltas"),
            &word(site, "missed"),
            &dropped.to_string(),
            &word(site, "version"),
            &differs.join(","),
        ]));
    }
    list(status, "engines").map(engine).for_each(line);
    text
}

fn engine(engine: &Value) -> String {
    let error = engine.get("error").and_then(Value::as_str);
    format!(
        "engine {}: {} for {} s, {}, round trip {} µs{}",
        word(engine, "url"),
        word(engine, "state"),
        word(engine, "since_s"),
        word(engine, "version"),
        word(engine, "rtt_us"),
        error.map(|error| format!(": {error}")).unwrap_or_default()
    )
}

fn row(cells: [&str; 9]) -> String {
    let widths = [20, 8, 8, 10, 12, 8, 8, 10, 0];
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(&format!("{cell:<width$} "));
    }
    text
}

fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn word(of: &Value, name: &str) -> String {
    match of.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O26
    #[test]
    fn the_status_is_shown_whole_and_a_reply_without_it_is_no_fault() {
        let told = serde_json::json!({
            "name": "msk", "network": "retracker", "version": "1.0.0", "ready": false,
            "missing": ["an engine\u{1b}[2J"], "own_peers": 5, "lag": {"half_ms": 1, "ninety_nine_ms": 2},
            "sent_deltas": 3, "sent_frames": 4, "dropped": 0, "overflows": 0, "resends": 1, "engine_changes": 0,
            "sites": [{
                "name": "spb", "heard_s": null, "peers": 567, "dropped": {"malformed": 2, "invalid": 1},
                "version": "", "differs": ["zones"],
            }],
            "engines": [{"url": "redis://e1:6379", "state": "silent", "since_s": 9, "error": "no answer in time"}],
        });
        let text = status(&told);
        for part in [
            "msk of the network retracker, version 1.0.0: not ready",
            "missing: an engine\\u{1b}[2J",
            "own peers 5, lag half within 1 ms",
            "spb                  -        -        567        -            -        3        -          zones",
            "engine redis://e1:6379: silent for 9 s, -, round trip - µs: no answer in time",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(status(&Value::Null).contains("not ready"));
    }
}
