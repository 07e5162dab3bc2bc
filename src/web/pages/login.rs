//! `/login` and `/logout`: the original's paths and fields, with a throttle on guessing.

use actix_session::SessionExt;
use std::time::Duration;

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::audit::Deed;
use crate::metrics::Failure;
use crate::net::limits::{Kind, Reason};
use crate::net::subscriber;
use crate::web::State;
use crate::web::auth::caller::audit_of;
use crate::web::auth::form::{Form, LOGIN_COOKIE};
use crate::web::auth::login_form;
use crate::web::auth::resume::Resume;
use crate::web::auth::sessions::has_ended;
use crate::web::auth::throttle::Wait;
use crate::web::auth::visitor::{account, begin_session};
use crate::web::client::Client;
use crate::web::refusal::Refusal;
use crate::web::view::page::{Page, plain, redirect};

/// The form; who is logged in already goes on to where the way to the login began.
pub(crate) async fn form(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let mut page = Page::new(&state, &request, "login");
    let has_left = page.params.text("out").is_some();
    let resume = if has_left {
        Resume::default()
    } else {
        Resume::of_cookie(&request)
    };
    if account(&state, &request).is_some() {
        return redirect(&resume.target());
    }
    let notice = if has_left {
        Some("logged_out")
    } else {
        has_ended(&request).then_some("session_ended")
    };
    page.insert("notice", &notice);
    login_form::show(page, &state, StatusCode::OK, &resume)
}

/// Logs in: 302 to where the way to the login began, or the form again with a notice.
pub(crate) async fn log_in(state: Data<State>, request: HttpRequest, form: Form) -> HttpResponse {
    let (client, resume) = (Client::of(&state, &request), Resume::of_login(&form));
    let again = |status, notice| login_form::again(&state, &request, status, notice, &resume);
    let now = state.clock.elapsed();
    let limits = &state.backend.limits;
    let begun = match limits.admit(Kind::Logins, client.ip, now) {
        Err(refused) => Err((Duration::from_secs(refused.seconds.into()), refused.reason)),
        Ok(()) => {
            let begun = state.throttle.begin(client, form.text("username"), now);
            let begun = begun.map_err(|wait| match wait {
                Wait::Own(wait) => {
                    limits.note_refusal(Kind::Logins, client.ip, now);
                    wait
                }
                // Nobody is banned for what others try.
                Wait::OfAll(wait) => wait,
            });
            begun.map_err(|wait| (wait, Reason::Rate))
        }
    };
    if let Err((wait, reason)) = begun {
        let (audit, network) = (&state.backend.audit, subscriber(client.ip));
        audit.locked_out(network, state.clock.wall());
        let mut reply = again(StatusCode::TOO_MANY_REQUESTS, "too_many_tries");
        let seconds = wait.as_secs().max(1).into();
        reply
            .headers_mut()
            .insert(actix_web::http::header::RETRY_AFTER, seconds);
        if reason == Reason::Banned {
            // Else it would be counted by its status, as whoever asks too often.
            reply.extensions_mut().insert(Failure::Banned);
        }
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
            return again(refusal.status, refusal.text);
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
        return again(StatusCode::OK, "wrong_password");
    };
    state.throttle.forgive(client, form.text("username"));
    if !begin_session(&request, &account) {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "no session");
    }
    let caller = account.into_caller();
    audit_of(&state, &request, Some(&caller), Deed::Login, "");
    entered(&resume)
}

/// On to where the way to the login began, without the cookie of the form.
fn entered(resume: &Resume) -> HttpResponse {
    let mut reply = redirect(&resume.target());
    let mut gone = Cookie::build(LOGIN_COOKIE, "").path("/login").finish();
    gone.make_removal();
    drop(reply.add_cookie(&gone));
    drop(reply.add_cookie(&Resume::no_cookie()));
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
