//! `/blocklist`: the original's page and fields, for addresses, networks and info hashes (W4).

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::block_effects::Question;
use super::block_entries::{BlockRow, files, in_words, rows, target_of, told, wanted};
use crate::audit::Deed;
use crate::web::State;
use crate::web::auth::caller::audit;
use crate::web::auth::form::Form;
use crate::web::client::Client;
use crate::web::refusal::Refusal;
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::number::Number;
use crate::web::view::page::{Page, redirect};

/// The list as CSV.
fn table(rows: &[BlockRow]) -> Csv {
    let mut csv = Csv::new(&["number", "ip", "info_hash", "reason", "created", "expires"]);
    for row in rows {
        let expires = row.expires.map(csv_table::iso);
        csv.row(&[
            &row.number,
            &row.ip.as_deref().unwrap_or_default(),
            &row.info_hash.as_deref().unwrap_or_default(),
            &row.reason,
            &csv_table::iso(row.created),
            &expires.as_deref().unwrap_or_default(),
        ]);
    }
    csv
}

/// The page, or its table as CSV; `ip`, `info_hash`, `reason` and `hours` of the query fill the form.
pub(crate) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "blocklist");
    let done = match page.params.text("done") {
        Some("block") => Some("block_done"),
        Some("unblock") => Some("unblock_done"),
        _ => None,
    };
    page.insert("notice", &done);
    page.insert("question", &None::<Question>);
    // A field that no link fills is empty.
    let given = |name: &str| page.params.text(name).unwrap_or_default().to_owned();
    let fields = ["ip", "info_hash", "reason", "hours"].map(given);
    if csv_table::wanted(&page.params, &["blocklist"]).is_some() {
        return table(&rows(&state)).reply("blocklist");
    }
    render(&state, page, StatusCode::OK, &fields)
}

fn render(
    state: &State,
    mut page: Page<'_>,
    status: StatusCode,
    fields: &[String; 4],
) -> HttpResponse {
    let [ip, info_hash, reason, hours] = fields;
    page.insert("ip", ip);
    page.insert("info_hash", info_hash);
    page.insert("reason", reason);
    page.insert("hours", hours);
    page.insert("confirm", &confirmation(fields));
    page.insert("rows", &rows(state));
    page.insert("files", &files(state));
    page.render_as(status, "blocklist.html")
}

/// The list with what went wrong.
fn refused(
    state: &State,
    request: &HttpRequest,
    refusal: Refusal,
    fields: &[String; 4],
) -> HttpResponse {
    let mut page = Page::new(state, request, "blocklist");
    page.insert("notice", &Some(refusal.text));
    page.insert("question", &None::<Question>);
    render(state, page, refusal.status, fields)
}

/// What the second step of the form carries, so that nothing is confirmed but what was asked about.
fn confirmation([ip, info_hash, ..]: &[String; 4]) -> String {
    format!("{ip} {info_hash}")
}

/// The form again, with what the entries would do, to be sent once more.
fn asked(
    state: &State,
    request: &HttpRequest,
    question: Question,
    fields: &[String; 4],
) -> HttpResponse {
    let mut page = Page::new(state, request, "blocklist");
    page.insert("notice", &None::<&str>);
    page.insert("question", &Some(question));
    render(state, page, StatusCode::CONFLICT, fields)
}

/// Adds what the form asks for: 302 back to the list when the disk has it, or the form again with what is wrong, or with what it would do
/// when that may be a slip (W11).
pub(crate) async fn add(state: Data<State>, request: HttpRequest, form: Form) -> HttpResponse {
    let fields = ["ip", "info_hash", "reason", "hours"].map(|name| form.text(name).to_owned());
    let [ip, hash, reason, hours] = &fields;
    let mut blocks = match wanted([ip, hash, reason, hours], state.clock.wall()) {
        Ok(blocks) => blocks,
        Err(mistake) => return refused(&state, &request, mistake.into(), &fields),
    };
    if form.text("confirm") == confirmation(&fields).trim() {
        blocks.iter_mut().for_each(|block| block.may_change = true);
    } else {
        let asker = Client::of(&state, &request).ip;
        match Question::before(&blocks, asker, &state).await {
            Ok(None) => {}
            Ok(Some(question)) => return asked(&state, &request, question, &fields),
            Err(undone) => return refused(&state, &request, undone.into(), &fields),
        }
    }
    let own = Data::clone(&state);
    let work = move || {
        let mut done = Vec::new();
        for block in blocks {
            let words = in_words(&block);
            match (own.backend.block)(block) {
                Ok(_) => done.push(words),
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    };
    let refusal = match state.writes.run(work).await {
        Ok((done, outcome)) => {
            for words in &done {
                audit(&state, &request, Deed::Block, words);
            }
            match outcome {
                Ok(()) => return redirect("/blocklist?done=block"),
                Err(error) => told(error),
            }
        }
        Err(undone) => undone.into(),
    };
    refused(&state, &request, refusal, &fields)
}

/// Takes an entry out: 302 back to the list, also when it was gone already, as in the original.
pub(crate) async fn remove(
    state: Data<State>,
    request: HttpRequest,
    Number(number): Number<i64>,
    _form: Form,
) -> HttpResponse {
    let (own, target) = (Data::clone(&state), target_of(&state, number));
    let work = move || (own.backend.unblock)(number);
    let refusal = match state.writes.run(work).await {
        Ok(Ok(was_there)) => {
            if was_there {
                audit(&state, &request, Deed::Unblock, &target);
            }
            return redirect("/blocklist?done=unblock");
        }
        Ok(Err(error)) => told(error),
        Err(undone) => undone.into(),
    };
    refused(&state, &request, refusal, &Default::default())
}
