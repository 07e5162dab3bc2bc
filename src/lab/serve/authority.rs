//! A certificate authority that lasts as long as the laboratory: its key signs one certificate and is forgotten.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::clock::Wall;
use crate::tls::{Certificate, Files};

/// Certificates are valid from a day before, for clients whose clock is behind, for a month.
const BEFORE: Duration = Duration::days(1);
const AFTER: Duration = Duration::days(30);

/// What TLS needs, and what clients need to believe it.
#[derive(Debug)]
pub(super) struct Authority {
    /// The certificate of the authority, in PEM.
    pub ca_pem: String,
    /// The tracker's own, with its key.
    pub certificate: Certificate,
}

impl Authority {
    /// Makes both for the loopback addresses, `localhost` and the addresses that it listens on. The keys are of ECDSA on P-256, which
    /// every client's TLS knows.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn make(wall: Wall, addresses: &[SocketAddr]) -> io::Result<Authority> {
        let made = make(wall, addresses).map_err(|error| error.to_string());
        let (ca_pem, leaf, key) = made.map_err(io::Error::other)?;
        let files = Files {
            certificate: "laboratory".into(),
            key: "laboratory".into(),
        };
        let certificate = Certificate::read(files, leaf.as_bytes(), key.as_bytes());
        Ok(Authority {
            ca_pem,
            certificate: certificate.map_err(io::Error::other)?,
        })
    }
}

/// The authority's certificate, the tracker's, and the key of the latter.
fn make(wall: Wall, addresses: &[SocketAddr]) -> Result<(String, String, String), rcgen::Error> {
    let mut authority = params(wall, "retracker-lab, a throw-away authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut leaf = params(wall, "retracker-lab");
    leaf.subject_alt_names = vec![SanType::DnsName("localhost".try_into()?)];
    let mut ips = vec![
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ];
    ips.extend(addresses.iter().map(SocketAddr::ip));
    ips.retain(|ip| !ip.is_unspecified());
    ips.sort_unstable();
    ips.dedup();
    let ips = ips.into_iter().map(SanType::IpAddress);
    leaf.subject_alt_names.extend(ips);
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &authority)?;
    Ok((authority.pem(), leaf.pem(), key.serialize_pem()))
}

fn params(wall: Wall, name: &str) -> CertificateParams {
    let seconds = i64::try_from(wall.0).unwrap_or(0);
    let now = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut params = CertificateParams::default();
    params.not_before = now.saturating_sub(BEFORE);
    params.not_after = now.saturating_add(AFTER);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
