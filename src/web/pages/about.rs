//! `/about`: version, the health of every part, the configuration with secrets hidden, and the tokens of the API.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::audit::Deed;
use crate::clock::Wall;
use crate::metrics::Gauge;
use crate::web::auth::caller::audit;
use crate::web::auth::form::Form;
use crate::web::monitor::health;
use crate::web::refusal::Refusal;
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::number::Number;
use crate::web::view::page::{Page, redirect};
use crate::web::{ConfigurationRow, NewToken, Scope, State, Token, TokenError};

/// A token lasts at most this many days, if it ends at all: ten years.
const MAX_DAYS: u64 = 3_650;

#[derive(Serialize)]
struct TokenRow {
    number: u64,
    name: String,
    created: u64,
    scope: &'static str,
    expires: Option<u64>,
    has_expired: bool,
    used: Option<u64>,
}

/// One section of the configuration.
#[derive(Serialize)]
struct Section {
    name: String,
    rows: Vec<ConfigurationRow>,
}

/// The rows under the name of their section, in their order.
fn sections(rows: Vec<ConfigurationRow>) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for row in rows {
        match sections.last_mut() {
            Some(last) if last.name == row.section => last.rows.push(row),
            _ => sections.push(Section {
                name: row.section.clone(),
                rows: vec![row],
            }),
        }
    }
    sections
}

/// The state of the parts, from the gauges that they set.
#[derive(Serialize)]
struct Parts {
    faults: Vec<&'static str>,
    restored: u64,
    snapshot_finished_at: u64,
    snapshot_millis: u64,
    snapshot_bytes: u64,
    snapshot_swarms: u64,
    snapshot_peers: u64,
    snapshot_failures: u64,
    sweep_millis: u64,
    census_millis: u64,
    expired_peers: u64,
    connections: u64,
    panics: u64,
    memory_bytes: u64,
    has_untrusted_proxy: bool,
}

fn parts(state: &State) -> Parts {
    let gauge = |gauge| state.metrics.gauge(gauge);
    Parts {
        faults: health::faults(state, health::sites(state).as_ref())
            .into_iter()
            .map(health::Fault::name)
            .collect(),
        restored: gauge(Gauge::Restored),
        snapshot_finished_at: gauge(Gauge::SnapshotFinishedAt),
        snapshot_millis: gauge(Gauge::SnapshotMillis),
        snapshot_bytes: gauge(Gauge::SnapshotBytes),
        snapshot_swarms: gauge(Gauge::SnapshotSwarms),
        snapshot_peers: gauge(Gauge::SnapshotPeers),
        snapshot_failures: gauge(Gauge::SnapshotFailures),
        sweep_millis: gauge(Gauge::SweepMillis),
        census_millis: state.backend.census.load().took_millis,
        expired_peers: gauge(Gauge::ExpiredPeers),
        connections: gauge(Gauge::Connections),
        panics: gauge(Gauge::Panics),
        // 0 where /proc is hidden.
        memory_bytes: crate::web::monitor::prometheus::resident_bytes().unwrap_or(0),
        has_untrusted_proxy: gauge(Gauge::UntrustedProxy) > 0,
    }
}

/// The configuration as CSV, secrets hidden as on the page.
fn configuration_table(rows: &[ConfigurationRow]) -> Csv {
    let mut csv = Csv::new(&["section", "key", "value", "origin"]);
    for row in rows {
        csv.row(&[&row.section, &row.key, &row.value, &row.origin]);
    }
    csv
}

/// The tokens as CSV: what the page shows of them.
fn token_table(rows: &[TokenRow]) -> Csv {
    let mut csv = Csv::new(&["number", "name", "created", "scope", "expires", "last_used"]);
    for row in rows {
        let [expires, used] = [row.expires, row.used].map(|time| time.map(csv_table::iso));
        csv.row(&[
            &row.number,
            &row.name,
            &csv_table::iso(row.created),
            &row.scope,
            &expires.as_deref().unwrap_or_default(),
            &used.as_deref().unwrap_or_default(),
        ]);
    }
    csv
}

/// The page, or one of its tables as CSV; `name`, `scope` and `days` of the query fill the form.
pub(crate) async fn about(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let page = Page::new(&state, &request, "about");
    match csv_table::wanted(&page.params, &["configuration", "tokens"]) {
        // Not on the page of a viewer either.
        Some("tokens") if !page.is_operator() => return Refusal::ROLE.shown(&state, &request),
        Some("tokens") => match token_rows(&state) {
            Ok(rows) => return token_table(&rows).reply("tokens"),
            Err(error) => return told(&TokenError::File(error)).shown(&state, &request),
        },
        Some(_) => {
            let rows = (state.backend.configuration)();
            return configuration_table(&rows).reply("configuration");
        }
        None => {}
    }
    let notice = match page.params.text("done") {
        Some("save") => Some("save_done"),
        Some("revoke") => Some("token_revoked"),
        _ => None,
    };
    render(&state, page, StatusCode::OK, notice, None)
}

fn token_rows(state: &State) -> std::io::Result<Vec<TokenRow>> {
    let now = state.clock.wall();
    let row = |token: Token| TokenRow {
        number: token.number,
        created: token.created.0,
        scope: token.scope.name(),
        expires: token.expires.map(|end| end.0),
        has_expired: token.has_expired(now),
        used: state.uses.last(&token).map(|last| last.0),
        name: token.name,
    };
    Ok(state.tokens.list()?.into_iter().map(row).collect())
}

fn render(
    state: &State,
    mut page: Page<'_>,
    status: StatusCode,
    mut notice: Option<&str>,
    secret: Option<&str>,
) -> HttpResponse {
    let tokens = token_rows(state).unwrap_or_else(|error| {
        state.tokens.tell_unreadable(&error);
        notice.get_or_insert("tokens_unreadable");
        Vec::new()
    });
    for field in ["name", "scope", "days"] {
        let given = page.params.text(field).unwrap_or_default().to_owned();
        page.insert(field, &given);
    }
    page.insert("notice", &notice);
    page.insert("secret", &secret);
    page.insert("tokens", &tokens);
    page.insert("parts", &parts(state));
    page.insert("started", &state.started.0);
    page.insert("configuration", &sections((state.backend.configuration)()));
    page.render_as(status, "about.html")
}

/// The page with what went wrong.
fn refused(state: &State, request: &HttpRequest, refusal: Refusal) -> HttpResponse {
    let page = Page::new(state, request, "about");
    render(state, page, refusal.status, Some(refusal.text), None)
}

/// Makes a snapshot at once.
pub(crate) async fn save(state: Data<State>, request: HttpRequest, _form: Form) -> HttpResponse {
    let own = Data::clone(&state);
    let refusal = match state.saves.run(move || (own.backend.save)(())).await {
        Ok(Ok(())) => return redirect("/about?done=save"),
        Ok(Err(error)) => {
            log::warn!("a snapshot on demand failed: {error}");
            error.into()
        }
        Err(undone) => undone.into(),
    };
    refused(&state, &request, refusal)
}

/// Makes a token and shows it this once.
pub(crate) async fn make_token(
    state: Data<State>,
    request: HttpRequest,
    form: Form,
) -> HttpResponse {
    let now = state.clock.wall();
    let Some((scope, expires)) = rights(&form, now) else {
        return refused(&state, &request, (&TokenError::End).into());
    };
    let (own, name) = (Data::clone(&state), form.text("name").to_owned());
    let work = move || {
        let new = NewToken {
            name: &name,
            scope,
            expires,
        };
        let made = own.tokens.create(&new, now);
        made.map(|secret| (secret, new.in_words()))
    };
    let refusal = match state.writes.run(work).await {
        Ok(Ok((secret, words))) => {
            audit(&state, &request, Deed::TokenMade, &words);
            let page = Page::new(&state, &request, "about");
            let (notice, secret) = (Some("token_made"), Some(secret.as_str()));
            return render(&state, page, StatusCode::OK, notice, secret);
        }
        Ok(Err(error)) => told(&error),
        Err(undone) => undone.into(),
    };
    refused(&state, &request, refusal)
}

/// What the form wants a token to open, and until when; `None` when its days are no number of days.
fn rights(form: &Form, now: Wall) -> Option<(Scope, Option<Wall>)> {
    // A form without one, or with one that there is not, gets the least.
    let scope = Scope::from_name(form.text("scope")).unwrap_or(Scope::Read);
    let days = form.text("days");
    if days.is_empty() {
        return Some((scope, None));
    }
    let days: u64 = days.parse().ok()?;
    let is_good = (1..=MAX_DAYS).contains(&days);
    is_good.then_some((scope, Some(Wall(now.0 + days * 86_400))))
}

/// Ends a token.
pub(crate) async fn revoke_token(
    state: Data<State>,
    request: HttpRequest,
    Number(number): Number<u64>,
    _form: Form,
) -> HttpResponse {
    let own = Data::clone(&state);
    let refusal = match state.writes.run(move || own.tokens.revoke(number)).await {
        Ok(Ok(revoked)) => {
            if let Some(token) = revoked {
                audit(&state, &request, Deed::TokenRevoked, &token.name);
            }
            return redirect("/about?done=revoke");
        }
        Ok(Err(error)) => told(&error),
        Err(undone) => undone.into(),
    };
    refused(&state, &request, refusal)
}

/// Why the tokens were not changed, for whoever asked and for the log.
fn told(error: &TokenError) -> Refusal {
    log::warn!("the tokens are not changed: {error}");
    error.into()
}
