//! The keeper's patience, with an authority that follows a script, and a clock that does not wait.

use std::collections::VecDeque;

use tempfile::TempDir;

use super::*;
use crate::config::CertificateSource;
use crate::tls::names::CertificateNames;
use crate::tls::status::CertificateStatus;

const SHOP: &str = "shop.test";
const DAY: Duration = Duration::from_hours(24);

/// One answer after another; then it hangs.
#[derive(Default)]
struct Script {
    answers: SyncMutex<VecDeque<Result<String, AcmeError>>>,
    wishes: SyncMutex<VecDeque<SystemTime>>,
    asked: SyncMutex<Vec<Asked>>,
}

struct Asked {
    at: Instant,
    replaced: Option<SystemTime>,
}

impl CertificateAuthority for Script {
    async fn suggested(&self, _: &IssuedCertificate) -> Result<Option<SystemTime>, AcmeError> {
        Ok(self.wishes.lock().pop_front())
    }

    async fn issue(&self, request: CertificateRequest<'_>) -> Result<String, AcmeError> {
        self.asked.lock().push(Asked {
            at: Instant::now(),
            replaced: request.replaced.map(IssuedCertificate::ends),
        });
        let answer = self.answers.lock().pop_front();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

/// What a test watches, and the folder that it needs.
struct Kept {
    desk: Desk<Script>,
    _project: TempDir,
}

impl Kept {
    /// One name, with this certificate of the authority's.
    fn of(held: Option<&str>) -> Self {
        let project = tempfile::tempdir().unwrap();
        let folder = AcmeFolder::open(&project.path().join("acme"), "https://a.test/").unwrap();
        if let Some(held) = held {
            folder.keep_certificate(SHOP, held).unwrap();
        }
        let none = CertificateSource::Files(Vec::new());
        let store = CertificateStore::load(&none, &CertificateNames::default()).unwrap();
        store.expect(&[SHOP.to_owned()]);
        let desk = Desk {
            authority: Script::default(),
            folder,
            store: Arc::new(store),
            kind: SyncMutex::new(ChallengeKind::TlsAlpn01),
            serves_http: false,
            permits: Semaphore::new(AT_ONCE),
            next: Mutex::new(Instant::now()),
        };
        Self {
            desk,
            _project: project,
        }
    }

    fn answers(self, answers: impl IntoIterator<Item = Result<String, AcmeError>>) -> Self {
        self.desk.authority.answers.lock().extend(answers);
        self
    }

    fn wishes(self, wishes: impl IntoIterator<Item = SystemTime>) -> Self {
        self.desk.authority.wishes.lock().extend(wishes);
        self
    }

    /// Lets the name's task go on for this long.
    async fn after(&self, keeping: &mut Keeping<'_>, time: Duration) -> CertificateStatus {
        let ended = timeout(time, keeping).await;
        assert!(ended.is_err(), "it is kept for ever");
        self.desk.store.statuses().remove(0)
    }

    /// The pauses between the orders.
    fn pauses(&self) -> Vec<u64> {
        let asked = self.desk.authority.asked.lock();
        let pairs = asked.windows(2);
        pairs
            .map(|pair| (pair[1].at - pair[0].at).as_secs())
            .collect()
    }
}

type Keeping<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Key and certificate, valid from so long ago until in so long.
fn certificate(age: Duration, left: Duration) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![SHOP.to_owned()]).unwrap();
    params.not_before = (SystemTime::now() - age).into();
    params.not_after = (SystemTime::now() + left).into();
    key.serialize_pem() + &params.self_signed(&key).unwrap().pem()
}

fn ends(pem: &str) -> SystemTime {
    IssuedCertificate::parse(pem).unwrap().ends()
}

fn away() -> Result<String, AcmeError> {
    Err(AcmeError::Slow(PATIENCE))
}

#[tokio::test(start_paused = true)]
async fn the_old_certificate_is_served_until_an_authority_that_was_away_is_back() {
    let (old, new) = (certificate(DAY * 80, DAY * 10), certificate(DAY, DAY * 89));
    let kept = Kept::of(Some(&old)).answers([away(), away(), Ok(new.clone())]);
    let mut keeping: Keeping<'_> = Box::pin(kept.desk.keep(SHOP));
    for _ in 0..2 {
        let status = kept.after(&mut keeping, Duration::from_secs(40)).await;
        let trouble = status.trouble.unwrap();
        assert!(trouble.contains("took longer than"), "{trouble}");
        assert_eq!(kept.desk.store.ends(SHOP), Some(ends(&old)));
    }
    let status = kept.after(&mut keeping, Duration::from_mins(10)).await;
    assert_eq!(status.trouble, None);
    assert_eq!(kept.desk.store.ends(SHOP), Some(ends(&new)));
    let pauses = kept.pauses();
    assert!((48..=72).contains(&pauses[0]), "{pauses:?}");
    assert!((96..=144).contains(&pauses[1]), "{pauses:?}");
    assert_eq!(pauses.len(), 2, "a new one is left alone");
    let asked = kept.desk.authority.asked.lock();
    assert!(asked.iter().all(|asked| asked.replaced == Some(ends(&old))));
}

#[tokio::test(start_paused = true)]
async fn certificates_that_are_due_at_once_are_not_ordered_time_and_again() {
    let stale = || Ok(certificate(DAY * 80, DAY * 10));
    let kept = Kept::of(None).answers([stale(), stale(), stale(), stale()]);
    let mut keeping: Keeping<'_> = Box::pin(kept.desk.keep(SHOP));
    let status = kept.after(&mut keeping, Duration::from_mins(10)).await;
    assert!(status.expires().is_some(), "better than none");
    let pauses = kept.pauses();
    assert!((48..=72).contains(&pauses[0]), "{pauses:?}");
    assert!((96..=144).contains(&pauses[1]), "{pauses:?}");
    assert!((192..=288).contains(&pauses[2]), "{pauses:?}");
    let asked = kept.desk.authority.asked.lock();
    assert_eq!(asked[0].replaced, None);
    assert!(asked[1].replaced.is_some());
}

#[tokio::test(start_paused = true)]
async fn trouble_is_not_told_any_more_once_the_authority_wishes_a_later_renewal() {
    let now = SystemTime::now();
    let kept = Kept::of(Some(&certificate(DAY, DAY * 89)))
        .answers([away()])
        .wishes([now, now + DAY * 60]);
    let mut keeping: Keeping<'_> = Box::pin(kept.desk.keep(SHOP));
    let status = kept.after(&mut keeping, Duration::from_secs(40)).await;
    assert!(status.trouble.is_some());
    let status = kept.after(&mut keeping, Duration::from_secs(40)).await;
    assert_eq!(status.trouble, None);
    assert_eq!(kept.desk.authority.asked.lock().len(), 1);
}
