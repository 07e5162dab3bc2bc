//! Every path, and who may ask for it. A row cannot be written without its class of access, and nothing is registered but
//! rows: what stands before a path is decided by the row that the router found, however the path was spelled.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig, resource};
use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Responder, Route, guard as guards,
};

use super::auth::guard::{AccessClass, admit};
use super::auth::tokens::Scope;
use super::auth::user::Role;
use super::monitor::{health, prometheus};
use super::pages::{
    about, audit, bans, blocklist, clients, frequent_announcers, keys, listed, login, overview,
    peers, sites, torrents, zones,
};
use super::server::reader::MAX_BODY;
use super::view::{assets, page};
use super::{State, api, full_scrape, key_api, refusal, watch};

/// Pages that everybody who has logged in may see, and only operators send something to.
const PAGE: AccessClass = AccessClass::Page {
    read: Role::Viewer,
    send: Role::Operator,
};
/// Pages by which one changes nothing but one's own session.
const OWN: AccessClass = AccessClass::Page {
    read: Role::Viewer,
    send: Role::Viewer,
};
/// Pages for operators.
const OPERATORS: AccessClass = AccessClass::Page {
    read: Role::Operator,
    send: Role::Operator,
};
/// Calls of the API that every token may read.
const API: AccessClass = AccessClass::Api {
    read: Scope::Read,
    send: Scope::Admin,
};
/// Those that change the blocklist and the listed torrents, or lift bans.
const API_BLOCK: AccessClass = AccessClass::Api {
    read: Scope::Read,
    send: Scope::Block,
};
/// Those that say who does what.
const API_ADMIN: AccessClass = AccessClass::Api {
    read: Scope::Admin,
    send: Scope::Admin,
};

/// All torrents at once, which every token may read.
const SCRAPE: AccessClass = AccessClass::FullScrape(Scope::Read);

/// What answers some methods of a path.
struct Served {
    methods: &'static [Method],
    route: Route,
}

/// One path with what answers it.
struct Row {
    path: &'static str,
    access: AccessClass,
    served: Vec<Served>,
}

/// A row of one or more routes.
fn row<const N: usize>(path: &'static str, access: AccessClass, served: [Served; N]) -> Row {
    Row {
        path,
        access,
        served: served.into(),
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
        let methods = row.served.iter().flat_map(|served| served.methods);
        let methods: Rc<[Method]> = methods.cloned().collect();
        let routes = row.served.into_iter().map(|served| served.route);
        let resource = routes.fold(resource(row.path), actix_web::Resource::route);
        config.service(resource.wrap(from_fn(move |request, next| {
            admit(access, Rc::clone(&methods), request, next)
        })));
    }
    config.default_service(web::to(not_found));
}

/// What is there without the pages as well.
fn monitoring() -> Vec<Row> {
    use AccessClass::{Admins, Open};
    vec![
        row("/health", Open, [get(health::health)]),
        row("/ready", Open, [get(health::ready)]),
        row("/metrics", Admins, [get(prometheus::metrics)]),
        row("/scrape", SCRAPE, [get(full_scrape::scrape)]),
        row("/robots.txt", Open, [get(assets::robots)]),
        row("/", Open, [get(root)]),
        row("/static/{name}", Open, [get(assets::asset)]),
    ]
}

/// What people see.
fn pages() -> Vec<Row> {
    use AccessClass::Login;
    vec![
        row("/login", Login, [get(login::form), post(login::log_in)]),
        row("/logout", OWN, [get(login::confirm), post(login::log_out)]),
        row("/stat", PAGE, [get(overview::overview)]),
        row("/torrents", PAGE, [get(torrents::list)]),
        row("/torrents/{hash}", PAGE, [get(torrents::one)]),
        row("/all_peers", PAGE, [get(peers::list)]),
        row("/zones", PAGE, [get(zones::zones)]),
        row("/clients", PAGE, [get(clients::clients)]),
        row("/callers", PAGE, [get(frequent_announcers::callers)]),
        row("/callers/lift/{number}", PAGE, [post(bans::remove)]),
        row(
            "/blocklist",
            PAGE,
            [get(blocklist::list), post(blocklist::add)],
        ),
        row(
            "/blocklist/unblock/{number}",
            PAGE,
            [post(blocklist::remove)],
        ),
        row("/keys", OPERATORS, [get(keys::list), post(keys::make_keys)]),
        row("/keys/{number}/revoke", OPERATORS, [post(keys::revoke_key)]),
        row("/sites", PAGE, [get(sites::sites)]),
        row("/sites/resend", PAGE, [post(sites::resend)]),
        row("/sites/forget", PAGE, [post(sites::forget)]),
        row("/listed", PAGE, [get(listed::list), post(listed::change)]),
        row("/audit", OPERATORS, [get(audit::audit)]),
        row("/about", PAGE, [get(about::about)]),
        row("/about/save", PAGE, [post(about::save)]),
        row("/about/tokens", PAGE, [post(about::make_token)]),
        row(
            "/about/tokens/{number}/revoke",
            PAGE,
            [post(about::revoke_token)],
        ),
    ]
}

/// What programs ask.
fn programs() -> Vec<Row> {
    vec![
        row("/stats.json", API, [get(api::everything)]),
        row("/api/v1/stats", API, [get(api::stats)]),
        row("/api/v1/history", API, [get(api::history)]),
        row("/api/v1/zones", API, [get(api::zones)]),
        row("/api/v1/zones/savings", API, [get(api::savings)]),
        row("/api/v1/clients", API, [get(api::clients)]),
        row("/api/v1/torrents", API, [get(api::torrents)]),
        row("/api/v1/torrents/{hash}", API, [get(torrents::one_json)]),
        row(
            "/api/v1/blocklist",
            API_BLOCK,
            [get(api::blocklist), post(api::block)],
        ),
        row(
            "/api/v1/blocklist/{number}",
            API_BLOCK,
            [delete(api::unblock)],
        ),
        row("/api/v1/bans", API, [get(bans::list)]),
        row("/api/v1/bans/{number}", API_BLOCK, [delete(bans::delete)]),
        row(
            "/api/v1/keys",
            API_ADMIN,
            [get(key_api::list), post(key_api::create)],
        ),
        row("/api/v1/keys/export", API_ADMIN, [get(key_api::export)]),
        row("/api/v1/keys/revoke", API_ADMIN, [post(key_api::end_many)]),
        row(
            "/api/v1/keys/{number}",
            API_ADMIN,
            [get(key_api::one), delete(key_api::end)],
        ),
        row("/api/v1/sites", API, [get(api::sites)]),
        row("/api/v1/sites/digest", API, [get(api::digest)]),
        row("/api/v1/sites/resend", API, [post(api::resend)]),
        row("/api/v1/sites/forget", API, [post(api::forget)]),
        row(
            "/api/v1/listed",
            API_BLOCK,
            [get(listed::listed_json), post(listed::change_json)],
        ),
        row("/api/v1/audit", API_ADMIN, [get(api::audit)]),
        row("/api/v1/watch", API_ADMIN, [get(watch::watch)]),
        row("/api/v1/snapshot", API, [post(api::snapshot)]),
        row("/api/v1/full-scrape", API, [get(full_scrape::file)]),
        row("/api/v1/metrics", API, [get(prometheus::metrics)]),
        row("/api/v1/openapi.json", API, [get(api::description)]),
    ]
}

fn get<F, Args>(handler: F) -> Served
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let route = web::route().guard(guards::Any(guards::Get()).or(guards::Head()));
    Served {
        methods: &[Method::GET, Method::HEAD],
        route: route.to(handler),
    }
}

fn post<F, Args>(handler: F) -> Served
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Served {
        methods: &[Method::POST],
        route: web::post().to(handler),
    }
}

fn delete<F, Args>(handler: F) -> Served
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Served {
        methods: &[Method::DELETE],
        route: web::delete().to(handler),
    }
}

/// The page for subscribers where there is one; else the statistics.
async fn root(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let page = state.subscriber_page.as_ref();
    let page = page.and_then(|page| page.reply(&request));
    page.unwrap_or_else(|| page::redirect("/stat"))
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    refusal::not_found(&request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(is_meant: impl Fn(AccessClass) -> bool) -> Vec<&'static str> {
        let rows = [monitoring(), pages(), programs()].into_iter().flatten();
        let rows = rows.filter(|row| is_meant(row.access));
        rows.map(|row| row.path).collect()
    }

    /// W3
    #[test]
    fn what_needs_no_login_is_this_and_nothing_else() {
        let open = ["/health", "/ready", "/robots.txt", "/", "/static/{name}"];
        assert_eq!(paths(|access| access == AccessClass::Open), open);
        assert_eq!(paths(|access| access == AccessClass::Admins), ["/metrics"]);
        let scrapes = |access| matches!(access, AccessClass::FullScrape(_));
        assert_eq!(paths(scrapes), ["/scrape"]);
        assert_eq!(paths(|access| access == AccessClass::Login), ["/login"]);
    }

    /// W13
    #[test]
    fn what_a_viewer_may_send_and_not_read_is_this_and_nothing_else() {
        let sends =
            |access| matches!(access, AccessClass::Page { send, .. } if send < Role::Operator);
        assert_eq!(paths(sends), ["/logout"]);
        let is_hidden =
            |access| matches!(access, AccessClass::Page { read, .. } if read > Role::Viewer);
        let hidden = ["/keys", "/keys/{number}/revoke", "/audit"];
        assert_eq!(paths(is_hidden), hidden);
    }

    /// W13
    #[test]
    fn what_a_token_needs_more_than_reading_for_is_this_and_nothing_else() {
        let blocks = [
            "/api/v1/blocklist",
            "/api/v1/blocklist/{number}",
            "/api/v1/bans/{number}",
            "/api/v1/listed",
        ];
        let sends = |access| matches!(access, AccessClass::Api { send, .. } if send < Scope::Admin);
        assert_eq!(paths(sends), blocks);
        let is_hidden =
            |access| matches!(access, AccessClass::Api { read, .. } if read > Scope::Read);
        let hidden = [
            "/api/v1/keys",
            "/api/v1/keys/export",
            "/api/v1/keys/revoke",
            "/api/v1/keys/{number}",
            "/api/v1/audit",
            "/api/v1/watch",
        ];
        assert_eq!(paths(is_hidden), hidden);
    }

    /// R6: the walk through all spellings knows every path that is protected.
    #[test]
    fn every_protected_path_is_walked_by_the_attacks() {
        let attacks = include_str!("../../tests/web/attacks.rs");
        let is_protected =
            |access| matches!(access, AccessClass::Page { .. } | AccessClass::Api { .. });
        for path in paths(is_protected) {
            let walked = path
                .replace("{hash}", &"0".repeat(40))
                .replace("{number}", "1");
            let is_walked = attacks.contains(&format!("\"{walked}\","));
            assert!(is_walked, "{path}");
        }
    }
}
