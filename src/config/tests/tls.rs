//! `[TLS]`: where it listens, and which files belong together.

use super::*;

const ONE: &[u8] = include_bytes!("../../../tests/fixtures/tls/one.pem");
const ONE_KEY: &[u8] = include_bytes!("../../../tests/fixtures/tls/one.key");
const TOGETHER: &[u8] = include_bytes!("../../../tests/fixtures/tls/together.pem");

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("one.pem") => Ok(ONE.to_vec()),
        Some("one.key") => Ok(ONE_KEY.to_vec()),
        Some("together.pem") => Ok(TOGETHER.to_vec()),
        Some("kept") => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn resolved(tls: &str) -> Result<Loaded, Problems> {
    sources(&format!("[TLS]\n{tls}\n")).resolve(&read)
}

/// P23
#[test]
fn certificates_go_with_their_keys_in_order() {
    let loaded = resolved(
        "listen = 0.0.0.0 [::]:8443\ncertificate = one.pem, together.pem\nkey = one.key together.pem",
    );
    let config = loaded.unwrap().config;
    let listen: Vec<String> = config
        .http
        .tls
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["0.0.0.0:443", "[::]:8443"]);
    let files = config
        .tls
        .certificates
        .iter()
        .map(|certificate| certificate.files.key.clone());
    assert_eq!(
        files.collect::<Vec<_>>(),
        [Path::new("one.key"), Path::new("together.pem")]
    );
    assert_eq!(config.tls.files().len(), 3);
    let together = resolved("listen = 127.0.0.1\ncertificate = together.pem").unwrap();
    assert_eq!(together.config.tls.certificates.len(), 1);
    assert!(resolved("").unwrap().config.http.tls.listen.is_empty());
}

/// P23
#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (tls, told) in [
        (
            "listen = ::",
            "c.ini:2: [TLS] listen: there is no certificate to show there",
        ),
        (
            "certificate = one.pem\nkey = kept",
            "c.ini:3: [TLS] key = `kept`: cannot be read: permission denied; the tracker's own user must be able to read it",
        ),
        (
            "certificate = none",
            "c.ini:2: [TLS] certificate = `none`: cannot be read: entity not found",
        ),
    ] {
        assert_eq!(resolved(tls).unwrap_err().to_string(), told);
    }
    let both = resolved("certificate = none kept\nkey = one.key one.key").unwrap_err();
    assert_eq!(both.0.len(), 2);
}

/// P23
#[test]
fn one_is_told_of_what_has_no_effect() {
    let warnings = |tls: &str| resolved(tls).unwrap().warnings.join("\n");
    assert!(warnings("certificate = together.pem").contains("[TLS] certificate has no effect"));
    assert_eq!(warnings("listen = 0.0.0.0\ncertificate = together.pem"), "");
}

/// P23
#[test]
fn one_port_speaks_http_with_tls_or_without() {
    let told = "c.ini:2: [TLS] listen: 0.0.0.0:8080 is where HTTP without TLS is listened for already; one port speaks one of them";
    let tls = "listen = 0.0.0.0:8080\ncertificate = together.pem";
    assert_eq!(resolved(tls).unwrap_err().to_string(), told);
    // Sockets that are handed over take the place of what is said here.
    let handed_over = Sources {
        has_sockets: true,
        ..sources(&format!("[TLS]\n{tls}\n"))
    };
    assert_eq!(handed_over.resolve(&read).unwrap().warnings, [told]);
    assert!(resolved("listen = 127.0.0.1:8080\ncertificate = together.pem").is_ok());
}
