//! Every path, and who may ask for it. A row cannot be written without its class of access, and nothing is registered but
//! rows: what stands before a path is decided by the row that the router found, however the path was spelled.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig, ServiceConfig, delete, post, resource};
use actix_web::{HttpResponse, Route, guard as guards};

use super::auth::guard::{Access, admit};
use super::monitor::{health, prometheus};
use super::pages::{
    about, blocklist, clients, frequent_announcers, login, overview, peers, torrents, zones,
};
use super::server::reader::MAX_BODY;
use super::view::{assets, page};
use super::{State, api};

/// One path with what answers it.
struct Row {
    path: &'static str,
    access: Access,
    routes: Vec<Route>,
}

/// A row of one or more routes.
fn row<const N: usize>(path: &'static str, access: Access, routes: [Route; N]) -> Row {
    Row {
        path,
        access,
        routes: routes.into(),
    }
}

/// Adds every route to the app. Those of other components come first.
pub(super) fn configure(config: &mut ServiceConfig, state: &Arc<State>) {
    for routes in &state.backend.routes {
        routes(config);
    }
    config
        .app_data(PayloadConfig::new(MAX_BODY))
        .app_data(api::json_config());
    let rows = if state.settings.is_enabled {
        let rows = [monitoring(), pages(), programs()];
        rows.into_iter().flatten().collect()
    } else {
        monitoring()
    };
    for row in rows {
        let access = row.access;
        let routes = row.routes.into_iter();
        let resource = routes.fold(resource(row.path), actix_web::Resource::route);
        config.service(resource.wrap(from_fn(move |request, next| admit(access, request, next))));
    }
    config.default_service(web::to(not_found));
}

/// What is there without the pages as well.
fn monitoring() -> Vec<Row> {
    use Access::{Admins, Open};
    vec![
        row("/health", Open, [get().to(health::health)]),
        row("/ready", Open, [get().to(health::ready)]),
        row("/metrics", Admins, [get().to(prometheus::metrics)]),
        row("/robots.txt", Open, [get().to(assets::robots)]),
        row("/", Open, [get().to(root)]),
    ]
}

/// What people see.
fn pages() -> Vec<Row> {
    use Access::{Login, Open, Page};
    vec![
        row("/static/{name}", Open, [get().to(assets::asset)]),
        row(
            "/login",
            Login,
            [get().to(login::form), post().to(login::log_in)],
        ),
        row(
            "/logout",
            Page,
            [get().to(login::confirm), post().to(login::log_out)],
        ),
        row("/stat", Page, [get().to(overview::overview)]),
        row("/torrents", Page, [get().to(torrents::list)]),
        row("/torrents/{hash}", Page, [get().to(torrents::one)]),
        row("/all_peers", Page, [get().to(peers::list)]),
        row("/zones", Page, [get().to(zones::zones)]),
        row("/clients", Page, [get().to(clients::clients)]),
        row("/callers", Page, [get().to(frequent_announcers::callers)]),
        row(
            "/blocklist",
            Page,
            [get().to(blocklist::list), post().to(blocklist::add)],
        ),
        row(
            "/blocklist/unblock/{number}",
            Page,
            [post().to(blocklist::remove)],
        ),
        row("/about", Page, [get().to(about::about)]),
        row("/about/save", Page, [post().to(about::save)]),
        row("/about/tokens", Page, [post().to(about::make_token)]),
        row(
            "/about/tokens/{number}/revoke",
            Page,
            [post().to(about::revoke_token)],
        ),
    ]
}

/// What programs ask.
fn programs() -> Vec<Row> {
    use Access::Api;
    vec![
        row("/stats.json", Api, [get().to(api::everything)]),
        row("/api/v1/stats", Api, [get().to(api::stats)]),
        row("/api/v1/history", Api, [get().to(api::history)]),
        row("/api/v1/zones", Api, [get().to(api::zones)]),
        row("/api/v1/zones/savings", Api, [get().to(api::savings)]),
        row("/api/v1/clients", Api, [get().to(api::clients)]),
        row("/api/v1/torrents", Api, [get().to(api::torrents)]),
        row(
            "/api/v1/torrents/{hash}",
            Api,
            [get().to(torrents::one_json)],
        ),
        row(
            "/api/v1/blocklist",
            Api,
            [get().to(api::blocklist), post().to(api::block)],
        ),
        row(
            "/api/v1/blocklist/{number}",
            Api,
            [delete().to(api::unblock)],
        ),
        row("/api/v1/snapshot", Api, [post().to(api::snapshot)]),
        row("/api/v1/metrics", Api, [get().to(prometheus::metrics)]),
        row("/api/v1/openapi.json", Api, [get().to(api::description)]),
    ]
}

/// GET and HEAD.
fn get() -> Route {
    web::route().guard(guards::Any(guards::Get()).or(guards::Head()))
}

async fn root() -> HttpResponse {
    page::redirect("/stat")
}

async fn not_found() -> HttpResponse {
    page::plain(StatusCode::NOT_FOUND, "not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(access: Access) -> Vec<&'static str> {
        let rows = [monitoring(), pages(), programs()].into_iter().flatten();
        let rows = rows.filter(|row| row.access == access);
        rows.map(|row| row.path).collect()
    }

    /// W3
    #[test]
    fn what_needs_no_login_is_this_and_nothing_else() {
        let open = ["/health", "/ready", "/robots.txt", "/", "/static/{name}"];
        assert_eq!(paths(Access::Open), open);
        assert_eq!(paths(Access::Admins), ["/metrics"]);
        assert_eq!(paths(Access::Login), ["/login"]);
    }

    /// R6: the walk through all spellings knows every path that is protected.
    #[test]
    fn every_protected_path_is_walked_by_the_attacks() {
        let attacks = include_str!("../../tests/web/attacks.rs");
        for path in [paths(Access::Page), paths(Access::Api)].concat() {
            let walked = path
                .replace("{hash}", &"0".repeat(40))
                .replace("{number}", "1");
            let is_walked = attacks.contains(&format!("\"{walked}\","));
            assert!(is_walked, "{path}");
        }
    }
}
