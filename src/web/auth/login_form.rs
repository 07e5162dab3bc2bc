//! The form of the login, wherever it is shown: at its own path, again after a try, or in the place of a page whose form came too late.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use super::form::{LOGIN_COOKIE, login_token};
use super::resume::Resume;
use super::secrets::random_hex;
use crate::web::State;
use crate::web::view::page::{Page, plain};

/// The form as the page says, with a token of its own.
pub(crate) fn show(
    mut page: Page<'_>,
    state: &State,
    status: StatusCode,
    resume: &Resume,
) -> HttpResponse {
    let Ok(cookie) = random_hex::<16>() else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "no randomness");
    };
    page.insert("csrf", &login_token(state, &cookie));
    page.insert("next", resume.path());
    page.insert("kept", &resume.hidden_fields());
    page.insert("keeps_form", &resume.keeps_form());
    let mut reply = page.render_as(status, "login.html");
    let cookie = Cookie::build(LOGIN_COOKIE, cookie)
        .path("/login")
        .http_only(true)
        .same_site(SameSite::Strict)
        .finish();
    if reply.add_cookie(&cookie).is_err() {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "no cookie");
    }
    reply
}

/// The form again, for a request that did not get through and goes on after the login.
pub(crate) fn again(
    state: &State,
    request: &HttpRequest,
    status: StatusCode,
    notice: &str,
    resume: &Resume,
) -> HttpResponse {
    let mut page = Page::new(state, request, "login");
    page.insert("notice", &Some(notice));
    show(page, state, status, resume)
}

/// The form in the place of a page whose form was sent too late; what was entered goes with it.
pub(super) fn interrupted(
    state: &State,
    request: &HttpRequest,
    resume: &Resume,
    notice: &str,
) -> HttpResponse {
    let mut reply = again(state, request, StatusCode::FORBIDDEN, notice, resume);
    // For a switch of the language, which asks for the login anew.
    drop(reply.add_cookie(&resume.cookie()));
    reply
}
