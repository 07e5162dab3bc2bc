//! A user of `[USERS]` as the configuration has it: a name, a role, and the hash of a password.

use std::fmt;

use super::password::Credentials;
use crate::secret::Secret;

/// Characters of a name at most.
const NAME_CHARACTERS: usize = 60;

/// What a user may do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees the pages.
    Viewer,
    /// Changes things, and sees who did.
    Operator,
}

impl Role {
    /// As it stands in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }

    fn from_name(name: &str) -> Option<Role> {
        [Role::Viewer, Role::Operator]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Why a user of `[USERS]` cannot be taken. What was given is in no text: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The name is empty, long, or has characters that are not seen.
    #[error("a name has 1 to {NAME_CHARACTERS} characters, all of which are seen")]
    Name,
    /// It is not a role and a hash.
    #[error(
        "expected a role, viewer or operator, and behind it the hash that `retracker hash-password` prints"
    )]
    Malformed,
}

/// One user of `[USERS]`, whose hash is known to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) hash: Secret,
}

impl User {
    /// Takes a name, and a role with a hash behind it: `viewer $argon2id$…`.
    ///
    /// # Errors
    /// [`UserError`].
    pub fn parse(name: &str, text: &str) -> Result<User, UserError> {
        let is_name = (1..=NAME_CHARACTERS).contains(&name.chars().count());
        if !is_name || name.trim() != name || name.contains(crate::shown::steers) {
            return Err(UserError::Name);
        }
        let (role, hash) = text.split_once([' ', '\t']).ok_or(UserError::Malformed)?;
        let role = Role::from_name(role).ok_or(UserError::Malformed)?;
        let hash = hash.trim();
        // Only hashes: whoever reads the file shall not be able to log in as somebody else.
        if !hash.starts_with('$') || Credentials::new(name, hash).is_err() {
            return Err(UserError::Malformed);
        }
        Ok(User {
            name: name.to_owned(),
            role,
            hash: Secret::new(hash),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its role.
    pub fn role(&self) -> Role {
        self.role
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::auth::password::quick_hash;

    /// W13
    #[test]
    fn what_is_no_user_is_refused_without_being_repeated() {
        let hash = quick_hash("x");
        for (name, text, error) in [
            ("", format!("viewer {hash}"), UserError::Name),
            ("a\u{202e}b", format!("viewer {hash}"), UserError::Name),
            ("anna", hash.clone(), UserError::Malformed),
            ("anna", format!("root {hash}"), UserError::Malformed),
            ("anna", "viewer".into(), UserError::Malformed),
            ("anna", "viewer plain-password".into(), UserError::Malformed),
            ("anna", "viewer $1$a$b".into(), UserError::Malformed),
        ] {
            assert_eq!(User::parse(name, &text), Err(error), "{name} {text}");
            assert!(!error.to_string().contains("plain"));
        }
        let user = User::parse("anna", &format!("viewer {hash}")).unwrap();
        assert!(!format!("{user:?}").contains("argon2"));
    }
}
