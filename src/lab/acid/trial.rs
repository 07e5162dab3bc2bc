//! One scenario with one client: a fresh tracker, a fresh torrent, a fresh folder, and what was seen.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use super::CONTROLS;
use super::client::{Client, Place, Ports};
use super::listeners::Peer;
use super::table::{Broken, Outcome};
use super::torrent::Plan;
use super::verdict::{Abilities, Seen, Verdict};
use crate::clock::Clock;
use crate::lab::exchange::{Event, Transport};
use crate::lab::judge::{self, Hearing};
use crate::lab::launch::Launcher;
use crate::lab::misbehave::scenario::{Expectation, Listener, Scenario, Tracker};
use crate::lab::misbehave::script::Script;
use crate::lab::misbehave::{Places, answerer};
use crate::lab::process::{self, Process};
use crate::lab::serve::{Events, Lab, Options};

/// How trials are run.
#[derive(Debug)]
pub(super) struct Manner {
    /// Where each trial has a folder.
    pub(super) folder: PathBuf,
    /// Whether folders are kept, and so what is heard recorded there.
    pub(super) is_kept: bool,
    /// How clients are started.
    pub(super) launcher: Launcher,
    /// Where the peers listen that answers tell of.
    pub(super) peer_addresses: Vec<IpAddr>,
    /// How many times as long what should come is waited for.
    pub(super) patience: u32,
    /// Within which a client ends after its farewell, patience left aside.
    pub(super) grace: Duration,
    /// Where clients listen.
    pub(super) ports: Ports,
    /// Set when all is to end.
    pub(super) stop: Arc<AtomicBool>,
}

/// The error of a trial that was ended from outside.
pub(super) const INTERRUPTED: &str = "interrupted";
/// How often what happens is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// A client that has shown all that is expected is watched for so long at least: it may yet fall over.
const LEAST: Duration = Duration::from_secs(2);
/// Within which a client asks for the first time, patience left aside.
const FIRST: Duration = Duration::from_secs(30);
/// Within which a client ends after its farewell: generous, for it may wait for trackers that do not answer.
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// How long is waited for what a client that has ended sent last.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Where what comes to the first and to the second tracker is recorded, in a folder that is kept.
const RECORDINGS: [&str; 2] = ["first.jsonl", "second.jsonl"];
/// What a tracker that behaves tells, in seconds.
const INTERVAL: u32 = 10;
const MIN_INTERVAL: u32 = 5;
/// The torrent's file: some pieces, so that nobody can be done.
const LENGTH: usize = 256 << 10;
const PIECE: usize = 64 << 10;

/// The trackers and the peers of a trial.
struct Stage {
    first: HeardTracker,
    second: Option<HeardTracker>,
    listeners: [(Listener, Peer); 3],
    /// How much longer the second tracker runs.
    lead: Duration,
}

/// A tracker, and who hears it.
struct HeardTracker {
    lab: Lab,
    events: Events,
    hearing: Hearing,
}

impl HeardTracker {
    /// Hears a tracker whose torrent has these tiers, empty where they are not judged, and records that where it is to be.
    fn begin(
        lab: Lab,
        tiers: Vec<Vec<judge::Place>>,
        recording: Option<&Path>,
    ) -> anyhow::Result<HeardTracker> {
        Ok(HeardTracker {
            events: lab.events(),
            hearing: Hearing::begin(options_of(&lab, tiers), recording)?,
            lab,
        })
    }

    /// The rules that the client broke at this tracker; whether it has left in order says what it should have said by then.
    fn end(self, has_left: bool) -> anyhow::Result<Vec<Broken>> {
        let report = self.hearing.end(self.lab.now().real, has_left, None)?;
        if self.lab.lost_events() > 0 {
            // Of half a story nothing is concluded.
            return Ok(Vec::new());
        }
        Ok(report.verdicts.into_iter().filter_map(Broken::of).collect())
    }
}

impl Manner {
    /// Runs a scenario with a client.
    ///
    /// # Errors
    /// When a tracker or the client cannot be started, or all is to end; nothing that the client does is one.
    pub(super) fn run(
        &self,
        client: &Client,
        scenario: &Scenario,
        can: Abilities,
    ) -> anyhow::Result<Outcome> {
        let is_udp = scenario.has(Transport::Udp);
        if is_udp && !can.speaks_udp && !scenario.has(Transport::Http) {
            let why = Verdict::Unseen("it asks no trackers over UDP here".to_owned());
            return Ok(Outcome {
                client: client.name.clone(),
                scenario: scenario.clone(),
                verdicts: scenario
                    .expect
                    .iter()
                    .map(|one| (one.words(), why.clone()))
                    .collect(),
                counts: [0; 3],
                broken: Vec::new(),
            });
        }
        let folder = fresh_folder(&self.folder, &format!("{}-{}", client.name, scenario.name))?;
        let recordings = self.is_kept.then_some(folder.as_path());
        let stage = Stage::set(scenario, &self.peer_addresses, recordings);
        let mut stage = stage.context("no tracker")?;
        let mut process = self.start(client, scenario, &stage, &folder)?;
        let can = Abilities {
            connects: if scenario.is_of_v6() {
                can.connects_v6
            } else {
                can.connects
            },
            ..can
        };
        let mut seen = self.watch(scenario, &mut stage, &mut process, can)?;
        let mut verdicts: Vec<(String, Verdict)> = scenario
            .expect
            .iter()
            .map(|expected| (expected.words(), seen.judge(expected, can)))
            .collect();
        if seen.end.is_none() {
            seen.end = self.farewell(client, &mut process, &mut stage)?;
        }
        let broken = stage.broken(seen.end.is_none())?;
        verdicts.push((
            "lives, and ends when it is told to".to_owned(),
            match seen.end.take() {
                None => Verdict::Right,
                Some(how) => Verdict::Wrong(how),
            },
        ));
        let count = |contacts: usize| u64::try_from(contacts).unwrap_or(u64::MAX);
        let mut outcome = Outcome {
            client: client.name.clone(),
            scenario: scenario.clone(),
            verdicts,
            counts: [
                count(seen.first.len()),
                count(seen.second.len()),
                seen.watched.as_secs(),
            ],
            broken,
        };
        if CONTROLS.contains(&scenario.name.as_str()) {
            outcome.excuse();
        }
        Ok(outcome)
    }

    /// Starts the client on a fresh torrent in its folder.
    fn start(
        &self,
        client: &Client,
        scenario: &Scenario,
        stage: &Stage,
        folder: &Path,
    ) -> anyhow::Result<Process> {
        let torrent = folder.join("it.torrent");
        let plan = Plan {
            name: format!("{}.bin", scenario.name),
            length: LENGTH,
            piece_length: PIECE,
            tiers: tiers_of(scenario, &stage.first.lab, stage.second_lab())?,
            is_private: true,
            seed: 1,
        };
        fs::write(&torrent, plan.make().metainfo).context("the torrent")?;
        let place = Place {
            torrent,
            folder: folder.to_path_buf(),
            port: self.ports.take()?,
            spare_port: self.ports.take()?,
            is_udp: scenario.has(Transport::Udp),
        };
        let words = client.prepare(&place).context("the client's settings")?;
        self.launch(&words, folder)
            .with_context(|| words.first().cloned().unwrap_or_default())
    }

    /// Starts a program in its folder, where its output goes to a log. Of the environment it has `PATH`, a home of its own, and no proxy.
    fn launch(&self, words: &[String], folder: &Path) -> std::io::Result<Process> {
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "an empty command"))?;
        let output = fs::File::create(folder.join("log"))?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut command = self.launcher.command(program)?;
        command
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Process::start(command)
    }

    /// Watches until all has been seen, or the time is over.
    fn watch(
        &self,
        scenario: &Scenario,
        stage: &mut Stage,
        process: &mut Process,
        can: Abilities,
    ) -> anyhow::Result<Seen> {
        let clock = Clock::start();
        let counted = Duration::from_secs(scenario.seconds.into());
        let mut seen = Seen {
            counted,
            ..Seen::default()
        };
        let mut came = None;
        let is_fulfilled = |seen: &Seen| {
            let mut open = scenario
                .expect
                .iter()
                .filter(|one| !one.is_of_the_whole_time());
            open.all(|one| seen.judge(one, can) == Verdict::Right)
        };
        let is_of_the_whole_time = scenario
            .expect
            .iter()
            .any(Expectation::is_of_the_whole_time);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                bail!(INTERRUPTED);
            }
            stage.note(&mut seen)?;
            if let Some(status) = process.ended() {
                let how = process::fault_of(status).unwrap_or_else(|| "status 0".to_owned());
                seen.end = Some(format!("ends by itself, with {how}"));
                return Ok(seen);
            }
            let now = clock.elapsed();
            if came.is_none() && seen.has_come() {
                came = Some(now);
            }
            match came {
                None if now >= FIRST * self.patience => return Ok(seen),
                None => {}
                Some(came) => {
                    seen.watched = now.saturating_sub(came);
                    let least = if is_of_the_whole_time { counted } else { LEAST };
                    let is_over = seen.watched >= counted * self.patience;
                    if is_over || (seen.watched >= least && is_fulfilled(&seen)) {
                        return Ok(seen);
                    }
                }
            }
            thread::sleep(LOOK);
        }
    }

    /// Tells the client to leave; how that went wrong, if it did.
    fn farewell(
        &self,
        client: &Client,
        process: &mut Process,
        stage: &mut Stage,
    ) -> anyhow::Result<Option<String>> {
        let clock = Clock::start();
        process.tell(client.signal());
        loop {
            if self.stop.load(Ordering::Relaxed) {
                bail!(INTERRUPTED);
            }
            stage.hear_farewell()?;
            if let Some(status) = process.gone() {
                // A status is its own matter: aria2 has one for what it did not finish. To be killed by a fault of its own is not.
                let fault = process::fault_of(status).filter(|_| process::is_crash(status));
                return Ok(fault.map(|how| format!("crashes when it is told to end, with {how}")));
            }
            if clock.elapsed() >= self.grace * self.patience {
                let seconds = self.grace.as_secs() * u64::from(self.patience);
                return Ok(Some(format!(
                    "does not end within {seconds} s when it is told to"
                )));
            }
            thread::sleep(LOOK);
        }
    }
}

impl Stage {
    /// Starts the trackers and the peers of a scenario; what the trackers hear is recorded in this folder, where there is one.
    fn set(
        scenario: &Scenario,
        peer_addresses: &[IpAddr],
        recordings: Option<&Path>,
    ) -> anyhow::Result<Stage> {
        let planted = Peer::listen(peer_addresses)?;
        let decoy = Peer::listen(peer_addresses)?;
        let at_second = Peer::listen(peer_addresses)?;
        let lab = |script: Script, places: Places| {
            let told = OnceLock::new();
            drop(told.set(places));
            Lab::start(Options {
                answerer: answerer(script, Arc::new(told)),
                interval: Some(INTERVAL),
                min_interval: Some(MIN_INTERVAL),
                ..Options::default()
            })
        };
        let second = scenario
            .has_second()
            .then(|| {
                let planted = at_second.addresses().to_vec();
                lab(
                    Script::default(),
                    Places {
                        planted,
                        ..Places::default()
                    },
                )
            })
            .transpose()?;
        let url = |transport| {
            let url = second.as_ref().and_then(|lab| lab.url(transport))?;
            url.strip_suffix("/announce").map(str::to_owned)
        };
        let first = lab(
            scenario.script.clone(),
            Places {
                planted: planted.addresses().to_vec(),
                decoys: decoy.addresses().to_vec(),
                second: url(Transport::Http),
                second_udp: url(Transport::Udp),
            },
        )?;
        let [at_first, at_second_too] =
            RECORDINGS.map(|name| recordings.map(|folder| folder.join(name)));
        let tiers = judged_tiers(scenario, &first, second.as_ref())?;
        let now = first.now().real;
        let lead = second.as_ref().map(|second| second.now().real);
        let second = second
            .map(|second| HeardTracker::begin(second, Vec::new(), at_second_too.as_deref()))
            .transpose()?;
        Ok(Stage {
            lead: lead.unwrap_or(now).saturating_sub(now),
            first: HeardTracker::begin(first, tiers, at_first.as_deref())?,
            second,
            listeners: [
                (Listener::Planted, planted),
                (Listener::Decoy, decoy),
                (Listener::Second, at_second),
            ],
        })
    }

    fn second_lab(&self) -> Option<&Lab> {
        self.second.as_ref().map(|second| &second.lab)
    }

    /// Notes what has happened since the last look.
    fn note(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        self.hear(|event, is_second| seen.note(event, is_second))?;
        for (listener, peer) in &mut self.listeners {
            seen.connections.insert(listener.name(), peer.count());
        }
        Ok(())
    }

    /// Hears what a client says that was told to leave: only the judges mind.
    fn hear_farewell(&mut self) -> anyhow::Result<()> {
        self.hear(|_, _| {})
    }

    /// Hears what has happened since; each event, and whether it is the second tracker's, is handed on.
    fn hear(&mut self, mut each: impl FnMut(&Event, bool)) -> anyhow::Result<()> {
        let HeardTracker {
            events, hearing, ..
        } = &mut self.first;
        let mut firsts = events.try_iter().peekable();
        let (events, mut second_hearing) = match &mut self.second {
            Some(second) => (Some(&second.events), Some(&mut second.hearing)),
            None => (None, None),
        };
        let mut seconds = events.into_iter().flat_map(Events::try_iter).peekable();
        loop {
            // Which of the two was first decides what the client knew.
            let is_second = match (firsts.peek(), seconds.peek()) {
                (Some(first), Some(second)) => {
                    second.at().real.saturating_sub(self.lead) < first.at().real
                }
                (first, _) => first.is_none(),
            };
            let next = if is_second {
                seconds.next()
            } else {
                firsts.next()
            };
            let Some(event) = next else { return Ok(()) };
            each(&event, is_second);
            let first = Some(&mut *hearing);
            let second = second_hearing.as_deref_mut();
            let (here, other) = if is_second {
                (second, first)
            } else {
                (first, second)
            };
            if let Some(here) = here {
                here.hear(&event)?;
            }
            if let Some(other) = other
                && judge::may_be_taken(&event)
            {
                other.taken_elsewhere()?;
            }
        }
    }

    /// The rules that the client broke; whether it has left in order says what it should have said by then.
    fn broken(mut self, has_left: bool) -> anyhow::Result<Vec<Broken>> {
        let until = self.first.lab.now().real + LAST_WORDS;
        while self.first.lab.now().real < until {
            self.hear_farewell()?;
            thread::sleep(LOOK);
        }
        let mut broken = self.first.end(has_left)?;
        if let Some(second) = self.second {
            for mut there in second.end(has_left)? {
                match broken.iter_mut().find(|one| one.rule == there.rule) {
                    Some(one) => one.times += there.times,
                    None => {
                        there.finding.what =
                            format!("at the second tracker: {}", there.finding.what);
                        broken.push(there);
                    }
                }
            }
        }
        Ok(broken)
    }
}

/// The torrent's trackers.
fn tiers_of(
    scenario: &Scenario,
    first: &Lab,
    second: Option<&Lab>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let url = |tracker: &Tracker| {
        let lab = if tracker.is_second {
            second
        } else {
            Some(first)
        };
        let url = lab.and_then(|lab| lab.url(tracker.transport));
        url.with_context(|| format!("the laboratory has no tracker over {}", tracker.transport))
    };
    let tiers = scenario.trackers.iter();
    tiers
        .map(|tier| {
            tier.iter()
                .map(url)
                .collect::<anyhow::Result<Vec<String>>>()
        })
        .collect()
}

/// The tiers that are judged. Neither judge hears of both trackers, and so nothing is said of tiers where there are two.
fn judged_tiers(
    scenario: &Scenario,
    first: &Lab,
    second: Option<&Lab>,
) -> anyhow::Result<Vec<Vec<judge::Place>>> {
    if second.is_some() {
        return Ok(Vec::new());
    }
    let tiers = tiers_of(scenario, first, second)?;
    let places = tiers.iter().map(|tier| {
        let places = tier.iter().map(|url| judge::Place::of_url(url));
        places.collect::<Option<Vec<judge::Place>>>()
    });
    Ok(places.collect::<Option<_>>().unwrap_or_default())
}

/// What the judge of a tracker is told.
fn options_of(lab: &Lab, tiers: Vec<Vec<judge::Place>>) -> judge::Options {
    judge::Options {
        tiers,
        size: u64::try_from(LENGTH).ok(),
        has_both_families: false,
        trackers: lab.urls().iter().map(|url| url.address).collect(),
    }
}

/// Makes a folder of this name in `parent`, or of the name with a number where there is one from before. What would lead elsewhere in a
/// name becomes `_`.
fn fresh_folder(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let name = name.replace(|c| !is_plain(c), "_");
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let mut folder = parent.join(&name);
    for number in 2_u32.. {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                folder = parent.join(format!("{name}-{number}"));
            }
            made => {
                made.with_context(|| folder.display().to_string())?;
                break;
            }
        }
    }
    Ok(folder)
}

/// Removes a trial's folders, as far as that can be done.
pub(super) fn clear(folder: &Path) {
    drop(fs::remove_dir_all(folder));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_has_a_fresh_folder_within_the_one_of_all() {
        let all = tempfile::tempdir().unwrap();
        for (name, made) in [
            ("a/../../x-html", "a_______x-html"),
            ("b-html", "b-html"),
            ("b-html", "b-html-2"),
            ("b-html", "b-html-3"),
        ] {
            let folder = fresh_folder(all.path(), name).unwrap();
            assert_eq!(folder, all.path().join(made));
            assert!(folder.is_dir());
        }
    }
}
