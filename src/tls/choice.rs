//! Which certificate a client is shown: the first that is for the name it asks for (SNI, RFC 6066, 3) and of a kind that it can check.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// All certificates, by name.
struct Table {
    certificates: Arc<Vec<Certificate>>,
    /// Which of them are for a name, in order. A name may be that of several, one of each kind of key.
    by_name: HashMap<String, Vec<usize>>,
}

impl Table {
    fn new(certificates: Vec<Certificate>) -> Table {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, certificate) in certificates.iter().enumerate() {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
        }
        Table {
            certificates: Arc::new(certificates),
            by_name,
        }
    }

    /// The one to show; of those for nobody in particular when none is for the name.
    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let can_check =
            |certificate: &&Certificate| certificate.signed.key.choose_scheme(schemes).is_some();
        let name = name.map(str::to_ascii_lowercase);
        let wildcard = name.as_deref().and_then(|name| {
            let (_, above) = name.split_once('.')?;
            Some(format!("*.{above}"))
        });
        let of_name = |name: Option<String>| {
            let indices = name.and_then(|name| self.by_name.get(&name))?;
            let mut named = indices
                .iter()
                .filter_map(|index| self.certificates.get(*index));
            named.find(can_check)
        };
        let found = of_name(name).or_else(|| of_name(wildcard));
        // Who asks for no name of ours has come by an address, or by a name that the operator knows better than the certificate.
        let found = found.or_else(|| self.certificates.iter().find(can_check));
        // Who can check none is told so by the handshake, which sees it when it has one.
        let found = found.or_else(|| self.certificates.first());
        found.map(|certificate| Arc::clone(&certificate.signed))
    }
}

/// The certificates in force.
pub(super) struct CertificateChoice(ArcSwap<Table>);

impl CertificateChoice {
    pub(super) fn new(certificates: Vec<Certificate>) -> CertificateChoice {
        CertificateChoice(ArcSwap::from_pointee(Table::new(certificates)))
    }

    pub(super) fn replace(&self, certificates: Vec<Certificate>) {
        self.0.store(Arc::new(Table::new(certificates)));
    }

    pub(super) fn certificates(&self) -> Arc<Vec<Certificate>> {
        Arc::clone(&self.0.load().certificates)
    }
}

impl fmt::Debug for CertificateChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("CertificateChoice").finish()
    }
}

impl ResolvesServerCert for CertificateChoice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0
            .load()
            .find(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::{ONE, ONE_KEY, RSA, RSA_KEY, TWO, TWO_KEY, read};
    use super::*;

    /// P23
    #[test]
    fn the_name_and_what_the_client_can_check_choose() {
        let [one, two, rsa] = [(ONE, ONE_KEY), (TWO, TWO_KEY), (RSA, RSA_KEY)]
            .map(|(certificate, key)| read(certificate, key).unwrap());
        let table = Table::new(vec![one.clone(), two.clone(), rsa.clone()]);
        let (ecdsa, pss) = (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
        );
        let found = |name, schemes: &[SignatureScheme]| {
            let found = table.find(name, schemes)?;
            let index = [&one, &two, &rsa]
                .iter()
                .position(|certificate| Arc::ptr_eq(&certificate.signed, &found));
            Some(index.unwrap())
        };
        for (name, schemes, expected) in [
            (Some("one.test"), &[ecdsa, pss][..], Some(0)),
            (Some("ONE.test"), &[ecdsa], Some(0)),
            (Some("one.test"), &[pss], Some(2)),
            (Some("two.test"), &[ecdsa], Some(1)),
            (Some("any.wild.test"), &[ecdsa], Some(1)),
            (Some("a.b.wild.test"), &[ecdsa], Some(0)),
            (Some("wild.test"), &[ecdsa], Some(0)),
            (Some("two.test"), &[pss], Some(2)),
            (Some("unheard.test"), &[ecdsa], Some(0)),
            (None, &[ecdsa], Some(0)),
            (None, &[pss], Some(2)),
            (None, &[SignatureScheme::ED25519], Some(0)),
        ] {
            assert_eq!(found(name, schemes), expected, "{name:?} {schemes:?}");
        }
    }
}
