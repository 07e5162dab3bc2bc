//! A tracker that plays a script, for a client that somebody runs by hand: its URLs, the peers that it tells of, and a line for each
//! thing that happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;

use super::peers::Places;
use super::script::Script;
use crate::lab::acid::listeners::Peer;
use crate::lab::exchange::{Body, End, Event, Exchange};
use crate::lab::reading::Reading;
use crate::lab::serve::{Lab, Options};
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
        second: url(second.url(crate::lab::exchange::Transport::Http)),
        second_udp: url(second.url(crate::lab::exchange::Transport::Udp)),
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
    let mut counts = [0, 0];
    while !stop.load(Ordering::Relaxed) {
        match events.recv_timeout(LOOK) {
            Ok(event) => {
                if let Event::Exchange(exchange) = event {
                    program::print(&line(&exchange))?;
                }
            }
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

/// `3.214 http 127.0.0.1:40112 announce started: failure = "closed"; closed`.
fn line(exchange: &Exchange) -> String {
    let request = &exchange.request;
    let asked = match Reading::of(request) {
        Reading::Announce(announce) => format!("announce {}", announce.event),
        Reading::Scrape(hashes) => format!("scrape of {}", hashes.len()),
        Reading::Connect(_) => "connect".to_owned(),
        Reading::Other => match &request.body {
            Body::Http(head) => String::from_utf8_lossy(&head.path).into_owned(),
            Body::Datagram(_) | Body::Unreadable(_) => "unreadable".to_owned(),
        },
    };
    let done = exchange.answer.misbehaviour.as_deref().unwrap_or("honest");
    let end = match exchange.answer.end {
        End::Open => "",
        End::Closed => "; closed",
        End::Reset => "; reset",
        End::Lost => "; the client was away",
    };
    let at = request.at.real.as_secs_f64();
    let (transport, client) = (request.transport, request.client);
    format!(
        "{at:.3} {transport} {client} {}: {done}{end}\n",
        asked.trim_end()
    )
}
