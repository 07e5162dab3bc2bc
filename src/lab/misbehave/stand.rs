//! A tracker that plays a script, for a client that somebody runs by hand: its URLs, the peers that it tells of, and what happens.

use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;

use super::peers::Places;
use super::script::Script;
use crate::lab::acid::listeners::Peer;
use crate::lab::exchange::Transport;
use crate::lab::serve::ca_file::CaFile;
use crate::lab::serve::ends::Ends;
use crate::lab::serve::writers::Writers;
use crate::lab::serve::{Events, Lab, Options};
use crate::lab::watch::{Form, Watcher};
use crate::program;

/// How often the peers that listen are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The tracker, one that behaves, to which it may redirect, and the peers that answers tell of.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) lab: Lab,
    peers: [(&'static str, Peer); 2],
    /// Serves as long as this is there.
    _second: Lab,
}

impl Stand {
    /// Starts them; `options` are of the tracker that plays the script.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub(crate) fn set(script: Script, options: Options) -> anyhow::Result<Stand> {
        let loopback = ["127.0.0.1", "::1"].map(|address| address.parse().ok());
        let loopback: Vec<_> = loopback.into_iter().flatten().collect();
        let planted = Peer::listen(&loopback).context("the planted peer")?;
        let decoy = Peer::listen(&loopback).context("the decoy")?;
        let second = Lab::start(Options::default()).context("the second tracker")?;
        let url = |url: Option<String>| url.map(|url| url.trim_end_matches("/announce").to_owned());
        let places = Arc::new(OnceLock::from(Places {
            planted: planted.addresses().to_vec(),
            decoys: decoy.addresses().to_vec(),
            second: url(second.url(Transport::Http)),
            second_udp: url(second.url(Transport::Udp)),
        }));
        let options = Options {
            answerer: super::answerer(script, places),
            ..options
        };
        Ok(Stand {
            lab: Lab::start(options).context("the tracker")?,
            peers: [("planted", planted), ("decoy", decoy)],
            _second: second,
        })
    }

    /// A line for each address of a peer.
    pub(crate) fn peers(&self) -> Vec<String> {
        let peers = self.peers.iter();
        peers
            .flat_map(|(name, peer)| {
                let addresses = peer.addresses().iter();
                addresses.map(move |address| format!("{name} peer at {address}"))
            })
            .collect()
    }
}

/// Serves until it is to end.
///
/// # Errors
/// When a socket cannot be opened, or what happens cannot be written.
pub(super) fn run(script: Script, ends: &mut Ends, ca_file: Option<&Path>) -> anyhow::Result<()> {
    let stand = Stand::set(script, Options::default())?;
    let _authority = CaFile::write(ca_file, &stand.lab)?;
    let events = stand.lab.events();
    let mut words: Vec<String> = stand.lab.urls().iter().map(ToString::to_string).collect();
    words.extend(stand.peers());
    program::print(&format!("{}\n", words.join("\n")))?;
    let Stand {
        lab,
        peers,
        _second,
    } = stand;
    let mut writers = Writers::new(ends.take_end());
    writers.begin(move || show(&events, peers))?;
    ends.wait()?;
    let lost = lab.lost_events();
    drop(lab);
    writers.finish(lost)
}

/// Shows what happens until the tracker ends.
fn show(events: &Events, mut peers: [(&'static str, Peer); 2]) -> anyhow::Result<()> {
    let mut watcher = Watcher::new(Form::Lines {
        has_colour: false,
        has_all: false,
    });
    let mut told = [0, 0];
    loop {
        match events.recv_timeout(LOOK) {
            Ok(event) => program::print(&watcher.show(&event))?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        for (told, (name, peer)) in told.iter_mut().zip(&mut peers) {
            let count = peer.count();
            if *told < count {
                *told = count;
                program::print(&format!("{name} peer: {count} connections\n"))?;
            }
        }
    }
}
