//! The page at `/` for subscribers: what to add to which client, in both languages, for everybody. It is made once, at the start,
//! and knows nothing but the addresses that the operator gives out.

use std::io;

use actix_web::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use tera::Context;

use super::assets::weak_tag;
use super::language::Language;
use super::parameters::Parameters;
use super::templates::{Templates, invalid};
use crate::web::AnnounceUrl;

/// How long a browser and what stands before it may keep the page: a change of the addresses takes a restart.
const CACHING: &str = "public, max-age=300";

#[derive(Debug)]
struct Translation {
    language: Language,
    text: Bytes,
    tag: String,
}

/// The page in all languages.
#[derive(Debug)]
pub(crate) struct SubscriberPage(Vec<Translation>);

impl SubscriberPage {
    /// The page with these addresses; nothing where there are none.
    ///
    /// # Errors
    /// When the template cannot be rendered.
    pub(crate) fn new(
        templates: &Templates,
        addresses: &[AnnounceUrl],
    ) -> io::Result<Option<SubscriberPage>> {
        if addresses.is_empty() {
            return Ok(None);
        }
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let translation = |language: Language| {
            let mut context = Context::new();
            context.insert_value("t", templates.texts_value(language));
            context.insert("lang", language.code());
            let codes = Language::ALL.map(Language::code);
            context.insert("languages", &codes);
            context.insert("addresses", &addresses);
            let text = templates.render("subscribers.html", &context);
            let text = Bytes::from(text.map_err(invalid)?);
            Ok(Translation {
                language,
                tag: weak_tag(&text),
                text,
            })
        };
        let pages = Language::ALL.into_iter().map(translation);
        Ok(Some(SubscriberPage(pages.collect::<io::Result<_>>()?)))
    }

    /// The page in the language of the query or of the browser; 304 for a browser that has it.
    pub(crate) fn reply(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let params = Parameters::of(request);
        let chosen = params.text("lang").and_then(Language::from_code);
        let language = chosen.unwrap_or_else(|| Language::preferred(request.headers()));
        let page = self.0.iter().find(|page| page.language == language)?;
        let known = request.headers().get(IF_NONE_MATCH);
        let is_known = known.is_some_and(|known| known.as_bytes() == page.tag.as_bytes());
        let mut reply = if is_known {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        reply
            .insert_header((ETAG, page.tag.as_str()))
            .insert_header((CACHE_CONTROL, CACHING))
            .insert_header((VARY, ACCEPT_LANGUAGE.as_str()));
        Some(if is_known {
            reply.finish()
        } else {
            reply
                .content_type("text/html; charset=utf-8")
                .body(page.text.clone())
        })
    }
}
