//! All torrents as one scrape: at `/scrape` for admin networks and tokens, in the tracker's protocol, and as a file of the API (P22).
//!
//! It is written on a thread of its own, one at a time, and goes out as it is written: what is written and not sent is bounded by
//! [`WAITING`] pieces. The thread ends with its reader, who is bounded in time by `server/connection.rs`.

use std::io;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, HeaderMap, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;

use super::client::Client;
use super::jobs::JobError;
use super::refusal::{Refusal, error};
use super::{FullScrape, State};
use crate::metrics::{Action, Failure, Family, Transport};
use crate::supervise;

/// Bytes of a piece.
const PIECE: usize = 64 * 1024;
/// Pieces that wait to be sent.
const WAITING: usize = 4;

/// A piece of the reply, or that the last one was the last: one that ends without is not whole.
enum Piece {
    Bytes(Bytes),
    End,
}

/// In the tracker's protocol. Who may ask is decided before.
pub(super) async fn scrape(state: Data<State>, request: HttpRequest) -> HttpResponse {
    if !(state.backend.full_scrape.is_on)() {
        return Refusal::NOT_FOUND.shown(&state, &request);
    }
    match pieces(&state, &request).await {
        Ok(pieces) => reply(&request, pieces, "text/plain"),
        Err(JobError::Busy) => failure(&state, &state.backend.full_scrape.busy),
        Err(undone @ JobError::Panicked) => Refusal::from(undone).shown(&state, &request),
    }
}

/// As a file.
pub(super) async fn file(state: Data<State>, request: HttpRequest) -> HttpResponse {
    if !(state.backend.full_scrape.is_on)() {
        return error(StatusCode::NOT_FOUND, "the full scrape is off");
    }
    match pieces(&state, &request).await {
        Ok(pieces) => {
            let mut reply = reply(&request, pieces, "application/octet-stream");
            let disposition = "attachment; filename=\"retracker-scrape.bencode\"";
            let value = actix_web::http::header::HeaderValue::from_static(disposition);
            reply.headers_mut().insert(CONTENT_DISPOSITION, value);
            reply
        }
        Err(undone) => {
            let mut reply = Refusal::from(undone).json(&state);
            if undone == JobError::Busy {
                reply.extensions_mut().insert(Failure::FullScrape);
            }
            reply
        }
    }
}

/// What is told to whoever may not have it.
pub(super) fn denied(state: &State) -> HttpResponse {
    failure(state, &state.backend.full_scrape.denied)
}

/// A refusal as trackers refuse, counted.
fn failure(state: &State, text: &impl Fn() -> Vec<u8>) -> HttpResponse {
    let counters = state.metrics.spare();
    counters.failed(Transport::Http, Failure::FullScrape);
    HttpResponse::Ok().content_type("text/plain").body(text())
}

fn reply(request: &HttpRequest, pieces: ScrapeBody, kind: &'static str) -> HttpResponse {
    let mut reply = HttpResponse::Ok();
    reply
        .content_type(kind)
        .insert_header((VARY, "Accept-Encoding"));
    if takes_gzip(request.headers()) {
        reply.insert_header((CONTENT_ENCODING, "gzip"));
    }
    reply.body(pieces)
}

/// Begins to write it, when nobody else is given it. To a HEAD there is nothing to write.
async fn pieces(state: &Data<State>, request: &HttpRequest) -> Result<ScrapeBody, JobError> {
    let (sender, receiver) = mpsc::channel(WAITING);
    if *request.method() != Method::HEAD {
        let (own, is_gzip) = (Data::clone(state), takes_gzip(request.headers()));
        let work = move || write_behind_others(&own.backend.full_scrape, is_gzip, sender);
        state.scrapes.begin(work).await?;
    }
    let family = Family::of(Client::of(state, request).ip);
    let counters = state.metrics.spare();
    counters.answered(Transport::Http, family, Action::Scrape);
    Ok(ScrapeBody(receiver))
}

/// As [`write()`], on a thread that has nothing else to do: announces come first where cores are busy.
fn write_behind_others(full_scrape: &FullScrape, is_gzip: bool, sender: mpsc::Sender<Piece>) {
    supervise::step_back();
    write(full_scrape, is_gzip, sender);
}

/// Writes it to the end or until nobody listens any more. Blocks as long as the reader does.
fn write(full_scrape: &FullScrape, is_gzip: bool, sender: mpsc::Sender<Piece>) {
    let mut out = PieceWriter {
        sender,
        piece: Vec::with_capacity(PIECE),
    };
    let written = if is_gzip {
        let mut out = GzEncoder::new(&mut out, Compression::fast());
        (full_scrape.write)(&mut |bytes| out.write_all(bytes).is_ok()) && out.finish().is_ok()
    } else {
        (full_scrape.write)(&mut |bytes| out.write_all(bytes).is_ok())
    };
    if written && out.flush().is_ok() {
        // Whoever has gone by now misses nothing.
        drop(out.sender.blocking_send(Piece::End));
    }
}

/// Cuts what is written into pieces and sends them; an error means that nobody listens.
struct PieceWriter {
    sender: mpsc::Sender<Piece>,
    piece: Vec<u8>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.piece.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.piece.extend_from_slice(taken);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let sent = self.sender.blocking_send(Piece::Bytes(piece.into()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The body: pieces as they come.
struct ScrapeBody(mpsc::Receiver<Piece>);

impl MessageBody for ScrapeBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        self.0.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => None,
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    }
}

/// Whether gzip is among the encodings that are asked for (RFC 9110, 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING);
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_gzip = ["gzip", "x-gzip"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known));
        // A weight of zero, in however many places, refuses.
        let is_refused = |part: &str| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
        };
        is_gzip && !parts.any(is_refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    /// P22
    #[test]
    fn gzip_is_sent_to_whoever_asks_for_it() {
        let takes = |values: &[&str]| {
            let request = TestRequest::get();
            let request = values.iter().fold(request, |request, value| {
                request.append_header((ACCEPT_ENCODING, *value))
            });
            takes_gzip(request.to_http_request().headers())
        };
        for asked in [
            vec!["gzip"],
            vec!["deflate, gzip, br, zstd"],
            vec!["br", "GZIP;q=0.5"],
            vec!["x-gzip ; q=1"],
        ] {
            assert!(takes(&asked), "{asked:?}");
        }
        for other in [
            vec![],
            vec![""],
            vec!["identity"],
            vec!["gzip;q=0"],
            vec!["gzip; q=0.000, br"],
            vec!["gzipped"],
            vec!["*"],
        ] {
            assert!(!takes(&other), "{other:?}");
        }
    }

    fn scrape_of(
        write: impl Fn(&mut dyn FnMut(&[u8]) -> bool) -> bool + Send + Sync + 'static,
    ) -> FullScrape {
        FullScrape {
            is_on: Box::new(|| true),
            write: Box::new(write),
            denied: Box::new(Vec::new),
            busy: Box::new(Vec::new),
        }
    }

    /// P22
    #[test]
    fn pieces_are_bounded_and_one_that_breaks_off_has_no_end() {
        let read = |full_scrape: FullScrape| {
            let (sender, mut receiver) = mpsc::channel(WAITING);
            std::thread::scope(|scope| {
                let writer = scope.spawn(|| write(&full_scrape, false, sender));
                let (mut bytes, mut is_whole) = (Vec::new(), false);
                while let Some(piece) = receiver.blocking_recv() {
                    match piece {
                        Piece::Bytes(piece) => {
                            assert!(!piece.is_empty() && piece.len() <= PIECE);
                            bytes.extend_from_slice(&piece);
                        }
                        Piece::End => is_whole = true,
                    }
                }
                (writer.join().is_ok(), bytes, is_whole)
            })
        };
        let text: Vec<u8> = (0..300_000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        let own = text.clone();
        let whole = scrape_of(move |take| own.chunks(70_001).all(&mut *take));
        assert_eq!(read(whole), (true, text, true));
        let broken = scrape_of(|take| {
            take(b"d5:files");
            false
        });
        assert_eq!(read(broken), (true, Vec::new(), false));
        let empty = scrape_of(|_| true);
        assert_eq!(read(empty), (true, Vec::new(), true));
    }

    /// P22
    #[test]
    fn whoever_goes_away_ends_the_writing() {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let endless = scrape_of(|take| {
            while take(&[7; PIECE]) {}
            false
        });
        let writer = std::thread::spawn(move || write(&endless, true, sender));
        assert!(receiver.blocking_recv().is_some());
        drop(receiver);
        writer.join().unwrap();
    }
}
