//! Names by demand, with an authority and a Django that follow a script, and a clock that does not wait.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::advance;

use super::hosts_view::{NameVerdict, UnsaidError};
use super::*;
use crate::acme::desk::Desk;
use crate::acme::error::AcmeError;
use crate::acme::folder::AcmeFolder;
use crate::acme::scripted::{Script, certificate_of};
use crate::config::CertificateSource;
use crate::net::drain::Drain;
use crate::telemetry::metrics::CertificateMetrics;
use crate::tls::names::CertificateNames;
use crate::tls::status::CertificateStatus;
use crate::tls::store::CertificateStore;
use crate::upcall::{CallError, NoAnswer};
use crate::web::allowed_names::AllowedNames;

const SHOP: &str = "shop.test";
const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

/// A Django that allows these names, takes a second to say so unless it is quick, and refuses all others; `None`: does
/// not say.
#[derive(Default)]
struct ScriptedDjango {
    allows: Mutex<HashMap<String, Option<bool>>>,
    allows_others: bool,
    is_quick: bool,
    asked: Mutex<Vec<(Instant, String)>>,
    under_way: Mutex<usize>,
}

impl NameJudge for Arc<ScriptedDjango> {
    async fn judge(&self, name: &str) -> Result<NameVerdict, UnsaidError> {
        self.asked.lock().push((Instant::now(), name.to_owned()));
        *self.under_way.lock() += 1;
        assert!(*self.under_way.lock() <= 4);
        if !self.is_quick {
            tokio::time::sleep(SECOND).await;
        }
        *self.under_way.lock() -= 1;
        let allows = self.allows.lock().get(name).copied();
        match allows.unwrap_or(Some(self.allows_others)) {
            Some(true) => Ok(NameVerdict::Allowed),
            Some(false) => Ok(NameVerdict::Refused),
            None => Err(UnsaidError::Silent(NoAnswer {
                place: "http://django.test/".to_owned(),
                cause: CallError::TimedOut,
            })),
        }
    }
}

struct Scene {
    on_demand: Arc<OnDemand<Script, Arc<ScriptedDjango>>>,
    django: Arc<ScriptedDjango>,
    store: Arc<CertificateStore>,
    allowed: Arc<AllowedNames>,
    folder: AcmeFolder,
    _drain: Drain,
    _project: TempDir,
}

impl Scene {
    fn of(
        django: ScriptedDjango,
        orders: impl IntoIterator<Item = Result<String, AcmeError>>,
    ) -> Self {
        let (django, drain) = (Arc::new(django), Drain::new());
        let project = tempfile::tempdir().unwrap();
        let folder = AcmeFolder::open(&project.path().join("acme"), "https://a.test/").unwrap();
        let folder = folder.by_demand().unwrap();
        let none = CertificateSource::Files(Vec::new());
        let store = CertificateStore::load(&none, &CertificateNames::default()).unwrap();
        let (store, allowed) = (Arc::new(store), Arc::new(AllowedNames::default()));
        let authority = Script::default();
        authority.answers.lock().extend(orders);
        let attendant = Attendant {
            desk: Arc::new(Desk::new(authority, Arc::clone(&store), false)),
            judge: Arc::clone(&django),
            folder: folder.clone(),
            allowed: Arc::clone(&allowed),
            metrics: CertificateMetrics::default(),
            table: Mutex::default(),
            limits: DemandLimits::new(),
        };
        let expected = HashSet::from(["www.test".to_owned()]);
        Self {
            on_demand: Arc::new(OnDemand::new(attendant, expected, drain.watch())),
            django,
            store,
            allowed,
            folder,
            _drain: drain,
            _project: project,
        }
    }

    fn request(&self, name: &str) -> Option<PendingSupply> {
        self.on_demand.request(name, None)
    }

    /// A client asks for the name, and waits.
    async fn ask(&self, name: &str) -> bool {
        match self.request(name) {
            Some(supply) => {
                supply.until(SupplyStage::Over).await;
                true
            }
            None => false,
        }
    }

    fn questions(&self) -> usize {
        self.django.asked.lock().len()
    }

    fn orders(&self) -> usize {
        self.on_demand.attendant.desk.authority.orders.lock().len()
    }

    fn is_served(&self, name: &str) -> bool {
        self.store.ends(name).is_some()
    }

    fn statuses(&self) -> Vec<CertificateStatus> {
        self.store.statuses()
    }
}

fn says(name: &str, verdict: Option<bool>) -> ScriptedDjango {
    let django = ScriptedDjango::default();
    django.allows.lock().insert(name.to_owned(), verdict);
    django
}

fn fresh(name: &str) -> String {
    certificate_of(name, DAY, DAY * 89)
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_for_a_name_at_once_make_one_question_and_one_order() {
    let scene = Scene::of(says(SHOP, Some(true)), [Ok(fresh(SHOP))]);
    let clients: Vec<_> = (0..100).map(|_| scene.request(SHOP).unwrap()).collect();
    assert!(!scene.allowed.contains(SHOP), "not before Django says so");
    for client in clients {
        client.until(SupplyStage::Over).await;
        assert!(scene.is_served(SHOP));
    }
    assert_eq!((scene.questions(), scene.orders()), (1, 1));
    assert!(scene.allowed.contains(SHOP));
    assert!(scene.folder.certificate(SHOP).is_some());
    advance(DAY).await;
    assert!(scene.ask(SHOP).await);
    assert_eq!(
        (scene.questions(), scene.orders()),
        (1, 1),
        "until it is renewed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_plain_http_waits_for_django_s_word_alone() {
    // Its order hangs.
    let scene = Scene::of(says(SHOP, Some(true)), []);
    let began = Instant::now();
    scene
        .request(SHOP)
        .unwrap()
        .until(SupplyStage::Allowed)
        .await;
    assert_eq!(began.elapsed(), SECOND);
    assert!(scene.allowed.contains(SHOP));
    assert_eq!(scene.statuses()[0].name, SHOP);
    scene.request(SHOP).unwrap().until(SupplyStage::Over).await;
    assert_eq!(began.elapsed(), SECOND * 9, "no client waits for ever");
}

#[tokio::test(start_paused = true)]
async fn a_no_counts_for_a_minute_and_orders_nothing() {
    let scene = Scene::of(says(SHOP, Some(false)), []);
    assert!(scene.ask(SHOP).await);
    for _ in 0..58 {
        assert!(!scene.ask(SHOP).await, "refused at once");
        advance(SECOND).await;
    }
    assert_eq!(scene.questions(), 1);
    advance(SECOND * 3).await;
    scene
        .django
        .allows
        .lock()
        .insert(SHOP.to_owned(), Some(true));
    assert!(scene.ask(SHOP).await);
    assert_eq!((scene.questions(), scene.orders()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_django_that_does_not_say_is_asked_again_ever_more_seldom_and_allows_nothing() {
    let scene = Scene::of(says(SHOP, None), []);
    for _ in 0..600 {
        scene.ask(SHOP).await;
        advance(SECOND).await;
    }
    let asked = scene.django.asked.lock();
    let pauses: Vec<_> = asked
        .windows(2)
        .map(|two| (two[1].0 - two[0].0).as_secs())
        .collect();
    assert!((4..=9).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses[1..3].is_sorted() && pauses[4] >= 45, "{pauses:?}");
    assert!(asked.len() <= 20, "{pauses:?}");
    assert!(!scene.allowed.contains(SHOP) && scene.statuses().is_empty());
    assert_eq!(scene.orders(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_can_have_no_certificate_and_what_has_one_without_is_not_asked_about() {
    let scene = Scene::of(ScriptedDjango::default(), []);
    for name in [
        "www.test",
        "shop",
        "192.0.2.1",
        "*.shop.test",
        "a_b.test",
        "",
    ] {
        assert!(!scene.ask(name).await, "{name}");
    }
    assert_eq!(scene.questions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_million_invented_names_cost_ten_questions_a_second_and_no_order() {
    let django = ScriptedDjango {
        is_quick: true,
        ..ScriptedDjango::default()
    };
    let scene = Scene::of(django, []);
    for number in 0..1_000_000 {
        // Nobody waits for the answer.
        drop(scene.request(&format!("n{number}.invented.test")));
        if number % 50_000 == 0 {
            advance(SECOND).await;
            tokio::task::yield_now().await;
        }
    }
    tokio::time::sleep(SECOND * 60).await;
    let asked = scene.questions();
    assert!((100..=10 + 20 * 10).contains(&asked), "{asked}");
    assert_eq!(scene.orders(), 0);
    assert!(scene.statuses().is_empty());
    // Who comes then is served.
    scene
        .django
        .allows
        .lock()
        .insert(SHOP.to_owned(), Some(true));
    assert!(scene.ask(SHOP).await);
    assert!(scene.allowed.contains(SHOP));
}

#[tokio::test(start_paused = true)]
async fn however_many_names_django_allows_ten_are_ordered_a_minute() {
    let django = ScriptedDjango {
        allows_others: true,
        ..ScriptedDjango::default()
    };
    let orders = (0..1000).map(|_| Err(AcmeError::Slow(SECOND)));
    let scene = Scene::of(django, orders);
    for second in 0..600 {
        for name in 0..20 {
            drop(scene.request(&format!("n{second}-{name}.test")));
        }
        tokio::time::sleep(SECOND).await;
    }
    let orders = scene.on_demand.attendant.desk.authority.orders.lock();
    assert!((90..=101).contains(&orders.len()), "{}", orders.len());
    assert!(
        orders
            .windows(2)
            .all(|two| two[1].at - two[0].at >= SECOND * 6)
    );
    let pending = scene.statuses().len();
    assert!(pending <= 100 + orders.len(), "{pending}");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_fails_is_tried_again_only_where_a_client_asks_for_the_name_again() {
    let slow = || Err(AcmeError::Slow(SECOND));
    let scene = Scene::of(says(SHOP, Some(true)), [slow(), slow(), Ok(fresh(SHOP))]);
    assert!(scene.ask(SHOP).await);
    let trouble = scene.statuses()[0].trouble.clone().unwrap();
    assert!(trouble.contains("took longer than"), "{trouble}");
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(scene.orders(), 1, "nobody asks");
    assert!(scene.ask(SHOP).await);
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!((scene.questions(), scene.orders()), (2, 2));
    // Asked for while it rests, it is tried again when it has rested: two minutes, more or less.
    assert!(scene.ask(SHOP).await);
    tokio::time::sleep(SECOND * 80).await;
    assert_eq!(scene.orders(), 2);
    tokio::time::sleep(SECOND * 80).await;
    assert_eq!((scene.questions(), scene.orders()), (3, 3));
    assert!(scene.is_served(SHOP));
}

#[tokio::test(start_paused = true)]
async fn a_name_whose_orders_fail_and_that_nobody_asks_for_is_forgotten() {
    let scene = Scene::of(says(SHOP, Some(true)), [Err(AcmeError::Slow(SECOND))]);
    assert!(scene.ask(SHOP).await);
    assert!(scene.allowed.contains(SHOP));
    tokio::time::sleep(Duration::from_hours(7)).await;
    assert!(!scene.allowed.contains(SHOP));
    assert!(scene.statuses().is_empty());
    assert_eq!(scene.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_renewal_django_is_asked_again_and_a_no_lets_the_certificate_lapse() {
    let scene = Scene::of(says(SHOP, Some(false)), [Ok(fresh(SHOP))]);
    let old = certificate_of(SHOP, DAY * 80, DAY * 10);
    scene.folder.keep_certificate(SHOP, &old).unwrap();
    scene.store.admit(SHOP);
    scene.allowed.add(SHOP);
    scene.on_demand.resume(vec![SHOP.to_owned()]);
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!(scene.questions(), 1);
    assert!(!scene.allowed.contains(SHOP), "no host any more");
    assert!(scene.is_served(SHOP), "until it ends");
    let status = scene.statuses().remove(0);
    let trouble = status.trouble.unwrap();
    assert!(trouble.contains("does not allow"), "{trouble}");
    assert!(SystemTime::now() < scene.store.ends(SHOP).unwrap());
    assert_eq!(scene.orders(), 0);
    // Django may think better of it.
    scene
        .django
        .allows
        .lock()
        .insert(SHOP.to_owned(), Some(true));
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(scene.allowed.contains(SHOP));
    assert_eq!(scene.orders(), 1);
    assert_eq!(scene.statuses()[0].trouble, None);
}

#[tokio::test(start_paused = true)]
async fn a_django_that_is_away_at_renewal_leaves_the_name_and_its_certificate_as_they_are() {
    let scene = Scene::of(says(SHOP, None), [Ok(fresh(SHOP))]);
    let old = certificate_of(SHOP, DAY * 80, DAY * 10);
    scene.folder.keep_certificate(SHOP, &old).unwrap();
    scene.store.admit(SHOP);
    scene.allowed.add(SHOP);
    scene.on_demand.resume(vec![SHOP.to_owned()]);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(scene.questions() > 2 && scene.questions() < 20);
    assert!(scene.allowed.contains(SHOP) && scene.is_served(SHOP));
    let trouble = scene.statuses()[0].trouble.clone().unwrap();
    assert!(trouble.contains("Django does not say"), "{trouble}");
    assert_eq!(scene.orders(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_there_is_served_without_an_order() {
    let scene = Scene::of(says(SHOP, Some(true)), []);
    let kept = certificate_of(SHOP, DAY, DAY * 89);
    scene.folder.keep_certificate(SHOP, &kept).unwrap();
    assert!(scene.ask(SHOP).await);
    assert!(scene.is_served(SHOP));
    assert_eq!((scene.questions(), scene.orders()), (1, 0));
}
