//! How a client is started for one torrent, headless and to itself: by a command with placeholders, or as a profile knows.

use std::fs;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use rustix::process::Signal;

use crate::lab::placeholders;

/// A client that can be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// As the table calls it.
    pub(super) name: String,
    /// As it tells itself; empty where it was not asked.
    pub(super) version: String,
    /// What starts it, word by word, with placeholders.
    words: Vec<String>,
    /// On which it leaves in order.
    pub(super) farewell: Farewell,
    profile: Option<Profile>,
}

/// The signal on which a client leaves in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Farewell {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT.
    Int,
}

/// A client that this program knows how to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// By its Python binding (Debian: python3-libtorrent).
    Libtorrent,
    /// transmission-daemon.
    Transmission,
    /// qbittorrent-nox.
    Qbittorrent,
    /// aria2c (Debian: aria2).
    Aria2,
    /// rtorrent, as a daemon.
    Rtorrent,
}

/// All of them, in the order of the table.
pub(super) const PROFILES: [Profile; 5] = [
    Profile::Libtorrent,
    Profile::Transmission,
    Profile::Qbittorrent,
    Profile::Aria2,
    Profile::Rtorrent,
];

/// What a client is started with.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The `.torrent` file.
    pub(super) torrent: PathBuf,
    /// A folder of its own, which is its home; `data` below is for the file.
    pub(super) folder: PathBuf,
    /// Where it is to listen.
    pub(super) port: u16,
    /// One more, for what a client serves besides.
    pub(super) spare_port: u16,
    /// Whether one of the trackers speaks UDP.
    pub(super) is_udp: bool,
}

/// What may stand in a command.
const PLACEHOLDERS: [&str; 5] = ["torrent", "folder", "port", "spare_port", "is_udp"];

/// Folders of settings are made below a client's folder.
const DATA: &str = "data";

impl Client {
    /// A client that a command starts.
    ///
    /// # Errors
    /// When the command has no end to a quotation, no word, no place for the torrent, or a placeholder that there is not.
    pub(super) fn of_command(
        name: &str,
        command: &str,
        farewell: Farewell,
    ) -> anyhow::Result<Client> {
        let words = words(command)?;
        anyhow::ensure!(!words.is_empty(), "an empty --client-command");
        let has_torrent = words.iter().any(|word| placeholders::has(word, "torrent"));
        let known = PLACEHOLDERS.map(|name| (name, ""));
        for word in &words {
            placeholders::fill(word, &known)?;
        }
        anyhow::ensure!(
            has_torrent,
            "no {{torrent}} in --client-command: what is it to download?"
        );
        Ok(Client {
            name: name.to_owned(),
            version: String::new(),
            words,
            farewell,
            profile: None,
        })
    }

    /// A client that is known; `None` where it is not installed.
    pub(super) fn of_profile(profile: Profile) -> Option<Client> {
        let words = profile.words()?;
        let version = profile.version(words.first()?)?;
        Some(Client {
            name: profile.name().to_owned(),
            version,
            words,
            farewell: profile.farewell(),
            profile: Some(profile),
        })
    }

    /// Writes the settings of a profile, and gives the words that start the client.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub(super) fn prepare(&self, place: &Place) -> io::Result<Vec<String>> {
        fs::create_dir_all(place.folder.join(DATA))?;
        if let Some(profile) = self.profile {
            profile.write_settings(place)?;
        }
        let said = |path: &Path| path.to_string_lossy().into_owned();
        let (torrent, folder) = (said(&place.torrent), said(&place.folder));
        let (port, spare_port) = (place.port.to_string(), place.spare_port.to_string());
        let [is_torrent, is_folder, is_port, is_spare_port, is_udp] = PLACEHOLDERS;
        let values = [
            (is_torrent, torrent.as_str()),
            (is_folder, &folder),
            (is_port, &port),
            // The web interface of qbittorrent-nox cannot be turned off.
            (is_spare_port, &spare_port),
            // aria2 speaks to trackers over UDP only where its DHT is on, which a private torrent does not use.
            (is_udp, if place.is_udp { "true" } else { "false" }),
        ];
        let words = self.words.iter();
        words
            .map(|word| placeholders::fill(word, &values).map_err(io::Error::other))
            .collect()
    }

    pub(super) fn signal(&self) -> Signal {
        match self.farewell {
            Farewell::Term => Signal::TERM,
            Farewell::Int => Signal::INT,
        }
    }
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Profile::Libtorrent => "libtorrent",
            Profile::Transmission => "Transmission",
            Profile::Qbittorrent => "qBittorrent",
            Profile::Aria2 => "aria2",
            Profile::Rtorrent => "rTorrent",
        }
    }

    /// The Debian package that brings it.
    pub(super) fn package(self) -> &'static str {
        match self {
            Profile::Libtorrent => "python3-libtorrent",
            Profile::Transmission => "transmission-daemon",
            Profile::Qbittorrent => "qbittorrent-nox",
            Profile::Aria2 => "aria2",
            Profile::Rtorrent => "rtorrent",
        }
    }

    fn farewell(self) -> Farewell {
        match self {
            Profile::Libtorrent | Profile::Transmission | Profile::Qbittorrent => Farewell::Term,
            // On SIGTERM rtorrent leaves without waiting for the tracker.
            Profile::Aria2 | Profile::Rtorrent => Farewell::Int,
        }
    }

    fn words(self) -> Option<Vec<String>> {
        let words: &[&str] = match self {
            Profile::Libtorrent => {
                let python = python()?;
                let words = [
                    python,
                    "{folder}/client.py",
                    "{torrent}",
                    "{folder}/data",
                    "{port}",
                ];
                return Some(words.map(str::to_owned).to_vec());
            }
            Profile::Transmission => &[
                "transmission-daemon",
                "--foreground",
                "--log-debug",
                "--config-dir",
                "{folder}/config",
            ],
            Profile::Qbittorrent => &[
                "qbittorrent-nox",
                "--profile={folder}",
                "--save-path={folder}/data",
                "--add-paused=false",
                "--webui-port={spare_port}",
                "{torrent}",
            ],
            Profile::Aria2 => &[
                "aria2c",
                "--no-conf=true",
                "--dir={folder}/data",
                "--listen-port={port}",
                "--enable-dht={is_udp}",
                "--dht-listen-port={port}",
                "--dht-file-path={folder}/dht",
                "--enable-dht6=false",
                "--bt-enable-lpd=false",
                "--enable-peer-exchange=false",
                "--seed-ratio=0.0",
                "--file-allocation=none",
                "--summary-interval=0",
                "--console-log-level=info",
                "{torrent}",
            ],
            Profile::Rtorrent => &["rtorrent", "-n", "-o", "import={folder}/rtorrent.rc"],
        };
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// What it says of its version: the first line that has a digit; `None` where it cannot be started.
    fn version(self, program: &str) -> Option<String> {
        let arguments: &[&str] = match self {
            Profile::Libtorrent => &["-c", "import libtorrent; print(libtorrent.__version__)"],
            Profile::Transmission | Profile::Qbittorrent | Profile::Aria2 => &["--version"],
            Profile::Rtorrent => &["-h"],
        };
        let told = Command::new(program).args(arguments).output().ok()?;
        let text = [told.stdout, told.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains(|c: char| c.is_ascii_digit()))?;
        let number = line.split_whitespace().find(|word| {
            word.trim_start_matches('v')
                .starts_with(|c: char| c.is_ascii_digit())
        })?;
        Some(
            number
                .trim_start_matches('v')
                .trim_end_matches(['.', ','])
                .to_owned(),
        )
    }

    fn write_settings(self, place: &Place) -> io::Result<()> {
        let folder = &place.folder;
        let data = folder.join(DATA);
        match self {
            Profile::Aria2 => Ok(()),
            Profile::Libtorrent => fs::write(
                folder.join("client.py"),
                include_str!("libtorrent_client.py"),
            ),
            Profile::Transmission => {
                let watched = folder.join("watch");
                let settings = serde_json::json!({
                    "dht-enabled": false,
                    "lpd-enabled": false,
                    "pex-enabled": false,
                    "utp-enabled": false,
                    "port-forwarding-enabled": false,
                    "rpc-enabled": false,
                    "download-dir": data,
                    "incomplete-dir-enabled": false,
                    "peer-port": place.port,
                    "watch-dir": watched,
                    "watch-dir-enabled": true,
                });
                fs::create_dir_all(folder.join("config"))?;
                fs::create_dir_all(&watched)?;
                fs::copy(&place.torrent, watched.join("it.torrent"))?;
                fs::write(folder.join("config/settings.json"), settings.to_string())
            }
            Profile::Qbittorrent => {
                let settings = format!(
                    "[LegalNotice]\nAccepted=true\n[BitTorrent]\nSession\\DHTEnabled=false\n\
                     Session\\LSDEnabled=false\nSession\\PeXEnabled=false\nSession\\BTProtocol=TCP\n\
                     Session\\QueueingSystemEnabled=false\nSession\\MultiConnectionsPerIp=true\n\
                     Session\\Port={}\n[Network]\nPortForwardingEnabled=false\n\
                     [Preferences]\nWebUI\\Address=127.0.0.1\n",
                    place.port
                );
                fs::create_dir_all(folder.join("qBittorrent/config"))?;
                fs::write(folder.join("qBittorrent/config/qBittorrent.conf"), settings)
            }
            Profile::Rtorrent => {
                let said = folder.to_string_lossy();
                let settings = format!(
                    "system.daemon.set = true\ndirectory.default.set = {said}/data\n\
                     session.path.set = {said}/session\nnetwork.port_range.set = {port}-{port}\n\
                     network.port_random.set = no\ndht.mode.set = disable\nprotocol.pex.set = no\n\
                     trackers.use_udp.set = yes\npieces.hash.on_completion.set = no\n\
                     schedule2 = load, 0, 0, \"load.start={torrent}\"\n\
                     log.open_file = \"log\", {said}/rtorrent.log\n\
                     log.add_output = \"info\", \"log\"\nlog.add_output = \"tracker_debug\", \"log\"\n",
                    port = place.port,
                    torrent = place.torrent.to_string_lossy(),
                );
                fs::create_dir_all(folder.join("session"))?;
                fs::write(folder.join("rtorrent.rc"), settings)
            }
        }
    }
}

/// A Python that knows libtorrent: the distribution's package is seen by the distribution's Python only.
fn python() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let asked = Command::new(python)
            .args(["-c", "import libtorrent"])
            .output();
        asked.is_ok_and(|told| told.status.success())
    })
}

/// The words of a command: parted by blanks, held together by single and double quotes; a backslash takes the next sign as it is, not
/// within single quotes. No shell looks at it.
fn words(command: &str) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut signs = command.chars();
    while let Some(sign) = signs.next() {
        match (sign, quote) {
            ('\\', None | Some('"')) => {
                let next = signs.next();
                let next =
                    next.ok_or_else(|| anyhow::anyhow!("nothing behind the last backslash"))?;
                word.get_or_insert_default().push(next);
            }
            (sign, Some(open)) if sign == open => quote = None,
            (sign, Some(_)) => word.get_or_insert_default().push(sign),
            ('\'' | '"', None) => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (sign, None) if sign.is_whitespace() => words.extend(word.take()),
            (sign, None) => word.get_or_insert_default().push(sign),
        }
    }
    if let Some(open) = quote {
        anyhow::bail!("no end to what {open} begins");
    }
    words.extend(word);
    Ok(words)
}

/// Ports for clients, below those that the system chooses from: nobody else takes one between its choice and the client's start.
#[derive(Debug)]
pub(super) struct Ports {
    next: Mutex<u16>,
}

const LOWEST: u16 = 15_000;
const HIGHEST: u16 = 32_000;

impl Ports {
    /// Begins anywhere.
    pub(super) fn from_seed(seed: u64) -> Ports {
        let next = fastrand::Rng::with_seed(seed).u16(LOWEST..HIGHEST);
        Ports {
            next: Mutex::new(next),
        }
    }

    /// A port that is free for TCP and UDP, and was not taken before.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn take(&self) -> io::Result<u16> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in LOWEST..HIGHEST {
            let port = *next;
            *next = if port + 1 < HIGHEST { port + 1 } else { LOWEST };
            let is_free = TcpListener::bind(("0.0.0.0", port)).is_ok()
                && UdpSocket::bind(("0.0.0.0", port)).is_ok();
            if is_free {
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_cut_into_words_as_it_is_quoted() {
        let cut = |command| words(command).map_err(|error| error.to_string());
        let expected = ["a", "b c", "d\"e", "f'g", "", "{torrent}"].map(str::to_owned);
        let found = cut(r#"a 'b c'  d\"e "f'g" '' {torrent} "#);
        assert_eq!(found, Ok(expected.to_vec()));
        assert_eq!(cut("a 'b"), Err("no end to what ' begins".into()));
        assert_eq!(cut("a \\"), Err("nothing behind the last backslash".into()));
    }

    #[test]
    fn placeholders_are_filled_in_and_the_torrent_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let command = "mine --file={torrent} --home {folder} --port {port}";
        let client = Client::of_command("mine", command, Farewell::Int).unwrap();
        let place = Place {
            torrent: "it's.torrent".into(),
            folder: folder.path().into(),
            port: 6881,
            spare_port: 8080,
            is_udp: false,
        };
        let home = folder.path().to_str().unwrap();
        let expected = [
            "mine",
            "--file=it's.torrent",
            "--home",
            home,
            "--port",
            "6881",
        ];
        assert_eq!(client.prepare(&place).unwrap(), expected);
        let error = Client::of_command("mine", "mine", Farewell::Int).unwrap_err();
        assert!(error.to_string().contains("no {torrent}"), "{error}");
        let error = Client::of_command("mine", "mine {torent} {torrent}", Farewell::Int);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("{torent}") && error.contains("{torrent}"),
            "{error}"
        );
        assert!(Client::of_command("mine", "mine {{torent}} {torrent}", Farewell::Int).is_ok());
    }
}
