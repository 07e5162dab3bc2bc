//! What all pages share: the visitor's language and theme, the frame around the contents, and how a page becomes a reply.

use std::borrow::Cow;

use actix_session::SessionExt;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tera::Context;

use super::language::Language;
use super::parameters::Parameters;
use crate::metrics::{Failure, Transport};
use crate::web::auth::caller::Caller;
use crate::web::{Role, State};

/// The cookie that remembers the language.
const LANGUAGE_COOKIE: &str = "lang";
/// The cookie that remembers the theme.
const THEME_COOKIE: &str = "theme";
/// What the theme may be; the first follows the system.
const THEMES: [&str; 3] = ["auto", "light", "dark"];
/// The key of the CSRF token in a session; a session that has one is logged in.
pub(crate) const CSRF: &str = "csrf";

/// A page in the making.
pub(crate) struct Page<'a> {
    state: &'a State,
    pub params: Parameters,
    context: Context,
    cookies: Vec<Cookie<'static>>,
}

impl<'a> Page<'a> {
    /// Begins the page called `name`; the name marks its place in the navigation.
    pub(crate) fn new(state: &'a State, request: &HttpRequest, name: &'static str) -> Page<'a> {
        let params = Parameters::of(request);
        let mut cookies = Vec::new();
        let language = language(request, &params, &mut cookies);
        let theme = theme(request, &params, &mut cookies);
        let mut context = Context::new();
        context.insert_value("t", state.templates.texts_value(language));
        context.insert("lang", language.code());
        context.insert("theme", theme);
        context.insert("page", name);
        context.insert("version", env!("CARGO_PKG_VERSION"));
        context.insert("refresh", &state.settings.refresh.as_secs());
        context.insert("csrf", &csrf_of(request));
        // Nobody before the login.
        let (user, is_operator) = match Caller::of(request) {
            Some(Caller::User { name, role }) => (Some(name), role >= Role::Operator),
            Some(Caller::Token { .. }) | None => (None, false),
        };
        context.insert("user", &user);
        context.insert("is_operator", &is_operator);
        // A page in answer to a form is shown under the form's address, which cannot be asked for again.
        let own = format!("/{name}");
        let path = match *request.method() {
            Method::POST => own.as_str(),
            _ => request.path(),
        };
        let languages =
            Language::ALL.map(|one| (one.code(), params.link(path, &[("lang", one.code())])));
        context.insert("languages", &languages);
        context.insert(
            "themes",
            &THEMES.map(|one| (one, params.link(path, &[("theme", one)]))),
        );
        Page {
            state,
            params,
            context,
            cookies,
        }
    }

    /// Adds a value for the template.
    pub(crate) fn insert<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.context.insert(name, value);
    }

    /// The finished page.
    pub(crate) fn render(self, template: &str) -> HttpResponse {
        self.render_as(StatusCode::OK, template)
    }

    /// The finished page with another status.
    pub(crate) fn render_as(self, status: StatusCode, template: &str) -> HttpResponse {
        let mut reply = HttpResponse::build(status);
        for cookie in self.cookies {
            reply.cookie(cookie);
        }
        match self.state.templates.render(template, &self.context) {
            Ok(text) => reply.content_type("text/html; charset=utf-8").body(text),
            Err(error) => {
                log::error!("page {template} failed: {error}");
                let counters = self.state.metrics.spare();
                counters.failed(Transport::Http, Failure::Internal);
                plain(StatusCode::INTERNAL_SERVER_ERROR, "page failed")
            }
        }
    }
}

/// The token that this visitor's forms carry; empty before the login.
pub(crate) fn csrf_of(request: &HttpRequest) -> String {
    request
        .get_session()
        .get(CSRF)
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// A short text.
pub(crate) fn plain(status: StatusCode, text: impl Into<Cow<'static, str>>) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(text.into().into_owned())
}

/// The text of this key in the visitor's language.
pub(crate) fn text(state: &State, request: &HttpRequest, key: &'static str) -> String {
    let language = language(request, &Parameters::of(request), &mut Vec::new());
    let text = state.templates.text(language, key);
    text.unwrap_or_else(|| key.to_owned())
}

/// Sends the visitor elsewhere, as the original did: 302, with a path of ours only.
pub(crate) fn redirect(path: &str) -> HttpResponse {
    HttpResponse::Found()
        .insert_header(("Location", path))
        .finish()
}

fn remember(name: &'static str, value: &'static str) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .max_age(time::Duration::days(365))
        .same_site(SameSite::Lax)
        .http_only(true)
        .finish()
}

fn language(
    request: &HttpRequest,
    params: &Parameters,
    cookies: &mut Vec<Cookie<'static>>,
) -> Language {
    if let Some(language) = params.text(LANGUAGE_COOKIE).and_then(Language::from_code) {
        cookies.push(remember(LANGUAGE_COOKIE, language.code()));
        return language;
    }
    let remembered = request.cookie(LANGUAGE_COOKIE);
    if let Some(language) = remembered.and_then(|cookie| Language::from_code(cookie.value())) {
        return language;
    }
    let header = request.headers().get(ACCEPT_LANGUAGE);
    // A browser that says nothing, or nothing that is text, gets the default.
    Language::accepted(
        header
            .and_then(|header| header.to_str().ok())
            .unwrap_or_default(),
    )
}

fn theme(
    request: &HttpRequest,
    params: &Parameters,
    cookies: &mut Vec<Cookie<'static>>,
) -> &'static str {
    let known = |name: &str| THEMES.into_iter().find(|theme| *theme == name);
    if let Some(theme) = params.text(THEME_COOKIE).and_then(known) {
        cookies.push(remember(THEME_COOKIE, theme));
        return theme;
    }
    let remembered = request.cookie(THEME_COOKIE);
    remembered
        .and_then(|cookie| known(cookie.value()))
        .unwrap_or("auto")
}
