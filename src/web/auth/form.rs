//! Forms: taken only when they carry the token of the page that they were sent from.

use std::future::{Ready, ready};

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, Query};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::web::State;
use crate::web::view::page::{csrf_of, plain};

/// The cookie that the login form's token belongs to.
pub(crate) const LOGIN_COOKIE: &str = "login";

/// Why a form is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
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

/// The fields of a form whose token was right: the guard looked at it before the handler was called.
#[derive(Clone, Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The value of a field as it was sent; empty when there is none.
    pub(crate) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The value of a field without blanks around it.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }
}

impl FromRequest for Form {
    type Error = FormError;
    type Future = Ready<Result<Form, FormError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Not there when no guard looked at its token.
        let form = request.extensions().get::<Form>().cloned();
        ready(form.ok_or(FormError::Token))
    }
}

/// Reads the form that was sent and puts it into the extensions of the request for the handlers, if its token is right.
pub(super) async fn admit(request: &mut ServiceRequest) -> Result<(), FormError> {
    // No type is a wrong one.
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(FormError::Malformed);
    }
    let bytes = request.extract::<Bytes>().await;
    let bytes = bytes.map_err(|_| FormError::TooLong)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| FormError::Malformed)?;
    let fields = Query::<Vec<(String, String)>>::from_query(text);
    let form = Form(fields.map_err(|_| FormError::Malformed)?.into_inner());
    let is_right = expected_token(request.request())
        .is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(form.raw("csrf").as_bytes())));
    if !is_right {
        return Err(FormError::Token);
    }
    request.extensions_mut().insert(form);
    Ok(())
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
pub(crate) fn login_token(state: &State, cookie: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(&state.key);
    hasher.update(b"login form");
    hasher.update(cookie.as_bytes());
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
