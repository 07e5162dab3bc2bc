//! All that can be said of a configuration before anything is built: the start says it in the log, and `--check-config` says the same
//! on the terminal. Looks at files and makes none.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use log::Level;

use super::key_file::FoundKeys;
use super::{certificates, connection_key, secret_files, service};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::lists::ListFiles;
use crate::lists::lines::Refused;
use crate::regular_file::{self, Denied, Use, denied, denied_or_unmakable};
use crate::shown::with_causes;
use crate::tracker::Zones;
use crate::{logging, sites, snapshot, web};

/// What the start would say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// What an operator should know, and how badly.
    pub remarks: Vec<(Level, String)>,
    /// Files that their permissions keep from the tracker, which cannot start without them.
    pub denied: Vec<Denied>,
    /// What else will keep it from starting.
    pub faults: Vec<String>,
    /// Files of lists and keys that are refused: the start goes on with what is known without them, a reload does not.
    pub refused: Vec<String>,
}

impl Outlook {
    /// What a check fails by: all that will keep it from starting, and files that are refused.
    pub fn obstacles(&self) -> impl Iterator<Item = String> {
        let denied = self.denied.iter().map(ToString::to_string);
        let others = self.faults.iter().chain(&self.refused);
        denied.chain(others.cloned())
    }
}

/// What root is told when the state is in a folder of another user's: the next start may be that user's.
fn warning_of_gifts(folder: &Path) -> Option<String> {
    let folder = std::path::absolute(folder).ok()?;
    let mut folders = folder.ancestors();
    // What is missing is made in the next one above.
    let about = folders.find_map(|folder| fs::metadata(folder).ok())?;
    (about.uid() != 0).then(|| {
        let (user, group) = (about.uid(), about.gid());
        format!(
            "{} is user {user}'s, and what root makes there that user cannot use afterwards; better: setpriv --reuid {user} \
             --regid {group} --clear-groups retracker …",
            folder.display()
        )
    })
}

/// What is wrong with a file, a line each. What its permissions keep from this user is told with what mends it.
fn lines_of(refused: &Refused) -> Vec<String> {
    match denied(refused.file(), Use::Consult) {
        Some(denied) => vec![denied.to_string()],
        None => refused.lines().collect(),
    }
}

/// What is wrong with files of lists and keys, which keeps nothing from starting, and what lists cover that somebody may not have meant.
fn of_lists(loaded: &Loaded, outlook: &mut Outlook) {
    let config = &loaded.config;
    let lists = ListFiles::read(config.lists.clone(), Clock::start());
    let lines = lists.refused().flat_map(lines_of);
    outlook.refused.extend(lines.map(|line| {
        format!("a list is refused, and nothing of it is in force until it is mended: {line}")
    }));
    let concerns = super::lists::concerns(config, &lists);
    let concerns = concerns.into_iter().map(|text| (Level::Warn, text));
    outlook.remarks.extend(concerns);
    if let Err(refused) = FoundKeys::of(config) {
        let place = loaded.place_of("TRACKER", "keys_file");
        let lines = lines_of(&refused).into_iter();
        outlook.refused.extend(lines.map(|line| {
            format!("{place}: it is refused, and the keys that the database knows are in force until it is mended: {line}")
        }));
    }
}

/// What is wrong with files that a key names and this user can read.
fn of_files(loaded: &Loaded) -> Vec<String> {
    let config = &loaded.config;
    let mut faults = Vec::new();
    if let Some(Err(error)) = config.sites.as_ref().map(sites::examine) {
        let key = match &error {
            sites::Error::Certificates { .. } | sites::Error::NoCertificates => "ca_file",
            sites::Error::Engines | sites::Error::Random(_) => "engines",
        };
        let place = loaded.place_of("SITES", key);
        faults.push(format!("{place}: {error}"));
    }
    faults
}

/// Looks, as the user that this process is.
pub fn examine(loaded: &Loaded) -> Outlook {
    let config = &loaded.config;
    let warnings = loaded.warnings.iter().cloned();
    let mut outlook = Outlook {
        remarks: warnings.map(|text| (Level::Warn, text)).collect(),
        ..Outlook::default()
    };
    let is_of_another_user = !loaded.place.folder.as_os_str().is_empty();
    let warning = service::warning_of_user(rustix::process::geteuid());
    if let Some(warning) = warning.filter(|_| !is_of_another_user) {
        outlook.remarks.push((Level::Warn, warning.to_owned()));
        let gift = warning_of_gifts(&config.web.state_folder);
        outlook.remarks.extend(gift.map(|text| (Level::Warn, text)));
    }
    let pages = web::examine(&config.web);
    outlook.remarks.extend(pages.remarks);
    outlook.faults.extend(pages.faults);
    let tokens_file = pages.tokens.clone();
    let tokens = pages
        .tokens
        .and_then(|file| match denied(&file, Use::Read) {
            Some(denied) => Some(denied.to_string()),
            None => {
                let error = regular_file::refuse_others(&file).err()?;
                Some(format!("{}: {error}", file.display()))
            }
        });
    outlook.remarks.extend(tokens.map(|why| {
        let text = format!("the tokens of the API cannot be read, so none is admitted: {why}");
        (Level::Error, text)
    }));
    let certificates = &config.tls.certificates;
    let now = Clock::start().wall();
    outlook
        .remarks
        .extend(certificates::remarks(certificates, now));
    let secrets = pages.files.iter().cloned().chain(tokens_file);
    let open = secret_files::open_to_all(loaded, secrets.collect()).into_iter();
    outlook.remarks.extend(open.map(|text| (Level::Warn, text)));
    let key = connection_key::warning(&config.snapshot);
    outlook.remarks.extend(key.map(|text| (Level::Warn, text)));
    // Root has read these; the start is the service's.
    let read = loaded.files_read();
    let read = read.iter().filter_map(|file| denied(file, Use::Consult));
    let files = config.snapshot.files().into_iter().chain(pages.files);
    let kept = files.filter_map(|file| denied_or_unmakable(&file, Use::Write));
    for denied in read.chain(kept) {
        // Of a closed folder one line is enough.
        if !outlook.denied.contains(&denied) {
            outlook.denied.push(denied);
        }
    }
    if outlook.denied.is_empty()
        && let Err(error) = snapshot::examine(&config.snapshot)
    {
        outlook.faults.push(error.to_string());
    }
    of_lists(loaded, &mut outlook);
    if let Err(error) = Zones::new(&config.zones, &config.reported.pairs) {
        outlook.faults.push(error.to_string());
    }
    if outlook.denied.is_empty() {
        outlook.faults.extend(of_files(loaded));
    }
    if let Err(error) = logging::examine(&config.logging) {
        outlook.faults.push(with_causes(&anyhow::Error::new(error)));
    }
    outlook
}
