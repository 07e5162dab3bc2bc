//! The tracker's answers on actix-web: for requests that the lean loop does not serve itself (a body came with it) and for
//! listeners that it does not have (TLS). Slower, and the same to the byte of the body.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::guard::fn_guard;
use actix_web::http::header::{HOST, HeaderValue, USER_AGENT};
use actix_web::http::{Method, Uri};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use arc_swap::ArcSwap;

use super::handler::{Arrival, Client, Endpoint, Fields, Handler, endpoint};
use super::{FullScrape, LiveSettings, full_scrape, handler};
use crate::clock::Clock;
use crate::metrics::{Failure, Transport};
use crate::net::client_address::Forwarding;
use crate::net::handover::ByTls;
use crate::net::hosts::Browser;
use crate::tracker::Tracker;
use crate::watch::Watch;

/// The tracker's routes; cheap to clone into every application factory.
#[derive(Clone, Debug)]
pub struct Routes {
    tracker: Arc<Tracker>,
    clock: Clock,
    live: Arc<ArcSwap<LiveSettings>>,
    watch: Arc<Watch>,
}

impl Routes {
    pub(super) fn new(
        tracker: Arc<Tracker>,
        clock: Clock,
        live: Arc<ArcSwap<LiveSettings>>,
        watch: Arc<Watch>,
    ) -> Routes {
        Routes {
            tracker,
            clock,
            live,
            watch,
        }
    }

    /// What all torrents are told with, under the same settings.
    pub fn full_scrape(&self) -> FullScrape {
        let (tracker, live) = (Arc::clone(&self.tracker), Arc::clone(&self.live));
        FullScrape::new(tracker, self.clock, live)
    }

    /// Mounts the tracker's paths (P1) before all others; whether a path is one, the handler decides, here as on the lean loop.
    pub fn mount(&self, service: &mut ServiceConfig) {
        let own = self.clone();
        let is_ours = fn_guard(move |context| {
            let uri = &context.head().uri;
            let (path, query) = (uri.path().as_bytes(), query_of(uri));
            // A scrape of all torrents is the pages' to send.
            own.endpoint_of(uri).is_some()
                && !full_scrape::is_asked(&own.live.load().settings, path, query)
        });
        let paths = web::resource("/{path:.*}").guard(is_ours);
        service.service(paths.app_data(Data::new(self.clone())).to(respond));
    }

    fn endpoint_of(&self, uri: &Uri) -> Option<Endpoint> {
        let keys = self.tracker.keys();
        let endpoint = endpoint(uri.path().as_bytes(), query_of(uri), keys);
        endpoint.filter(|endpoint| endpoint.is_trackers())
    }
}

/// No query is an empty one.
fn query_of(uri: &Uri) -> &[u8] {
    uri.query().unwrap_or_default().as_bytes()
}

async fn respond(request: HttpRequest, routes: Data<Routes>) -> HttpResponse {
    let query = query_of(request.uri());
    let handler = Handler::new(Arc::clone(&routes.tracker), routes.clock, None);
    let mut handler = handler.watched(&routes.watch);
    if request.method() != Method::GET && request.method() != Method::HEAD {
        handler.counters().failed(Transport::Http, Failure::Method);
        return HttpResponse::MethodNotAllowed()
            .insert_header(("Allow", "GET, HEAD"))
            .content_type("text/plain")
            .body("method not allowed\n");
    }
    let Some(endpoint) = routes.endpoint_of(request.uri()) else {
        return HttpResponse::NotFound().finish();
    };
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = request.peer_addr().unwrap_or((unknown, 0).into());
    let socket = peer.ip().to_canonical();
    let headers = request.headers();
    let fields = || {
        let fields = headers.iter();
        fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    };
    let forwarding = Some(Forwarding::of(fields()));
    let browser = Browser::of(fields());
    let live = routes.live.load();
    let address_rules = &live.settings.address_rules;
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let client =
        Client::new(address_rules, socket, forwarding, browser).to_host(host, address_rules);
    let mut body = Vec::new();
    let asked = handler::Request {
        endpoint,
        path: request.uri().path().as_bytes(),
        query,
        client: &client,
        arrival: Arrival {
            port: peer.port(),
            is_tls: request.extensions().contains::<ByTls>(),
            fields: Fields::Known {
                host,
                user_agent: headers.get(USER_AGENT).map(HeaderValue::as_bytes),
            },
        },
        settings: &live.settings,
        now: routes.clock.now(),
    };
    handler.answer(&asked, &mut body);
    HttpResponse::Ok().content_type("text/plain").body(body)
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use crate::metrics::Metrics;
    use crate::tracker;
    use crate::watch::Filter;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, rt};
    use std::net::SocketAddr;

    fn routes(watch: &Arc<Watch>) -> Routes {
        let metrics = Arc::new(Metrics::new(0));
        let tracker = Arc::new(Tracker::new(tracker::Settings::default(), metrics));
        let live = LiveSettings {
            settings: Settings::default(),
            max_connections: 0,
        };
        Routes::new(
            tracker,
            Clock::start(),
            Arc::new(ArcSwap::from_pointee(live)),
            Arc::clone(watch),
        )
    }

    fn nobody() -> Arc<Watch> {
        Arc::new(Watch::new(Clock::start()))
    }

    /// O30
    #[test]
    fn a_watcher_sees_what_actix_answers() {
        rt::System::new().block_on(async {
            let watch = nobody();
            let routes = routes(&watch);
            let app = init_service(App::new().configure(|service| routes.mount(service))).await;
            let watching = watch.begin(Filter::default(), 10).unwrap();
            let peer = SocketAddr::from(([192, 0, 2, 1], 5000));
            let query = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1&key=7";
            let request = TestRequest::get().uri(&format!("/announce?{query}"));
            let request = request.insert_header((USER_AGENT, "qBittorrent/5.0"));
            let request = request.insert_header((HOST, "tracker:80")).peer_addr(peer);
            let request = request.to_request();
            request.extensions_mut().insert(ByTls);
            let reply = call_service(&app, request).await;
            assert_eq!(reply.status(), 200);
            let told = watching.next_event().unwrap();
            let told = serde_json::to_value(&*told).unwrap();
            assert_eq!(told["transport"], "https");
            assert_eq!(
                (&told["ip"], &told["port"]),
                (&"192.0.2.1".into(), &5000.into())
            );
            assert_eq!(told["user_agent"], "qBittorrent/5.0");
            assert_eq!(told["host"], "tracker:80");
            assert_eq!(told["answer"]["leechers"], 1);
            assert_eq!(told["parameters"][3]["hidden"], true);
        });
    }

    /// P1
    #[test]
    fn actix_gives_the_same_answers() {
        rt::System::new().block_on(async {
            let routes = routes(&nobody());
            let app = init_service(App::new().configure(|service| routes.mount(service))).await;
            let peer = SocketAddr::from(([192, 0, 2, 1], 5000));
            let get = |uri: &str| TestRequest::get().uri(uri).peer_addr(peer).to_request();
            let query = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1&left=0";
            for path in [
                "/announce",
                "/ann",
                "/announce.php",
                "/x/y/announce",
                "/bt/announce.php/",
                "/%61nnounce",
                "/",
            ] {
                let reply = call_service(&app, get(&format!("{path}?{query}"))).await;
                assert_eq!(reply.headers().get("content-type").unwrap(), "text/plain");
                let body = read_body(reply).await;
                assert!(
                    body.starts_with(b"d8:completei1e10:downloadedi0e10:incompletei0e"),
                    "{path}: {body:?}"
                );
            }
            let scraped = call_service(&app, get(&format!("/scrape?{query}"))).await;
            assert!(
                read_body(scraped)
                    .await
                    .starts_with(b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e")
            );
            let posted = TestRequest::post()
                .uri("/announce")
                .peer_addr(peer)
                .to_request();
            assert_eq!(call_service(&app, posted).await.status(), 405);
            for path in ["/other", "/?info=hash", "/announcement"] {
                assert_eq!(call_service(&app, get(path)).await.status(), 404, "{path}");
            }
        });
    }
}
