//! A configuration comes into force: at the start, and on SIGHUP while everything goes on. A bad one is refused whole.

use std::sync::Arc;

use super::key_file::FoundKeys;
use super::{App, bans};
use crate::audit::{Actor, Deed, Entry};
use crate::clock::{Clock, Seconds};
use crate::config::{Config, Loaded, Loader};
use crate::lists::ListFiles;
use crate::lists::lines::Refused;
use crate::metrics::{Gauge, Metrics};
use crate::tracker::{Target, Tracker, Zones, ZonesError};
use crate::{config, logging, reaper};

/// Fills the core with what is not in its own settings. Zones are replaced only when they changed: every peer is placed anew
/// then.
pub(super) fn fill(
    tracker: &Tracker,
    config: &Config,
    old: Option<&Config>,
    clock: Clock,
) -> Result<(), ZonesError> {
    let is_same = old.is_some_and(|old| {
        old.zones == config.zones && old.reported.pairs == config.reported.pairs
    });
    if !is_same {
        let zones = Zones::new(&config.zones, &config.reported.pairs)?;
        if !zones.is_empty() {
            log::info!("{} zones, {} prefixes", zones.len(), zones.prefix_count());
        }
        tracker.set_zones(zones, clock.now());
    }
    let access = tracker.access();
    access.configure(config.ignore_ip.clone(), config.clients.clone());
    if let Some(warning) = many_ignored(tracker, config, clock.now()) {
        log::warn!("{warning}");
    }
    Ok(())
}

/// What is said when `ignore_ip` covers more of the peers than somebody may have meant (W11). Walks all peers, when anything is ignored.
fn many_ignored(tracker: &Tracker, config: &Config, now: Seconds) -> Option<String> {
    let targets: Vec<Target> = config.ignore_ip.iter().map(Target::Network).collect();
    if targets.is_empty() {
        return None;
    }
    let covered = tracker.covered(&targets, now);
    covered.is_many().then(|| {
        format!(
            "ignore_ip refuses {} of {} peers, which stay until they expire",
            covered.peers, covered.of_peers
        )
    })
}

/// Takes out whoever was let in without a key, where keys are required.
pub(super) fn remove_keyless(tracker: &Tracker, clock: Clock) {
    let removed = tracker.remove_keyless(clock.now());
    if removed > 0 {
        log::warn!(
            "keys = required: {removed} peers that announced without a key are out of all replies"
        );
    }
}

pub(super) fn reaper_settings(config: &Config) -> reaper::Settings {
    reaper::Settings {
        sweep_period: config.cleanup_period,
        ..reaper::Settings::default()
    }
}

/// Lets the metrics tell which configuration is in force, and since when.
pub(super) fn report(metrics: &Metrics, loaded: &Loaded, clock: Clock) {
    metrics.set(Gauge::ConfigurationDigest, config::digest(loaded));
    metrics.set(Gauge::ConfiguredAt, clock.wall().0);
    metrics.set(Gauge::LastReloadRefused, 0);
}

impl App {
    /// Reads the configuration anew and puts in force what can be changed while running.
    pub(super) fn reload(&self, loader: &Loader, log: &logging::Running) {
        let metrics = self.tracker.metrics();
        if self.try_to_reload(loader, log) {
            report(metrics, &self.loaded.load(), self.clock);
            // Counted last: whoever sees the count sees all that goes with it.
            metrics.raise(Gauge::ReloadsDone, 1);
        } else {
            metrics.set(Gauge::LastReloadRefused, 1);
            metrics.raise(Gauge::ReloadsRefused, 1);
        }
    }

    /// Whether the new configuration is in force; the log says why it is not.
    fn try_to_reload(&self, loader: &Loader, log: &logging::Running) -> bool {
        let loaded = match loader.load() {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in &problems.0 {
                    log::error!("the configuration is refused, the old one stays: {problem}");
                }
                // The first is what an editor needs; the log has them all.
                let first = problems.0.first().map(ToString::to_string);
                self.tell_reload(Deed::ReloadRefused, &first.unwrap_or_default());
                return false;
            }
        };
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        let config = &loaded.config;
        let old = self.loaded.load();
        for key in old.changed_but_fixed(&loaded) {
            log::warn!("{key} is changed by a restart only");
        }
        let keys = match FoundKeys::of(config) {
            Ok(keys) => keys,
            Err(refused) => {
                for line in refused.lines() {
                    log::error!("the configuration is refused, the old one stays: {line}");
                }
                self.tell_reload(Deed::ReloadRefused, &refused.to_string());
                return false;
            }
        };
        let lists = ListFiles::read(config.lists.clone(), self.clock);
        if lists.refused().next().is_some() {
            for line in lists.refused().flat_map(Refused::lines) {
                log::error!("the configuration is refused, the old one stays: {line}");
            }
            let first = lists.refused().next().map(ToString::to_string);
            self.tell_reload(Deed::ReloadRefused, &first.unwrap_or_default());
            return false;
        }
        if let Err(error) = fill(&self.tracker, config, Some(&old.config), self.clock) {
            log::error!("the configuration is refused, the old one stays: {error}");
            self.tell_reload(Deed::ReloadRefused, &error.to_string());
            return false;
        }
        self.tracker.configure(config.tracker.clone());
        if old.config.tracker.keys != config.tracker.keys {
            remove_keyless(&self.tracker, self.clock);
        }
        let exempt = bans::exempt(&config.address_rules);
        let limits = self.bans.limits();
        limits.configure(config.limits.clone(), exempt);
        let metrics = self.tracker.metrics();
        let now = self.clock.now();
        self.key_file
            .replace(keys, config, &self.mailbox, metrics, now);
        self.lists.replace(lists, &self.tracker, config, self.clock);
        self.http.configure(config.http.clone());
        self.udp.configure(&config.udp);
        self.address_rules
            .store(Arc::new(config.address_rules.clone()));
        self.reaper.configure(reaper_settings(config));
        self.web.configure(&config.web);
        self.use_certificates(config.tls.certificates.clone());
        log.set_level(config.logging.level);
        self.loaded.store(Arc::new(loaded));
        log::info!("the configuration is reloaded");
        self.tell_reload(Deed::Reload, "");
        true
    }

    fn tell_reload(&self, deed: Deed, about: &str) {
        let entry = Entry::new(deed, Actor::Signal, "SIGHUP", about, self.clock.wall());
        self.audit.audit().tell(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::tracker::{InfoHash, PeerId, Settings, StoredPeer, StoredSwarm};

    /// W11
    #[test]
    fn a_reload_that_refuses_many_peers_is_told() {
        let tracker = Tracker::new(Settings::default(), Arc::new(Metrics::new(1)));
        let peer = |number: u8| StoredPeer {
            origin: None,
            ip: [192, 0, 2, number].into(),
            inner_ip: None,
            port: 1,
            id: PeerId([1; 20]),
            is_seeder: false,
            is_paused: false,
            is_reported: false,
            has_completed: false,
            downloaded_mib: 0,
            last_seen: Seconds::START,
        };
        let swarm = StoredSwarm {
            downloaded_elsewhere: Vec::new(),
            info_hash: InfoHash([1; 20]),
            downloaded: 0,
            last_used: Seconds::START,
            peers: (0..200).map(peer).collect(),
        };
        tracker.restore(swarm, Seconds::START);
        let told = |network: &str| {
            let config = Config {
                ignore_ip: std::iter::once(network.parse().unwrap()).collect(),
                ..Config::default()
            };
            many_ignored(&tracker, &config, Seconds::START)
        };
        assert_eq!(told("192.0.2.0/31"), None);
        let text = told("192.0.2.0/30").unwrap();
        assert!(text.contains("4 of 200 peers"), "{text}");
        assert_eq!(
            many_ignored(&tracker, &Config::default(), Seconds::START),
            None
        );
    }
}
