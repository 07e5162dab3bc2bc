//! Who a request was let in as: the guard finds out and leaves it with the request, for whoever tells the audit.

use actix_web::{HttpMessage, HttpRequest};

use super::tokens::Scope;
use super::user::Role;
use crate::audit::{Actor, Deed, Entry};
use crate::web::State;
use crate::web::client::Client;

/// Somebody that the guard let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Who has logged in.
    User { name: String, role: Role },
    /// A program with a token.
    Token { name: String, scope: Scope },
}

impl Caller {
    /// Leaves it with the request.
    pub(super) fn stay_with(self, request: &HttpRequest) {
        request.extensions_mut().insert(self);
    }

    /// Whom the guard let in; nobody on a path that is open.
    pub(crate) fn of(request: &HttpRequest) -> Option<Caller> {
        request.extensions().get::<Caller>().cloned()
    }

    /// What may be read of the API with it.
    pub(super) fn reads(&self) -> Scope {
        match self {
            Caller::User { role, .. } if *role < Role::Operator => Scope::Read,
            Caller::User { .. } => Scope::Admin,
            Caller::Token { scope, .. } => *scope,
        }
    }

    fn actor(&self) -> (Actor, &str) {
        match self {
            Caller::User { name, .. } => (Actor::User, name),
            Caller::Token { name, .. } => (Actor::Token, name),
        }
    }
}

/// Tells the audit what the caller of this request has done.
pub(crate) fn audit(state: &State, request: &HttpRequest, deed: Deed, about: &str) {
    let caller = Caller::of(request);
    audit_of(state, request, caller.as_ref(), deed, about);
}

/// Tells the audit what somebody has done who is not with the request.
pub(crate) fn audit_of(
    state: &State,
    request: &HttpRequest,
    caller: Option<&Caller>,
    deed: Deed,
    about: &str,
) {
    let (actor, who) = caller.map_or((Actor::Stranger, ""), Caller::actor);
    let entry = Entry::new(deed, actor, who, about, state.clock.wall());
    let ip = Client::of(state, request).ip;
    state.backend.audit.tell(entry.from(ip));
}
