//! Who may log in, and with which role: the one user of `[STATS]`, who is an operator, and those of `[USERS]`.

use sha2::{Digest, Sha256};

use super::caller::Caller;
use super::password::{Credentials, PasswordError, cost};
use super::secrets::configured_password;
use super::user::{Role, User};
use crate::web::settings::Settings;

/// Users at most, besides the one of `[STATS]`.
pub const MAX_USERS: usize = 100;

/// A user as it was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub name: String,
    pub role: Role,
    /// Changes with role and password: a session that has another one is over.
    pub stamp: String,
    /// Whether the password stands in samples, so that it may be used from loopback only.
    pub has_known_password: bool,
}

impl Account {
    /// As whom a request is let in.
    pub(crate) fn into_caller(self) -> Caller {
        Caller::User {
            name: self.name,
            role: self.role,
        }
    }
}

#[derive(Debug)]
struct Known {
    credentials: Credentials,
    account: Account,
}

impl Known {
    fn new(name: &str, role: Role, credentials: Credentials) -> Known {
        let account = Account {
            name: name.to_owned(),
            role,
            stamp: stamp(role, &credentials),
            has_known_password: credentials.is_known(),
        };
        Known {
            credentials,
            account,
        }
    }
}

/// What the operator is told of the users: whose hash gives away by its time that there is such a user.
pub(crate) fn warnings(settings: &Settings) -> Vec<String> {
    // A made password is hashed as a plain one is.
    let Some(first) = cost(configured_password(settings).unwrap_or_default()) else {
        return Vec::new();
    };
    let others = settings.users.iter();
    others
        .filter(|other| cost(other.hash.reveal()).as_ref() != Some(&first))
        .map(|other| {
            format!(
                "the hash of the user {} takes another time than that of {}: how long a login takes tells that there is such a user",
                other.name, settings.username
            )
        })
        .collect()
}

/// Everybody who may log in.
#[derive(Debug)]
pub(crate) struct Users {
    first: Known,
    others: Vec<Known>,
    /// How often they have been changed.
    changes: u64,
}

impl Users {
    /// The user of `[STATS]`, an operator, and the others.
    pub(crate) fn new(
        name: &str,
        credentials: Credentials,
        others: &[User],
    ) -> Result<Users, PasswordError> {
        let others = others.iter().take(MAX_USERS).map(|user| {
            let credentials = Credentials::new(&user.name, user.hash.reveal())?;
            Ok(Known::new(&user.name, user.role, credentials))
        });
        let others: Vec<Known> = others.collect::<Result<_, _>>()?;
        let first = Known::new(name, Role::Operator, credentials);
        Ok(Users {
            first,
            others,
            changes: 0,
        })
    }

    /// The same first user with other others. Who was here with the same role and password keeps the stamp; who comes gets a new one,
    /// also who was here once: sessions of that time are over.
    pub(crate) fn with(&self, others: &[User]) -> Result<Users, PasswordError> {
        let first = &self.first;
        let mut users = Users::new(&first.account.name, first.credentials.clone(), others)?;
        users.changes = self.changes + 1;
        for other in &mut users.others {
            let Account { name, stamp, .. } = &other.account;
            let mut before = self.others.iter().map(|known| &known.account);
            let before = before
                .find(|known| known.name == *name && known.stamp.split('.').next() == Some(stamp));
            other.account.stamp = match before {
                Some(known) => known.stamp.clone(),
                None => format!("{stamp}.{}", users.changes),
            };
        }
        Ok(users)
    }

    fn all(&self) -> impl Iterator<Item = &Known> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Who logs in with this name and password, if anybody may. One hash is computed, also for a name that is nobody's, so that the
    /// time does not tell which names there are; call it on a thread that may be busy for some 50 ms.
    pub(crate) fn admit(&self, name: &str, password: &str) -> Option<Account> {
        let mut judged = &self.first;
        for other in &self.others {
            if other.credentials.is_of(name) {
                judged = other;
            }
        }
        let is_right = judged.credentials.admit(name, password);
        is_right.then(|| judged.account.clone())
    }

    /// The user of that name, if role and password are those of the stamp.
    pub(crate) fn still(&self, name: &str, stamp: &str) -> Option<&Account> {
        let mut accounts = self.all().map(|known| &known.account);
        accounts.find(|account| account.name == name && account.stamp == stamp)
    }

    /// Whether there is a user of that name.
    pub(crate) fn is_user(&self, name: &str) -> bool {
        self.all().any(|known| known.account.name == name)
    }
}

fn stamp(role: Role, credentials: &Credentials) -> String {
    let mut hasher = Sha256::new();
    hasher.update(role.name());
    hasher.update(credentials.hash());
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::auth::password::quick_hash;

    fn users(others: &[User]) -> Users {
        let credentials = Credentials::new("admin", &quick_hash("gutes-wort")).unwrap();
        Users::new("admin", credentials, others).unwrap()
    }

    fn user(name: &str, role: Role, password: &str) -> User {
        User::parse(name, &format!("{role} {}", quick_hash(password))).unwrap()
    }

    /// W13
    #[test]
    fn each_user_has_a_password_and_a_role_of_its_own() {
        let users = users(&[
            user("anna", Role::Viewer, "anna-wort"),
            user("boris", Role::Operator, "boris-wort"),
        ]);
        for (name, password, role) in [
            ("admin", "gutes-wort", Some(Role::Operator)),
            ("anna", "anna-wort", Some(Role::Viewer)),
            ("boris", "boris-wort", Some(Role::Operator)),
            ("anna", "gutes-wort", None),
            ("admin", "anna-wort", None),
            ("Anna", "anna-wort", None),
            ("nobody", "gutes-wort", None),
            ("", "", None),
        ] {
            let admitted = users.admit(name, password).map(|account| account.role);
            assert_eq!(admitted, role, "{name} {password}");
        }
    }

    /// W13
    #[test]
    fn who_was_removed_and_comes_back_has_to_log_in_anew() {
        let (anna, boris) = (
            user("anna", Role::Viewer, "anna-wort"),
            user("boris", Role::Operator, "boris-wort"),
        );
        let first = users(&[anna.clone(), boris.clone()]);
        let stamps = ["anna", "boris"].map(|name| {
            let account = first.admit(name, &format!("{name}-wort"));
            account.unwrap().stamp
        });
        let without = first.with(std::slice::from_ref(&anna)).unwrap();
        let back = without.with(&[boris, anna]).unwrap();
        assert!(back.still("anna", &stamps[0]).is_some());
        assert!(back.still("boris", &stamps[1]).is_none());
        let again = back.admit("boris", "boris-wort").unwrap();
        assert!(back.still("boris", &again.stamp).is_some());
    }

    /// W13
    #[test]
    fn who_is_removed_demoted_or_has_another_password_is_not_the_same_any_more() {
        let before = users(&[user("anna", Role::Operator, "anna-wort")]);
        let anna = before.admit("anna", "anna-wort").unwrap();
        let admin = before.admit("admin", "gutes-wort").unwrap();
        assert!(before.still("anna", &anna.stamp).is_some());
        for others in [
            vec![],
            vec![user("anna", Role::Viewer, "anna-wort")],
            vec![user("anna", Role::Operator, "anderes-wort")],
            vec![user("boris", Role::Operator, "anna-wort")],
        ] {
            let after = before.with(&others).unwrap();
            assert!(after.still("anna", &anna.stamp).is_none(), "{others:?}");
            assert!(after.still("admin", &admin.stamp).is_some());
        }
        assert!(before.still("anna", &admin.stamp).is_none());
    }
}
