//! The patience of a name's task, with an authority that follows a script, and a clock that does not wait.

use tempfile::TempDir;

use super::*;
use crate::acme::scripted::{Script, certificate_of};
use crate::config::CertificateSource;
use crate::tls::names::CertificateNames;
use crate::tls::status::CertificateStatus;

const SHOP: &str = "shop.test";
const DAY: Duration = Duration::from_hours(24);

/// What a test watches, and the folder that it needs.
struct Watched {
    desk: Desk<Script>,
    folder: AcmeFolder,
    _project: TempDir,
}

impl Watched {
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
        Self {
            desk: Desk::new(Script::default(), Arc::new(store), false),
            folder,
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

    async fn keep(&self) {
        let name = KeptName {
            name: SHOP,
            folder: &self.folder,
        };
        self.desk.keep(name).await;
    }

    /// Lets the name's task go on for this long.
    async fn after(&self, keeping: &mut Keeping<'_>, time: Duration) -> CertificateStatus {
        let ended = timeout(time, keeping).await;
        assert!(ended.is_err(), "it is kept for ever");
        self.desk.store.statuses().remove(0)
    }

    /// The pauses between the orders.
    fn pauses(&self) -> Vec<u64> {
        let asked = self.desk.authority.orders.lock();
        let pairs = asked.windows(2);
        pairs
            .map(|pair| (pair[1].at - pair[0].at).as_secs())
            .collect()
    }
}

type Keeping<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

fn ends(pem: &str) -> SystemTime {
    IssuedCertificate::parse(pem).unwrap().ends()
}

fn away() -> Result<String, AcmeError> {
    Err(AcmeError::Slow(PATIENCE))
}

#[tokio::test(start_paused = true)]
async fn the_old_certificate_is_served_until_an_authority_that_was_away_is_back() {
    let (old, new) = (
        certificate_of(SHOP, DAY * 80, DAY * 10),
        certificate_of(SHOP, DAY, DAY * 89),
    );
    let kept = Watched::of(Some(&old)).answers([away(), away(), Ok(new.clone())]);
    let mut keeping: Keeping<'_> = Box::pin(kept.keep());
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
    let asked = kept.desk.authority.orders.lock();
    assert!(asked.iter().all(|asked| asked.replaced == Some(ends(&old))));
}

#[tokio::test(start_paused = true)]
async fn certificates_that_are_due_at_once_are_not_ordered_time_and_again() {
    let stale = || Ok(certificate_of(SHOP, DAY * 80, DAY * 10));
    let kept = Watched::of(None).answers([stale(), stale(), stale(), stale()]);
    let mut keeping: Keeping<'_> = Box::pin(kept.keep());
    let status = kept.after(&mut keeping, Duration::from_mins(10)).await;
    assert!(status.expires().is_some(), "better than none");
    let pauses = kept.pauses();
    assert!((48..=72).contains(&pauses[0]), "{pauses:?}");
    assert!((96..=144).contains(&pauses[1]), "{pauses:?}");
    assert!((192..=288).contains(&pauses[2]), "{pauses:?}");
    let asked = kept.desk.authority.orders.lock();
    assert_eq!(asked[0].replaced, None);
    assert!(asked[1].replaced.is_some());
}

#[tokio::test(start_paused = true)]
async fn trouble_is_not_told_any_more_once_the_authority_wishes_a_later_renewal() {
    let now = SystemTime::now();
    let kept = Watched::of(Some(&certificate_of(SHOP, DAY, DAY * 89)))
        .answers([away()])
        .wishes([now, now + DAY * 60]);
    let mut keeping: Keeping<'_> = Box::pin(kept.keep());
    let status = kept.after(&mut keeping, Duration::from_secs(40)).await;
    assert!(status.trouble.is_some());
    let status = kept.after(&mut keeping, Duration::from_secs(40)).await;
    assert_eq!(status.trouble, None);
    assert_eq!(kept.desk.authority.orders.lock().len(), 1);
}
