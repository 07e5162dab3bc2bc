//! Sessions on the server's side, for actix-session: bounded, ended by idleness and by age, and gone at logout. Its own
//! cookie store cannot end a session: a copied cookie would outlive the logout.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_session::SessionMiddleware;
use actix_session::config::{BrowserSession, CookieContentSecurity};
use actix_session::storage::{
    LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_web::body::MessageBody;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest};

use crate::clock::Clock;

/// The cookie's name.
const COOKIE_NAME: &str = "session";

/// Sessions kept at most; only who knows the password makes one. The one used longest ago goes first.
const MAX_SESSIONS: usize = 1_000;

type Contents = HashMap<String, String>;

#[derive(Debug)]
struct Entry {
    state: Contents,
    made: Duration,
    used: Duration,
}

/// All sessions. Times are durations since the start of the clock.
#[derive(Debug)]
struct Sessions {
    idle: Duration,
    limit: Duration,
    entries: HashMap<String, Entry>,
}

impl Sessions {
    fn is_alive(&self, entry: &Entry, now: Duration) -> bool {
        now.saturating_sub(entry.used) < self.idle && now.saturating_sub(entry.made) < self.limit
    }

    fn load(&mut self, key: &str, now: Duration) -> Option<Contents> {
        let entry = self.entries.get(key)?;
        if self.is_alive(entry, now) {
            return Some(entry.state.clone());
        }
        self.entries.remove(key);
        None
    }

    fn save(&mut self, key: String, state: Contents, now: Duration) {
        if self.entries.len() >= MAX_SESSIONS {
            let (idle, limit) = (self.idle, self.limit);
            self.entries.retain(|_, entry| {
                now.saturating_sub(entry.used) < idle && now.saturating_sub(entry.made) < limit
            });
        }
        if self.entries.len() >= MAX_SESSIONS {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.entries.remove(&oldest);
            }
        }
        let entry = Entry {
            state,
            made: now,
            used: now,
        };
        self.entries.insert(key, entry);
    }

    /// Replaces a session's contents and counts as use of it.
    fn update(&mut self, key: &str, state: Contents, now: Duration) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.state = state;
            entry.used = now;
        }
    }
}

/// The store that actix-session is given; copies share the sessions.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    clock: Clock,
    sessions: Arc<Mutex<Sessions>>,
}

impl Store {
    pub(crate) fn new(clock: Clock, idle: Duration, limit: Duration) -> Store {
        Store {
            clock,
            sessions: Arc::new(Mutex::new(Sessions {
                idle,
                limit,
                entries: HashMap::new(),
            })),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Sessions, Duration) -> T) -> T {
        let now = self.clock.elapsed();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut sessions, now)
    }
}

impl SessionStore for Store {
    async fn load(&self, key: &SessionKey) -> Result<Option<Contents>, LoadError> {
        Ok(self.with(|sessions, now| sessions.load(key.as_ref(), now)))
    }

    async fn save(&self, state: Contents, _: &time::Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        self.with(|sessions, now| sessions.save(key.as_ref().to_owned(), state, now));
        Ok(key)
    }

    async fn update(
        &self,
        key: SessionKey,
        state: Contents,
        _: &time::Duration,
    ) -> Result<SessionKey, UpdateError> {
        // A session that a logout ended in the meantime stays ended: the cookie sent back names nothing.
        self.with(|sessions, now| sessions.update(key.as_ref(), state, now));
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &time::Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.with(|sessions, _| sessions.entries.remove(key.as_ref()));
        Ok(())
    }
}

/// What loads and stores the session of each request.
pub(crate) fn middleware(state: &crate::web::State) -> SessionMiddleware<Store> {
    let key = Key::derive_from(&state.key);
    SessionMiddleware::builder(state.sessions.clone(), key)
        .cookie_name(COOKIE_NAME.into())
        .cookie_same_site(SameSite::Lax)
        .cookie_http_only(true)
        // `guard::protect` adds it where the visitor's side is encrypted.
        .cookie_secure(false)
        .cookie_content_security(CookieContentSecurity::Signed)
        .session_lifecycle(BrowserSession::default())
        .build()
}

/// Takes a session's cookie out of the request when it names no living session: actix-session writes a line into the log for
/// each, which a stranger must not be able to make.
pub(crate) async fn sift<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let state = request.app_data::<Data<crate::web::State>>().cloned();
    if let Some(state) = state
        && request.headers().contains_key(COOKIE)
    {
        let key = Key::derive_from(&state.key);
        let (kept, dead): (Vec<_>, Vec<_>) =
            pairs(request.headers()).partition(|pair| may_stay(pair, &key, &state.sessions));
        let kept: Vec<String> = kept.into_iter().map(str::to_owned).collect();
        if !dead.is_empty() {
            request.extensions_mut().insert(HasEnded);
        }
        let headers = request.headers_mut();
        headers.remove(COOKIE);
        for pair in kept {
            if let Ok(value) = HeaderValue::try_from(pair) {
                headers.append(COOKIE, value);
            }
        }
    }
    next.call(request).await
}

/// Marks a request whose session has ended.
#[derive(Clone, Copy, Debug)]
struct HasEnded;

/// Whether the browser comes with a session that has ended.
pub(crate) fn has_ended(request: &HttpRequest) -> bool {
    request.extensions().contains::<HasEnded>()
}

/// Whether the session that a request came with has not ended meanwhile.
pub(crate) fn still_lives(state: &crate::web::State, request: &HttpRequest) -> bool {
    let key = Key::derive_from(&state.key);
    let mut own = pairs(request.headers()).filter(|pair| {
        let cookie = Cookie::parse_encoded(*pair);
        cookie.is_ok_and(|cookie| cookie.name() == COOKIE_NAME)
    });
    own.any(|pair| may_stay(pair, &key, &state.sessions))
}

/// The pairs of the cookie fields; those of a field that is no text are left out.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(COOKIE);
    let texts = fields.filter_map(|field| std::str::from_utf8(field.as_bytes()).ok());
    texts
        .flat_map(|text| text.split(';'))
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
}

/// Whether a pair is another cookie, or names a session that lives.
fn may_stay(pair: &str, key: &Key, sessions: &Store) -> bool {
    let Ok(cookie) = Cookie::parse_encoded(pair) else {
        return false;
    };
    if cookie.name() != COOKIE_NAME {
        return true;
    }
    let mut jar = CookieJar::new();
    jar.add_original(cookie.into_owned());
    let verified = jar.signed(key).get(COOKIE_NAME);
    verified.is_some_and(|session| {
        let load = |sessions: &mut Sessions, now| sessions.load(session.value(), now);
        sessions.with(load).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn sessions() -> Sessions {
        Sessions {
            idle: 30 * MINUTE,
            limit: 720 * MINUTE,
            entries: HashMap::new(),
        }
    }

    /// W3
    #[test]
    fn a_session_ends_by_idleness_and_by_age() {
        let mut sessions = sessions();
        sessions.save("a".into(), Contents::new(), Duration::ZERO);
        assert!(sessions.load("a", 29 * MINUTE).is_some());
        assert!(sessions.load("a", 30 * MINUTE).is_none());
        sessions.save("b".into(), Contents::new(), Duration::ZERO);
        for turn in 1..30 {
            let now = turn * 25 * MINUTE;
            assert_eq!(
                sessions.load("b", now).is_some(),
                now < 720 * MINUTE,
                "after {now:?}"
            );
            sessions.update("b", Contents::new(), now);
        }
        assert!(sessions.entries.is_empty());
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let mut sessions = sessions();
        for number in 0..MAX_SESSIONS + 5 {
            let now = Duration::from_millis(u64::try_from(number).unwrap());
            sessions.save(number.to_string(), Contents::new(), now);
        }
        assert_eq!(sessions.entries.len(), MAX_SESSIONS);
        assert!(!sessions.entries.contains_key("0") && !sessions.entries.contains_key("4"));
    }
}
