//! `/status` (C6): `OK`, and for administrators what the tracker sees of the caller.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::{State, caller};

/// A short text; open to everybody.
pub(super) async fn status(state: Data<State>, request: HttpRequest) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(caller::status(&state, &request))
}
