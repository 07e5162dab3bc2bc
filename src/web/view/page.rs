//! What all pages share: the visitor's language and theme, the frame around the contents, and how a page becomes a reply.

use std::borrow::Cow;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{ACCEPT, COOKIE, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tera::Context;

use super::language::Language;
use super::parameters::Parameters;
use crate::metrics::{Failure, Transport};
use crate::web::auth::users::Account;
use crate::web::auth::visitor::{account, csrf_of};
use crate::web::{Role, State};

/// The cookie that remembers the language.
const LANGUAGE_COOKIE: &str = "lang";
/// The cookie that remembers the theme.
const THEME_COOKIE: &str = "theme";
/// What the theme may be; the first follows the system.
const THEMES: [&str; 3] = ["auto", "light", "dark"];
/// A page in the making.
pub(crate) struct Page<'a> {
    state: &'a State,
    pub params: Parameters,
    is_operator: bool,
    context: Context,
    cookies: Vec<Cookie<'static>>,
}

impl<'a> Page<'a> {
    /// Begins the page called `name`; the name marks its place in the navigation.
    pub(crate) fn new(state: &'a State, request: &HttpRequest, name: &'static str) -> Page<'a> {
        // A page in answer to a form is shown under the form's address, which cannot be asked for again.
        let path = match *request.method() {
            Method::POST => page_of(request.path()),
            _ => request.path(),
        };
        // A link to a path of two slashes would lead to another host.
        let path = if path.starts_with("//") { "/" } else { path };
        let params = Parameters::of(request);
        let mut page = Page::framed(state, request.headers(), params, path, name);
        // First of all: it ends the session of one who may not log in any more.
        let account = account(state, request);
        page.context.insert("csrf", &csrf_of(request));
        page.insert_user(account.as_ref());
        page
    }

    /// Begins a page for somebody of whom only the head of a request is known.
    pub(crate) fn outside(state: &'a State, headers: &HeaderMap, name: &'static str) -> Page<'a> {
        let mut page = Page::framed(state, headers, Parameters::default(), "/", name);
        page.context.insert("csrf", "");
        page.insert_user(None);
        page
    }

    /// Who is logged in, if anybody is, and whether what only operators may send is shown.
    fn insert_user(&mut self, account: Option<&Account>) {
        self.is_operator = account.is_some_and(|account| account.role >= Role::Operator);
        self.context.insert("is_logged_in", &account.is_some());
        self.context.insert("is_operator", &self.is_operator);
        self.context
            .insert("user", &account.map(|account| &account.name));
    }

    fn framed(
        state: &'a State,
        headers: &HeaderMap,
        params: Parameters,
        path: &str,
        name: &'static str,
    ) -> Page<'a> {
        let mut cookies = Vec::new();
        let language = language(headers, &params, &mut cookies);
        let theme = theme(headers, &params, &mut cookies);
        let mut context = Context::new();
        context.insert_value("t", state.templates.texts_value(language));
        context.insert("lang", language.code());
        context.insert("theme", theme);
        context.insert("page", name);
        context.insert("has_sites", &state.backend.sites.is_some());
        context.insert("version", env!("CARGO_PKG_VERSION"));
        context.insert("refresh", &state.settings.refresh.as_secs());
        context.insert("has_keys", &!state.tracker.keys().are_off());
        let languages =
            Language::ALL.map(|one| (one.code(), params.link(path, &[("lang", one.code())])));
        context.insert("languages", &languages);
        context.insert(
            "themes",
            &THEMES.map(|one| (one, params.link(path, &[("theme", one)]))),
        );
        // A page of several tables adds which of them.
        context.insert(
            "csv",
            &params.link(path, &[("format", "csv"), ("page", "")]),
        );
        Page {
            state,
            params,
            is_operator: false,
            context,
            cookies,
        }
    }

    /// Whether it is shown to an operator.
    pub(crate) fn is_operator(&self) -> bool {
        self.is_operator
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

/// The page that a form's path belongs to: `/blocklist` for `/blocklist/unblock/1`.
pub(crate) fn page_of(path: &str) -> &str {
    let behind = path.get(1..).unwrap_or_default();
    let end = behind.find(['/', '?', '#']).map(|at| at + 1);
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}

/// Whether it is a person with a browser who reads the reply: programs do not ask for pages.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(ACCEPT).map(|field| field.to_str());
    fields.flatten().any(|field| field.contains("text/html"))
}

/// A short text.
pub(crate) fn plain(status: StatusCode, text: impl Into<Cow<'static, str>>) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(text.into().into_owned())
}

/// The text of this key in the visitor's language.
pub(crate) fn text(state: &State, request: &HttpRequest, key: &'static str) -> String {
    let params = Parameters::of(request);
    let language = language(request.headers(), &params, &mut Vec::new());
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

/// The first cookie of this name; those of ours are words that need no decoding.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = headers.get_all(COOKIE).map(|field| field.to_str());
    let mut pairs = fields.flatten().flat_map(|field| field.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn language(
    headers: &HeaderMap,
    params: &Parameters,
    cookies: &mut Vec<Cookie<'static>>,
) -> Language {
    if let Some(language) = params.text(LANGUAGE_COOKIE).and_then(Language::from_code) {
        cookies.push(remember(LANGUAGE_COOKIE, language.code()));
        return language;
    }
    let remembered = cookie(headers, LANGUAGE_COOKIE);
    if let Some(language) = remembered.and_then(Language::from_code) {
        return language;
    }
    Language::preferred(headers)
}

fn theme(
    headers: &HeaderMap,
    params: &Parameters,
    cookies: &mut Vec<Cookie<'static>>,
) -> &'static str {
    let known = |name: &str| THEMES.into_iter().find(|theme| *theme == name);
    if let Some(theme) = params.text(THEME_COOKIE).and_then(known) {
        cookies.push(remember(THEME_COOKIE, theme));
        return theme;
    }
    cookie(headers, THEME_COOKIE)
        .and_then(known)
        .unwrap_or("auto")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_form_belongs_to_the_page_that_its_path_begins_with() {
        for (path, page) in [
            ("/blocklist", "/blocklist"),
            ("/blocklist/unblock/1", "/blocklist"),
            ("/about/tokens/1/revoke", "/about"),
            ("/login?next=/x", "/login"),
            ("//evil.example", "/"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(page_of(path), page, "{path}");
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let request = TestRequest::default()
            .insert_header(("Cookie", "xlang=en; lang=ru; lang=en"))
            .append_header(("Cookie", "theme=dark"));
        let request = request.to_http_request();
        assert_eq!(cookie(request.headers(), "lang"), Some("ru"));
        assert_eq!(cookie(request.headers(), "theme"), Some("dark"));
        assert_eq!(cookie(request.headers(), "the"), None);
    }

    /// W14
    #[test]
    fn who_asks_for_a_page_is_a_browser() {
        let accepts = |field: &str| {
            let request = TestRequest::default().insert_header(("Accept", field));
            accepts_html(request.to_http_request().headers())
        };
        assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!accepts("*/*") && !accepts("application/json"));
        assert!(!accepts_html(
            TestRequest::default().to_http_request().headers()
        ));
    }
}
