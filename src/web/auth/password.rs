//! The password of the pages: hashing (argon2id, PHC strings) and checking a try in constant time.

use argon2::password_hash::{ParamsString, PasswordHashString, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Passwords out of samples and manuals: they open the pages from loopback only.
const KNOWN: [&str; 9] = [
    "admin",
    "password",
    "admin123",
    "123456",
    "12345678",
    "qwerty",
    "changeme",
    "secret",
    "retracker",
];

/// Why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It begins as a PHC string and is none.
    #[error("the password begins with $ but is not a PHC string of argon2")]
    Malformed,
    /// The system gave no randomness, or the hash cannot be computed.
    #[error("the password cannot be hashed")]
    Hashing,
}

/// Hashes a password with argon2id as a PHC string.
///
/// # Errors
/// When the system gives no randomness.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Hashing)?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Hashing)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|_| PasswordError::Hashing)?.to_string())
}

/// A name and a hash that a login is compared with.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    username: [u8; 32],
    hash: PasswordHashString,
    is_known: bool,
}

/// What an operator should know of a password as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    /// It is a hash.
    Hashed,
    /// It is plain text.
    Plain,
    /// It stands in samples.
    Known,
}

/// Looks at a password as it is configured, without hashing it.
///
/// # Errors
/// [`PasswordError::Malformed`].
pub(crate) fn judge(password: &str) -> Result<Quality, PasswordError> {
    if !password.starts_with('$') {
        let is_known = KNOWN.contains(&password);
        return Ok(if is_known {
            Quality::Known
        } else {
            Quality::Plain
        });
    }
    let hash = PasswordHashString::new(password).map_err(|_| PasswordError::Malformed)?;
    if hash.algorithm().as_str().starts_with("argon2") {
        Ok(Quality::Hashed)
    } else {
        Err(PasswordError::Malformed)
    }
}

/// Algorithm, version and parameters of a password as it is configured: what decides how long a check takes. Nothing when it is none.
pub(super) fn cost(password: &str) -> Option<String> {
    let told =
        |algorithm, version, params: &ParamsString| format!("{algorithm} {version:?} {params}");
    if judge(password).ok()? == Quality::Hashed {
        let hash = PasswordHashString::new(password).ok()?;
        let hash = hash.password_hash();
        return Some(told(hash.algorithm, hash.version, &hash.params));
    }
    // As `hash` will make it.
    let params = ParamsString::try_from(&Params::default()).ok()?;
    let version = Some(u32::from(Version::default()));
    Some(told(Algorithm::default().ident(), version, &params))
}

impl Credentials {
    /// Takes a PHC string as it is and hashes a plain text, so that both take equally long to look at.
    pub(crate) fn new(username: &str, password: &str) -> Result<Credentials, PasswordError> {
        let quality = judge(password)?;
        let text = match quality {
            Quality::Hashed => password.to_owned(),
            Quality::Plain | Quality::Known => hash(password)?,
        };
        let hash = PasswordHashString::new(&text).map_err(|_| PasswordError::Malformed)?;
        Ok(Credentials {
            username: digest(username),
            hash,
            is_known: quality == Quality::Known,
        })
    }

    /// Whether the password stands in samples, so that it may be used from loopback only.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Whether the name is this one; in a time that does not depend on where it differs.
    pub(super) fn is_of(&self, username: &str) -> bool {
        digest(username).ct_eq(&self.username).into()
    }

    /// The PHC string.
    pub(super) fn hash(&self) -> &str {
        self.hash.as_str()
    }

    /// Whether both are right. Takes as long for a wrong name as for a wrong password; computes a hash, so call it on a
    /// thread that may be busy for some 50 ms.
    pub(crate) fn admit(&self, username: &str, password: &str) -> bool {
        let is_name_right = digest(username).ct_eq(&self.username);
        let hash = self.hash.password_hash();
        let verified = Argon2::default().verify_password(password.as_bytes(), &hash);
        bool::from(is_name_right & subtle::Choice::from(u8::from(verified.is_ok())))
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A hash that is quick to compute.
#[cfg(test)]
pub(crate) fn quick_hash(password: &str) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::encode_b64(&[7; 16]).unwrap();
    let hash = argon.hash_password(password.as_bytes(), &salt).unwrap();
    hash.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W3
    #[test]
    fn only_the_right_name_with_the_right_password_is_admitted() {
        let credentials = Credentials::new("admin", &quick_hash("gutes-wort")).unwrap();
        assert!(credentials.admit("admin", "gutes-wort"));
        assert!(!credentials.admit("admin", "gutes-Wort"));
        assert!(!credentials.admit("Admin", "gutes-wort"));
        assert!(!credentials.admit("", ""));
        assert!(!credentials.is_known());
        assert_eq!(judge(&quick_hash("gutes-wort")), Ok(Quality::Hashed));
    }

    #[test]
    fn a_hash_reads_back_and_differs_from_time_to_time() {
        let (one, other) = (hash("x").unwrap(), hash("x").unwrap());
        assert_ne!(one, other);
        assert!(one.starts_with("$argon2id$v=19$"));
        assert!(Credentials::new("a", &one).unwrap().admit("a", "x"));
    }

    /// W13
    #[test]
    fn a_plain_password_costs_what_its_hash_will() {
        let own = cost(&hash("x").unwrap());
        assert!(own.is_some() && cost("x") == own);
        assert_ne!(cost(&quick_hash("x")), own);
        assert_eq!(cost("$nonsense"), None);
    }

    #[test]
    fn what_begins_as_a_hash_and_is_none_is_refused() {
        for text in ["$", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "$1$a$b"] {
            assert!(Credentials::new("admin", text).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_of_samples_are_known() {
        let credentials = Credentials::new("admin", "password").unwrap();
        assert!(credentials.is_known());
        assert!(credentials.admit("admin", "password"));
    }
}
