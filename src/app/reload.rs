//! A configuration comes into force: at the start, and on SIGHUP while everything goes on. A bad one is refused whole.

use std::sync::Arc;

use super::App;
use crate::audit::{Actor, Deed, Entry};
use crate::clock::Clock;
use crate::config::{Config, Loader};
use crate::tracker::{Tracker, Zones, ZonesError};
use crate::{logging, reaper};

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
    Ok(())
}

pub(super) fn reaper_settings(config: &Config) -> reaper::Settings {
    reaper::Settings {
        sweep_period: config.cleanup_period,
        ..reaper::Settings::default()
    }
}

impl App {
    /// Reads the configuration anew and puts in force what can be changed while running.
    pub(super) fn reload(&self, loader: &Loader, log: &logging::Running) {
        let loaded = match loader.load() {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in &problems.0 {
                    log::error!("the configuration is refused, the old one stays: {problem}");
                }
                // The first is what an editor needs; the log has them all.
                let first = problems.0.first().map(ToString::to_string);
                self.tell_reload(Deed::ReloadRefused, &first.unwrap_or_default());
                return;
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
        if let Err(error) = fill(&self.tracker, config, Some(&old.config), self.clock) {
            log::error!("the configuration is refused, the old one stays: {error}");
            self.tell_reload(Deed::ReloadRefused, &error.to_string());
            return;
        }
        self.tracker.configure(config.tracker.clone());
        self.http.configure(config.http.clone());
        self.udp.configure(&config.udp);
        self.address_rules
            .store(Arc::new(config.address_rules.clone()));
        self.reaper.configure(reaper_settings(config));
        self.web.configure(&config.web);
        log.set_level(config.logging.level);
        self.loaded.store(Arc::new(loaded));
        log::info!("the configuration is reloaded");
        self.tell_reload(Deed::Reload, "");
    }

    fn tell_reload(&self, deed: Deed, about: &str) {
        let entry = Entry::new(deed, Actor::Signal, "SIGHUP", about, self.clock.wall());
        self.audit.audit().tell(entry);
    }
}
