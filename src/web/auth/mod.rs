//! Who may see what: the guard before every row of the routes, users, sessions, passwords, tokens, and the throttle on guessing.

pub(super) mod caller;
pub(super) mod form;
pub(super) mod guard;
pub(super) mod login_form;
pub(super) mod password;
pub(super) mod resume;
pub(super) mod secrets;
pub(super) mod sessions;
pub(super) mod throttle;
pub(super) mod tokens;
pub(super) mod user;
pub(super) mod users;
pub(super) mod uses;
pub(super) mod visitor;
