//! `/api/v1/keys…`: the keys of announce addresses for a site that gives them to its members, and its accounting (O16). A key itself is
//! in the answer that made it and nowhere else.

use std::str::FromStr;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::State;
use super::pages::keys::{KeyRow, WantedKeys, found, key_row, make, revoke};
use super::refusal::{Refusal, error};
use super::view::number::Number;
use super::view::parameters::Parameters;
use crate::clock::Wall;
use crate::tracker::{KeyLimits, KeyReport};

/// Keys in one answer at most, and where nobody says how many.
const MAX_LISTED: usize = 1_000;
const LISTED: usize = 100;
/// Lines of one export at most: some 2 MB.
const MAX_EXPORTED: usize = 5_000;
/// Keys revoked at once at most.
const MAX_REVOKED: usize = 500;

/// Which keys a query asks for.
struct Asked {
    /// Those behind this number.
    after: i64,
    /// So many at most.
    most: usize,
    /// What was used, made or over at or after this.
    since: Wall,
}

impl Asked {
    /// What is not given has its usual value, and a limit is brought within its bounds; what is given and no number is refused: a
    /// program that accounts by the answer would take all keys for those that it asked for.
    fn of(request: &HttpRequest, usual: usize, most: usize) -> Result<Asked, Refusal> {
        let params = Parameters::of(request);
        let limit = number(&params, "limit")?.unwrap_or(usual);
        Ok(Asked {
            after: number(&params, "after")?.unwrap_or(0),
            most: limit.clamp(1, most),
            since: Wall(number(&params, "since")?.unwrap_or(0)),
        })
    }

    async fn found(&self, state: &Data<State>, now: Wall) -> Result<Vec<KeyReport>, Refusal> {
        let since = self.since;
        let is_meant = move |report: &KeyReport| report.changed_at(now) >= since;
        found(state, self.after, self.most, is_meant).await
    }
}

fn number<N: FromStr>(params: &Parameters, name: &str) -> Result<Option<N>, Refusal> {
    let read = |text: &str| text.parse().map_err(|_| Refusal::NUMBER);
    params.text(name).map(read).transpose()
}

pub(super) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let now = state.clock.wall();
    let asked = match Asked::of(&request, LISTED, MAX_LISTED) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.json(&state),
    };
    let found = match asked.found(&state, now).await {
        Ok(found) => found,
        Err(refusal) => return refusal.json(&state),
    };
    let last = found.last().filter(|_| found.len() == asked.most);
    let next = last.map(|report| report.record.number);
    let rows: Vec<KeyRow> = found.iter().map(|report| key_row(report, now)).collect();
    let total = state.tracker.keys().len();
    HttpResponse::Ok().json(json!({ "total": total, "next": next, "keys": rows }))
}

/// A line of JSON for each key; whoever has the last line asks for what is behind its number.
pub(super) async fn export(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let now = state.clock.wall();
    let asked = match Asked::of(&request, MAX_EXPORTED, MAX_EXPORTED) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.json(&state),
    };
    let found = match asked.found(&state, now).await {
        Ok(found) => found,
        Err(refusal) => return refusal.json(&state),
    };
    let mut lines = Vec::new();
    for report in &found {
        if let Err(fault) = serde_json::to_writer(&mut lines, &key_row(report, now)) {
            log::error!("the export of keys: {fault}");
            return error(StatusCode::INTERNAL_SERVER_ERROR, "the export failed");
        }
        lines.push(b'\n');
    }
    HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .body(lines)
}

pub(super) async fn one(state: Data<State>, Number(number): Number<i64>) -> HttpResponse {
    let Some(report) = state.tracker.keys().one(number) else {
        return error(StatusCode::NOT_FOUND, "no such key");
    };
    let from: Vec<String> = report.addresses.iter().map(ToString::to_string).collect();
    let row = key_row(&report, state.clock.wall());
    HttpResponse::Ok().json(json!({ "key": row, "from": from }))
}

/// Nothing to revoke: a second time is answered as every `DELETE` of what is gone. What was done with the key is still to be had.
fn none_in_force() -> HttpResponse {
    error(
        StatusCode::NOT_FOUND,
        "no such key, or it was revoked before",
    )
}

/// What keys are made of: one for each label.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    labels: Vec<String>,
    hours: Option<u64>,
    #[serde(default)]
    max_addresses: u32,
    #[serde(default)]
    max_torrents: u32,
}

pub(super) async fn create(
    state: Data<State>,
    request: HttpRequest,
    body: Json<Wanted>,
) -> HttpResponse {
    let body = body.into_inner();
    let wanted = WantedKeys {
        labels: body.labels,
        hours: body.hours,
        limits: KeyLimits {
            addresses: body.max_addresses,
            torrents: body.max_torrents,
        },
    };
    match make(&state, &request, wanted).await {
        Ok(made) => HttpResponse::Created().json(json!({ "keys": made })),
        Err(refusal) => refusal.json(&state),
    }
}

/// Ends a key; answers with what was done with it in all.
pub(super) async fn end(
    state: Data<State>,
    request: HttpRequest,
    Number(number): Number<i64>,
) -> HttpResponse {
    match revoke(&state, &request, vec![number]).await {
        Ok(revoked) if revoked.is_empty() => none_in_force(),
        Ok(_) => match state.tracker.keys().one(number) {
            Some(report) => {
                let row = key_row(&report, state.clock.wall());
                HttpResponse::Ok().json(json!({ "key": row }))
            }
            None => none_in_force(),
        },
        Err(refusal) => refusal.json(&state),
    }
}

/// The keys that are to be revoked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unwanted {
    numbers: Vec<i64>,
}

pub(super) async fn end_many(
    state: Data<State>,
    request: HttpRequest,
    body: Json<Unwanted>,
) -> HttpResponse {
    let numbers = body.into_inner().numbers;
    if !(1..=MAX_REVOKED).contains(&numbers.len()) {
        return Refusal {
            status: StatusCode::BAD_REQUEST,
            text: "keys_bad_numbers",
        }
        .json(&state);
    }
    match revoke(&state, &request, numbers).await {
        Ok(revoked) => HttpResponse::Ok().json(json!({ "revoked": revoked })),
        Err(refusal) => refusal.json(&state),
    }
}
