//! Plays a script: decides for each request which step is for it, and what is sent then.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::act::Act;
use super::peers::Places;
use super::script::{Script, Step as ScriptStep};
use super::{datagram, http};
use crate::lab::exchange::{self, Answerer, Body, Delivery, Request, Step};
use crate::lab::reading::Reading;

/// Connects that are remembered, for the age of their ids; the oldest go.
const CONNECTS: usize = 1024;

/// An answerer that plays `script`. The places may be told later than the tracker starts; until then there are none.
pub fn answerer(script: Script, places: Arc<OnceLock<Places>>) -> Answerer {
    let mut actor = Actor::new(script);
    let none = Places::default();
    Box::new(move |request, honest| actor.answer(request, honest, places.get().unwrap_or(&none)))
}

/// A script, and how far it has been played.
#[derive(Debug)]
pub(super) struct Actor {
    steps: Vec<(ScriptStep, u32)>,
    /// Who has been answered a connect, and when.
    connects: VecDeque<(SocketAddr, Duration)>,
}

impl Actor {
    pub(super) fn new(script: Script) -> Actor {
        let steps = script.steps.into_iter();
        Actor {
            steps: steps.map(|step| (step, 0)).collect(),
            connects: VecDeque::new(),
        }
    }

    /// What is done about a request.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        honest: Vec<u8>,
        places: &Places,
    ) -> Delivery {
        let reading = Reading::of(request);
        let path = match &request.body {
            Body::Http(head) => head.path.as_slice(),
            Body::Datagram(_) | Body::Unreadable(_) => &[],
        };
        let mut chosen = None;
        for (step, count) in &mut self.steps {
            if step.when.matches(request, &reading, path) {
                *count = count.saturating_add(1);
                if chosen.is_none() && step.when.which.has(*count) {
                    chosen = Some(step.then.clone());
                }
            }
        }
        let delivery = match chosen {
            Some(act) => self.act(&act, request, &reading, honest, places),
            None => exchange::honest(request, planted(request, &reading, honest, places)),
        };
        if let Reading::Connect(_) = reading
            && !delivery.steps.is_empty()
        {
            self.connects.push_back((request.client, request.at.real));
            if self.connects.len() > CONNECTS {
                self.connects.pop_front();
            }
        }
        delivery
    }

    fn act(
        &self,
        act: &Act,
        request: &Request,
        reading: &Reading,
        honest: Vec<u8>,
        places: &Places,
    ) -> Delivery {
        let mut steps = Vec::new();
        if !act.sending.delay.is_zero() {
            steps.push(Step::Wait(act.sending.delay));
        }
        let mut misbehaviour = Some(act.words.clone());
        match &request.body {
            _ if act.sending.is_lost => steps.clear(),
            Body::Http(head) => {
                steps.extend(http::answer(act, places, request, head, reading, &honest));
            }
            Body::Datagram(_) => {
                let age = self.age_of_id(request);
                let lifetime = act.udp.id_lifetime;
                let is_expired =
                    lifetime.is_some_and(|lifetime| age.is_none_or(|age| age >= lifetime));
                if lifetime.is_some() && !is_expired {
                    misbehaviour = None;
                }
                steps.extend(datagram::answer(
                    act, places, request, reading, is_expired, &honest,
                ));
            }
            Body::Unreadable(_) => return exchange::honest(request, honest),
        }
        Delivery {
            misbehaviour,
            steps,
        }
    }

    /// How long ago this client's connect was answered last.
    fn age_of_id(&self, request: &Request) -> Option<Duration> {
        let mut connects = self.connects.iter().rev();
        let (_, at) = connects.find(|(client, _)| *client == request.client)?;
        Some(request.at.real.saturating_sub(*at))
    }
}

/// The honest answer, with the planted peer where there is one and the answer has peers.
fn planted(request: &Request, reading: &Reading, honest: Vec<u8>, places: &Places) -> Vec<u8> {
    let Reading::Announce(announce) = reading else {
        return honest;
    };
    if places.planted.is_empty() || announce.event == "stopped" {
        return honest;
    }
    let with_peers = match &request.body {
        Body::Http(_) => http::with_peers(places, request, announce, &honest),
        Body::Datagram(_) => datagram::with_peers(places, request, announce, &honest),
        Body::Unreadable(_) => None,
    };
    with_peers.unwrap_or(honest)
}
