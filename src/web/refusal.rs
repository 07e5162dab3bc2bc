//! How somebody is told that what was asked for was not done: a status, and a text in the language of who reads it, in the frame
//! of the pages where a browser shows it.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::State;
use super::auth::tokens::TokenError;
use super::backend::BackendError;
use super::jobs::JobError;
use super::view::page;
use super::view::page::Page;

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
    pub(super) const NOT_FOUND: Refusal = Refusal {
        status: StatusCode::NOT_FOUND,
        text: "refused_not_found",
    };
    pub(super) const CROSS_SITE: Refusal = Refusal {
        status: StatusCode::FORBIDDEN,
        text: "refused_cross_site",
    };
    pub(super) const NO_ADMIN: Refusal = Refusal {
        status: StatusCode::FORBIDDEN,
        text: "refused_no_admin",
    };
    pub(super) const FORM_EXPIRED: Refusal = Refusal {
        status: StatusCode::FORBIDDEN,
        text: "refused_form_expired",
    };
    pub(super) const NO_FORM: Refusal = Refusal {
        status: StatusCode::BAD_REQUEST,
        text: "refused_no_form",
    };
    pub(super) const BAD_REQUEST: Refusal = Refusal {
        status: StatusCode::BAD_REQUEST,
        text: "refused_bad_request",
    };
    pub(super) const TOO_LONG: Refusal = Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        text: "refused_too_long",
    };
    pub(super) const SEARCH: Refusal = Refusal {
        status: StatusCode::BAD_REQUEST,
        text: "search_unread",
    };

    pub(super) const NUMBER: Refusal = Refusal {
        status: StatusCode::BAD_REQUEST,
        text: "refused_number",
    };

    /// What is to be taken off the list is the file's to take off.
    pub(super) const LIST_OF_FILE: Refusal = Refusal {
        status: StatusCode::CONFLICT,
        text: "list_is_of_file",
    };

    pub(super) const LIST_HASH: Refusal = Refusal {
        status: StatusCode::BAD_REQUEST,
        text: "list_bad_hash",
    };

    /// Who has logged in may not do this.
    pub(super) const ROLE: Refusal = Refusal {
        status: StatusCode::FORBIDDEN,
        text: "refused_role",
    };

    /// The token does not open this.
    pub(super) const SCOPE: Refusal = Refusal {
        status: StatusCode::FORBIDDEN,
        text: "refused_scope",
    };

    /// For whoever asked: a page for a browser, a short text for a program.
    pub(super) fn shown(self, state: &State, request: &HttpRequest) -> HttpResponse {
        if !page::accepts_html(request.headers()) {
            return page::plain(self.status, page::text(state, request, self.text));
        }
        self.page(Page::new(state, request, "refused"), None)
    }

    /// For the sender of a form, with a link `back` to the form as it was filled in.
    pub(super) fn with_way_back(
        self,
        state: &State,
        request: &HttpRequest,
        back: &str,
    ) -> HttpResponse {
        if !page::accepts_html(request.headers()) {
            return self.shown(state, request);
        }
        let page = Page::new(state, request, "refused");
        self.page(page, Some(back))
    }

    /// For somebody of whom only the head of a request is known.
    pub(super) fn outside(self, state: &State, headers: &HeaderMap) -> HttpResponse {
        self.page(Page::outside(state, headers, "refused"), None)
    }

    fn page(self, mut page: Page<'_>, back: Option<&str>) -> HttpResponse {
        page.insert("title", self.title());
        page.insert("status", &self.status.as_u16());
        page.insert("text", self.text);
        page.insert("back", &back);
        page.render_as(self.status, "refused.html")
    }

    /// The key of the page's heading.
    const fn title(self) -> &'static str {
        match self.status {
            StatusCode::NOT_FOUND => "title_not_found",
            StatusCode::FORBIDDEN => "title_forbidden",
            StatusCode::SERVICE_UNAVAILABLE => "title_unavailable",
            _ => "title_refused",
        }
    }

    /// For a program.
    pub(super) fn json(self, state: &State) -> HttpResponse {
        let text = state.templates.english(self.text);
        let text = text.unwrap_or_else(|| self.text.to_owned());
        error(self.status, &text)
    }
}

/// A refusal for a program, as the description of the API has it.
pub(super) fn error(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": text }))
}

/// That there is nothing at this path, for a program or for a person.
pub(super) fn not_found(request: &HttpRequest) -> HttpResponse {
    match request.app_data::<Data<State>>() {
        Some(state) if !request.path().starts_with("/api/") => {
            Refusal::NOT_FOUND.shown(state, request)
        }
        _ => error(StatusCode::NOT_FOUND, "not found"),
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
            BackendError::KeysFull => (StatusCode::CONFLICT, "keys_full"),
            BackendError::TooManyTorrents => (StatusCode::CONFLICT, "refused_too_many_torrents"),
            BackendError::TooLong => (StatusCode::BAD_REQUEST, "block_bad_reason"),
            BackendError::Known => (StatusCode::CONFLICT, "refused_known"),
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
            TokenError::End => (StatusCode::BAD_REQUEST, "token_bad_end"),
            // As a full blocklist.
            TokenError::TooMany => (StatusCode::CONFLICT, "token_too_many"),
            TokenError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "token_busy"),
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

    /// W4, W9, W14
    #[test]
    fn every_refusal_has_its_status_and_a_text() {
        let file = TokenError::File(std::io::Error::other("x"));
        let unreadable = TokenError::Unreadable(std::io::Error::other("x"));
        let templates = Templates::load(None).unwrap();
        for (refusal, status) in [
            (JobError::Busy.into(), 503),
            (JobError::Panicked.into(), 500),
            (BackendError::BlocklistFull.into(), 409),
            (BackendError::KeysFull.into(), 409),
            (BackendError::TooManyTorrents.into(), 409),
            (BackendError::TooLong.into(), 400),
            (BackendError::Known.into(), 409),
            (BackendError::Busy.into(), 503),
            (BackendError::Silent.into(), 503),
            (BackendError::Closed.into(), 503),
            (BackendError::Disk.into(), 503),
            (Refusal::from(&TokenError::Name), 400),
            (Refusal::from(&TokenError::End), 400),
            (Refusal::from(&TokenError::TooMany), 409),
            (Refusal::from(&TokenError::Busy), 503),
            (Refusal::from(&file), 503),
            (Refusal::from(&unreadable), 503),
            (Refusal::METHOD, 405),
            (Refusal::ROLE, 403),
            (Refusal::SCOPE, 403),
            (Refusal::NOT_FOUND, 404),
            (Refusal::CROSS_SITE, 403),
            (Refusal::NO_ADMIN, 403),
            (Refusal::FORM_EXPIRED, 403),
            (Refusal::NO_FORM, 400),
            (Refusal::BAD_REQUEST, 400),
            (Refusal::TOO_LONG, 413),
            (Refusal::SEARCH, 400),
            (Refusal::LIST_HASH, 400),
            (Refusal::LIST_OF_FILE, 409),
            (Refusal::NUMBER, 400),
        ] {
            assert_eq!(refusal.status, status, "{}", refusal.text);
            for key in [refusal.text, refusal.title()] {
                assert!(templates.english(key).is_some(), "{key}");
            }
        }
    }
}
