//! `/blocklist`: the original's page and fields, for addresses, networks and info hashes (W4).

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::block_effects::Question;
use super::frequent_announcers::host_or_network;
use super::peers::network;
use crate::audit::Deed;
use crate::clock::Wall;
use crate::shown;
use crate::tracker::{Block, InfoHash, Target};
use crate::web::auth::caller::audit;
use crate::web::auth::form::Form;
use crate::web::client::Client;
use crate::web::refusal::Refusal;
use crate::web::view::csv_table;
use crate::web::view::csv_table::Csv;
use crate::web::view::language::moment;
use crate::web::view::number::Number;
use crate::web::view::page::{Page, redirect};
use crate::web::{BackendError, ListFile, ListFileSubject, NewBlock, State};

/// Characters of a reason at most.
const REASON_CHARACTERS: usize = 500;
/// An entry lasts at most this many hours, if it ends at all: ten years.
const MAX_HOURS: u64 = 87_600;

/// One entry as the page and the API show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BlockRow {
    number: i64,
    /// Address or network; nothing for a torrent.
    ip: Option<String>,
    /// Torrent; nothing for an address.
    info_hash: Option<String>,
    reason: String,
    created: u64,
    expires: Option<u64>,
}

pub(crate) fn block_row(block: &Block) -> BlockRow {
    let (ip, info_hash) = match &block.target {
        Target::Network(network) => (Some(host_or_network(network)), None),
        Target::Torrent(hash) => (None, Some(hash.to_string())),
    };
    BlockRow {
        number: block.number,
        ip,
        info_hash,
        reason: block.reason.clone(),
        created: block.created.0,
        expires: block.expires.map(|end| end.0),
    }
}

/// Every entry in force, newest first.
pub(crate) fn rows(state: &State) -> Vec<BlockRow> {
    let mut blocks = state.tracker.access().blocks();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.number));
    blocks.iter().map(block_row).collect()
}

/// The files of what is blocked.
pub(crate) fn files(state: &State) -> Vec<ListFile> {
    let mut files = (state.backend.list_files)();
    files.retain(|file| file.subject == ListFileSubject::Blocklist);
    files
}

/// An entry as the audit has it.
pub(crate) fn in_words(block: &NewBlock) -> String {
    let mut words = match &block.target {
        Target::Network(network) => host_or_network(network),
        Target::Torrent(hash) => hash.to_string(),
    };
    if let Some(end) = block.expires {
        words.push_str(&format!(" until {}", moment(end)));
    }
    if !block.reason.is_empty() {
        words.push_str(&format!(" ({})", block.reason));
    }
    words
}

/// What an entry of this number blocks, for the audit, as long as it is there.
pub(crate) fn target_of(state: &State, number: i64) -> String {
    let blocks = state.tracker.access().blocks();
    let block = blocks.iter().find(|block| block.number == number);
    // One that is gone by itself meanwhile had a number.
    block.map_or_else(
        || format!("entry {number}"),
        |block| match &block.target {
            Target::Network(network) => host_or_network(network),
            Target::Torrent(hash) => hash.to_string(),
        },
    )
}

/// Why an entry is not taken; the names are keys of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    Nothing,
    Address,
    Hash,
    Reason,
    Expiry,
}

impl Mistake {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Mistake::Nothing => "block_nothing",
            Mistake::Address => "block_bad_address",
            Mistake::Hash => "block_bad_hash",
            Mistake::Reason => "block_bad_reason",
            Mistake::Expiry => "block_bad_expiry",
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

/// The entries that the fields of a form ask for: one for an address, one for a hash.
pub(crate) fn wanted(
    [ip, info_hash, reason, hours]: [&str; 4],
    now: Wall,
) -> Result<Vec<NewBlock>, Mistake> {
    if reason.chars().count() > REASON_CHARACTERS || reason.contains(shown::steers) {
        return Err(Mistake::Reason);
    }
    let expires = match hours {
        "" => None,
        text => {
            let hours: Option<u64> = text.parse().ok();
            let hours = hours.filter(|hours| (1..=MAX_HOURS).contains(hours));
            Some(Wall(now.0 + hours.ok_or(Mistake::Expiry)? * 3_600))
        }
    };
    let mut targets = Vec::new();
    if !ip.is_empty() {
        targets.push(Target::Network(network(ip).ok_or(Mistake::Address)?));
    }
    if !info_hash.is_empty() {
        let hash = InfoHash::from_hex(info_hash).ok_or(Mistake::Hash)?;
        targets.push(Target::Torrent(hash));
    }
    if targets.is_empty() {
        return Err(Mistake::Nothing);
    }
    let block = |target| NewBlock {
        target,
        reason: reason.to_owned(),
        expires,
        may_change: false,
    };
    Ok(targets.into_iter().map(block).collect())
}

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

/// Why the list was not changed, for whoever asked and for the log.
pub(crate) fn told(error: BackendError) -> Refusal {
    log::warn!("the blocklist is not changed: {error}");
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_000);

    /// W4
    #[test]
    fn addresses_networks_and_hashes_of_any_case_are_taken() {
        let upper = "AB".repeat(20);
        let blocks = wanted(["10.0.0.0/8", &upper, "spam", "2"], NOW).unwrap();
        let [network, torrent] = blocks.as_slice() else {
            panic!("two entries");
        };
        assert_eq!(
            network.target,
            Target::Network("10.0.0.0/8".parse().unwrap())
        );
        assert_eq!(torrent.target, Target::Torrent(InfoHash([0xab; 20])));
        assert_eq!(network.expires, Some(Wall(1_000 + 7_200)));
        let mapped = wanted(["::ffff:192.0.2.1", "", "", ""], NOW).unwrap();
        assert_eq!(
            mapped[0].target,
            Target::Network("192.0.2.1/32".parse().unwrap())
        );
        assert_eq!(mapped[0].expires, None);
    }

    /// R6
    #[test]
    fn what_is_no_target_is_refused() {
        let long = "x".repeat(501);
        for (fields, mistake) in [
            (["", "", "r", ""], Mistake::Nothing),
            (["999.1.1.1", "", "", ""], Mistake::Address),
            (["<script>", "", "", ""], Mistake::Address),
            (["10.0.0.0/33", "", "", ""], Mistake::Address),
            (["", "abcd", "", ""], Mistake::Hash),
            (["10.0.0.1", "", &long, ""], Mistake::Reason),
            (["10.0.0.1", "", "a\nb", ""], Mistake::Reason),
            (["10.0.0.1", "", "\u{202e}gnp.exe", ""], Mistake::Reason),
            (["10.0.0.1", "", "", "0"], Mistake::Expiry),
            (["10.0.0.1", "", "", "-1"], Mistake::Expiry),
            (
                ["10.0.0.1", "", "", "99999999999999999999"],
                Mistake::Expiry,
            ),
        ] {
            assert_eq!(wanted(fields, NOW), Err(mistake), "{fields:?}");
        }
    }
}
