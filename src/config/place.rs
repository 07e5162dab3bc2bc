//! Where the configuration file is: named, or looked for; and what relative paths in it count from.
//!
//! The tracker itself looks as the Flask original did. A tool that an operator calls, from whatever folder, besides looks where the
//! installed service has its configuration, and then takes the service's folder for its own working directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names the file where `--config` does not.
pub(super) const VARIABLE: &str = "RETRACKER_CONFIG";

/// Where the file is looked for when nothing names one: the container's volume first.
pub(super) const STANDARD_FILES: [&str; 2] = ["/config/config.ini", "config/config.ini"];

/// The file that `systemd/retracker.service` names.
const SERVICE_FILE: &str = "/etc/retracker/config.ini";

/// The working directory that it has there.
const SERVICE_FOLDER: &str = "/var/lib/retracker";

/// Which file was read, why that one, and what its paths count from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The configuration file; `None` when none was named and none is there.
    pub file: Option<PathBuf>,
    /// What led to it.
    pub reason: Reason,
    /// What relative paths count from, and where `.env` is; empty for the working directory.
    pub folder: PathBuf,
    /// Whether there is an `.env` there.
    pub has_env_file: bool,
}

/// What led to a configuration file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// It was looked for, and is in the working directory or a container's volume, or nowhere.
    #[default]
    Standard,
    /// The command line or the environment's variable names it.
    Named,
    /// There was none where the tracker looks, and the installed service has one.
    Service,
}

impl Place {
    /// Looks. `named` is the command line's, `variable` the environment's, which is nothing when empty.
    pub(super) fn find(
        named: Option<&Path>,
        variable: Option<OsString>,
        is_for_tool: bool,
    ) -> Place {
        let variable = variable.filter(|name| !name.is_empty()).map(PathBuf::from);
        let named = named.map(Path::to_owned).or(variable);
        let first = |files: &[&str]| {
            let mut files = files.iter().map(PathBuf::from);
            files.find(|file| file.exists())
        };
        let (file, reason) = match named {
            Some(file) => (Some(file), Reason::Named),
            None => match first(&STANDARD_FILES) {
                None if is_for_tool => match first(&[SERVICE_FILE]) {
                    Some(file) => (Some(file), Reason::Service),
                    None => (None, Reason::Standard),
                },
                file => (file, Reason::Standard),
            },
        };
        let is_service = is_for_tool && file.as_deref().is_some_and(is_the_service_s);
        Place {
            file,
            reason,
            folder: if is_service {
                SERVICE_FOLDER.into()
            } else {
                PathBuf::new()
            },
            has_env_file: false,
        }
    }

    /// A path of the configuration, as this process can use it.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        if self.folder.as_os_str().is_empty() {
            path.to_owned()
        } else {
            self.folder.join(path)
        }
    }

    /// What whoever called a tool should know of it; nothing where it is what the working directory has, or what was asked for.
    pub fn notice(&self) -> Option<String> {
        let file = self.file.as_ref().map(|file| file.display());
        match (self.reason, file) {
            (Reason::Service, Some(file)) => Some(format!(
                "the configuration is the service's, {file}; paths in it count from {SERVICE_FOLDER}"
            )),
            _ => None,
        }
    }
}

/// Whether this is the service's file, however it is spelled.
fn is_the_service_s(file: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    file == Path::new(SERVICE_FILE)
        || whole(file).is_some_and(|file| Some(file) == whole(Path::new(SERVICE_FILE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O17: the order; what is named counts before what is found.
    #[test]
    fn the_command_line_counts_before_the_variable() {
        let (named, variable) = (Path::new("a.ini"), Some(OsString::from("b.ini")));
        for is_for_tool in [false, true] {
            let place = Place::find(Some(named), variable.clone(), is_for_tool);
            assert_eq!(place.file.as_deref(), Some(named));
            let place = Place::find(None, variable.clone(), is_for_tool);
            assert_eq!(place.file.as_deref(), Some(Path::new("b.ini")));
            assert_eq!(place.reason, Reason::Named);
            assert_eq!(place.resolve(Path::new("x")), Path::new("x"));
        }
        let empty = Place::find(None, Some(OsString::new()), false);
        assert_eq!(empty.reason, Reason::Standard);
    }

    /// O17: named outright, the service's file is still the service's.
    #[test]
    fn paths_of_the_service_s_file_count_from_its_folder_for_tools_only() {
        let file = Path::new(SERVICE_FILE);
        let place = Place::find(Some(file), None, true);
        assert_eq!(
            place.resolve(Path::new("snapshots/retracker.sqlite")),
            Path::new("/var/lib/retracker/snapshots/retracker.sqlite")
        );
        assert_eq!(place.resolve(Path::new("/x")), Path::new("/x"));
        assert_eq!(place.notice(), None);
        // The tracker is where it was started.
        assert_eq!(Place::find(Some(file), None, false).folder, Path::new(""));
    }
}
