//! What is done about one name: Django is asked, a certificate ordered and renewed, until Django says no.
//!
//! Done by the name's task. The certificate of a name that Django does not allow any more is served until it ends, but
//! the name is no host of this origin from then on. A name that never had one is tried again only when a client asks
//! for it again, and is forgotten where none does.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout};

use super::hosts_view::{NameJudge, NameVerdict, UnsaidError};
use super::limits::DemandLimits;
use super::table::{NameTable, Rest};
use crate::acme::authority::CertificateAuthority;
use crate::acme::desk::{Desk, KeptName};
use crate::acme::error::AcmeError;
use crate::acme::folder::AcmeFolder;
use crate::acme::renewal;
use crate::net::backoff::ExponentialBackoff;
use crate::net::jitter::jitter;
use crate::telemetry::metrics::CertificateMetrics;
use crate::tls::issued::IssuedCertificate;
use crate::tls::supplier::SupplyStage;
use crate::web::allowed_names::AllowedNames;

/// For so long Django's no counts.
const REFUSED: Duration = Duration::from_mins(1);

/// Where Django does not say.
const UNSAID: ExponentialBackoff = ExponentialBackoff {
    min: Duration::from_secs(5),
    max: Duration::from_mins(1),
    jitter: 0.2,
};

/// The same, of a name that has a certificate.
const UNSAID_AT_RENEWAL: ExponentialBackoff = ExponentialBackoff {
    max: Duration::from_mins(10),
    ..UNSAID
};

/// How long it is remembered how often orders for a name have failed, while no client asks for it.
const FORGET: Duration = Duration::from_hours(6);

/// What is said of a name that Django does not allow any more.
const LAPSING: &str = "Django does not allow this name any more: the certificate is not renewed";

/// What all names by demand share.
pub(in crate::acme) struct Attendant<A, J> {
    pub(in crate::acme) desk: Arc<Desk<A>>,
    pub(in crate::acme) judge: J,
    /// Where their certificates are kept.
    pub(in crate::acme) folder: AcmeFolder,
    /// Where those are written that Django allows.
    pub(in crate::acme) allowed: Arc<AllowedNames>,
    pub(in crate::acme) metrics: CertificateMetrics,
    pub(in crate::acme) table: Mutex<NameTable>,
    pub(in crate::acme) limits: DemandLimits,
}

/// A name that a client has asked for.
pub(super) struct AskedName<'a> {
    pub(super) name: &'a str,
    pub(super) stage: watch::Sender<SupplyStage>,
    pub(super) demand: &'a Notify,
    /// How often in a row Django has not said whether it is allowed.
    pub(super) failures: u32,
}

/// What has come of it so far.
#[derive(Default)]
struct Course {
    /// Orders that failed in a row.
    failures: u32,
    /// Questions without an answer in a row.
    unsaid: u32,
    /// Whether Django has just said yes.
    is_allowed: bool,
    /// Whether it said no, of a name with a certificate.
    is_lapsing: bool,
}

/// What is to be done next.
enum Next {
    Order,
    Wait(Duration),
    End(Rest),
}

impl<A: CertificateAuthority, J: NameJudge> Attendant<A, J> {
    /// From a client's request to the name's end.
    pub(super) async fn asked(&self, asked: AskedName<'_>, question: OwnedSemaphorePermit) {
        let verdict = self.ask(asked.name).await;
        drop(question);
        let rest = match verdict {
            Ok(NameVerdict::Allowed) => {
                self.allowed.add(asked.name);
                self.desk.store.admit(asked.name);
                asked.stage.send_replace(SupplyStage::Allowed);
                let course = Course {
                    is_allowed: true,
                    ..Course::default()
                };
                self.keep(&asked, course).await
            }
            Ok(NameVerdict::Refused) => rest(REFUSED, 0),
            Err(_) => unsaid(asked.failures),
        };
        self.end(asked.name, rest);
    }

    /// From a certificate of before to the name's end.
    pub(super) async fn resumed(
        &self,
        name: &str,
        stage: watch::Sender<SupplyStage>,
        demand: &Notify,
    ) {
        let asked = AskedName {
            name,
            stage,
            demand,
            failures: 0,
        };
        // Thousands of names do not ask the authority at once.
        let fresh = self.folder.certificate(name);
        if let Some(fresh) = fresh.filter(renewal::is_fresh) {
            let part = f64::midpoint(jitter(), 1.0);
            sleep(renewal::pause(&fresh).mul_f64(part)).await;
        }
        let rest = self.keep(&asked, Course::default()).await;
        self.end(name, rest);
    }

    fn end(&self, name: &str, rest: Rest) {
        self.allowed.remove(name);
        self.desk.store.dismiss(name);
        self.table.lock().rest(name, rest);
    }

    async fn keep(&self, asked: &AskedName<'_>, mut course: Course) -> Rest {
        let kept = KeptName {
            name: asked.name,
            folder: &self.folder,
        };
        loop {
            let (held, is_due) = self.desk.look(kept).await;
            if let Some(fresh) = held.as_ref().filter(|_| !is_due && !course.is_lapsing) {
                course = Course::default();
                self.desk.store.recover(asked.name);
                asked.stage.send_replace(SupplyStage::Over);
                sleep(renewal::pause(fresh)).await;
                continue;
            }
            match self.next(asked, held.as_ref(), &mut course).await {
                Next::Order => {}
                Next::Wait(pause) => {
                    sleep(pause).await;
                    continue;
                }
                Next::End(rest) => return rest,
            }
            let Ok(place) = self.place(held.as_ref()) else {
                self.refuse(asked.name, "orders");
                return unsaid(asked.failures);
            };
            course.is_allowed = false;
            let failures = &mut course.failures;
            let pause = self.desk.replace(kept, held.as_ref(), failures).await;
            drop(place);
            asked.stage.send_replace(SupplyStage::Over);
            sleep(pause).await;
            let has_none = self.desk.store.ends(asked.name).is_none();
            if has_none && timeout(FORGET, asked.demand.notified()).await.is_err() {
                return rest(Duration::ZERO, 0);
            }
        }
    }

    /// A name without a certificate has to wait for its order among others; a renewal comes in any case.
    fn place(&self, held: Option<&IssuedCertificate>) -> Result<Option<SemaphorePermit<'_>>, ()> {
        match held {
            Some(_) => Ok(None),
            None => self.limits.orders.try_acquire().map(Some).map_err(drop),
        }
    }

    /// Asks Django whether the certificate that is due may be ordered.
    async fn next(
        &self,
        asked: &AskedName<'_>,
        held: Option<&IssuedCertificate>,
        course: &mut Course,
    ) -> Next {
        if course.is_allowed {
            return Next::Order;
        }
        let name = asked.name;
        match (self.ask(name).await, held) {
            (Ok(NameVerdict::Allowed), _) => {
                course.unsaid = 0;
                course.is_lapsing = false;
                self.allowed.add(name);
                if held.is_none() {
                    asked.stage.send_replace(SupplyStage::Allowed);
                }
                Next::Order
            }
            (Ok(NameVerdict::Refused), Some(held)) => self.lapse(name, held, course),
            (Ok(NameVerdict::Refused), None) => Next::End(rest(REFUSED, 0)),
            (Err(_), None) => Next::End(unsaid(asked.failures)),
            (Err(error), Some(_)) => {
                course.unsaid += 1;
                let error = AcmeError::Unsaid(Box::new(error));
                self.desk.complain(name, &error);
                Next::Wait(UNSAID_AT_RENEWAL.pause(course.unsaid))
            }
        }
    }

    /// Django does not allow a name any more that has a certificate.
    fn lapse(&self, name: &str, held: &IssuedCertificate, course: &mut Course) -> Next {
        self.allowed.remove(name);
        let ends = httpdate::fmt_http_date(held.ends());
        let Ok(left) = held.ends().duration_since(SystemTime::now()) else {
            self.folder.forget_certificate(name);
            tracing::info!(name, "the certificate has ended, and the name is forgotten");
            return Next::End(rest(REFUSED, 0));
        };
        if !course.is_lapsing {
            course.is_lapsing = true;
            tracing::warn!(name, %ends, "{LAPSING}; requests for the name get 421 from now on");
            self.desk.store.lapse(name, LAPSING.to_owned());
        }
        Next::Wait(renewal::pause(held).max(Duration::from_secs(1)).min(left))
    }

    /// A name is not gone on with.
    pub(super) fn refuse(&self, name: &str, limit: &str) {
        self.metrics.asked("too_many");
        self.limits.complain(name, limit);
    }

    async fn ask(&self, name: &str) -> Result<NameVerdict, UnsaidError> {
        // It is never closed.
        let _permit = self.limits.under_way.acquire().await;
        let verdict = self.judge.judge(name).await;
        self.metrics.asked(match &verdict {
            Ok(NameVerdict::Allowed) => "allowed",
            Ok(NameVerdict::Refused) => "refused",
            Err(_) => "unanswered",
        });
        if let Err(error) = &verdict
            && self.limits.unsaid.is_due()
        {
            tracing::warn!(
                name, %error,
                "Django does not say whether this name may have a certificate; handshakes of new names are refused"
            );
        }
        tracing::debug!(name, ?verdict, "Django was asked about a name");
        verdict
    }
}

fn rest(time: Duration, failures: u32) -> Rest {
    let until = Instant::now() + time;
    Rest { until, failures }
}

/// One more question in a row without an answer.
fn unsaid(failures: u32) -> Rest {
    let failures = failures.saturating_add(1);
    rest(UNSAID.pause(failures), failures)
}
