//! Why a request to the pages is not taken, and with what it is answered.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::metrics::Failure;

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is no HTTP, or its parts contradict one another.
    Malformed,
    /// Its head is too long or has too many fields.
    HeadTooLong,
    /// Its body is encoded.
    Encoded,
    /// Its body is too long.
    BodyTooLong,
    /// It expects something else than a word before its body.
    Expectation,
    /// It did not come in time.
    Slow,
}

impl Refused {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Refused::Malformed => StatusCode::BAD_REQUEST,
            Refused::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refused::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refused::BodyTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::Expectation => StatusCode::EXPECTATION_FAILED,
            Refused::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Refused::Malformed => "bad request\n",
            Refused::HeadTooLong => "request head too long\n",
            Refused::Encoded => "encoded bodies are not taken\n",
            Refused::BodyTooLong => "request body too long\n",
            Refused::Expectation => "expectation not met\n",
            Refused::Slow => "request took too long\n",
        }
    }

    pub(super) const fn failure(self) -> Failure {
        match self {
            Refused::Malformed | Refused::Encoded | Refused::Expectation => Failure::BadRequest,
            Refused::HeadTooLong | Refused::BodyTooLong => Failure::TooLong,
            Refused::Slow => Failure::TimedOut,
        }
    }
}

/// Under which reason a reply of a page or the API is counted, when it refuses: the one that it was given, or that of its status. What is
/// a fault of ours, or of the disk, is told and counted where it happens.
pub(super) fn of_reply(reply: &HttpResponse) -> Option<Failure> {
    let given = reply.extensions().get::<Failure>().copied();
    given.or(match reply.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(Failure::Forbidden),
        StatusCode::NOT_FOUND => Some(Failure::NotFound),
        StatusCode::METHOD_NOT_ALLOWED => Some(Failure::Method),
        StatusCode::PAYLOAD_TOO_LARGE => Some(Failure::TooLong),
        StatusCode::TOO_MANY_REQUESTS => Some(Failure::RequestRate),
        other => other.is_client_error().then_some(Failure::BadRequest),
    })
}

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is answered and counted.
    Refused(Refused),
    /// The client went away.
    Gone,
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Fault {
        Fault::Refused(refused)
    }
}
