//! Certificates while the tracker runs: what begins TLS, what is said of certificates that end soon, and the files, which are looked at
//! every few seconds on the main thread.

use std::time::Duration;

use anyhow::Context;
use log::Level;

use super::App;
use super::service::InheritedSockets;
use crate::clock::Wall;
use crate::config::{Config, Loaded};
use crate::lists::watched::WatchedFiles;
use crate::metrics::Gauge;
use crate::tls::{Acceptor, Certificate};

/// Days before its end from which on one is told of it.
const NEAR_DAYS: i64 = 14;

/// How often that is said.
const TELL_PERIOD: Duration = Duration::from_hours(24);

/// What begins TLS, where anything is listened at for it.
///
/// # Errors
/// When there is no certificate for sockets that were handed over, or the system has no random bytes.
pub(super) fn acceptor(
    config: &Config,
    inherited: &InheritedSockets,
) -> anyhow::Result<Option<Acceptor>> {
    if config.http.tls.listen.is_empty() && inherited.tls.is_empty() {
        return Ok(None);
    }
    let certificates = config.tls.certificates.clone();
    anyhow::ensure!(
        !certificates.is_empty(),
        "a socket for TLS was handed over, and there is no [TLS] certificate to show there"
    );
    let acceptor = Acceptor::new(certificates).context("HTTPS cannot be served")?;
    Ok(Some(acceptor))
}

/// What an operator should know of certificates: those that clients do not know by any name, those that have not begun, those that have
/// ended, and those that soon will.
pub(super) fn remarks(certificates: &[Certificate], now: Wall) -> Vec<(Level, String)> {
    let unnamed = |certificate: &Certificate| {
        let file = certificate.files.certificate.display();
        let text = format!(
            "the certificate {file} has no subjectAltName with a name or an address, only a common name at most: browsers, libcurl and \
             BitTorrent clients that check it do not come in"
        );
        (!certificate.is_named).then_some((Level::Warn, text))
    };
    let remark = |certificate: &Certificate| {
        let file = certificate.files.certificate.display();
        let early = certificate.days_to_begin(now);
        if early >= 0 {
            let days = days(early);
            let text = format!(
                "the certificate {file} is not valid yet, it begins in {days} by the clock of this machine: clients that check it do not \
                 come in"
            );
            return Some((Level::Error, text));
        }
        match certificate.days_left(now) {
            left if left < 0 => Some((
                Level::Error,
                format!("the certificate {file} has ended: clients that check it do not come in"),
            )),
            left if left < NEAR_DAYS => Some((
                Level::Warn,
                format!("the certificate {file} ends in {}", days(left)),
            )),
            _ => None,
        }
    };
    let about = |certificate| unnamed(certificate).into_iter().chain(remark(certificate));
    certificates.iter().flat_map(about).collect()
}

fn days(count: i64) -> String {
    match count {
        0 => "less than a day".to_owned(),
        1 => "one day".to_owned(),
        count => format!("{count} days"),
    }
}

/// Looks at the files of the certificates in force.
#[derive(Debug)]
pub(super) struct Watch {
    files: WatchedFiles,
    told: Duration,
}

impl Watch {
    /// Begins with what the start has read.
    pub(super) fn new(loaded: &Loaded, now: Duration) -> Watch {
        Watch {
            files: WatchedFiles::new(loaded.certificate_files()),
            told: now,
        }
    }

    /// A reload has read them, or other ones, or was refused: they are compared once more.
    pub(super) fn begin_anew(&mut self, loaded: &Loaded) {
        self.files = WatchedFiles::of_uncertain_state(loaded.certificate_files());
    }

    /// Whether it is time to tell of those that end soon.
    fn tells(&mut self, now: Duration) -> bool {
        let is_due = now.saturating_sub(self.told) >= TELL_PERIOD;
        if is_due {
            self.told = now;
        }
        is_due
    }
}

/// Puts certificates in force, unless they are the same; whether they were not.
fn install(acceptor: &Acceptor, certificates: Vec<Certificate>) -> bool {
    let is_new = *acceptor.certificates() != certificates;
    if is_new {
        acceptor.replace(certificates);
    }
    is_new
}

impl App {
    /// Reads the certificates again when their files have changed, and tells once a day of those that end soon.
    pub(super) fn look_at_certificates(&self, watch: &mut Watch) {
        let Some(acceptor) = &self.tls else { return };
        if watch.files.have_changed(self.clock.now()) {
            self.read_certificates(&self.loaded.load());
        }
        if watch.tells(self.clock.elapsed()) {
            for (level, text) in remarks(&acceptor.certificates(), self.clock.wall()) {
                log::log!(level, "{text}");
            }
        }
    }

    fn read_certificates(&self, loaded: &Loaded) {
        match loaded.certificates_anew() {
            Ok(certificates) => self.use_certificates(certificates),
            Err(problems) => {
                let metrics = self.tracker.metrics();
                metrics.set(Gauge::CertificatesRefused, 1);
                for problem in &problems.0 {
                    log::error!("the certificates are refused, the old ones stay: {problem}");
                }
            }
        }
    }

    /// Puts certificates that were read in force, where anything is listened at for TLS.
    pub(super) fn use_certificates(&self, certificates: Vec<Certificate>) {
        let Some(acceptor) = self.tls.as_ref().filter(|_| !certificates.is_empty()) else {
            return;
        };
        let metrics = self.tracker.metrics();
        metrics.set(Gauge::CertificatesRefused, 0);
        if install(acceptor, certificates) {
            let certificates = acceptor.certificates();
            log::info!("{} certificates are in force anew", certificates.len());
            for (level, text) in remarks(&certificates, self.clock.wall()) {
                log::log!(level, "{text}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Files;

    fn near() -> Certificate {
        let certificate = include_bytes!("../../tests/fixtures/tls/near.pem");
        let key = include_bytes!("../../tests/fixtures/tls/near.key");
        let files = Files {
            certificate: "near.pem".into(),
            key: "near.key".into(),
        };
        Certificate::read(files, certificate, key).unwrap()
    }

    /// P23
    #[test]
    fn one_is_told_two_weeks_before_a_certificate_ends() {
        const DAY: u64 = 86_400;
        let near = near();
        let told = |seconds: u64| {
            let remarks = remarks(std::slice::from_ref(&near), Wall(near.ends.0 - seconds));
            remarks.into_iter().next()
        };
        assert_eq!(told(14 * DAY), None);
        for (seconds, words) in [
            (14 * DAY - 1, "ends in 13 days"),
            (DAY, "ends in one day"),
            (DAY - 1, "ends in less than a day"),
        ] {
            let (level, text) = told(seconds).unwrap();
            assert!(level == Level::Warn && text.ends_with(words), "{text}");
        }
        let ended = remarks(std::slice::from_ref(&near), Wall(near.ends.0 + 1));
        assert_eq!(ended.first().unwrap().0, Level::Error);
    }

    /// P23: what an old recipe makes has its name in the subject only.
    #[test]
    fn one_is_told_of_a_certificate_that_no_client_knows_by_a_name() {
        let told = |names: &[&str]| {
            let key = rcgen::KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let made = rcgen::CertificateParams::new(names).unwrap();
            let made = made.self_signed(&key).unwrap().pem();
            let files = Files {
                certificate: "old.pem".into(),
                key: "old.key".into(),
            };
            let key = key.serialize_pem();
            let read = Certificate::read(files, made.as_bytes(), key.as_bytes());
            remarks(&[read.unwrap(), near()], Wall(1_800_000_000))
        };
        for name in ["tracker.isp.example", "*.isp.example", "192.0.2.1"] {
            assert_eq!(told(&[name]), [], "{name}");
        }
        let told = told(&[]);
        let [(Level::Warn, text)] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert!(text.contains("old.pem has no subjectAltName"), "{text}");
    }

    /// P23
    #[test]
    fn one_is_told_of_a_certificate_that_is_not_valid_yet() {
        let near = near();
        let told = |now| remarks(std::slice::from_ref(&near), Wall(now)).pop();
        let (level, text) = told(near.begins.0 - 1).unwrap();
        assert_eq!(level, Level::Error);
        assert!(text.contains("begins in less than a day"), "{text}");
        let (_, text) = told(near.begins.0 - 3 * 86_400 - 1).unwrap();
        assert!(text.contains("begins in 3 days"), "{text}");
        assert_eq!(told(near.begins.0), None);
    }
}
