//! Root's tools leave to the service what is the service's: before anything of its state is touched, the process becomes the user who
//! owns the state directory, for good.
//!
//! Making files as root and giving them away afterwards would not do: who owns a directory can put a link in the place of anything in
//! it at any moment, and root would follow. Once the process is that user, links lead it nowhere that the user could not go itself.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::config::{Place, Reason};

/// Links on the way to a file that are followed at most.
const MAX_LINKS: usize = 40;

/// A user other than root, and what it owns on the way to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    user: u32,
    group: u32,
    path: PathBuf,
}

/// As whom the process goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting(Option<Owner>);

impl Acting {
    /// As whom, in words; nothing when that is who called.
    pub fn who(&self) -> Option<String> {
        let owner = self.0.as_ref()?;
        Some(format!(
            "user {}, who owns {}",
            owner.user,
            owner.path.display()
        ))
    }

    /// Adds to an error as whom it happened, where that is not who called.
    ///
    /// # Errors
    /// That of `done`.
    pub fn blame<T>(&self, done: anyhow::Result<T>) -> anyhow::Result<T> {
        match &self.0 {
            Some(owner) => done.with_context(|| owner.to_string()),
            None => done,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "acting as user {}, who owns {path}", self.user)
    }
}

/// Makes the process the user who owns what leads to `file`, when it is root's and that is not root. To be called before anything
/// there is opened, and before there is a second thread.
///
/// Where everything on the way is root's own, whoever owns what the file's name was found in counts: `place` is where the
/// configuration was, `None` when the command line named the file.
///
/// # Errors
/// The way leads through directories of several users, or the system refuses.
pub fn become_owner(file: &Path, place: Option<&Place>) -> anyhow::Result<Acting> {
    if !Uid::effective().is_root() {
        return Ok(Acting(None));
    }
    let mut owner = owner_of(file)?;
    if let Some(place) = place {
        let found = place
            .file
            .clone()
            .filter(|_| place.reason == Reason::Standard);
        let env_file = place.has_env_file.then(|| place.folder.join(".env"));
        for found in found.into_iter().chain(env_file) {
            if owner.is_none() {
                owner = owner_of(&found)?;
            }
        }
    }
    let Some(owner) = owner else {
        return Ok(Acting(None));
    };
    let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
    // Groups first: without root's rights they could not be given up.
    setgroups(&[group])
        .and_then(|()| setresgid(group, group, group))
        .and_then(|()| setresuid(user, user, user))
        .with_context(|| format!("{owner}: the system does not let this process become it"))?;
    Ok(Acting(Some(owner)))
}

/// Refuses to make files for a service that has no folder yet: nobody could tell whose they should be.
///
/// # Errors
/// The service's folder is not there.
pub(super) fn expect_folder(place: &Place) -> anyhow::Result<()> {
    let folder = &place.folder;
    if !folder.as_os_str().is_empty() && !folder.exists() {
        bail!(
            "{} is not there: start the service once (systemctl start retracker), and it is made for its user",
            folder.display()
        );
    }
    Ok(())
}

/// The user other than root who owns something on the way to `path`, the last thing there included; what is missing has no owner.
fn owner_of(path: &Path) -> anyhow::Result<Option<Owner>> {
    let path = std::path::absolute(path)?;
    let mut owner: Option<Owner> = None;
    let mut links = 0;
    let mut reached = PathBuf::from("/");
    let mut rest: Vec<PathBuf> = parts(&path);
    while let Some(part) = rest.pop() {
        if part.as_os_str() == ".." {
            reached.pop();
            continue;
        }
        let here = reached.join(&part);
        let about = match fs::symlink_metadata(&here) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error).with_context(|| here.display().to_string()),
        };
        match &owner {
            _ if about.uid() == 0 => {}
            None => {
                owner = Some(Owner {
                    user: about.uid(),
                    group: about.gid(),
                    path: here.clone(),
                });
            }
            Some(owner) if owner.user == about.uid() => {}
            Some(owner) => bail!(
                "{} belongs to user {}, but {} on the way there to user {}: call this as the user of the service, not as root",
                here.display(),
                about.uid(),
                owner.path.display(),
                owner.user
            ),
        }
        if about.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                bail!("{}: too many links", path.display());
            }
            let target = fs::read_link(&here).with_context(|| here.display().to_string())?;
            if target.is_absolute() {
                reached = PathBuf::from("/");
            }
            rest.extend(parts(&target));
        } else {
            reached = here;
        }
    }
    Ok(owner)
}

/// The parts of a path, last first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().rev();
    parts
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.into()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    /// O17: a directory of another user on the way decides, also when a link in it leads to root's own; root may make these, others
    /// see the skip.
    #[test]
    fn the_first_user_on_the_way_is_the_owner() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("state/deep")).unwrap();
        fs::create_dir_all(at("root")).unwrap();
        symlink(at("root"), at("state/link")).unwrap();
        symlink("state/../state", at("to-state")).unwrap();
        if chown(at("state"), Some(65_534), Some(65_533)).is_err() {
            eprintln!("SKIPPED: only root can give files away");
            return;
        }
        let user = |name: &str| owner_of(&at(name)).unwrap().map(|owner| owner.user);
        assert_eq!(user("root/db"), None);
        for name in [
            "state",
            "state/db",
            "state/deep/er/db",
            "state/link/db",
            "to-state/db",
        ] {
            assert_eq!(user(name), Some(65_534), "{name}");
        }
        let owner = owner_of(&at("state/db")).unwrap().unwrap();
        assert_eq!((owner.group, owner.path), (65_533, at("state")));
        // Who owns the file in a directory of root's is whom it is for.
        fs::write(at("root/db"), "").unwrap();
        chown(at("root/db"), Some(65_532), None).unwrap();
        assert_eq!(user("root/db"), Some(65_532));
        let torn = owner_of(&at("state/link/db")).unwrap_err().to_string();
        assert!(torn.contains("65532") && torn.contains("65534"), "{torn}");
        symlink("loop", at("loop")).unwrap();
        assert!(owner_of(&at("loop")).is_err());
    }
}
