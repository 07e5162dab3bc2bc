//! How somebody is told that what was asked for was not done: a status, and a text in the language of who reads it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::State;
use super::auth::tokens::TokenError;
use super::backend::BackendError;
use super::jobs::JobError;
use super::view::page;

/// One refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    /// The key of its text.
    pub text: &'static str,
}

impl Refusal {
    pub(super) const METHOD: Refusal = Refusal {
        status: StatusCode::METHOD_NOT_ALLOWED,
        text: "refused_method",
    };

    /// A short text for a person, where there is no page to show it on.
    pub(super) fn plain(self, state: &State, request: &HttpRequest) -> HttpResponse {
        page::plain(self.status, page::text(state, request, self.text))
    }

    /// For a program.
    pub(super) fn json(self, state: &State) -> HttpResponse {
        let text = state.templates.english(self.text);
        let text = text.unwrap_or_else(|| self.text.to_owned());
        HttpResponse::build(self.status).json(json!({ "error": text }))
    }
}

impl From<JobError> for Refusal {
    fn from(undone: JobError) -> Refusal {
        let (status, text) = match undone {
            JobError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "refused_busy"),
            JobError::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "refused_internal"),
        };
        Refusal { status, text }
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Refusal {
        let (status, text) = match error {
            // Not 507, which as a 5xx is retried by programs and counted as an outage: the bound is ours, the disk has room, and
            // whoever asks can make some on the list (RFC 9110, 15.5.10).
            BackendError::BlocklistFull => (StatusCode::CONFLICT, "refused_list_full"),
            BackendError::TooLong => (StatusCode::BAD_REQUEST, "block_bad_reason"),
            BackendError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "refused_busy"),
            BackendError::Silent => (StatusCode::SERVICE_UNAVAILABLE, "refused_silent"),
            BackendError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "refused_closed"),
            BackendError::Disk => (StatusCode::SERVICE_UNAVAILABLE, "refused_disk"),
        };
        Refusal { status, text }
    }
}

impl From<&TokenError> for Refusal {
    fn from(error: &TokenError) -> Refusal {
        let (status, text) = match error {
            TokenError::Name => (StatusCode::BAD_REQUEST, "token_bad_name"),
            // As a full blocklist.
            TokenError::TooMany => (StatusCode::CONFLICT, "token_too_many"),
            TokenError::Unreadable(_) => (StatusCode::SERVICE_UNAVAILABLE, "tokens_unreadable"),
            TokenError::File(_) => (StatusCode::SERVICE_UNAVAILABLE, "token_failed"),
        };
        Refusal { status, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::view::templates::Templates;

    /// W4, W9
    #[test]
    fn every_refusal_has_its_status_and_a_text() {
        let file = TokenError::File(std::io::Error::other("x"));
        let unreadable = TokenError::Unreadable(std::io::Error::other("x"));
        let templates = Templates::load(None).unwrap();
        for (refusal, status) in [
            (JobError::Busy.into(), 503),
            (JobError::Panicked.into(), 500),
            (BackendError::BlocklistFull.into(), 409),
            (BackendError::TooLong.into(), 400),
            (BackendError::Busy.into(), 503),
            (BackendError::Silent.into(), 503),
            (BackendError::Closed.into(), 503),
            (BackendError::Disk.into(), 503),
            (Refusal::from(&TokenError::Name), 400),
            (Refusal::from(&TokenError::TooMany), 409),
            (Refusal::from(&file), 503),
            (Refusal::from(&unreadable), 503),
            (Refusal::METHOD, 405),
        ] {
            assert_eq!(refusal.status, status, "{}", refusal.text);
            assert!(
                templates.english(refusal.text).is_some(),
                "{}",
                refusal.text
            );
        }
    }
}
