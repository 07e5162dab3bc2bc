//! One certificate with its private key, out of PEM files that somebody else read.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::EndEntityCert;

use super::validity;
use crate::clock::Wall;

/// Certificates in one chain at most; three are usual.
const MAX_CHAIN: usize = 10;

/// The files of one certificate, as the configuration names them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Files {
    /// The certificate, and behind it those that lead to an authority.
    pub certificate: PathBuf,
    /// Its private key; the same file where that has both.
    pub key: PathBuf,
}

/// Why a certificate is not taken. What is in the files is not told, for one of them is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The file has no certificate in it.
    #[error("there is no certificate in it, in PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// What stands there as a certificate is none.
    #[error("what stands there as a certificate is none that can be read")]
    BadCertificate,
    /// The chain is too long.
    #[error("it holds more than {MAX_CHAIN} certificates; one and its chain is what belongs there")]
    LongChain,
    /// The file has no private key in it.
    #[error(
        "there is no private key in it, in PEM and without a password (-----BEGIN PRIVATE KEY-----)"
    )]
    NoKey,
    /// The key is of a kind that is not used, or damaged.
    #[error(
        "the private key is damaged or of a kind that is not used: RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, Ed25519"
    )]
    BadKey,
    /// The key belongs to another certificate.
    #[error("the private key is not that of the certificate")]
    OtherKey,
}

impl Unusable {
    /// Whether it is the file of the key that is to be mended.
    pub const fn is_of_key(self) -> bool {
        match self {
            Unusable::NoCertificate | Unusable::BadCertificate | Unusable::LongChain => false,
            Unusable::NoKey | Unusable::BadKey | Unusable::OtherKey => true,
        }
    }
}

/// A certificate that can be used.
#[derive(Clone)]
pub struct Certificate {
    /// Where it is from.
    pub files: Files,
    /// The names that it is for, in lower case; a first part may be `*`.
    pub names: Vec<String>,
    /// Whether it says whose it is where clients look: a name or an address in subjectAltName (RFC 9525, 2).
    pub is_named: bool,
    /// When the last of its chain begins.
    pub begins: Wall,
    /// When the first of its chain ends.
    pub ends: Wall,
    /// It and its key, as rustls has them.
    pub(super) signed: Arc<CertifiedKey>,
}

impl PartialEq for Certificate {
    /// Whether they are one certificate out of the same files; its key is the same then.
    fn eq(&self, other: &Certificate) -> bool {
        self.files == other.files && self.signed.cert == other.signed.cert
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Certificate")
            .field("files", &self.files)
            .field("names", &self.names)
            .field("begins", &self.begins)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Makes one of what is in its files. Whether it is valid today is not asked: an old certificate is better than no service.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn read(files: Files, certificate: &[u8], key: &[u8]) -> Result<Certificate, Unusable> {
        let chain: Result<Vec<CertificateDer<'static>>, pem::Error> =
            CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|_| Unusable::BadCertificate)?;
        if chain.len() > MAX_CHAIN {
            return Err(Unusable::LongChain);
        }
        let first = chain.first().ok_or(Unusable::NoCertificate)?;
        let leaf = EndEntityCert::try_from(first).map_err(|_| Unusable::BadCertificate)?;
        let names = leaf
            .valid_dns_names()
            .map(str::to_ascii_lowercase)
            .collect();
        let is_named = is_named(&leaf);
        let (mut begins, mut ends) = (0, u64::MAX);
        for one in &chain {
            let one = validity::read(one).ok_or(Unusable::BadCertificate)?;
            (begins, ends) = (one.begins.max(begins), one.ends.min(ends));
        }
        // As OpenSSL says in a key of a kind of its own that it has a password; PKCS #8 has a heading for that.
        let is_locked = memchr::memmem::find(key, b"Proc-Type: 4,ENCRYPTED").is_some();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            _ if is_locked => Unusable::NoKey,
            pem::Error::NoItemsFound => Unusable::NoKey,
            _ => Unusable::BadKey,
        })?;
        let signed = CertifiedKey::from_der(chain, key, &ring::default_provider());
        let signed = signed.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unusable::OtherKey,
            _ => Unusable::BadKey,
        })?;
        Ok(Certificate {
            files,
            names,
            is_named,
            begins: Wall(begins),
            ends: Wall(ends),
            signed: Arc::new(signed),
        })
    }

    /// Whole days until it begins; negative once it has begun.
    pub fn days_to_begin(&self, now: Wall) -> i64 {
        // In the second that it names it is valid already.
        days_until(self.begins, Wall(now.0.saturating_add(1)))
    }

    /// Whole days until it ends; negative once it has ended.
    pub fn days_left(&self, now: Wall) -> i64 {
        days_until(self.ends, now)
    }
}

/// Whether a certificate has any name or address in subjectAltName. webpki tells them all only to whom none of them fits.
fn is_named(leaf: &EndEntityCert<'_>) -> bool {
    let Ok(nobody) = ServerName::try_from("nobody.invalid") else {
        return true;
    };
    match leaf.verify_is_valid_for_subject_name(&nobody) {
        Err(webpki::Error::CertNotValidForName(context)) => !context.presented.is_empty(),
        Ok(()) | Err(_) => true,
    }
}

/// Whole days from `now` on; negative for what is past.
fn days_until(then: Wall, now: Wall) -> i64 {
    const DAY: i64 = 86_400;
    let (then, now) = (i64::try_from(then.0), i64::try_from(now.0));
    // Saturates after the sun has gone out.
    let left = then
        .unwrap_or(i64::MAX)
        .saturating_sub(now.unwrap_or(i64::MAX));
    left.div_euclid(DAY)
}

#[cfg(test)]
pub(in crate::tls) mod tests {
    use super::*;

    pub(crate) const ONE: &[u8] = include_bytes!("../../tests/fixtures/tls/one.pem");
    pub(crate) const ONE_KEY: &[u8] = include_bytes!("../../tests/fixtures/tls/one.key");
    pub(crate) const TWO: &[u8] = include_bytes!("../../tests/fixtures/tls/two.pem");
    pub(crate) const TWO_KEY: &[u8] = include_bytes!("../../tests/fixtures/tls/two.key");
    pub(crate) const RSA: &[u8] = include_bytes!("../../tests/fixtures/tls/rsa.pem");
    pub(crate) const RSA_KEY: &[u8] = include_bytes!("../../tests/fixtures/tls/rsa.key");
    const TOGETHER: &[u8] = include_bytes!("../../tests/fixtures/tls/together.pem");

    pub(crate) fn read(certificate: &[u8], key: &[u8]) -> Result<Certificate, Unusable> {
        let files = Files {
            certificate: "c.pem".into(),
            key: "k.pem".into(),
        };
        Certificate::read(files, certificate, key)
    }

    /// P23
    #[test]
    fn a_certificate_is_read_with_its_names_and_its_key() {
        let one = read(ONE, ONE_KEY).unwrap();
        assert_eq!(one.names, ["one.test", "localhost"]);
        assert!(one.is_named);
        assert_eq!(
            read(TWO, TWO_KEY).unwrap().names,
            ["two.test", "*.wild.test"]
        );
        assert_eq!(read(TOGETHER, TOGETHER).unwrap().signed.cert.len(), 2);
        assert!(read(RSA, RSA_KEY).is_ok());
        assert!(!format!("{one:?}").contains("key: ["));
    }

    /// P23
    #[test]
    fn what_is_wrong_with_the_files_is_told() {
        let refused = |certificate: &[u8], key: &[u8]| read(certificate, key).unwrap_err();
        assert_eq!(refused(b"", ONE_KEY), Unusable::NoCertificate);
        assert_eq!(refused(ONE_KEY, ONE_KEY), Unusable::NoCertificate);
        assert_eq!(refused(&ONE[..300], ONE_KEY), Unusable::BadCertificate);
        let no_certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(refused(no_certificate, ONE_KEY), Unusable::BadCertificate);
        assert_eq!(refused(&ONE.repeat(11), ONE_KEY), Unusable::LongChain);
        assert_eq!(refused(ONE, ONE), Unusable::NoKey);
        assert_eq!(refused(ONE, &ONE_KEY[..100]), Unusable::BadKey);
        let no_key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(refused(ONE, no_key), Unusable::BadKey);
        for heading in ["RSA PRIVATE KEY", "EC PRIVATE KEY"] {
            let locked = format!(
                "-----BEGIN {heading}-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n\
                 AAAA\n-----END {heading}-----\n"
            );
            assert_eq!(refused(ONE, locked.as_bytes()), Unusable::NoKey);
        }
        assert_eq!(refused(ONE, TWO_KEY), Unusable::OtherKey);
        assert_eq!(refused(ONE, RSA_KEY), Unusable::OtherKey);
    }

    /// P23
    #[test]
    fn days_are_counted_to_the_begin_and_to_the_end_and_beyond() {
        let one = read(ONE, ONE_KEY).unwrap();
        let before = |seconds| one.days_left(Wall(one.ends.0 - seconds));
        assert_eq!((before(86_400), before(86_399), before(0)), (1, 0, 0));
        assert_eq!(one.days_left(Wall(one.ends.0 + 1)), -1);
        let early = |seconds| one.days_to_begin(Wall(one.begins.0 - seconds));
        assert_eq!((early(86_401), early(86_400), early(0)), (1, 0, -1));
    }
}
