//! A tracker that plays a script, for a client that somebody runs by hand: its URLs, the peers that it tells of, and what happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;

use super::peers::Places;
use super::script::Script;
use crate::lab::acid::listeners::Peer;
use crate::lab::exchange::Transport;
use crate::lab::serve::{Lab, Options};
use crate::lab::watch::{Form, Watcher};
use crate::program;

/// How often the peers that listen are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Serves until a signal comes.
///
/// # Errors
/// When a socket cannot be opened.
pub(super) fn run(script: Script) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("signals")?;
    }
    let loopback = ["127.0.0.1", "::1"].map(|address| address.parse().ok());
    let loopback: Vec<_> = loopback.into_iter().flatten().collect();
    let mut planted = Peer::listen(&loopback).context("the planted peer")?;
    let mut decoy = Peer::listen(&loopback).context("the decoy")?;
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
        ..Options::default()
    };
    let lab = Lab::start(options).context("the tracker")?;
    let events = lab.events();
    let mut words: Vec<String> = lab.urls().iter().map(ToString::to_string).collect();
    for (name, peer) in [("planted", &planted), ("decoy", &decoy)] {
        for address in peer.addresses() {
            words.push(format!("{name} peer at {address}"));
        }
    }
    program::print(&format!("{}\n", words.join("\n")))?;
    let mut watcher = Watcher::new(Form::Lines {
        has_colour: false,
        has_all: false,
    });
    let mut counts = [0, 0];
    while !stop.load(Ordering::Relaxed) {
        match events.recv_timeout(LOOK) {
            Ok(event) => program::print(&watcher.show(&event))?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        for (at, (name, peer)) in [("planted", &mut planted), ("decoy", &mut decoy)]
            .into_iter()
            .enumerate()
        {
            let count = peer.count();
            let Some(last) = counts.get_mut(at).filter(|last| **last < count) else {
                continue;
            };
            *last = count;
            program::print(&format!("{name} peer: {count} connections\n"))?;
        }
    }
    Ok(())
}
