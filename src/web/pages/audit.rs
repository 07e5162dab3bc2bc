//! `/audit`: who did what, newest first (W12).

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::audit::{Entry, MAX_ENTRIES};
use crate::web::State;
use crate::web::refusal::Refusal;
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::page::Page;

/// The latest entries, newest first; read on a thread that may wait.
pub(crate) async fn latest(state: &State) -> Result<Vec<Entry>, Refusal> {
    let audit = state.backend.audit.clone();
    match state.audits.run(move || audit.latest()).await {
        Ok(Ok(entries)) => Ok(entries),
        Ok(Err(error)) => {
            log::error!("the audit cannot be read: {error}");
            Err(Refusal {
                status: StatusCode::SERVICE_UNAVAILABLE,
                text: "audit_unreadable",
            })
        }
        Err(undone) => Err(undone.into()),
    }
}

/// The entries as CSV, as the API names them.
fn table(entries: &[Entry]) -> Csv {
    let mut csv = Csv::new(&[
        "time", "last", "actor", "who", "from", "deed", "about", "count",
    ]);
    for entry in entries {
        csv.row(&[
            &csv_table::iso(entry.time.0),
            &csv_table::iso(entry.last.0),
            &entry.actor,
            &entry.who,
            &entry.from,
            &entry.deed,
            &entry.about,
            &entry.count,
        ]);
    }
    csv
}

/// The page, or its table as CSV.
pub(crate) async fn audit(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "audit");
    if csv_table::wanted(&page.params, &["audit"]).is_some() {
        return match latest(&state).await {
            Ok(entries) => table(&entries).reply("audit"),
            Err(refusal) => refusal.shown(&state, &request),
        };
    }
    let (status, notice, rows) = match latest(&state).await {
        Ok(rows) => (StatusCode::OK, None, rows),
        Err(refusal) => (refusal.status, Some(refusal.text), Vec::new()),
    };
    page.insert("notice", &notice);
    page.insert("most", &MAX_ENTRIES);
    page.insert("rows", &rows);
    page.render_as(status, "audit.html")
}
