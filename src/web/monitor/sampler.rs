//! Takes the figures for the charts every few seconds, and keeps the ring buffers of samples in the snapshot database.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::history::{History, Values};
use crate::clock::Seconds;
use crate::metrics::{Action, Gauge, Transport};
use crate::tracker::report::census::HandedOut;
use crate::web::pages::locality::own_share;
use crate::web::{Backend, State};

/// How often figures are taken.
const EVERY: Duration = Duration::from_secs(5);
/// The ring buffers are saved after every so many samples.
const KEPT_EVERY: u32 = 12;
/// The name of the ring buffers in the database.
const BLOB: &str = "history";

/// What happens per second, from the last two samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    /// Announces over HTTP; nothing before the second sample.
    pub announces_http: Option<f64>,
    /// Announces over UDP.
    pub announces_udp: Option<f64>,
    /// Peers of the same zone among those handed out lately, in percent; nothing before there were any.
    pub local_share: Option<f64>,
    /// Peers of the asker's own zone among them, of askers in a zone, in percent; estimated.
    pub own_share: Option<f64>,
    at: Duration,
    announces: [u64; 2],
    census_at: Seconds,
    handed_out: HandedOut,
    levels: Vec<u64>,
}

/// The ring buffers as the database has them; empty ones when it has none.
pub(crate) fn restore(backend: &Backend) -> History {
    let kept = (backend.get)(BLOB).unwrap_or_else(|error| {
        log::warn!("the charts of the last run cannot be read: {error}");
        None
    });
    kept.and_then(|bytes| History::decode(&bytes))
        .unwrap_or_default()
}

/// Hands the ring buffers to the database.
pub(crate) fn keep(state: &State) {
    let history = state.history.lock();
    let bytes = history.unwrap_or_else(PoisonError::into_inner).encode();
    (state.backend.put)(BLOB, bytes);
}

/// Samples until the runtime ends.
pub(crate) async fn run(state: Arc<State>) {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut taken = 0;
    loop {
        timer.tick().await;
        sample(&state);
        taken += 1;
        if taken % KEPT_EVERY == 0 {
            // The database may be busy with a snapshot; pages do not wait for it.
            let own = Arc::clone(&state);
            let work = move || {
                keep(&own);
                own.keep_uses();
            };
            if let Err(undone) = state.writes.run(work).await {
                log::debug!("the charts are not kept: {undone}");
            }
        }
    }
}

/// Takes one sample.
fn sample(state: &State) {
    let rates = advance(state);
    let gauge = |gauge| state.metrics.gauge(gauge);
    let seeders = gauge(Gauge::SeedersV4) + gauge(Gauge::SeedersV6);
    let leechers = gauge(Gauge::LeechersV4) + gauge(Gauge::LeechersV6);
    // Before the first census nobody knows how many there are, which is not the same as none.
    let is_counted = state.backend.census.load().wall.0 > 0;
    #[expect(clippy::cast_precision_loss, reason = "a chart is not that precise")]
    let counted = |count: u64| is_counted.then_some(count as f64);
    let values = [
        rates.announces_http,
        rates.announces_udp,
        counted(seeders + leechers),
        counted(seeders),
        counted(gauge(Gauge::Torrents)),
        rates.local_share,
    ];
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a chart is not that precise"
    )]
    let values: Values = values.map(|value| value.map_or(f32::NAN, |value| value as f32));
    let mut history = state.history.lock().unwrap_or_else(PoisonError::into_inner);
    history.record(state.clock.wall().0, &values);
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn advance(state: &State) -> Rates {
    let totals = state.metrics.totals();
    let now = state.clock.elapsed();
    let announces = [Transport::Http, Transport::Udp]
        .map(|transport| totals.answered(transport, Action::Announce));
    let census = state.backend.census.load();
    let mut rates = state.rates.lock().unwrap_or_else(PoisonError::into_inner);
    let passed = now.saturating_sub(rates.at).as_secs_f64();
    if rates.at > Duration::ZERO && passed > 0.1 {
        let [http, udp] = announces;
        let [http_before, udp_before] = rates.announces;
        rates.announces_http = Some(http.saturating_sub(http_before) as f64 / passed);
        rates.announces_udp = Some(udp.saturating_sub(udp_before) as f64 / passed);
    }
    (rates.at, rates.announces) = (now, announces);
    if census.at != rates.census_at {
        let before = rates.handed_out;
        let peers = census.handed_out.peers.saturating_sub(before.peers);
        let local = census
            .handed_out
            .local_peers
            .saturating_sub(before.local_peers);
        if peers > 0 {
            rates.local_share = Some(100.0 * local as f64 / peers as f64);
        }
        let levels = census.flows.levels();
        if let Some(share) = own_share(&rates.levels, &levels) {
            rates.own_share = Some(share);
        }
        rates.levels = levels;
        (rates.census_at, rates.handed_out) = (census.at, census.handed_out);
    }
    rates.clone()
}
