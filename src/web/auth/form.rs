//! Forms: taken only when they carry the token of the page that they were sent from.

use std::future::{Ready, ready};

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, Query};
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::visitor::csrf_of;
use crate::web::State;
use crate::web::refusal::Refusal;

/// The cookie that the login form's token belongs to.
pub(crate) const LOGIN_COOKIE: &str = "login";

/// The fields of a form.
#[derive(Clone, Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// All fields as they were sent, in order.
    pub(super) fn fields(&self) -> &[(String, String)] {
        &self.0
    }

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

/// Nobody looked at the token of the form that a handler asks for.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the form was not admitted")]
pub(crate) struct NotAdmitted;

impl ResponseError for NotAdmitted {
    fn status_code(&self) -> StatusCode {
        StatusCode::FORBIDDEN
    }
}

impl FromRequest for Form {
    type Error = NotAdmitted;
    type Future = Ready<Result<Form, NotAdmitted>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Not there when no guard looked at its token.
        let form = request.extensions().get::<Form>().cloned();
        ready(form.ok_or(NotAdmitted))
    }
}

/// Reads the form that was sent. Nobody has looked at its token yet.
pub(super) async fn read(request: &mut ServiceRequest) -> Result<Form, Refusal> {
    // No type is a wrong one.
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Refusal::NO_FORM);
    }
    let bytes = request.extract::<Bytes>().await;
    let bytes = bytes.map_err(|_| Refusal::TOO_LONG)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::NO_FORM)?;
    let fields = Query::<Vec<(String, String)>>::from_query(text);
    Ok(Form(fields.map_err(|_| Refusal::NO_FORM)?.into_inner()))
}

/// Puts a form into the extensions of its request for the handlers, if its token is right; whether it is.
pub(super) fn admit(request: &HttpRequest, form: &Form) -> bool {
    let is_right = expected_token(request)
        .is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(form.raw("csrf").as_bytes())));
    if is_right {
        request.extensions_mut().insert(form.clone());
    }
    is_right
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
