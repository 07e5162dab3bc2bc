//! Who is behind the session of a request: what a session keeps of whoever has logged in, and the token of its forms.

use actix_session::SessionExt;
use actix_web::HttpRequest;

use super::secrets::random_hex;
use super::users::Account;
use crate::web::State;

/// The key of the CSRF token in a session; a session that has one is logged in.
const CSRF: &str = "csrf";
/// The keys of the user's name and stamp in a session.
const USER: &str = "user";
const STAMP: &str = "stamp";

/// A view of a page counts as use of the session at most this often, in seconds.
const TOUCH_EVERY: u64 = 60;

/// Who has logged in with this session. One whose user is gone or has got another role or password is ended.
pub(crate) fn account(state: &State, request: &HttpRequest) -> Option<Account> {
    let session = request.get_session();
    if !session.contains_key(CSRF) {
        return None;
    }
    let text = |key: &str| session.get::<String>(key).ok().flatten();
    let account = text(USER).zip(text(STAMP)).and_then(|(name, stamp)| {
        let users = state.users.load();
        users.still(&name, &stamp).cloned()
    });
    if account.is_none() {
        session.purge();
    }
    account
}

/// Makes the session of this request that of a user; whether it could be. A new key is made, so that nobody who planted the old one
/// shares the session.
pub(crate) fn begin_session(request: &HttpRequest, account: &Account) -> bool {
    let session = request.get_session();
    session.clear();
    session.renew();
    random_hex::<32>().is_ok_and(|token| session.insert(CSRF, token).is_ok())
        && session.insert(USER, &account.name).is_ok()
        && session.insert(STAMP, &account.stamp).is_ok()
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

/// Counts a view of a page as use of its session. Figures that a page fetches by itself do not come here, or a forgotten tab
/// would keep its session alive.
pub(super) fn touch(state: &State, request: &HttpRequest) {
    const SEEN: &str = "seen";
    let session = request.get_session();
    let now = state.clock.elapsed().as_secs();
    // 0 before the first view of the session.
    let seen: u64 = session.get(SEEN).ok().flatten().unwrap_or(0);
    if now.saturating_sub(seen) >= TOUCH_EVERY && session.insert(SEEN, now).is_err() {
        log::warn!("a session cannot be written");
    }
}
