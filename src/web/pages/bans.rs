//! Bans: the table of them on `/callers` and in the API, and their lifting (O8).

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use serde::Serialize;

use crate::audit::Deed;
use crate::net::host_or_network;
use crate::web::State;
use crate::web::auth::caller::audit;
use crate::web::auth::form::Form;
use crate::web::refusal::{Refusal, error};
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::number::Number;
use crate::web::view::page::redirect;

/// Bans on the page at most; its table as CSV and the API have all of them.
const SHOWN: usize = 500;

/// One ban as the page and the API show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BanRow {
    number: u64,
    /// Address, or the /64 of v6.
    ip: String,
    /// What there was too much of.
    too_many: &'static str,
    created: u64,
    expires: u64,
}

/// The bans in force, newest first.
pub(crate) fn rows(state: &State) -> Vec<BanRow> {
    let (now, wall) = (state.clock.now(), state.clock.wall());
    let bans = state.backend.limits.bans(now).into_iter();
    bans.map(|ban| BanRow {
        number: ban.number,
        ip: host_or_network(ban.network),
        too_many: ban.kind.name(),
        created: wall.0.saturating_sub(now.since(ban.since).into()),
        expires: wall.0 + u64::from(ban.until.since(now)),
    })
    .collect()
}

/// Those that the page shows, and how many there are besides.
pub(crate) fn shown(state: &State) -> (Vec<BanRow>, usize) {
    let mut rows = rows(state);
    let more = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    (rows, more)
}

/// The bans as CSV, as the API names them.
pub(crate) fn table(state: &State) -> Csv {
    let mut csv = Csv::new(&["number", "ip", "too_many", "created", "expires"]);
    for row in rows(state) {
        csv.row(&[
            &row.number,
            &row.ip,
            &row.too_many,
            &csv_table::iso(row.created),
            &csv_table::iso(row.expires),
        ]);
    }
    csv
}

/// Lifts a ban and tells the audit; whether there was one.
pub(crate) async fn lift(
    state: &Data<State>,
    request: &HttpRequest,
    number: u64,
) -> Result<bool, Refusal> {
    let own = Data::clone(state);
    let work = move || (own.backend.lift)(number);
    let lifted: Option<IpNet> = match state.writes.run(work).await {
        Ok(Ok(lifted)) => lifted,
        Ok(Err(error)) => {
            log::warn!("a lifted ban is not kept: {error}");
            return Err(error.into());
        }
        Err(undone) => return Err(undone.into()),
    };
    if let Some(network) = &lifted {
        audit(state, request, Deed::BanLifted, &host_or_network(*network));
    }
    Ok(lifted.is_some())
}

/// Lifts a ban: 302 back to the page, also when it was over already.
pub(crate) async fn remove(
    state: Data<State>,
    request: HttpRequest,
    Number(number): Number<u64>,
    _form: Form,
) -> HttpResponse {
    match lift(&state, &request, number).await {
        Ok(_) => redirect("/callers?done=lift"),
        Err(refusal) => refusal.shown(&state, &request),
    }
}

/// The bans for a program.
pub(crate) async fn list(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "bans": rows(&state) }))
}

/// Lifts one for a program.
pub(crate) async fn delete(
    state: Data<State>,
    request: HttpRequest,
    Number(number): Number<u64>,
) -> HttpResponse {
    match lift(&state, &request, number).await {
        Ok(true) => HttpResponse::NoContent().finish(),
        Ok(false) => error(StatusCode::NOT_FOUND, "no such ban"),
        Err(refusal) => refusal.json(&state),
    }
}
