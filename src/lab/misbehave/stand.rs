//! A tracker that plays a script, for a client that somebody runs by hand: its URLs, the peers that it tells of, and what happens.

use std::io::{self, Write};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;

use super::peers::Places;
use super::script::Script;
use crate::lab::acid::listeners::Peer;
use crate::lab::exchange::Transport;
use crate::lab::serve::ends::Ends;
use crate::lab::serve::ready::{Played, PlayedScenario};
use crate::lab::serve::serving::{Serving, Showing};
use crate::lab::serve::{self, Events, Lab, Options};
use crate::lab::watch::{Form, Watcher};
use crate::program;

/// How often the peers that listen are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The tracker, one that behaves, to which it may redirect, and the peers that answers tell of.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) lab: Lab,
    /// What there is to say of it.
    pub(crate) played: Played,
    peers: [(&'static str, Peer); 2],
    /// Serves as long as this is there.
    _second: Lab,
}

impl Stand {
    /// Starts them; `options` are of the tracker that plays the script, which may be that of a `scenario`.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub(crate) fn set(
        script: Script,
        scenario: Option<PlayedScenario>,
        options: Options,
    ) -> anyhow::Result<Stand> {
        let loopback = ["127.0.0.1", "::1"].map(|address| address.parse().ok());
        let loopback: Vec<_> = loopback.into_iter().flatten().collect();
        let planted = Peer::listen(&loopback).context("the planted peer")?;
        let decoy = Peer::listen(&loopback).context("the decoy")?;
        let second = Lab::start(Options {
            speed: options.speed,
            interval: options.interval,
            min_interval: options.min_interval,
            ..Options::default()
        });
        let second = second.context("the second tracker")?;
        let url = |url: Option<String>| url.map(|url| url.trim_end_matches("/announce").to_owned());
        let places = Arc::new(OnceLock::from(Places {
            planted: planted.addresses().to_vec(),
            decoys: decoy.addresses().to_vec(),
            second: url(second.url(Transport::Http)),
            second_udp: url(second.url(Transport::Udp)),
        }));
        let played = Played {
            scenario,
            planted: planted.addresses().to_vec(),
            decoy: decoy.addresses().to_vec(),
        };
        let options = Options {
            answerer: super::answerer(script, places),
            ..options
        };
        Ok(Stand {
            lab: Lab::start(options).context("the tracker")?,
            played,
            peers: [("planted", planted), ("decoy", decoy)],
            _second: second,
        })
    }
}

/// Serves until it is to end.
///
/// # Errors
/// When a socket cannot be opened, or what happens cannot be written.
pub(super) fn run(
    script: Script,
    scenario: Option<PlayedScenario>,
    serving: &Serving,
    showing: &Showing,
    ends: Ends,
) -> anyhow::Result<()> {
    let stand = Stand::set(script, scenario, serving.options())?;
    let Stand {
        lab,
        played,
        peers,
        _second,
    } = stand;
    let show = move |events: &Events, form| program::printed(show(events, form, peers));
    serve::serve(lab, serving, showing, Some(&played), Some(show), ends)
}

/// A peer that somebody has connected to.
#[derive(serde::Serialize)]
struct PeerLine {
    kind: &'static str,
    peer: &'static str,
    connections: u32,
}

/// Shows what happens until the tracker ends.
fn show(events: &Events, form: Form, mut peers: [(&'static str, Peer); 2]) -> io::Result<()> {
    let mut watcher = Watcher::new(form);
    let mut out = io::stdout();
    let mut told = [0, 0];
    loop {
        let mut shown = match events.recv_timeout(LOOK) {
            Ok(event) => watcher.show(&event),
            Err(RecvTimeoutError::Timeout) => String::new(),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        for (told, (peer, listener)) in told.iter_mut().zip(&mut peers) {
            let connections = listener.count();
            if *told < connections {
                *told = connections;
                shown += &match form {
                    Form::Lines { .. } => format!("{peer} peer: {connections} connections\n"),
                    Form::Json => {
                        let kind = "peer";
                        let line = PeerLine {
                            kind,
                            peer,
                            connections,
                        };
                        serde_json::to_string(&line)? + "\n"
                    }
                };
            }
        }
        if !shown.is_empty() {
            out.write_all(shown.as_bytes())?;
            out.flush()?;
        }
    }
}
