//! When a certificate is to be renewed.
//!
//! Asked by `keeper` every tenth of a certificate's life, at which the authority may have changed its mind
//! (ARI, RFC 9773). The moment in the authority's window is another one each time; it is only meant to
//! spread all of its clients.

use std::time::{Duration, SystemTime};

use instant_acme::{Account, CertificateIdentifier};

use crate::net::jitter::jitter;
use crate::tls::issued::IssuedCertificate;

/// How long is slept at most: clocks jump, and machines sleep.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Authorities for tests issue what lives for seconds.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Without the authority's own wish: when a third of the life is left.
pub(super) fn usual(issued: &IssuedCertificate) -> SystemTime {
    issued.begins() + life(issued) * 2 / 3
}

/// Whether the usual moment is still to come.
pub(super) fn is_fresh(issued: &IssuedCertificate) -> bool {
    SystemTime::now() < usual(issued)
}

/// How long until it is looked at again.
pub(super) fn pause(issued: &IssuedCertificate) -> Duration {
    (life(issued) / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// How the authority calls it (RFC 9773 section 4.1); `None` where it does not say who issued it.
pub(super) fn identifier(issued: &IssuedCertificate) -> Option<CertificateIdentifier<'_>> {
    CertificateIdentifier::try_from(issued.leaf()?).ok()
}

/// When the authority wishes it to be renewed; `None` where it has no wish.
pub(super) async fn suggested(
    account: &Account,
    issued: &IssuedCertificate,
) -> Result<Option<SystemTime>, instant_acme::Error> {
    let Some(id) = identifier(issued) else {
        return Ok(None);
    };
    let (info, _) = match account.renewal_info(&id).await {
        Ok(info) => info,
        Err(instant_acme::Error::Unsupported(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let window = info.suggested_window;
    let (start, end) = (SystemTime::from(window.start), SystemTime::from(window.end));
    Ok(Some(within(start, end)))
}

/// A moment at random between two.
fn within(start: SystemTime, end: SystemTime) -> SystemTime {
    let width = end.duration_since(start).unwrap_or_default();
    start + width.mul_f64(f64::midpoint(jitter(), 1.0))
}

fn life(issued: &IssuedCertificate) -> Duration {
    let life = issued.ends().duration_since(issued.begins());
    life.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(days: i64) -> IssuedCertificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
        let day = Duration::from_hours(24);
        let begins = SystemTime::UNIX_EPOCH + day * 20_000;
        params.not_before = begins.into();
        params.not_after = (begins + day * u32::try_from(days).unwrap()).into();
        let cert = params.self_signed(&key).unwrap();
        IssuedCertificate::parse(&(key.serialize_pem() + &cert.pem())).unwrap()
    }

    #[test]
    fn two_thirds_of_a_life_pass_before_it_is_renewed() {
        let day = Duration::from_hours(24);
        let begins = SystemTime::UNIX_EPOCH + day * 20_000;
        assert_eq!(usual(&issued(90)), begins + day * 60);
        assert_eq!(pause(&issued(90)), LONGEST_PAUSE);
        assert_eq!(usual(&issued(6)), begins + day * 4);
    }

    #[test]
    fn the_authority_is_told_of_a_certificate_by_its_issuer_s_key_and_its_number() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_identifier_method =
            rcgen::KeyIdMethod::PreSpecified(b"an authority's key".to_vec());
        let issuer = rcgen::Issuer::new(params, key);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(vec![0x12, 0x34].into());
        let cert = params.signed_by(&key, &issuer).unwrap();
        let pem = key.serialize_pem() + &cert.pem();
        let known = IssuedCertificate::parse(&pem).unwrap();
        let id = identifier(&known).unwrap().to_string();
        assert_eq!(id, "YW4gYXV0aG9yaXR5J3Mga2V5.EjQ");
        assert!(identifier(&issued(90)).is_none(), "signed by itself");
    }

    #[test]
    fn the_moment_is_anywhere_in_the_window() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let end = start + Duration::from_hours(10);
        let all: Vec<_> = (0..100).map(|_| within(start, end)).collect();
        assert!(all.iter().all(|at| (start..=end).contains(at)));
        assert!(all.iter().any(|at| *at != all[0]));
        assert_eq!(within(end, start), end);
    }
}
