//! Forms: read within a limit, and only when they carry the token of the page that they were sent from.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, Query};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::State;
use super::page::{csrf_of, plain};

/// A form is never longer, in bytes.
pub(super) const MOST_BYTES: usize = 4_096;
/// The cookie that the login form's token belongs to.
pub(super) const LOGIN_COOKIE: &str = "login";

/// Why a form is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    #[error("form too long")]
    TooLong,
    #[error("not a form")]
    Malformed,
    #[error("this form has expired: go back, reload the page, and send it again")]
    Token,
}

impl ResponseError for FormError {
    fn status_code(&self) -> StatusCode {
        match self {
            FormError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            FormError::Malformed => StatusCode::BAD_REQUEST,
            FormError::Token => StatusCode::FORBIDDEN,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let text = match self {
            FormError::TooLong => "form too long",
            FormError::Malformed => "not a form",
            FormError::Token => {
                "this form has expired: go back, reload the page, and send it again"
            }
        };
        plain(self.status_code(), text)
    }
}

/// The fields of a form whose token was right. Every handler that changes something takes one, so that none forgets to look.
#[derive(Clone, Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The value of a field as it was sent; empty when there is none.
    pub(super) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The value of a field without blanks around it.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }
}

impl FromRequest for Form {
    type Error = FormError;
    type Future = Pin<Box<dyn Future<Output = Result<Form, FormError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let bytes = Bytes::from_request(&request, payload);
        Box::pin(async move {
            let kind = request.headers().get(CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            if !kind.starts_with("application/x-www-form-urlencoded") {
                return Err(FormError::Malformed);
            }
            let bytes = bytes.await.map_err(|_| FormError::TooLong)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| FormError::Malformed)?;
            let fields = Query::<Vec<(String, String)>>::from_query(text);
            let form = Form(fields.map_err(|_| FormError::Malformed)?.into_inner());
            let expected = expected_token(&request);
            let is_right = expected.is_some_and(|expected| {
                bool::from(expected.as_bytes().ct_eq(form.raw("csrf").as_bytes()))
            });
            if is_right {
                Ok(form)
            } else {
                Err(FormError::Token)
            }
        })
    }
}

/// The token that this visitor's form has to carry: the session's, or, before the login, the one that belongs to a cookie.
fn expected_token(request: &HttpRequest) -> Option<String> {
    let of_session = csrf_of(request);
    if !of_session.is_empty() {
        return Some(of_session);
    }
    let state = request.app_data::<Data<State>>()?;
    let cookie = request.cookie(LOGIN_COOKIE)?;
    Some(login_token(state, cookie.value()))
}

/// The login form's token for a value of its cookie. The key makes it impossible to plant a pair from outside.
pub(super) fn login_token(state: &State, cookie: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(&state.key);
    hasher.update(b"login form");
    hasher.update(cookie.as_bytes());
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
