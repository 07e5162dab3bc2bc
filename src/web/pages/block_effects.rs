//! What an entry would do, told before it is made: whom it refuses, and whether that is a slip (W11).

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use ipnet::IpNet;
use serde::Serialize;

use super::block_entries::{BlockRow, block_row};
use super::peers::view;
use crate::net::is_wide;
use crate::tracker::Target;
use crate::web::jobs::JobError;
use crate::web::{NewBlock, State};

/// Why somebody is asked once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Concern {
    /// It refuses more than one in a hundred of all peers.
    ManyPeers,
    /// Its network is shorter than /16, or /32 of v6.
    WideNetwork,
    /// It covers the address of whoever asks.
    OwnAddress,
    /// It covers some of an admin network.
    AdminNetwork,
    /// Its target is on the list, with another reason or end.
    AlreadyBlocked,
}

/// What is asked before entries are made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Question {
    because: Vec<Concern>,
    /// Peers that they refuse.
    peers: u64,
    of_peers: u64,
    /// Torrents in which such peers are.
    torrents: u64,
    of_torrents: u64,
    /// The entries that they change.
    known: Vec<BlockRow>,
}

impl Question {
    /// What there is to ask before `blocks` are made; nothing when they are harmless. Walks all peers on a thread apart.
    pub(crate) async fn before(
        blocks: &[NewBlock],
        asker: IpAddr,
        state: &Data<State>,
    ) -> Result<Option<Question>, JobError> {
        let targets: Vec<Target> = blocks.iter().map(|block| block.target).collect();
        let covered = view(state, move |tracker, now| tracker.covered(&targets, now)).await?;
        let known = changed(blocks, state);
        let networks = || {
            blocks.iter().filter_map(|block| match block.target {
                Target::Network(network) => Some(network),
                Target::Torrent(_) => None,
            })
        };
        let address_rules = state.backend.address_rules.load();
        let is_admin = |network: IpNet| {
            let mut admins = address_rules.admin_networks.iter();
            admins.any(|admins| network.contains(&admins) || admins.contains(&network))
        };
        let because: Vec<Concern> = [
            (Concern::ManyPeers, covered.is_many()),
            (Concern::WideNetwork, networks().any(is_wide)),
            (
                Concern::OwnAddress,
                networks().any(|network| network.contains(&asker)),
            ),
            (Concern::AdminNetwork, networks().any(is_admin)),
            (Concern::AlreadyBlocked, !known.is_empty()),
        ]
        .into_iter()
        .filter_map(|(concern, holds)| holds.then_some(concern))
        .collect();
        let question = Question {
            because,
            peers: covered.peers,
            of_peers: covered.of_peers,
            torrents: covered.torrents,
            of_torrents: covered.of_torrents,
            known,
        };
        Ok((!question.because.is_empty()).then_some(question))
    }

    /// For a program.
    pub(crate) fn json(&self, state: &State) -> HttpResponse {
        #[derive(Serialize)]
        struct Unconfirmed<'a> {
            error: String,
            #[serde(flatten)]
            question: &'a Question,
        }
        let text = "refused_unconfirmed";
        HttpResponse::build(StatusCode::CONFLICT).json(Unconfirmed {
            error: (state.templates.english(text)).unwrap_or_else(|| text.to_owned()),
            question: self,
        })
    }
}

/// The entries in force that would get another reason or end.
fn changed(blocks: &[NewBlock], state: &State) -> Vec<BlockRow> {
    let known = state.tracker.access().blocks().into_iter();
    let changed = known.filter(|known| {
        let mut same = blocks.iter().filter(|block| block.target == known.target);
        same.any(|block| block.reason != known.reason || block.expires != known.expires)
    });
    changed.map(|known| block_row(&known)).collect()
}
