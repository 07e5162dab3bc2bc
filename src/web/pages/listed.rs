//! `/listed` and `/api/v1/listed`: the torrents that are served when only listed ones are (O21). Those of the file are shown and are the
//! file's to change; the others are listed here and taken off.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::block_effects::Question;
use crate::audit::Deed;
use crate::tracker::{InfoHash, ListedTorrents, Target};
use crate::web::auth::caller::audit;
use crate::web::auth::form::Form;
use crate::web::backend::{ListFile, ListFileSubject, TorrentListChange, TorrentListOutcome};
use crate::web::client::Client;
use crate::web::jobs::JobError;
use crate::web::refusal::Refusal;
use crate::web::view::page::{Page, redirect};
use crate::web::view::parameters::Parameters;
use crate::web::{NewBlock, State};

/// Rows of the page.
const ROWS: usize = 100;
/// Rows of one answer of the API at most, and where nobody says how many.
const MAX_LIMIT: usize = 10_000;
const DEFAULT_LIMIT: usize = 1_000;

/// One torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    hash: InfoHash,
    is_of_file: bool,
    is_added: bool,
}

impl Serialize for Row {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            info_hash: String,
            of_file: bool,
            added: bool,
        }
        let shown = Shown {
            info_hash: self.hash.to_string(),
            of_file: self.is_of_file,
            added: self.is_added,
        };
        shown.serialize(serializer)
    }
}

/// Torrents in order of their hashes, those of both lists once.
#[derive(Debug)]
struct Rows {
    rows: Vec<Row>,
    /// Where the next begin.
    next: Option<InfoHash>,
}

/// The first `limit` torrents from `first` on for whose hashes `is_meant` holds without a break.
fn rows(
    listed: &ListedTorrents,
    first: InfoHash,
    limit: usize,
    is_meant: impl Fn(&InfoHash) -> bool,
) -> Rows {
    let mut of_file = listed.of_file.iter_from(first).peekable();
    let mut added = listed.added.iter_from(first).peekable();
    let mut rows = Vec::new();
    loop {
        let hash = match (of_file.peek(), added.peek()) {
            (Some(file), Some(added)) => *file.min(added),
            (Some(hash), None) | (None, Some(hash)) => *hash,
            (None, None) => return Rows { rows, next: None },
        };
        if !is_meant(&hash) {
            return Rows { rows, next: None };
        }
        if rows.len() == limit {
            let next = Some(hash);
            return Rows { rows, next };
        }
        rows.push(Row {
            hash,
            is_of_file: of_file.next_if(|next| *next == hash).is_some(),
            is_added: added.next_if(|next| *next == hash).is_some(),
        });
    }
}

/// The least hash that begins with these hex digits; `None` for what is no such beginning.
fn least(beginning: &str) -> Option<InfoHash> {
    let is_short = beginning.len() <= 40 && beginning.is_ascii();
    is_short.then(|| InfoHash::from_hex(&format!("{beginning:0<40}")))?
}

/// Info hashes with blanks or commas between them.
fn hashes(text: &str) -> Option<Vec<InfoHash>> {
    let parts = text.split(|c: char| c.is_whitespace() || c == ',');
    let parts = parts.filter(|part| !part.is_empty());
    parts
        .map(|part| InfoHash::from_text(part.as_bytes()))
        .collect()
}

/// What the audit has of a change: the number, and as many of the torrents as have a place.
fn in_words(hashes: &[InfoHash]) -> String {
    let mut words = match hashes.len() {
        1 => String::new(),
        many => format!("{many} torrents: "),
    };
    let shown = hashes.iter().take(4).map(ToString::to_string);
    words.push_str(&shown.collect::<Vec<_>>().join(" "));
    words
}

/// Whether any of these stands in the file alone, so that taking it off the list here changes nothing: it stays listed.
fn stay_in_file(removed: &[InfoHash], state: &State) -> bool {
    let listed = state.tracker.access().listed_torrents();
    let stays = |hash: &InfoHash| listed.of_file.contains(hash) && !listed.added.contains(hash);
    removed.iter().any(stays)
}

/// What there is to ask before torrents are taken off the list; nothing while all are served.
async fn question(
    removed: &[InfoHash],
    asker: IpAddr,
    state: &Data<State>,
) -> Result<Option<Question>, JobError> {
    let listed = state.tracker.access().listed_torrents();
    let leaves = |hash: &&InfoHash| listed.added.contains(hash) && !listed.of_file.contains(hash);
    if !listed.is_closed {
        return Ok(None);
    }
    let block = |hash: &InfoHash| NewBlock {
        target: Target::Torrent(*hash),
        reason: String::new(),
        expires: None,
        may_change: true,
    };
    let gone: Vec<NewBlock> = removed.iter().filter(leaves).map(block).collect();
    Question::before(&gone, asker, state).await
}

/// Changes the list, and has the audit know.
async fn apply(
    state: &Data<State>,
    request: &HttpRequest,
    change: TorrentListChange,
) -> Result<TorrentListOutcome, Refusal> {
    let own = Data::clone(state);
    let (added, removed) = (change.added.clone(), change.removed.clone());
    let outcome = state
        .writes
        .run(move || (own.backend.list_torrents)(change))
        .await;
    match outcome {
        Ok(Ok(outcome)) => {
            for (deed, hashes) in [(Deed::List, &added), (Deed::Delist, &removed)] {
                if !hashes.is_empty() {
                    audit(state, request, deed, &in_words(hashes));
                }
            }
            Ok(outcome)
        }
        Ok(Err(error)) => {
            log::warn!("the listed torrents are not changed: {error}");
            Err(error.into())
        }
        Err(undone) => Err(undone.into()),
    }
}

/// What was sent, and what is said of it.
#[derive(Debug, Default)]
struct Shown<'a> {
    notice: Option<&'a str>,
    question: Option<Question>,
    /// What is in the field.
    hashes: &'a str,
}

fn render(
    state: &State,
    mut page: Page<'_>,
    status: StatusCode,
    shown: &Shown<'_>,
) -> HttpResponse {
    let listed = state.tracker.access().listed_torrents();
    let search = page.params.text("q").unwrap_or_default().to_lowercase();
    let from = page.params.text("from").and_then(InfoHash::from_hex);
    let first = least(&search);
    let found = first.map(|first| {
        let is_meant = |hash: &InfoHash| hash.to_string().starts_with(&search);
        rows(&listed, from.unwrap_or(first).max(first), ROWS, is_meant)
    });
    // A search that is none finds nothing.
    let Rows { rows, next } = found.unwrap_or(Rows {
        rows: Vec::new(),
        next: None,
    });
    let next = next.map(|next| {
        let next = next.to_string();
        page.params
            .link("/listed", &[("from", &next), ("done", "")])
    });
    let mut files = (state.backend.list_files)().into_iter();
    let file: Option<ListFile> = files.find(|file| file.subject == ListFileSubject::Torrents);
    page.insert("is_closed", &listed.is_closed);
    page.insert("file", &file);
    page.insert("added", &listed.added.len());
    page.insert("rows", &rows);
    page.insert("next", &next);
    page.insert("search", &search);
    page.insert("notice", &shown.notice);
    page.insert("hashes", &shown.hashes);
    page.insert("confirm", &confirmation(shown.hashes));
    page.insert("question", &shown.question);
    page.render_as(status, "listed.html")
}

/// What the second step of the form carries, so that nothing is confirmed but what was asked about: short, for a form may hold 4 KiB.
fn confirmation(hashes: &str) -> String {
    let digest = Sha256::digest(hashes.trim().replace('\r', ""));
    let shown = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
    shown.collect()
}

/// The page; `q` is the beginning of an info hash, `from` where a page begins.
pub(crate) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let page = Page::new(&state, &request, "listed");
    let notice = match page.params.text("done") {
        Some("list") => Some("list_done"),
        Some("delist") => Some("delist_done"),
        _ => None,
    };
    let shown = Shown {
        notice,
        ..Shown::default()
    };
    render(&state, page, StatusCode::OK, &shown)
}

/// Lists torrents, or takes them off: 302 back to the page when the disk has it, or the form again with what is wrong, or with what it
/// would do when that may be a slip (W11).
pub(crate) async fn change(state: Data<State>, request: HttpRequest, form: Form) -> HttpResponse {
    let text = form.text("hashes");
    let again = |status, notice, question| {
        let page = Page::new(&state, &request, "listed");
        let shown = Shown {
            notice,
            question,
            hashes: text,
        };
        render(&state, page, status, &shown)
    };
    let refused = |refusal: Refusal| again(refusal.status, Some(refusal.text), None);
    let Some(hashes) = hashes(text).filter(|hashes| !hashes.is_empty()) else {
        return again(StatusCode::BAD_REQUEST, Some("list_bad_hash"), None);
    };
    let is_removal = form.text("action") == "remove";
    if is_removal && stay_in_file(&hashes, &state) {
        return refused(Refusal::LIST_OF_FILE);
    }
    if is_removal && form.text("confirm") != confirmation(text) {
        let asker = Client::of(&state, &request).ip;
        match question(&hashes, asker, &state).await {
            Ok(None) => {}
            Ok(question) => return again(StatusCode::CONFLICT, None, question),
            Err(undone) => return refused(undone.into()),
        }
    }
    let (change, done) = if is_removal {
        (TorrentListChange::removal(hashes), "delist")
    } else {
        (TorrentListChange::addition(hashes), "list")
    };
    match apply(&state, &request, change).await {
        Ok(_) => redirect(&format!("/listed?done={done}")),
        Err(refusal) => refused(refusal),
    }
}

/// The list for the API: `from` is the `next` of the answer before, `limit` how many.
pub(crate) async fn listed_json(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let params = Parameters::of(&request);
    let listed = state.tracker.access().listed_torrents();
    let first = params.text("from").and_then(InfoHash::from_hex);
    let limit = params.text("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let Rows { rows, next } = rows(&listed, first.unwrap_or(InfoHash([0; 20])), limit, |_| true);
    HttpResponse::Ok().json(json!({
        "only_listed": listed.is_closed,
        "of_file": listed.of_file.len(),
        "added": listed.added.len(),
        "torrents": rows,
        "next": next.map(|next| next.to_string()),
    }))
}

/// What is to be listed and taken off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    /// Whether it is done whatever it does (W11).
    #[serde(default)]
    force: bool,
}

pub(crate) async fn change_json(
    state: Data<State>,
    request: HttpRequest,
    body: Json<Wanted>,
) -> HttpResponse {
    let read = |texts: &[String]| {
        let hashes = texts
            .iter()
            .map(|text| InfoHash::from_text(text.as_bytes()));
        hashes.collect::<Option<Vec<_>>>()
    };
    let (Some(added), Some(removed)) = (read(&body.add), read(&body.remove)) else {
        return Refusal::LIST_HASH.json(&state);
    };
    if added.is_empty() && removed.is_empty() {
        return Refusal::LIST_HASH.json(&state);
    }
    if stay_in_file(&removed, &state) {
        return Refusal::LIST_OF_FILE.json(&state);
    }
    if !body.force && !removed.is_empty() {
        let asker = Client::of(&state, &request).ip;
        match question(&removed, asker, &state).await {
            Ok(None) => {}
            Ok(Some(question)) => return question.json(&state),
            Err(undone) => return Refusal::from(undone).json(&state),
        }
    }
    let change = TorrentListChange { added, removed };
    match apply(&state, &request, change).await {
        Ok(outcome) => HttpResponse::Ok().json(outcome),
        Err(refusal) => refusal.json(&state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::TorrentSet;
    use std::sync::Arc;

    fn listed(of_file: &[u8], added: &[u8]) -> ListedTorrents {
        let set = |numbers: &[u8]| {
            let hashes = numbers.iter().map(|number| InfoHash([*number; 20]));
            Arc::new(TorrentSet::new(hashes.collect()))
        };
        ListedTorrents {
            is_closed: true,
            of_file: set(of_file),
            added: set(added),
        }
    }

    /// O21
    #[test]
    fn both_lists_are_walked_in_order_and_in_pieces() {
        let listed = listed(&[1, 3, 5], &[2, 3, 9]);
        let (mut first, mut walked) = (InfoHash([0; 20]), Vec::new());
        loop {
            let found = rows(&listed, first, 2, |_| true);
            walked.extend(found.rows.iter().map(|row| {
                let [number, ..] = row.hash.0;
                (number, row.is_of_file, row.is_added)
            }));
            match found.next {
                Some(next) => first = next,
                None => break,
            }
        }
        let expected = [
            (1, true, false),
            (2, false, true),
            (3, true, true),
            (5, true, false),
            (9, false, true),
        ];
        assert_eq!(walked, expected);
        let threes = rows(&listed, least("03").unwrap(), 9, |hash| {
            hash.to_string().starts_with("03")
        });
        assert_eq!((threes.rows.len(), threes.next), (1, None));
    }

    /// O21
    #[test]
    fn hashes_stand_in_any_form_and_apart_in_any_way() {
        let hex = "ab".repeat(20);
        let text = format!(
            "{hex},{}\r\n MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U",
            "CD".repeat(32)
        );
        assert_eq!(hashes(&text).unwrap().len(), 3);
        assert_eq!(hashes("abcd"), None);
        assert_eq!(hashes(" \n"), Some(Vec::new()));
        assert_eq!(least("é"), None);
        assert_eq!(least("xyz"), None);
        assert_eq!(least(&"0".repeat(41)), None);
        assert_eq!(least("ABC").unwrap().0[..2], [0xab, 0xc0]);
        let many: Vec<InfoHash> = (0..9).map(|number| InfoHash([number; 20])).collect();
        assert!(in_words(&many).starts_with("9 torrents: 00") && in_words(&many).len() < 200);
        assert_eq!(in_words(&many[..1]), "0".repeat(40));
    }
}
