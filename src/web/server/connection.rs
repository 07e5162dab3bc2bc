//! Connections that another listener accepted and handed over: each is read for one request, answered once, and closed, within
//! one limit of time, and one more for a reply that comes in pieces.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use actix_http::Request;
use actix_service::Service;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::{HttpMessage, HttpResponse};
use tokio::io::{AsyncRead, AsyncWrite};

use super::encrypted::Encrypted;
use super::fault::{Fault, Refused};
use super::reply::{BodyEnd, LongReply, StreamBounds};
use super::{fault, reply, request};
use crate::metrics::Transport;
use crate::net::handover::{ByTls, Handover};
use crate::web::State;
use crate::web::auth::guard;
use crate::web::refusal::{Refusal, error};
use crate::web::view::page;

/// How long a client may take to send its request, within the limit of the connection.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long the connection stays open for a client to see that its reply was all.
const END_LIMIT: Duration = Duration::from_secs(1);

/// How long a reply in pieces may take in all, where it does not say so itself; each piece has the limit of a connection.
const STREAM_LIMIT: Duration = Duration::from_mins(5);

/// Whether a request begins as one whose reply has no body, empty lines before it passed over.
fn asks_head_only(read: &[u8]) -> bool {
    let start = read.iter().position(|byte| !b"\r\n".contains(byte));
    let rest = start.and_then(|start| read.get(start..));
    rest.is_some_and(|rest| rest.starts_with(b"HEAD "))
}

/// A refusal as the description of the API has it.
fn for_program(refused: Refused) -> HttpResponse {
    let text = refused.text().trim_end();
    error(refused.status(), text)
}

/// The refusal of a body as a page has it.
const fn for_person(refused: Refused) -> Refusal {
    Refusal {
        status: refused.status(),
        ..match refused {
            Refused::BodyTooLong => Refusal::TOO_LONG,
            _ => Refusal::BAD_REQUEST,
        }
    }
}

/// Reads the one request of a connection, has it answered by the `pages`, and ends the connection.
pub(super) async fn converse<S, B>(state: &State, pages: &S, handover: Handover)
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let Handover {
        stream,
        tls,
        read,
        peer,
        hold,
    } = handover;
    let adopted = stream
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpStream::from_std(stream));
    let Ok(stream) = adopted else { return };
    match tls {
        Some(session) => {
            let mut stream = Encrypted::new(stream, session);
            // One that breaks off does so without TLS' own word of the end.
            let _ = serve(state, pages, &mut stream, read, (peer, true)).await;
        }
        None => {
            let mut stream = stream;
            let served = serve(state, pages, &mut stream, read, (peer, false)).await;
            if served.is_err() {
                // A reset: to a client that knows no chunks nothing else tells what broke off from what is whole.
                drop(stream.set_zero_linger());
            }
        }
    }
    drop(hold);
}

/// A reply in pieces was not sent to its end.
struct BrokenOff;

/// Has the one request of a connection answered, which `peer` sent, by TLS or not. A client that goes away or is too slow is no fault
/// of ours.
///
/// # Errors
/// When a reply has begun and breaks off.
async fn serve<S, B>(
    state: &State,
    pages: &S,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    read: Vec<u8>,
    asker: (SocketAddr, bool),
) -> Result<(), BrokenOff>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let limit = state.settings.connection_limit;
    let talked = talk(state, pages, stream, read, asker);
    let Ok(Some(streamed)) = tokio::time::timeout(limit, talked).await else {
        return Ok(());
    };
    let Streamed {
        reply,
        end,
        is_head,
    } = streamed;
    let now = state.clock.wall();
    let long = reply.extensions().get::<LongReply>().cloned();
    let bounds = StreamBounds {
        piece: limit,
        all: long.as_ref().map_or(STREAM_LIMIT, |long| long.limit),
        long,
    };
    let sent = reply::stream(stream, reply, end, is_head, now, &bounds);
    if sent.await.is_err() {
        return Err(BrokenOff);
    }
    drop(tokio::time::timeout(END_LIMIT, reply::end(stream)).await);
    Ok(())
}

/// A reply that comes in pieces.
struct Streamed {
    reply: HttpResponse<BoxBody>,
    end: BodyEnd,
    is_head: bool,
}

/// Reads the request and answers it, unless the reply comes in pieces: then it is returned.
async fn talk<S, B>(
    state: &State,
    pages: &S,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    read: Vec<u8>,
    (peer, is_tls): (SocketAddr, bool),
) -> Option<Streamed>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let mut is_head = asks_head_only(&read);
    let mut asker = request::Asker::default();
    let received = request::receive(stream, read, peer, &mut asker);
    let received = tokio::time::timeout(REQUEST_LIMIT, received).await;
    let reply = match received.unwrap_or(Err(Fault::Refused(Refused::Slow))) {
        Ok(request) => {
            is_head = request.method() == Method::HEAD;
            let end = BodyEnd::of_stream(request.version());
            if is_tls {
                request.extensions_mut().insert(ByTls);
            }
            let reply = answer(pages, request).await;
            if let Some(failure) = fault::of_reply(&reply) {
                state.metrics.spare().failed(Transport::Http, failure);
            }
            if reply::is_streamed(&reply) {
                return Some(Streamed {
                    reply,
                    end,
                    is_head,
                });
            }
            reply
        }
        Err(Fault::Refused(refused)) => {
            let counters = state.metrics.spare();
            counters.failed(Transport::Http, refused.failure());
            let headers = asker.headers.filter(page::accepts_html);
            let mut reply = match headers {
                _ if asker.is_program => for_program(refused),
                Some(headers) => for_person(refused).outside(state, &headers),
                None => page::plain(refused.status(), refused.text()),
            };
            guard::harden(reply.headers_mut());
            reply
        }
        Err(Fault::Gone) => return None,
    };
    if reply::send(stream, reply, is_head, state.clock.wall())
        .await
        .is_ok()
    {
        drop(tokio::time::timeout(END_LIMIT, reply::end(stream)).await);
    }
    None
}

async fn answer<S, B>(pages: &S, request: Request) -> HttpResponse<BoxBody>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    let answered = match poll_fn(|context| pages.poll_ready(context)).await {
        Ok(()) => pages.call(request).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(reply) => reply.into_parts().1.map_into_boxed_body(),
        Err(error) => {
            let mut reply = HttpResponse::from_error(error);
            guard::harden(reply.headers_mut());
            reply
        }
    }
}
