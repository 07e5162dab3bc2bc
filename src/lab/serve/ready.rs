//! What is told when all listen: lines for people, or one object of JSON.

use std::net::SocketAddr;
use std::path::Path;

use super::ca_file::CaFile;
use super::{Lab, Url};
use crate::lab::exchange::Transport;

/// What a tracker that plays a script has to say of it.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Played {
    /// None for a script of one's own.
    pub scenario: Option<PlayedScenario>,
    /// The peers that listen.
    pub planted: Vec<SocketAddr>,
    pub decoy: Vec<SocketAddr>,
}

/// A scenario that comes with the program.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct PlayedScenario {
    pub name: String,
    /// What happens.
    pub what: String,
    /// What a good client does.
    pub good_client: String,
}

impl Played {
    /// What there is to say of the scenario.
    pub(crate) fn words(&self) -> Vec<String> {
        let Some(scenario) = &self.scenario else {
            return Vec::new();
        };
        vec![
            format!("{}: {}", scenario.name, scenario.what),
            format!("a good client: {}", scenario.good_client),
        ]
    }

    /// A line for each address of a peer.
    pub(crate) fn peers(&self) -> Vec<String> {
        let peers = [("planted", &self.planted), ("decoy", &self.decoy)];
        let lines = peers.into_iter().flat_map(|(name, addresses)| {
            let addresses = addresses.iter();
            addresses.map(move |address| format!("{name} peer at {address}"))
        });
        lines.collect()
    }
}

#[derive(serde::Serialize)]
struct Ready<'a> {
    kind: &'static str,
    version: &'static str,
    pid: u32,
    http: Option<String>,
    https: Option<String>,
    udp: Option<String>,
    urls: Vec<ReadyUrl>,
    left_out: Vec<String>,
    ca_file: Option<&'a Path>,
    ca_pem: Option<&'a str>,
    speed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    misbehave: Option<&'a Played>,
}

#[derive(serde::Serialize)]
struct ReadyUrl {
    transport: String,
    family: &'static str,
    url: String,
}

/// One object in a line.
pub(super) fn json(lab: &Lab, authority: &CaFile, speed: f64, played: Option<&Played>) -> String {
    let urls = lab.urls().iter().map(|url| ReadyUrl {
        transport: url.transport.to_string(),
        family: if url.address.is_ipv4() { "v4" } else { "v6" },
        url: url.to_string(),
    });
    let ready = Ready {
        kind: "ready",
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        http: lab.url(Transport::Http),
        https: lab.url(Transport::Https),
        udp: lab.url(Transport::Udp),
        urls: urls.collect(),
        left_out: lab.left_out().iter().map(ToString::to_string).collect(),
        ca_file: authority.path(),
        ca_pem: lab.ca_pem(),
        speed,
        misbehave: played,
    };
    // Texts and numbers can always be written.
    serde_json::to_string(&ready).map_or_else(|_| String::new(), |json| json + "\n")
}

/// Lines for people.
pub(super) fn lines(lab: &Lab, authority: &CaFile, played: Option<&Played>) -> String {
    let mut lines = played.map(Played::words).unwrap_or_default();
    for url in lab.urls() {
        lines.push(format!("{:5}  {url}", url.transport.to_string()));
    }
    for address in lab.left_out() {
        lines.push(format!("       not on {address}: this machine has no v6"));
    }
    if let Some(path) = authority.path() {
        lines.push(format!(
            "       https is believed by who knows the authority in {}",
            path.display()
        ));
    } else if lab.ca_pem().is_some() {
        lines.push(
            "       https is of a throw-away authority; --ca-file FILE writes its certificate"
                .to_owned(),
        );
    }
    let is_open = |url: &Url| !url.address.ip().is_loopback();
    if lab.urls().iter().any(is_open) {
        lines.push(
            "       other machines reach it: it is a tracker for tests, open to anybody".to_owned(),
        );
    }
    lines.extend(played.map(Played::peers).unwrap_or_default());
    lines.join("\n") + "\n"
}
