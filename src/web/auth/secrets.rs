//! What is made at the first start and kept beside the database, readable by the owner only: the key that signs session
//! cookies, and a password when none is configured.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::password;
use crate::regular_file::whole::{self, Manner, Owner};
use crate::regular_file::{self, folder_of};
use crate::secret::Secret;
use crate::web::settings::Settings;

/// The file of the made key.
const KEY_FILE: &str = "retracker.key";
/// The file of the made password's hash.
const PASSWORD_FILE: &str = "retracker.password";
/// A key that signs has at least this many bytes.
const KEY_BYTES: usize = 64;
/// A file of ours is never longer.
const MAX_BYTES: u64 = 4_096;

/// Keys that stand in samples; whoever copied one has none.
const KNOWN_KEYS: [&str; 2] = ["your-very-secret-key", "change-me"];

/// Whether a configured key may sign.
fn is_good(key: &str) -> bool {
    key.len() >= KEY_BYTES && !KNOWN_KEYS.iter().any(|known| key.contains(known))
}

/// What the operator is told of the configured key, when it is passed over.
pub(crate) fn warning_of_key(settings: &Settings) -> Option<String> {
    let key = settings.secret_key.as_ref()?;
    (!is_good(key.reveal())).then(|| {
        format!(
            "secret_key is shorter than {KEY_BYTES} bytes or out of a sample; a made one is used"
        )
    })
}

/// The files that will be read, and made when they are missing, because the configuration does without them.
pub(crate) fn files(settings: &Settings) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let key = settings.secret_key.as_ref().map(Secret::reveal);
    if !key.is_some_and(is_good) {
        files.push(settings.state_folder.join(KEY_FILE));
    }
    if configured_password(settings).is_none() {
        files.push(settings.state_folder.join(PASSWORD_FILE));
    }
    files
}

/// The configured password; nothing when one is to be made.
pub(crate) fn configured_password(settings: &Settings) -> Option<&str> {
    let password = settings.password.as_ref().map(Secret::reveal);
    password.filter(|password| !password.is_empty())
}

/// The key for session cookies: the configured one if it is good, else the kept one, else a new one.
pub(crate) fn session_key(settings: &Settings) -> io::Result<Vec<u8>> {
    let configured = settings.secret_key.as_ref().map(Secret::reveal);
    if let Some(key) = configured.filter(|key| is_good(key)) {
        return Ok(key.as_bytes().to_vec());
    }
    let made = || random_hex::<KEY_BYTES>();
    let key = kept_or_made(&settings.state_folder.join(KEY_FILE), made)?.0;
    if key.len() < KEY_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{KEY_FILE} is too short; remove it to have a new one made"),
        ));
    }
    Ok(key.into_bytes())
}

/// The password to compare with: the configured one, else the kept hash, else a new one, which is shown on `console` once.
pub(crate) fn login_password(settings: &Settings, console: &mut dyn Write) -> io::Result<String> {
    if let Some(password) = configured_password(settings) {
        return Ok(password.to_owned());
    }
    let mut clear = String::new();
    let made = || {
        clear = random_password()?;
        password::hash(&clear).map_err(io::Error::other)
    };
    let path = settings.state_folder.join(PASSWORD_FILE);
    let (hash, is_new) = kept_or_made(&path, made)?;
    if is_new {
        writeln!(
            console,
            "No password for the pages is configured. One was made, and is shown this once:\n\n    \
             user name  {}\n    password   {clear}\n\nIts hash is kept in {}.",
            settings.username,
            path.display()
        )?;
    }
    Ok(hash)
}

/// The text of a small file; if there is none, it is made and written for the owner only. Whether it is new. A file without
/// text is none: nobody shall log in by the empty password that a full disk or a lost power left.
fn kept_or_made(
    path: &Path,
    make: impl FnOnce() -> io::Result<String>,
) -> io::Result<(String, bool)> {
    // What fails is the file's, so the error names it.
    let named = |error: io::Error| {
        let text = format!("{}: {error}", path.display());
        io::Error::new(error.kind(), text)
    };
    let kept = match regular_file::read(path, MAX_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map_err(io::Error::other)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(named(error)),
    };
    let kept = kept.trim();
    if !kept.is_empty() {
        return Ok((kept.to_owned(), false));
    }
    let text = make()?;
    write_whole(path, &text).map_err(named)?;
    Ok((text, true))
}

/// Writes a line for the owner only; whenever the process ends, all of it is there or nothing.
pub(super) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    std::fs::create_dir_all(folder_of(path))?;
    whole::write(
        path,
        format!("{text}\n").as_bytes(),
        Manner::Secret(Owner::OfFolder),
    )
}

/// `N` random bytes as hex digits.
pub(crate) fn random_hex<const N: usize>() -> io::Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut text = String::with_capacity(N * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(text)
}

/// 100 random bits in letters and digits that are not mistaken for one another, in four groups.
fn random_password() -> io::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0_u8; 20];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut text = String::new();
    for (at, byte) in bytes.into_iter().enumerate() {
        if at > 0 && at % 5 == 0 {
            text.push('-');
        }
        let letter = LETTERS.get(usize::from(byte & 31)).copied();
        text.push(char::from(letter.unwrap_or(b'a')));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn settings(folder: &Path) -> Settings {
        Settings {
            state_folder: folder.to_owned(),
            ..Settings::default()
        }
    }

    /// W3
    #[test]
    fn a_password_is_made_once_shown_once_and_kept_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let mut console = Vec::new();
        let hash = login_password(&settings, &mut console).unwrap();
        let shown = String::from_utf8(console).unwrap();
        let clear = shown
            .lines()
            .find_map(|line| line.trim().strip_prefix("password "));
        let credentials = password::Credentials::new("admin", &hash).unwrap();
        assert!(credentials.admit("admin", clear.unwrap().trim()));

        let mut console = Vec::new();
        assert_eq!(login_password(&settings, &mut console).unwrap(), hash);
        assert!(console.is_empty());
        let mode = std::fs::metadata(folder.path().join(PASSWORD_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// W3: a full disk or a lost power leaves such files.
    #[test]
    fn an_empty_file_of_a_password_is_none() {
        for left in ["", "\n", " \t\n"] {
            let folder = tempfile::tempdir().unwrap();
            let settings = settings(folder.path());
            let path = folder.path().join(PASSWORD_FILE);
            std::fs::write(&path, left).unwrap();
            let mut console = Vec::new();
            let hash = login_password(&settings, &mut console).unwrap();
            let credentials = password::Credentials::new("admin", &hash).unwrap();
            assert!(!credentials.admit("admin", ""), "{left:?}");
            assert!(!console.is_empty());
            assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), hash);
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);

            std::fs::write(folder.path().join(KEY_FILE), left).unwrap();
            assert!(session_key(&settings).unwrap().len() >= KEY_BYTES);
        }
    }

    /// W3
    #[test]
    fn a_weak_key_is_passed_over_and_a_made_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        let made = session_key(&settings).unwrap();
        settings.secret_key = Some(Secret::new("your-very-secret-key"));
        assert_eq!(session_key(&settings).unwrap(), made);
        settings.secret_key = Some(Secret::new("k".repeat(64)));
        assert_eq!(session_key(&settings).unwrap(), "k".repeat(64).into_bytes());
    }

    #[test]
    fn a_configured_password_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        settings.password = Some(Secret::new("p#ss;word"));
        assert_eq!(
            login_password(&settings, &mut Vec::new()).unwrap(),
            "p#ss;word"
        );
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
