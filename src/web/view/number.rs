//! The number of a thing in a path (`{number}`), for every handler of one alike: digits as the tracker writes them, without a sign and
//! without zeros in front. What is no number names nothing that there is.

use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::{Error, FromRequest, HttpRequest};

use crate::web::refusal::not_found;

/// The number in the path of a request; a request without one is answered 404, in the manner of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<N>(pub N);

impl<N: FromStr> FromRequest for Number<N> {
    type Error = Error;
    type Future = Ready<Result<Number<N>, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let number = request.match_info().get("number");
        let number = number.filter(|text| is_plain(text));
        let number = number.and_then(|number| number.parse().ok());
        ready(number.map(Number).ok_or_else(|| {
            let reply = not_found(request);
            InternalError::from_response("no number", reply).into()
        }))
    }
}

/// Whether a number would be written so: one thing has one path.
fn is_plain(text: &str) -> bool {
    let has_zero_in_front = text.len() > 1 && text.starts_with('0');
    !text.is_empty() && !has_zero_in_front && text.bytes().all(|byte| byte.is_ascii_digit())
}
