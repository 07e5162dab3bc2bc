//! From when to when a certificate is valid (RFC 5280, 4.1): the few fields before that are passed over, in DER (X.690). What rustls reads of a
//! certificate does not tell it.

use time::{Date, Month, Time};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    /// The first of them.
    pub begins: u64,
    /// The last of them.
    pub ends: u64,
}

/// When the certificate is valid; nothing when it is no certificate.
pub(super) fn read(certificate: &[u8]) -> Option<Validity> {
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(whole, SEQUENCE)?;
    if let Some((_, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    // Serial number, algorithm of the signature, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        fields = element(fields, tag)?.1;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (begins, not_after) = moment(validity)?;
    Some(Validity {
        // One of before 1970 cannot be told, and is over.
        begins: begins.unwrap_or(0),
        ends: moment(not_after)?.0?,
    })
}

/// A moment at the start of the bytes, where it is one that can be told, and what follows it.
fn moment(bytes: &[u8]) -> Option<(Option<u64>, &[u8])> {
    if let Some((text, rest)) = element(bytes, UTC_TIME) {
        let (short, text) = text.split_at_checked(2)?;
        let year = number(short)?;
        // Two digits are of 1950 to 2049.
        let year = if year < 50 { 2_000 } else { 1_900 } + year;
        return Some((seconds(year, text), rest));
    }
    let (text, rest) = element(bytes, GENERALIZED_TIME)?;
    let (year, text) = text.split_at_checked(4)?;
    Some((seconds(number(year)?, text), rest))
}

/// The moment of a year that `MMDDHHMMSSZ` names.
fn seconds(year: u32, text: &[u8]) -> Option<u64> {
    let text = text.strip_suffix(b"Z").filter(|text| text.len() == 10)?;
    let mut pairs = text.chunks_exact(2).map(|pair| {
        let pair = number(pair)?;
        u8::try_from(pair).ok()
    });
    let mut next = || pairs.next().flatten();
    let month = Month::try_from(next()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, next()?).ok()?;
    let time = Time::from_hms(next()?, next()?, next()?).ok()?;
    u64::try_from(date.with_time(time).assume_utc().unix_timestamp()).ok()
}

fn number(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    text.parse().ok()
}

/// What is in an element of this tag at the start of the bytes, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[tag])?;
    let (first, mut rest) = rest.split_first()?;
    let length = if *first < 0x80 {
        usize::from(*first)
    } else {
        let (digits, behind) = rest.split_at_checked(usize::from(*first & 0x7f))?;
        rest = behind;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        let add = |length: usize, digit: &u8| length << 8 | usize::from(*digit);
        digits.iter().fold(0, add)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    fn der(pem: &[u8]) -> Vec<u8> {
        CertificateDer::from_pem_slice(pem).unwrap().to_vec()
    }

    const ONE: &[u8] = include_bytes!("../../tests/fixtures/tls/one.pem");
    const NEAR: &[u8] = include_bytes!("../../tests/fixtures/tls/near.pem");

    /// P23: both spellings of a moment are read.
    #[test]
    fn begin_and_end_of_a_certificate_are_found() {
        // As `openssl x509 -dates` says it.
        let at = |year, month, day, time: (u8, u8, u8)| {
            let date = Date::from_calendar_date(year, month, day).unwrap();
            let time = Time::from_hms(time.0, time.1, time.2).unwrap();
            u64::try_from(date.with_time(time).assume_utc().unix_timestamp()).unwrap()
        };
        let begins = at(2020, Month::January, 1, (0, 0, 0));
        for (certificate, ends) in [
            (ONE, at(2120, Month::January, 1, (0, 0, 0))),
            (NEAR, at(2030, Month::June, 15, (12, 30, 0))),
        ] {
            assert_eq!(read(&der(certificate)), Some(Validity { begins, ends }));
        }
    }

    #[test]
    fn a_certificate_that_is_cut_has_no_end() {
        let whole = der(ONE);
        // Everything from the end of the validity on is passed over.
        for length in 0..100 {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
    }

    proptest! {
        /// P23: whatever is in the file of a certificate, nothing panics.
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at in 0_usize..300, byte: u8) {
            read(&bytes);
            let mut damaged = der(ONE);
            damaged[at] = byte;
            read(&damaged);
        }
    }
}
