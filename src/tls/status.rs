//! What those who watch a gateway learn about its certificates, and what the log says of their ends.
//!
//! Made by `certificates`, kept by the store. An end that is near is said every day, and an expired
//! certificate too, since it is served all the same.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use super::leaf::Lifetime;
use crate::unix_time;

/// How often the same thing is said.
const DAILY: Duration = Duration::from_hours(24);

/// A certificate that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateStatus {
    /// The first of its names; where it says none, its file.
    pub name: String,
    /// Why what should take its place cannot be used, in one line.
    pub trouble: Option<String>,
    pub(super) lifetime: Option<Lifetime>,
}

impl CertificateStatus {
    /// When it ends, in seconds since 1970; `None` where that cannot be read.
    pub fn expires(&self) -> Option<u64> {
        Some(unix_time::of(self.lifetime?.ends).as_secs())
    }
}

/// What is to be said about the dates of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DateNotice {
    NotYetValid,
    NearlyOver,
    Over,
}

impl DateNotice {
    fn about(lifetime: Lifetime, now: SystemTime) -> Option<Self> {
        if lifetime.is_over(now) {
            Some(Self::Over)
        } else if now < lifetime.begins {
            Some(Self::NotYetValid)
        } else if lifetime.is_nearly_over(now) {
            Some(Self::NearlyOver)
        } else {
            None
        }
    }

    fn say(self, name: &str, lifetime: Lifetime, now: SystemTime) {
        let ends = httpdate::fmt_http_date(lifetime.ends);
        match self {
            Self::Over => {
                tracing::warn!(name, %ends, "the certificate has expired; browsers refuse it: renew it");
            }
            Self::NotYetValid => {
                let from = httpdate::fmt_http_date(lifetime.begins);
                tracing::warn!(name, %from, "the certificate is not valid yet; is the clock right?");
            }
            Self::NearlyOver => {
                let days = lifetime.days_left(now);
                tracing::warn!(name, %ends, days, "the certificate ends soon: renew it");
            }
        }
    }
}

/// What was said last about each certificate, and when.
#[derive(Debug, Default)]
pub(super) struct Reminders(HashMap<String, (DateNotice, Instant)>);

impl Reminders {
    /// Says what is to be said and was not said today. Returns how many lines that were.
    pub(super) fn say(&mut self, statuses: &[CertificateStatus], now: SystemTime) -> usize {
        let mut said = 0;
        for status in statuses {
            let notice = status
                .lifetime
                .and_then(|life| DateNotice::about(life, now));
            let (Some(lifetime), Some(notice)) = (status.lifetime, notice) else {
                self.0.remove(&status.name);
                continue;
            };
            let last = self.0.get(&status.name);
            if last.is_some_and(|(last, at)| *last == notice && at.elapsed() < DAILY) {
                continue;
            }
            notice.say(&status.name, lifetime, now);
            self.0.insert(status.name.clone(), (notice, Instant::now()));
            said += 1;
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_once_a_day_when_it_is_near_and_again_when_it_has_come() {
        let day = Duration::from_hours(24);
        let now = SystemTime::now();
        let mut status = CertificateStatus {
            name: "www.example.com".to_owned(),
            trouble: None,
            lifetime: Some(Lifetime {
                begins: now - 60 * day,
                ends: now + 30 * day,
            }),
        };
        let mut reminders = Reminders::default();
        let mut said = |status: &CertificateStatus, days: u32| {
            reminders.say(std::slice::from_ref(status), now + day * days)
        };
        assert_eq!(said(&status, 15), 0);
        assert_eq!(said(&status, 16), 1);
        assert_eq!(said(&status, 16), 0, "once a day of the gateway's own");
        assert_eq!(said(&status, 30), 1);
        assert_eq!(said(&status, 31), 0);
        status.lifetime = Some(Lifetime::until(now + 120 * day));
        assert_eq!(said(&status, 31), 0, "renewed");
    }
}
