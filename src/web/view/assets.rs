//! Static files: looked up by name among those in the binary, cached by browsers until they change.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, IF_NONE_MATCH};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

use super::page::plain;
use crate::web::State;
use crate::web::refusal::Refusal;

/// One file.
pub(crate) async fn asset(
    state: Data<State>,
    request: HttpRequest,
    name: Path<String>,
) -> HttpResponse {
    let kind = name.rsplit_once('.').and_then(|(_, end)| kind(end));
    let (Some(kind), Some(bytes)) = (kind, state.templates.asset(&name)) else {
        return Refusal::NOT_FOUND.shown(&state, &request);
    };
    let tag = weak_tag(&bytes);
    let known = request.headers().get(IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut reply = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    reply
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "public, no-cache"))
        .content_type(kind);
    if is_known {
        reply.finish()
    } else {
        reply.body(bytes.into_owned())
    }
}

/// What tells contents apart from others; weak, because a proxy may compress the body on its way.
pub(super) fn weak_tag(contents: &[u8]) -> String {
    let digest = Sha256::digest(contents);
    let tag: String = digest.iter().take(12).map(|b| format!("{b:02x}")).collect();
    EntityTag::new_weak(tag).to_string()
}

/// Nothing here is for search engines.
pub(crate) async fn robots() -> HttpResponse {
    plain(StatusCode::OK, "User-agent: *\nDisallow: /\n")
}

fn kind(end: &str) -> Option<&'static str> {
    Some(match end {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::templates::Templates;
    use super::*;

    #[test]
    fn every_file_has_a_known_kind() {
        for name in Templates::asset_names() {
            let end = name.rsplit_once('.').map(|(_, end)| end);
            assert!(end.and_then(kind).is_some(), "{name}");
        }
    }
}
