//! What a site's certificate says of itself: its names, and from when until when it is valid.
//!
//! Read once, when a certificate is loaded. What cannot be read is left empty, as rustls and browsers
//! judge certificates, not the gateway.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use crate::unix_time;

const DAY: Duration = Duration::from_hours(24);

/// People who renew by hand, or by a script of their own, have so long to notice.
const NEAR: Duration = Duration::from_hours(14 * 24);

/// What a certificate says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    /// Its DNS names in lower case, then its addresses, in their order (RFC 6125: the common name
    /// is none).
    pub(super) names: Vec<String>,
    /// `None`: it cannot be read.
    pub(super) lifetime: Option<Lifetime>,
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
}

impl Leaf {
    /// That of this certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
            return Self::default();
        };
        Self {
            names: names(&parsed),
            lifetime: Lifetime::of(&parsed),
        }
    }
}

impl Lifetime {
    /// One that has begun.
    pub(super) fn until(ends: SystemTime) -> Self {
        let begins = SystemTime::UNIX_EPOCH;
        Self { begins, ends }
    }

    fn of(certificate: &X509Certificate<'_>) -> Option<Self> {
        let moment = |time: &ASN1Time| {
            let seconds = u64::try_from(time.timestamp()).ok()?;
            unix_time::moment(Duration::from_secs(seconds))
        };
        let validity = certificate.validity();
        Some(Self {
            begins: moment(&validity.not_before)?,
            ends: moment(&validity.not_after)?,
        })
    }

    /// Whether it is over.
    pub(super) fn is_over(self, now: SystemTime) -> bool {
        self.ends <= now
    }

    /// Whether so little of it is left that somebody should know: two weeks, or a fifth of a short life,
    /// since programs renew those late.
    pub(super) fn is_nearly_over(self, now: SystemTime) -> bool {
        let life = self.ends.duration_since(self.begins).unwrap_or_default();
        self.ends <= now + NEAR.min(life / 5)
    }

    /// How many whole days are left.
    pub(super) fn days_left(self, now: SystemTime) -> u64 {
        let left = self.ends.duration_since(now).unwrap_or_default();
        left.as_secs() / DAY.as_secs()
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let all = &names.value.general_names;
    let domains = all.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let addresses = all.iter().filter_map(|name| match name {
        GeneralName::IPAddress(bytes) => written_address(bytes),
        _ => None,
    });
    domains.chain(addresses).collect()
}

fn written_address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    Some(v4.or(v6).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_near_two_weeks_before_or_in_the_last_fifth_of_a_short_life() {
        let now = SystemTime::now();
        let lived = |life: u32, left: u32| Lifetime {
            begins: now + DAY * left - DAY * life,
            ends: now + DAY * left,
        };
        for (life, left, near) in [
            (365, 15, false),
            (365, 14, true),
            (90, 15, false),
            (90, 14, true),
            (10, 3, false),
            (10, 2, true),
        ] {
            let lifetime = lived(life, left);
            assert_eq!(lifetime.is_nearly_over(now), near, "{left} of {life}");
            assert_eq!(lifetime.days_left(now), u64::from(left));
            assert!(!lifetime.is_over(now));
        }
        let over = lived(90, 0);
        assert!(over.is_over(now) && over.is_nearly_over(now));
        assert_eq!(over.days_left(now + DAY), 0);
    }
}
