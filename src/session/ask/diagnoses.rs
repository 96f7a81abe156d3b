//! What is known to be wrong just now, logged once.
//!
//! Written after every call to Django, read by the developer's pages. A good answer mends everything
//! but what concerns others only: another host name, anonymous visitors behind a login-required
//! middleware, a browser with too many cookies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};

use crate::session::answer::Answer;
use crate::session::diagnosis::{Diagnosis, DiagnosisKind};
use crate::telemetry::metrics::{KindLabel, Metrics};

/// How many are remembered: a host name is the client's to choose.
const MOST: usize = 32;
/// What comes and goes all the time is logged this often...
const LINES: u32 = 5;
/// ...in this time.
const WINDOW: Duration = Duration::from_mins(1);
/// What others' good answers do not mend is taken for mended when it was not seen for this long.
const FORGOTTEN: Duration = Duration::from_mins(1);
/// Not seen for this long, it makes room for others.
const STALE: Duration = Duration::from_mins(10);

/// What stands between gateway and Django.
#[derive(Debug, Default)]
pub struct Diagnoses {
    found: Mutex<Vec<KnownFault>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct KnownFault {
    diagnosis: Arc<Diagnosis>,
    host: HeaderValue,
    seen: Instant,
    mended: bool,
    /// Whether somebody else was judged well since.
    spared: bool,
    /// Lines in the log since `counted`.
    lines: u32,
    counted: Instant,
}

/// Whose session a good answer was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Whose {
    /// A user's.
    User,
    /// Nobody's.
    Anonymous,
}

impl Whose {
    /// Who an answer is about.
    pub(in crate::session) fn of(answer: &Answer) -> Self {
        answer.user.as_ref().map_or(Self::Anonymous, |_| Self::User)
    }
}

impl Diagnoses {
    /// Nothing is known to be wrong: each kind is counted from nought, so that a rate sees the first one too.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        for kind in DiagnosisKind::ALL.map(DiagnosisKind::label) {
            drop(metrics.diagnoses.get_or_create(&KindLabel { kind }));
        }
        Self {
            found: Mutex::default(),
            metrics,
        }
    }

    /// What stands in the way of somebody at this host and was seen last: what a developer should
    /// mend first.
    pub fn standing(&self, host: &HeaderValue) -> Option<Arc<Diagnosis>> {
        let (found, now) = (self.lock(), Instant::now());
        let standing = found.iter().filter(|found| found.is_shown(host, now));
        let last = standing.max_by_key(|found| found.seen)?;
        Some(Arc::clone(&last.diagnosis))
    }

    /// Counts what is wrong with a call for this host, and logs it where that is news.
    pub(in crate::session) fn log(&self, diagnosis: &Diagnosis, place: &str, host: &HeaderValue) {
        let kind = diagnosis.kind.label();
        self.metrics
            .diagnoses
            .get_or_create(&KindLabel { kind })
            .inc();
        if self.find(diagnosis, host, Instant::now()) {
            let remedy = diagnosis.remedy();
            tracing::warn!(kind, place, %diagnosis, remedy, "sockets cannot be authenticated");
        }
    }

    /// Whether this is news.
    fn find(&self, diagnosis: &Diagnosis, host: &HeaderValue, now: Instant) -> bool {
        let mut found = self.lock();
        if !diagnosis.kind.is_silence() {
            found.retain_mut(|found| {
                found.mended |= found.diagnosis.kind.is_silence();
                true
            });
        }
        let known = found
            .iter_mut()
            .find(|known| *known.diagnosis == *diagnosis);
        if let Some(known) = known {
            return known.again(now);
        }
        if found.len() == MOST {
            found.retain(|found| found.stands(now) && now - found.seen < STALE);
            return false;
        }
        found.push(KnownFault {
            diagnosis: Arc::new(diagnosis.clone()),
            host: host.clone(),
            seen: now,
            mended: false,
            spared: false,
            lines: 1,
            counted: now,
        });
        true
    }

    /// Records a good answer to a question for this host.
    pub(in crate::session) fn answered(&self, host: &HeaderValue, whose: Whose) {
        if self.mend(host, whose) {
            tracing::info!("the auth view answers again");
        }
    }

    /// Whether something is mended by this.
    fn mend(&self, host: &HeaderValue, whose: Whose) -> bool {
        let mut found = self.lock();
        let mut mended = false;
        for found in found.iter_mut().filter(|found| !found.mended) {
            found.spared = true;
            found.mended = found.is_mended_by(host, whose);
            mended |= found.mended;
        }
        mended
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KnownFault>> {
        self.found.lock()
    }
}

impl KnownFault {
    fn stands(&self, now: Instant) -> bool {
        let lasts = !self.diagnosis.kind.spares_others() || now - self.seen < FORGOTTEN;
        !self.mended && lasts
    }

    /// Whether it concerns clients of this host as far as is known. A user who is logged in should not
    /// see all the time what keeps others out.
    fn is_shown(&self, host: &HeaderValue, now: Instant) -> bool {
        let kind = self.diagnosis.kind;
        let here = !kind.is_of_host() || self.host == host;
        let spared = kind.spares_others() && self.spared;
        self.stands(now) && here && !spared
    }

    fn again(&mut self, now: Instant) -> bool {
        let anew = !self.stands(now);
        self.seen = now;
        (self.mended, self.spared) = (false, false);
        if now - self.counted >= WINDOW {
            (self.lines, self.counted) = (0, now);
        }
        let tells = anew && self.lines < LINES;
        self.lines += u32::from(tells);
        tells
    }

    fn is_mended_by(&self, host: &HeaderValue, whose: Whose) -> bool {
        match self.diagnosis.kind {
            DiagnosisKind::LoginRequired => whose == Whose::Anonymous,
            kind if kind.spares_others() => false,
            kind => !kind.is_of_host() || self.host == host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: DiagnosisKind, reason: &str) -> Diagnosis {
        Diagnosis::new(kind, reason, "do something")
    }

    fn host(name: &'static str) -> HeaderValue {
        HeaderValue::from_static(name)
    }

    #[test]
    fn what_is_wrong_is_told_once_and_again_when_it_was_mended_and_breaks_anew() {
        let (diagnoses, now) = (Diagnoses::new(Arc::default()), Instant::now());
        let (wrong, other) = (
            named(DiagnosisKind::NotFound, "a"),
            named(DiagnosisKind::ServerError, "b"),
        );
        let find = |diagnosis| diagnoses.find(diagnosis, &host("a"), now);
        assert_eq!([find(&wrong), find(&wrong)], [true, false]);
        assert_eq!([find(&other), find(&wrong)], [true, false]);
        assert!(diagnoses.mend(&host("a"), Whose::User));
        assert!(!diagnoses.mend(&host("a"), Whose::User));
        assert_eq!(diagnoses.standing(&host("a")), None);
        assert_eq!([find(&wrong), find(&wrong)], [true, false]);
        assert_eq!(diagnoses.standing(&host("a")).as_deref(), Some(&wrong));
    }

    #[test]
    fn what_comes_and_goes_all_the_time_does_not_fill_the_log() {
        let (diagnoses, now) = (Diagnoses::new(Arc::default()), Instant::now());
        let wrong = named(DiagnosisKind::ServerError, "a");
        let told = |now| {
            diagnoses.mend(&host("a"), Whose::User);
            diagnoses.find(&wrong, &host("a"), now)
        };
        assert_eq!((0..100).filter(|_| told(now)).count(), 5);
        assert!(told(now + WINDOW));
    }

    #[test]
    fn a_good_answer_for_one_host_says_nothing_of_another() {
        let (diagnoses, now) = (Diagnoses::new(Arc::default()), Instant::now());
        let refused = named(DiagnosisKind::HostRefused, "b is refused");
        assert!(diagnoses.find(&refused, &host("b"), now));
        assert!(!diagnoses.mend(&host("a"), Whose::User));
        assert_eq!(diagnoses.standing(&host("a")), None);
        assert_eq!(diagnoses.standing(&host("b")).as_deref(), Some(&refused));
        assert!(!diagnoses.find(&refused, &host("b"), now));
        assert!(diagnoses.mend(&host("b"), Whose::Anonymous));
    }

    #[test]
    fn a_user_s_answer_says_nothing_of_those_who_are_sent_to_the_login_page() {
        let (diagnoses, now) = (Diagnoses::new(Arc::default()), Instant::now());
        let login = named(DiagnosisKind::LoginRequired, "login");
        assert!(diagnoses.find(&login, &host("a"), now));
        assert!(diagnoses.standing(&host("a")).is_some());
        assert!(!diagnoses.mend(&host("a"), Whose::User));
        assert_eq!(diagnoses.standing(&host("a")), None);
        assert!(!diagnoses.find(&login, &host("a"), now));
        assert!(diagnoses.mend(&host("a"), Whose::Anonymous));
        assert_eq!(diagnoses.standing(&host("a")), None);
    }

    #[test]
    fn any_answer_ends_a_silence() {
        let (diagnoses, now) = (Diagnoses::new(Arc::default()), Instant::now());
        let away = named(DiagnosisKind::NotRunning, "away");
        let wrong = named(DiagnosisKind::NotFound, "wrong");
        assert!(diagnoses.find(&away, &host("a"), now));
        assert!(diagnoses.find(&wrong, &host("a"), now));
        assert!(diagnoses.find(&away, &host("a"), now));
    }

    #[test]
    fn a_client_that_makes_up_hosts_fills_neither_memory_nor_log() {
        let (diagnoses, now) = (Diagnoses::new(Arc::default()), Instant::now());
        let told = (0..1000).filter(|n| {
            let refused = named(DiagnosisKind::HostRefused, &format!("{n} is refused"));
            diagnoses.find(&refused, &host("a"), now)
        });
        assert_eq!(told.count(), MOST);
        assert_eq!(diagnoses.lock().len(), MOST);
    }
}
