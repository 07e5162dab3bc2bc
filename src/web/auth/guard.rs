//! What stands before the pages: who may ask for a path, by the class of the row that the router found, and the headers that
//! keep a browser from being used against its owner.

use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};

use super::caller::{Caller, audit_of};
use super::form;
use super::login_form;
use super::resume::Resume;
use super::sessions;
use super::tokens::{Admission, Scope, Token, TokenError};
use super::user::Role;
use super::visitor::{account, touch};
use crate::audit::Deed;
use crate::metrics::Failure;
use crate::net::hosts::Browser;
use crate::web::refusal::{Refusal, error};
use crate::web::view::page::{accepts_html, plain, redirect};
use crate::web::{State, client, full_scrape};

/// No script or style but our own files, no foreign host, no frame around a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Who may ask for a path: to read it, and to send something there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessClass {
    /// Everybody, to read.
    Open,
    /// Admin networks, under a name of ours, to read.
    Admins,
    /// Admin networks, under a name of ours, or a token with the scope, to read; everybody else is told so in the tracker's protocol.
    FullScrape(Scope),
    /// Everybody; what is sent there needs the token of the form.
    Login,
    /// Who has logged in and has the role, at least; what is sent there needs the token of the session.
    Page { read: Role, send: Role },
    /// Who has a token of the API with the scope, at least; to read, who has logged in as well.
    Api { read: Scope, send: Scope },
}

/// Stands before every path: lets through whom its class admits; everybody else is sent to the login (pages) or refused.
/// A form's token is looked at here, so that no handler can forget it. Which `methods` a path takes is told to the admitted only.
pub(crate) async fn admit(
    access: AccessClass,
    methods: Rc<[Method]>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let refused = match refusal(access, request.request()) {
        None => None,
        Some(_) if matches!(access, AccessClass::FullScrape(_)) => Some(no_full_scrape(&request)),
        Some(Refused::Told(reply)) => Some(reply),
        Some(Refused::Login) => Some(login_first(&methods, &mut request).await),
    };
    if let Some(refused) = refused {
        return Ok(request.into_response(refused));
    }
    if !methods.contains(request.method()) {
        let refusal = wrong_method(access, &methods, request.request());
        return Ok(request.into_response(refusal));
    }
    let takes_forms = matches!(access, AccessClass::Login | AccessClass::Page { .. });
    if takes_forms
        && !is_reading(request.request())
        && let Some(refused) = untaken_form(access, &mut request).await
    {
        return Ok(request.into_response(refused));
    }
    // For those who are to ask again whether it still is: by the class of the row, whichever that is.
    request.extensions_mut().insert(access);
    next.call(request)
        .await
        .map(ServiceResponse::map_into_boxed_body)
}

/// One answer whatever the reason: programs that scrape read no other.
fn no_full_scrape(request: &ServiceRequest) -> HttpResponse {
    let state = request.app_data::<Data<State>>();
    state.map_or_else(no_state, |state| full_scrape::denied(state))
}

/// How somebody is refused.
enum Refused {
    /// By the login.
    Login,
    /// By this reply.
    Told(HttpResponse),
}

/// Sends somebody to the login, from where a browser is led back. Who sends a form when the session has ended is shown the login at
/// once, with what was entered.
async fn login_first(methods: &[Method], request: &mut ServiceRequest) -> HttpResponse {
    let to_login = redirect("/login");
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return no_state();
    };
    if !accepts_html(request.headers()) {
        return to_login;
    }
    let sends_form = *request.method() == Method::POST && methods.contains(&Method::POST);
    if sends_form && let Ok(form) = form::read(request).await {
        let resume = Resume::of_form(request.request(), &form);
        return login_form::interrupted(&state, request.request(), &resume, "session_ended");
    }
    let mut reply = to_login;
    if is_reading(request.request()) {
        let cookie = Resume::of_page(request.request()).cookie();
        drop(reply.add_cookie(&cookie));
    }
    reply
}

/// Reads the form that was sent, and hands it on to the handlers when its token is right; else what its sender is told.
async fn untaken_form(access: AccessClass, request: &mut ServiceRequest) -> Option<HttpResponse> {
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return Some(no_state());
    };
    let form = match form::read(request).await {
        Ok(form) => form,
        Err(refusal) => return Some(refusal.shown(&state, request.request())),
    };
    let request = request.request();
    if form::admit(request, &form) {
        return None;
    }
    if access == AccessClass::Login && accepts_html(request.headers()) {
        let (resume, text) = (Resume::of_login(&form), Refusal::FORM_EXPIRED.text);
        return Some(login_form::interrupted(&state, request, &resume, text));
    }
    let resume = Resume::of_form(request, &form);
    Some(Refusal::FORM_EXPIRED.with_way_back(&state, request, &resume.target()))
}

fn is_reading(request: &HttpRequest) -> bool {
    [Method::GET, Method::HEAD].contains(request.method())
}

/// 405 with what the path does take (RFC 9110, 15.5.6).
fn wrong_method(access: AccessClass, methods: &[Method], request: &HttpRequest) -> HttpResponse {
    let Some(state) = request.app_data::<Data<State>>() else {
        return no_state();
    };
    let mut reply = match access {
        AccessClass::Api { .. } => Refusal::METHOD.json(state),
        _ => Refusal::METHOD.shown(state, request),
    };
    let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
        reply.headers_mut().insert(ALLOW, allowed);
    }
    reply
}

fn no_state() -> HttpResponse {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "no state")
}

fn refusal(access: AccessClass, request: &HttpRequest) -> Option<Refused> {
    let Some(state) = request.app_data::<Data<State>>() else {
        return Some(Refused::Told(no_state()));
    };
    let account = account(state, request);
    let told = |reply| Some(Refused::Told(reply));
    // No page of another site can send one.
    let needed = match access {
        AccessClass::Api { read, .. } if is_reading(request) => Some(read),
        AccessClass::Api { send, .. } => Some(send),
        AccessClass::FullScrape(read) => Some(read),
        _ => None,
    };
    if let Some(needed) = needed
        && let Some(secret) = bearer(request)
    {
        match state.tokens.admit(secret, state.clock.wall()) {
            Ok(Admission::Token(token)) => {
                let refusal = refusal_of_token(state, request, token, needed);
                return refusal.map(Refused::Told);
            }
            Ok(Admission::Expired) => return told(unauthorised("the token has expired")),
            Ok(Admission::Nobody) => {}
            // Whether the token is right nobody knows.
            Err(error) => {
                state.tokens.tell_unreadable(&error);
                return told(Refusal::from(&TokenError::Unreadable(error)).json(state));
            }
        }
    }
    let may_be_linked = matches!(
        access,
        AccessClass::Open | AccessClass::Login | AccessClass::Page { .. }
    );
    if is_foreign(request.headers()) && !(may_be_linked && is_navigation(request)) {
        let mut reply = match access {
            AccessClass::Api { .. } => error(StatusCode::FORBIDDEN, "cross-site request"),
            _ => Refusal::CROSS_SITE.shown(state, request),
        };
        reply.extensions_mut().insert(Failure::CrossSite);
        return told(reply);
    }
    match (access, account) {
        (AccessClass::Open | AccessClass::Login, _) => None,
        (AccessClass::Admins, _) if client::is_admin(state, request) => None,
        (AccessClass::FullScrape(_), _) if client::is_admin(state, request) => None,
        (AccessClass::Admins | AccessClass::FullScrape(_), _) => {
            told(Refusal::NO_ADMIN.shown(state, request))
        }
        (AccessClass::Page { .. }, None) => Some(Refused::Login),
        (AccessClass::Page { read, send }, Some(account)) => {
            touch(state, request);
            let needed = if is_reading(request) { read } else { send };
            let is_enough = account.role >= needed;
            account.into_caller().stay_with(request);
            (!is_enough).then(|| Refused::Told(Refusal::ROLE.shown(state, request)))
        }
        // A page may read the API; changing things through it takes a token, which no other site's form can send.
        (AccessClass::Api { read, .. }, Some(account)) if is_reading(request) => {
            let caller = account.into_caller();
            let is_enough = caller.reads() >= read;
            caller.stay_with(request);
            (!is_enough).then(|| Refused::Told(Refusal::ROLE.json(state)))
        }
        (AccessClass::Api { .. }, _) => told(unauthorised("a token is needed")),
    }
}

/// Whether a request that was let in would be let in again, to read: its token is in force, or its session lives.
pub(crate) fn still_admits(state: &Data<State>, request: &HttpRequest) -> bool {
    let Some(access) = request.extensions().get::<AccessClass>().copied() else {
        return false;
    };
    let by_token = bearer(request).is_some();
    (by_token || sessions::still_lives(state, request)) && refusal(access, request).is_none()
}

/// Judges who has a token in force, and leaves it with the request.
fn refusal_of_token(
    state: &Data<State>,
    request: &HttpRequest,
    token: Token,
    needed: Scope,
) -> Option<HttpResponse> {
    let is_first = state.uses.note(&token, state.clock.wall());
    let (name, scope) = (token.name, token.scope);
    let caller = Caller::Token { name, scope };
    if is_first {
        // The token says who; what about is the same.
        audit_of(state, request, Some(&caller), Deed::TokenUsed, "");
        let own = Data::clone(state);
        // Off this thread, and at once: after a restart it is not the first use any more.
        actix_rt::spawn(async move {
            let keeper = Data::clone(&own);
            if let Err(undone) = own.writes.run(move || keeper.keep_uses()).await {
                log::debug!("the first use of a token is not kept yet: {undone}");
            }
        });
    }
    caller.stay_with(request);
    (scope < needed).then(|| Refusal::SCOPE.json(state))
}

fn unauthorised(text: &str) -> HttpResponse {
    HttpResponse::Unauthorized()
        .insert_header(("WWW-Authenticate", "Bearer"))
        .json(serde_json::json!({ "error": text }))
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Whether a browser says that somebody followed a link here: it shows the page and no other site sees it.
fn is_navigation(request: &HttpRequest) -> bool {
    let says = |name: &str, word: &str| {
        let value = request.headers().get(name);
        value.is_some_and(|value| value.as_bytes() == word.as_bytes())
    };
    request.method() == Method::GET
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// Whether a browser says that another site sent this. `Sec-Fetch-Site` exists under TLS and on loopback only; elsewhere
/// `Origin` has to name our own host.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let fields = headers.iter();
    let fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    if let Some(is_foreign) = Browser::of(fields).names_other_site() {
        return is_foreign;
    }
    let Some(origin) = text(ORIGIN) else {
        return false;
    };
    // HTTP/1.0 may come without: then no origin is our own.
    let host = text(HOST).unwrap_or_default();
    let named = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    named.is_none_or(|named| !named.eq_ignore_ascii_case(host))
}

/// Adds the protecting headers to every reply, `no-store` where nothing else is said, and under TLS `Secure` to cookies, and
/// that browsers come by it only (RFC 6797).
pub(crate) async fn protect(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let state = request.app_data::<Data<State>>();
    let is_secure = state.is_some_and(|state| client::is_secure(state, request.request()));
    // A proxy's clients are told by the proxy.
    let is_by_tls = client::is_by_tls(request.request());
    let hsts = state.map(|state| state.settings.hsts.as_secs());
    let hsts = hsts.filter(|seconds| is_by_tls && *seconds > 0);
    let mut reply = next.call(request).await?.map_into_boxed_body();
    let headers = reply.headers_mut();
    harden(headers);
    if let Some(seconds) = hsts {
        let value = HeaderValue::from_str(&format!("max-age={seconds}"))?;
        headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
    if is_secure {
        let cookies: Vec<HeaderValue> = headers.remove(SET_COOKIE).collect();
        for cookie in cookies {
            let mut text = cookie.as_bytes().to_vec();
            text.extend_from_slice(b"; Secure");
            headers.append(SET_COOKIE, HeaderValue::from_bytes(&text)?);
        }
    }
    Ok(reply)
}

/// The protecting headers.
pub(crate) fn harden(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // `no-referrer` would make browsers send `Origin: null` with our own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn is_foreign_with(headers: &[(&str, &str)]) -> bool {
        let mut request = TestRequest::post().insert_header(("Host", "tracker.isp:8080"));
        for header in headers {
            request = request.insert_header(*header);
        }
        is_foreign(request.to_http_request().headers())
    }

    /// W3
    #[test]
    fn requests_of_other_sites_are_foreign() {
        for own in [
            vec![],
            vec![("Origin", "http://tracker.isp:8080")],
            vec![("Origin", "https://TRACKER.isp:8080")],
            vec![
                ("Sec-Fetch-Site", "same-origin"),
                ("Origin", "https://behind.proxy"),
            ],
            vec![("Sec-Fetch-Site", "none")],
        ] {
            assert!(!is_foreign_with(&own), "{own:?}");
        }
        for foreign in [
            vec![("Origin", "null")],
            vec![("Origin", "http://tracker.isp")],
            vec![("Origin", "http://tracker.isp:8080.evil")],
            vec![("Origin", "http://evil/tracker.isp:8080")],
            vec![
                ("Sec-Fetch-Site", "cross-site"),
                ("Origin", "http://tracker.isp:8080"),
            ],
            vec![("Sec-Fetch-Site", "same-site")],
            vec![("Sec-Fetch-Site", "")],
        ] {
            assert!(is_foreign_with(&foreign), "{foreign:?}");
        }
    }

    fn is_navigation_with(method: Method, headers: &[(&str, &str)]) -> bool {
        let request = TestRequest::with_uri("/stat").method(method);
        let request = headers
            .iter()
            .fold(request, |request, header| request.insert_header(*header));
        is_navigation(&request.to_http_request())
    }

    /// W3
    #[test]
    fn only_a_link_that_is_followed_is_a_navigation() {
        let link = [
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ];
        assert!(is_navigation_with(Method::GET, &link));
        assert!(!is_navigation_with(Method::POST, &link));
        assert!(!is_navigation_with(Method::GET, &[]));
        for other in [
            [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")],
            [
                ("Sec-Fetch-Mode", "no-cors"),
                ("Sec-Fetch-Dest", "document"),
            ],
        ] {
            assert!(!is_navigation_with(Method::GET, &other));
        }
    }
}
