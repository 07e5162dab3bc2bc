//! Root's tools leave to the service what is the service's: before anything of its state is touched, the process becomes the user who
//! owns the state directory, for good.
//!
//! Making files as root and giving them away afterwards would not do: who owns a directory can put a link in the place of anything in
//! it at any moment, and root would follow. Once the process is that user, links lead it nowhere that the user could not go itself.

use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use nix::unistd::{Gid, Uid, User, getgrouplist, setgroups, setresgid, setresuid};

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
    let mut owner = walk(file)?.owner;
    if let Some(place) = place {
        let found = place
            .file
            .clone()
            .filter(|_| place.reason == Reason::Standard);
        let env_file = place.has_env_file.then(|| place.folder.join(".env"));
        for found in found.into_iter().chain(env_file) {
            if owner.is_none() {
                owner = walk(&found)?.owner;
            }
        }
    }
    owner.map_or(Ok(Acting(None)), become_it)
}

/// The same for a file that is made or replaced: whoever owns the folder counts, for that is where it happens, and in a folder of
/// root's a file of another user is replaced by one of that user's. Returns the file at the end of all links too; whoever owns one
/// may turn it round at any moment, so none is to be followed again.
///
/// # Errors
/// As [`become_owner`].
pub fn become_owner_of_folder(file: &Path) -> anyhow::Result<(Acting, PathBuf)> {
    let Walk { owner, reached } = walk(file)?;
    let owner = owner.filter(|owner| owner.path != reached && Uid::effective().is_root());
    let acting = owner.map_or(Ok(Acting(None)), become_it)?;
    Ok((acting, reached))
}

fn become_it(owner: Owner) -> anyhow::Result<Acting> {
    let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
    // Groups first: without root's rights they could not be given up.
    setgroups(&groups_of(user, group))
        .and_then(|()| setresgid(group, group, group))
        .and_then(|()| setresuid(user, user, user))
        .with_context(|| format!("{owner}: the system does not let this process become it"))?;
    Ok(Acting(Some(owner)))
}

/// The groups that a user is in, as the service manager gives them to its process; what that may read decides.
fn groups_of(user: Uid, group: Gid) -> Vec<Gid> {
    let known = User::from_uid(user).ok().flatten();
    let name = known.and_then(|user| CString::new(user.name).ok());
    let groups = name.and_then(|name| getgrouplist(&name, group).ok());
    // Without an entry it is in none but its own.
    groups.unwrap_or_else(|| vec![group])
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

/// A way through the file system.
struct Walk {
    /// The user other than root who owns something on it, the last thing there included; what is missing has no owner.
    owner: Option<Owner>,
    /// Where it ends, by way of no link.
    reached: PathBuf,
}

/// Goes the way to `path`.
fn walk(path: &Path) -> anyhow::Result<Walk> {
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
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                rest.push(part);
                break;
            }
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
    // What is missing can be no link.
    reached.extend(rest.into_iter().rev());
    Ok(Walk { owner, reached })
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
        let user = |name: &str| walk(&at(name)).unwrap().owner.map(|owner| owner.user);
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
        let owner = walk(&at("state/db")).unwrap().owner.unwrap();
        assert_eq!((owner.group, owner.path), (65_533, at("state")));
        let reached = |name: &str| walk(&at(name)).unwrap().reached;
        assert_eq!(reached("to-state/db"), at("state/db"));
        assert_eq!(reached("state/link/deep/db"), at("root/deep/db"));
        // Who owns the file in a directory of root's is whom it is for.
        fs::write(at("root/db"), "").unwrap();
        chown(at("root/db"), Some(65_532), None).unwrap();
        assert_eq!(user("root/db"), Some(65_532));
        let torn = walk(&at("state/link/db")).err().unwrap().to_string();
        assert!(torn.contains("65532") && torn.contains("65534"), "{torn}");
        symlink("loop", at("loop")).unwrap();
        assert!(walk(&at("loop")).is_err());
    }
}
