//! `/keys`: the keys of announce addresses (O16), made by label and shown once, and what has been done with each. Nobody but who
//! makes a key ever sees it: of those that are there, only digests are known.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::audit::Deed;
use crate::clock::Wall;
use crate::shown;
use crate::tracker::{
    KeyDigest, KeyLimits, KeyReport, MAX_ADDRESSES, MAX_LABEL, MAX_SESSIONS, NewKey,
};
use crate::web::auth::caller::audit;
use crate::web::auth::form::Form;
use crate::web::auth::secrets::random_hex;
use crate::web::refusal::Refusal;
use crate::web::view::number::Number;
use crate::web::view::page::{Page, redirect};
use crate::web::view::parameters::{Parameters, encode};
use crate::web::{BackendError, State};

/// Keys made at once at most.
pub(crate) const MAX_MADE: usize = 200;
/// A key lasts at most this many hours, if it ends at all: ten years.
const MAX_HOURS: u64 = 87_600;
/// Characters of a label that are looked for at most.
const MAX_SEARCH: usize = 100;
/// Rows of the page.
const ROWS: usize = 100;

/// One key as the page and the API show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyRow {
    number: i64,
    label: String,
    /// `in_force`, `ended` or `revoked`.
    state: &'static str,
    is_from_file: bool,
    created: u64,
    expires: Option<u64>,
    revoked: Option<u64>,
    max_addresses: u32,
    max_torrents: u32,
    uploaded: u64,
    downloaded: u64,
    last_seen: Option<u64>,
    torrents: u32,
    addresses: usize,
}

pub(crate) fn key_row(report: &KeyReport, now: Wall) -> KeyRow {
    let (record, totals) = (&report.record, &report.totals);
    let state = match (record.revoked, record.over_since(now)) {
        (Some(_), _) => "revoked",
        (None, Some(_)) => "ended",
        (None, None) => "in_force",
    };
    let second = |time: Option<Wall>| time.map(|time| time.0);
    KeyRow {
        number: record.number,
        label: record.key.label.clone(),
        state,
        is_from_file: record.is_from_file,
        created: record.created.0,
        expires: second(record.key.expires),
        revoked: second(record.revoked),
        max_addresses: record.key.limits.addresses,
        max_torrents: record.key.limits.torrents,
        uploaded: totals.traffic.uploaded,
        downloaded: totals.traffic.downloaded,
        last_seen: second(totals.last_seen),
        torrents: report.torrents,
        addresses: report.addresses.len(),
    }
}

/// Keys behind `after`, at most `most` that `keep` keeps; looked for on a thread that may take long.
pub(crate) async fn found(
    state: &Data<State>,
    after: i64,
    most: usize,
    keep: impl Fn(&KeyReport) -> bool + Send + 'static,
) -> Result<Vec<KeyReport>, Refusal> {
    let own = Data::clone(state);
    let look = move || own.tracker.keys().page(after, most, keep);
    Ok(state.views.run(look).await?)
}

/// Why keys are not made; the names are keys of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    Count,
    Label,
    Expiry,
    Limit,
}

impl Mistake {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Mistake::Count => "keys_bad_count",
            Mistake::Label => "keys_bad_label",
            Mistake::Expiry => "block_bad_expiry",
            Mistake::Limit => "keys_bad_limit",
        }
    }
}

impl From<Mistake> for Refusal {
    fn from(mistake: Mistake) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            text: mistake.name(),
        }
    }
}

/// What keys are to be made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedKeys {
    /// A key for each.
    pub labels: Vec<String>,
    pub hours: Option<u64>,
    pub limits: KeyLimits,
}

/// A key that was made, with what its owner needs: shown this once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MadeKey {
    number: i64,
    label: String,
    key: String,
}

impl WantedKeys {
    /// Checks it; until when the keys last.
    pub(crate) fn check(&self, now: Wall) -> Result<Option<Wall>, Mistake> {
        if !(1..=MAX_MADE).contains(&self.labels.len()) {
            return Err(Mistake::Count);
        }
        let is_label =
            |label: &String| label.chars().count() <= MAX_LABEL && !label.contains(shown::steers);
        if !self.labels.iter().all(is_label) {
            return Err(Mistake::Label);
        }
        let KeyLimits {
            addresses,
            torrents,
        } = self.limits;
        if addresses as usize > MAX_ADDRESSES || torrents as usize > MAX_SESSIONS {
            return Err(Mistake::Limit);
        }
        match self.hours {
            None => Ok(None),
            Some(hours) if (1..=MAX_HOURS).contains(&hours) => {
                Ok(Some(Wall(now.0 + hours * 3_600)))
            }
            Some(_) => Err(Mistake::Expiry),
        }
    }
}

/// Makes keys, on the disk and in force when this returns, and tells the audit: numbers and labels, no key.
pub(crate) async fn make(
    state: &Data<State>,
    request: &HttpRequest,
    wanted: WantedKeys,
) -> Result<Vec<MadeKey>, Refusal> {
    let expires = wanted.check(state.clock.wall())?;
    let own = Data::clone(state);
    let work = move || -> Result<Vec<MadeKey>, BackendError> {
        let (mut made, mut keys) = (Vec::new(), Vec::new());
        for label in wanted.labels {
            let key = random_hex::<16>().map_err(|error| {
                log::error!("no key can be made: {error}");
                BackendError::Disk
            })?;
            keys.push(NewKey {
                digest: KeyDigest::of(key.as_bytes()).ok_or(BackendError::TooLong)?,
                label: label.clone(),
                expires,
                limits: wanted.limits,
            });
            made.push(MadeKey {
                number: 0,
                label,
                key,
            });
        }
        let numbers = (own.backend.make_keys)(keys)?;
        let numbered = made.into_iter().zip(numbers);
        Ok(numbered
            .map(|(made, number)| MadeKey { number, ..made })
            .collect())
    };
    let made = state.writes.run(work).await?.map_err(told)?;
    let words: Vec<String> = made
        .iter()
        .map(|made| in_words(made.number, &made.label))
        .collect();
    audit(state, request, Deed::KeysMade, &words.join(", "));
    Ok(made)
}

/// Revokes keys; the numbers of those that were in force.
pub(crate) async fn revoke(
    state: &Data<State>,
    request: &HttpRequest,
    numbers: Vec<i64>,
) -> Result<Vec<i64>, Refusal> {
    let keys = state.tracker.keys();
    let is_from_file = |number: &i64| {
        let report = keys.one(*number);
        report.is_some_and(|report| report.record.is_from_file)
    };
    if numbers.iter().any(is_from_file) {
        return Err(Refusal {
            status: StatusCode::CONFLICT,
            text: "key_is_from_file",
        });
    }
    let own = Data::clone(state);
    let work = move || (own.backend.revoke_keys)(numbers);
    let revoked = state.writes.run(work).await?.map_err(told)?;
    if !revoked.is_empty() {
        let label = |number: &i64| {
            let report = keys.one(*number);
            let label = report.map(|report| report.record.key.label);
            in_words(*number, &label.unwrap_or_default())
        };
        let words: Vec<String> = revoked.iter().map(label).collect();
        audit(state, request, Deed::KeysRevoked, &words.join(", "));
    }
    Ok(revoked)
}

/// A key as the audit has it.
fn in_words(number: i64, label: &str) -> String {
    if label.is_empty() {
        number.to_string()
    } else {
        format!("{number} ({label})")
    }
}

/// Why the keys were not changed, for whoever asked and for the log.
fn told(error: BackendError) -> Refusal {
    log::warn!("the keys are not changed: {error}");
    error.into()
}

/// The number behind which a list begins.
fn after(params: &Parameters) -> i64 {
    let after = params.text("after").and_then(|text| text.parse().ok());
    // None, or a bad one, is the beginning.
    after.unwrap_or(0)
}

/// The page; `q` looks for a part of a label, `after` is the last number of the page before.
pub(crate) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let page = Page::new(&state, &request, "keys");
    let notice = match page.params.text("done") {
        Some("revoke") => Some("key_revoked"),
        _ => None,
    };
    render(&state, page, StatusCode::OK, notice, &[]).await
}

async fn render(
    state: &Data<State>,
    mut page: Page<'_>,
    status: StatusCode,
    mut notice: Option<&str>,
    made: &[MadeKey],
) -> HttpResponse {
    let search: String = page.params.text("q").unwrap_or_default().to_owned();
    let search: String = search.chars().take(MAX_SEARCH).collect();
    let (after, part) = (after(&page.params), search.to_lowercase());
    let keep = move |report: &KeyReport| report.record.key.label.to_lowercase().contains(&part);
    let mut status = status;
    let found = found(state, after, ROWS, keep)
        .await
        .unwrap_or_else(|refusal| {
            status = refusal.status;
            notice.get_or_insert(refusal.text);
            Vec::new()
        });
    let now = state.clock.wall();
    let rows: Vec<KeyRow> = found.iter().map(|report| key_row(report, now)).collect();
    let last = rows.last().filter(|_| rows.len() == ROWS);
    let next = last.map(|row| format!("/keys?after={}&q={}", row.number, encode(&search)));
    page.insert("notice", &notice);
    page.insert("made", &made);
    page.insert("q", &search);
    page.insert("total", &state.tracker.keys().len());
    page.insert("are_off", &state.tracker.keys().are_off());
    page.insert("first", &(after > 0));
    page.insert("next", &next);
    page.insert("rows", &rows);
    page.render_as(status, "keys.html")
}

/// What the form asks for: a key for each line.
fn wanted(form: &Form) -> Result<WantedKeys, Mistake> {
    let lines = form.text("labels").lines().map(str::trim);
    let labels: Vec<String> = lines.map(str::to_owned).collect();
    let number = |name: &str, mistake: Mistake| match form.text(name) {
        "" => Ok(None),
        text => text.parse::<u32>().map(Some).map_err(|_| mistake),
    };
    Ok(WantedKeys {
        // A form without any is for one key.
        labels: if labels.is_empty() {
            vec![String::new()]
        } else {
            labels
        },
        hours: number("hours", Mistake::Expiry)?.map(u64::from),
        limits: KeyLimits {
            addresses: number("max_addresses", Mistake::Limit)?.unwrap_or(0),
            torrents: number("max_torrents", Mistake::Limit)?.unwrap_or(0),
        },
    })
}

/// Makes the keys that the form asks for, and shows them this once.
pub(crate) async fn make_keys(
    state: Data<State>,
    request: HttpRequest,
    form: Form,
) -> HttpResponse {
    let made = match wanted(&form) {
        Ok(wanted) => make(&state, &request, wanted).await,
        Err(mistake) => Err(mistake.into()),
    };
    let page = Page::new(&state, &request, "keys");
    match made {
        Ok(made) => render(&state, page, StatusCode::OK, Some("keys_made"), &made).await,
        Err(refusal) => render(&state, page, refusal.status, Some(refusal.text), &[]).await,
    }
}

/// Ends a key.
pub(crate) async fn revoke_key(
    state: Data<State>,
    request: HttpRequest,
    Number(number): Number<i64>,
    _form: Form,
) -> HttpResponse {
    match revoke(&state, &request, vec![number]).await {
        Ok(_) => redirect("/keys?done=revoke"),
        Err(refusal) => {
            let page = Page::new(&state, &request, "keys");
            render(&state, page, refusal.status, Some(refusal.text), &[]).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O16
    #[test]
    fn what_keys_are_made_with_is_checked() {
        let wanted = |count: usize, label: &str, hours, addresses, torrents| {
            let wanted = WantedKeys {
                labels: vec![label.to_owned(); count],
                hours,
                limits: KeyLimits {
                    addresses,
                    torrents,
                },
            };
            wanted.check(Wall(100))
        };
        assert_eq!(wanted(1, "", None, 0, 0), Ok(None));
        assert_eq!(
            wanted(200, "анна", Some(1), 1_000, 10_000),
            Ok(Some(Wall(3_700)))
        );
        let long = "ы".repeat(MAX_LABEL + 1);
        for (count, label, hours, addresses, torrents, mistake) in [
            (0, "", None, 0, 0, Mistake::Count),
            (201, "", None, 0, 0, Mistake::Count),
            (1, "a\u{7}", None, 0, 0, Mistake::Label),
            (1, "\u{202e}anna", None, 0, 0, Mistake::Label),
            (1, long.as_str(), None, 0, 0, Mistake::Label),
            (1, "", Some(0), 0, 0, Mistake::Expiry),
            (1, "", Some(87_601), 0, 0, Mistake::Expiry),
            (1, "", None, 1_001, 0, Mistake::Limit),
            (1, "", None, 0, 10_001, Mistake::Limit),
        ] {
            let found = wanted(count, label, hours, addresses, torrents);
            assert_eq!(found, Err(mistake));
        }
    }
}
