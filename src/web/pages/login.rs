//! `/login` and `/logout`: the original's paths and fields, with a throttle on guessing.

use actix_session::SessionExt;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::audit::Deed;
use crate::net::subscriber;
use crate::web::State;
use crate::web::auth::caller::audit_of;
use crate::web::auth::form::{Form, LOGIN_COOKIE, login_token};
use crate::web::auth::guard::{account, begin_session};
use crate::web::auth::secrets::random_hex;
use crate::web::client::Client;
use crate::web::refusal::Refusal;
use crate::web::view::page::{Page, plain, redirect};

/// Password hashes computed at a time: each takes 19 MiB and some 50 ms.
pub(crate) const HASHES_AT_A_TIME: usize = 4;

/// The form; who is logged in already goes on to the overview.
pub(crate) async fn form(state: Data<State>, request: HttpRequest) -> HttpResponse {
    if account(&state, &request).is_some() {
        return redirect("/stat");
    }
    let page = Page::new(&state, &request, "login");
    let notice = page.params.text("out").map(|_| "logged_out");
    render(&state, page, StatusCode::OK, notice)
}

/// Logs in: 302 to the overview, or the form again with a notice.
pub(crate) async fn log_in(state: Data<State>, request: HttpRequest, form: Form) -> HttpResponse {
    let client = Client::of(&state, &request);
    if let Err(wait) = state.throttle.begin(client, state.clock.elapsed()) {
        let (audit, network) = (&state.backend.audit, subscriber(client.ip));
        audit.locked_out(network, state.clock.wall());
        let page = Page::new(&state, &request, "login");
        let mut reply = render(
            &state,
            page,
            StatusCode::TOO_MANY_REQUESTS,
            Some("too_many_tries"),
        );
        let seconds = wait.as_secs().max(1).into();
        reply
            .headers_mut()
            .insert(actix_web::http::header::RETRY_AFTER, seconds);
        return reply;
    }
    let users = state.users.load_full();
    let (username, password) = (
        form.text("username").to_owned(),
        form.raw("password").to_owned(),
    );
    let work = move || users.admit(&username, &password);
    let admitted = match state.hashes.run(work).await {
        Ok(admitted) => admitted,
        Err(undone) => {
            // Not the visitor's fault: this try does not count.
            state.throttle.forgive_one(client);
            let refusal = Refusal::from(undone);
            let page = Page::new(&state, &request, "login");
            return render(&state, page, refusal.status, Some(refusal.text));
        }
    };
    // A password out of a sample opens from this machine only, and there not for a page of a foreign site; elsewhere nobody
    // learns that it was right.
    let account = admitted.filter(|account| !account.has_known_password || client.is_local);
    let Some(account) = account else {
        let (name, network) = (form.text("username"), subscriber(client.ip));
        let name = Some(name).filter(|name| state.users.load().is_user(name));
        let audit = &state.backend.audit;
        audit.login_failed(network, name, state.clock.wall());
        let page = Page::new(&state, &request, "login");
        return render(&state, page, StatusCode::OK, Some("wrong_password"));
    };
    state.throttle.forgive(client);
    if !begin_session(&request, &account) {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "no session");
    }
    let caller = account.into_caller();
    audit_of(&state, &request, Some(&caller), Deed::Login, "");
    entered()
}

/// On to the overview, without the cookie of the form.
fn entered() -> HttpResponse {
    let mut reply = redirect("/stat");
    let mut gone = Cookie::build(LOGIN_COOKIE, "").path("/login").finish();
    gone.make_removal();
    drop(reply.add_cookie(&gone));
    reply
}

/// Asks whether to log out; a link or a picture on another site must not do it.
pub(crate) async fn confirm(state: Data<State>, request: HttpRequest) -> HttpResponse {
    Page::new(&state, &request, "logout").render("logout.html")
}

/// Ends the session on this side too.
pub(crate) async fn log_out(request: HttpRequest, _form: Form) -> HttpResponse {
    request.get_session().purge();
    redirect("/login?out=1")
}

fn render(
    state: &State,
    mut page: Page<'_>,
    status: StatusCode,
    notice: Option<&str>,
) -> HttpResponse {
    let Ok(cookie) = random_hex::<16>() else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "no randomness");
    };
    page.insert("csrf", &login_token(state, &cookie));
    page.insert("notice", &notice);
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
