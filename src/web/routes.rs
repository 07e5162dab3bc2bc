//! Every path, and what stands before it. Whatever is not named in the open part is behind the login.

use std::sync::Arc;

use actix_session::SessionMiddleware;
use actix_session::config::{BrowserSession, CookieContentSecurity};
use actix_web::cookie::{Key, SameSite};
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig, ServiceConfig, resource};
use actix_web::{HttpResponse, Resource, Route, guard as guards};

use super::sessions::Store;
use super::{
    State, about, api, assets, blocklist, callers, clients, form, guard, health, login, overview,
    page, peers, prometheus, torrents, zones,
};

/// Adds every route to the app. Those of other components come first.
pub(super) fn configure(config: &mut ServiceConfig, state: &Arc<State>) {
    for routes in &state.doors.routes {
        routes(config);
    }
    config
        .app_data(PayloadConfig::new(form::MOST_BYTES))
        .service(resource("/health").route(get().to(health::health)))
        .service(resource("/ready").route(get().to(health::ready)))
        .service(resource("/metrics").route(get().to(prometheus::metrics)))
        .service(resource("/robots.txt").route(get().to(assets::robots)))
        .service(resource("/").route(get().to(root)));
    if state.settings.is_enabled {
        config
            .service(
                web::scope("/static")
                    .route("/{name}", get().to(assets::asset))
                    .default_service(web::to(not_found)),
            )
            .service(behind_login(state));
    }
    config.default_service(web::to(not_found));
}

fn behind_login(state: &Arc<State>) -> impl actix_web::dev::HttpServiceFactory + use<> {
    let settings = &state.settings;
    let store = Store::new(state.clock, settings.session_idle, settings.session_limit);
    let sessions = SessionMiddleware::builder(store, Key::derive_from(&state.key))
        .cookie_name("session".into())
        .cookie_same_site(SameSite::Lax)
        .cookie_http_only(true)
        // `guard::protect` adds it where the visitor's side is encrypted.
        .cookie_secure(false)
        .cookie_content_security(CookieContentSecurity::Signed)
        .session_lifecycle(BrowserSession::default())
        .build();
    web::scope("")
        .service(both("/login", login::form, login::log_in))
        .service(
            resource("/logout")
                .route(get().to(login::confirm))
                .route(web::post().to(login::log_out)),
        )
        .service(resource("/stat").route(get().to(overview::overview)))
        .service(resource("/torrents").route(get().to(torrents::list)))
        .service(resource("/torrents/{hash}").route(get().to(torrents::one)))
        .service(resource("/all_peers").route(get().to(peers::list)))
        .service(resource("/zones").route(get().to(zones::zones)))
        .service(resource("/clients").route(get().to(clients::clients)))
        .service(resource("/callers").route(get().to(callers::callers)))
        .service(both("/blocklist", blocklist::list, blocklist::add))
        .service(resource("/blocklist/unblock/{number}").route(web::post().to(blocklist::remove)))
        .service(resource("/about").route(get().to(about::about)))
        .service(resource("/about/save").route(web::post().to(about::save)))
        .service(resource("/about/tokens").route(web::post().to(about::make_token)))
        .service(
            resource("/about/tokens/{number}/revoke").route(web::post().to(about::revoke_token)),
        )
        .configure(api::configure)
        .default_service(web::to(not_found))
        .wrap(from_fn(guard::require_login))
        .wrap(sessions)
}

/// A page with a form on it.
fn both<F, G, A, B>(path: &str, show: F, take: G) -> Resource
where
    F: actix_web::Handler<A>,
    F::Output: actix_web::Responder + 'static,
    A: actix_web::FromRequest + 'static,
    G: actix_web::Handler<B>,
    G::Output: actix_web::Responder + 'static,
    B: actix_web::FromRequest + 'static,
{
    resource(path)
        .route(get().to(show))
        .route(web::post().to(take))
}

/// GET and HEAD.
pub(super) fn get() -> Route {
    web::route().guard(guards::Any(guards::Get()).or(guards::Head()))
}

async fn root() -> HttpResponse {
    page::redirect("/stat")
}

async fn not_found() -> HttpResponse {
    page::plain(StatusCode::NOT_FOUND, "not found")
}
