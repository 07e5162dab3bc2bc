//! The service manager: sockets that it hands over, what it is told (ready, alive, stopping), and the watchdog. Without one,
//! nothing here does anything.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::process::Uid;
use sd_notify::NotifyState;

use crate::clock::Seconds;
use crate::metrics::{Gauge, Metrics};

/// A part that gave no sign of life for so many seconds hangs.
const SILENCE: u64 = 10;

/// What sockets for HTTPS are called (`FileDescriptorName`); nothing else tells them from those for HTTP.
const TLS_NAME: &str = "tls";

/// How often the status line is renewed.
const STATUS_PERIOD: Duration = Duration::from_secs(30);

/// Sockets that were open before the process began.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    /// For HTTP.
    pub tcp: Vec<TcpListener>,
    /// For HTTPS: those that are named [`TLS_NAME`].
    pub tls: Vec<TcpListener>,
    /// For UDP.
    pub udp: Vec<UdpSocket>,
}

/// The way to the service manager.
#[derive(Debug)]
pub struct Service {
    /// A third of the watchdog's time.
    pulse: Option<Duration>,
    last_pulse: Duration,
    last_status: Duration,
}

/// Whether every background part that ever gave a sign of life gave one lately.
pub(super) fn is_fresh(metrics: &Metrics, now: Seconds) -> bool {
    [Gauge::SnapshotAlive, Gauge::ReaperAlive]
        .into_iter()
        .filter_map(|gauge| metrics.moment(gauge))
        .all(|alive| u64::from(now.raw()).saturating_sub(alive) <= SILENCE)
}

/// What the operator is told of the user that the tracker runs as; nothing when it is one that may do little. Root is warned of and
/// not refused: in a container it is often the only user.
pub(super) fn warning_of_user(user: Uid) -> Option<&'static str> {
    user.is_root().then_some(
        "the tracker runs as root and needs nothing of it: a fault in it would be one of the whole machine. Start it as a user \
         of its own, as systemd/retracker.service does; ports below 1024 need CAP_NET_BIND_SERVICE only",
    )
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("the service manager cannot be told: {error}");
    }
}

impl Default for Service {
    fn default() -> Self {
        Service::new()
    }
}

impl Service {
    /// Looks whether there is a service manager with a watchdog.
    pub fn new() -> Service {
        Service {
            pulse: sd_notify::watchdog_enabled().map(|time| time / 3),
            last_pulse: Duration::ZERO,
            last_status: Duration::ZERO,
        }
    }

    /// Whether there is a service manager, which starts and stops the tracker.
    pub fn is_managed(&self) -> bool {
        std::env::var_os("NOTIFY_SOCKET").is_some()
    }

    /// Takes the sockets that were handed over (`LISTEN_FDS`, and their names in `LISTEN_FDNAMES`); what is neither a TCP listener nor a
    /// UDP socket is left alone.
    pub fn inherit(&self) -> InheritedSockets {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut given = ListenFd::from_env();
        let mut inherited = InheritedSockets::default();
        for index in 0..given.len() {
            if let Ok(Some(listener)) = given.take_tcp_listener(index) {
                if names.get(index) == Some(&TLS_NAME) {
                    inherited.tls.push(listener);
                } else {
                    inherited.tcp.push(listener);
                }
            } else if let Ok(Some(socket)) = given.take_udp_socket(index) {
                inherited.udp.push(socket);
            } else {
                log::warn!("socket {index} that was handed over is of no kind that is served");
            }
        }
        inherited
    }

    /// Says that everything serves.
    pub fn ready(&mut self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Says that everything is alive, as often as the watchdog wants to hear it. `now` is time since the start.
    pub fn alive(&mut self, now: Duration, status: impl FnOnce() -> String) {
        if let Some(pulse) = self.pulse
            && now.saturating_sub(self.last_pulse) >= pulse
        {
            self.last_pulse = now;
            tell(&[NotifyState::Watchdog]);
        }
        if now.saturating_sub(self.last_status) >= STATUS_PERIOD {
            self.last_status = now;
            tell(&[NotifyState::Status(&status())]);
        }
    }

    /// Says that the stop has begun.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_warned_of_and_nobody_else() {
        assert!(warning_of_user(Uid::ROOT).is_some_and(|text| text.contains("as root")));
        assert_eq!(warning_of_user(Uid::from_raw(1_000)), None);
    }

    /// R16
    #[test]
    fn a_silent_part_is_noticed_after_ten_seconds() {
        let metrics = Metrics::new(0);
        let now = Seconds::START.plus(100);
        assert!(is_fresh(&metrics, now));
        metrics.set(Gauge::ReaperAlive, u64::from(now.raw()));
        metrics.set(Gauge::SnapshotAlive, u64::from(now.minus(10).raw()));
        assert!(is_fresh(&metrics, now));
        assert!(!is_fresh(&metrics, now.plus(1)));
    }
}
