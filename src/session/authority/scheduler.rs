//! The handshakes that wait for Django's judgement, and the task that asks.
//!
//! The authority puts questions here and waits; [`Scheduler::run`] decides with `batcher` and `backoff` what is
//! asked next, and hands each call to a task of its own. Tabs of one session wait for one question, and an
//! answer is a lease before its question ends, so that the next handshake finds one or the other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

use crate::net::drain::DrainWatch;
use crate::session::ask::auth_view::AuthSettings;
use crate::session::ask::batch::BatchKind;
use crate::session::ask::client::AuthClient;
use crate::session::authority::queue::{NextStep, Queue};
use crate::session::authority::single_flight::{FlightProgress, Judgement, SingleFlight};
use crate::session::error::AuthError;
use crate::session::lease::{Lease, LeaseKey, Leases, Lookup};
use crate::session::question::Question;
use crate::setting::Setting;

/// How questions are put to Django.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct SchedulerSettings {
    /// Calls under way at once.
    pub(in crate::session) concurrency: usize,
    /// How long a handshake waits before it is accepted.
    pub(in crate::session) patience: Duration,
    /// How long it is tried to reach Django.
    pub(in crate::session) hold: Duration,
}

impl SchedulerSettings {
    pub(in crate::session) fn of(settings: &AuthSettings) -> Self {
        Self {
            concurrency: settings.concurrency,
            patience: settings.accept_after,
            hold: settings.hold,
        }
    }
}

#[derive(Debug)]
pub(in crate::session) struct Scheduler {
    client: ArcSwap<AuthClient>,
    pub(in crate::session) leases: Arc<Leases>,
    terms: Setting<SchedulerSettings>,
    state: Mutex<Queue>,
    /// The queue changed, or a turn came free.
    wake: Notify,
    /// A turn came free, for those of low priority.
    pub(in crate::session) freed: Notify,
}

/// What a question finds.
pub(in crate::session) enum Joined {
    /// The answer.
    Known(Arc<Lease>),
    /// A question under way.
    Waits(watch::Receiver<FlightProgress>),
    /// No more questions are taken.
    Over,
}

/// A question and what came of it.
pub(in crate::session) struct Finished {
    pub(in crate::session) flight: Arc<SingleFlight>,
    pub(in crate::session) result: Result<Arc<Judgement>, AuthError>,
}

/// One of the `concurrency` calls. Dropping it lets the next begin.
pub(in crate::session) struct CallPermit(Arc<Scheduler>);

impl Scheduler {
    pub(in crate::session) fn new(
        client: AuthClient,
        leases: Arc<Leases>,
        terms: SchedulerSettings,
    ) -> Self {
        Self {
            client: ArcSwap::from_pointee(client),
            leases,
            terms: Setting::new(terms),
            state: Mutex::new(Queue::new(terms.patience)),
            wake: Notify::new(),
            freed: Notify::new(),
        }
    }

    /// Asks by these from now on; calls that are under way are ended as they began.
    pub(in crate::session) fn adopt(&self, client: AuthClient, terms: SchedulerSettings) {
        self.client.store(Arc::new(client));
        self.terms.set(terms);
        self.state().adopt(terms.patience);
        self.wake.notify_one();
    }

    /// Makes the calls of now.
    pub(in crate::session) fn client(&self) -> Arc<AuthClient> {
        self.client.load_full()
    }

    /// How questions are put now.
    pub(in crate::session) fn terms(&self) -> SchedulerSettings {
        self.terms.get()
    }

    /// Waits for the answer to a question, together with all that wait for it already.
    pub(in crate::session) fn join(&self, key: LeaseKey, question: &Question) -> Joined {
        let mut state = self.state();
        if state.is_over() {
            return Joined::Over;
        }
        if let Some(flight) = state.flights.get(&key) {
            return Joined::Waits(flight.join());
        }
        // It may have been answered since the caller looked.
        if let Lookup::Fresh(lease) = self.leases.find(&key) {
            return Joined::Known(lease);
        }
        let (flight, waits) = SingleFlight::open(key, question.clone());
        state.open(flight);
        drop(state);
        self.wake.notify_one();
        Joined::Waits(waits)
    }

    /// Whether Django could not be reached when it was last tried.
    pub(in crate::session) fn is_away(&self) -> bool {
        self.state().backoff.next().is_some()
    }

    /// Asks until the gateway ends, then ends all that waits.
    pub(in crate::session) async fn run(self: Arc<Self>, drain: DrainWatch) {
        while !drain.is_draining() {
            let woken = self.wake.notified();
            let due = match self.step() {
                NextStep::Call(flights) => {
                    let turn = CallPermit(Arc::clone(&self));
                    drain.spawn(turn.carry_out(flights));
                    continue;
                }
                NextStep::WaitUntil(due) => Some(due),
                NextStep::Idle => None,
            };
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = woken => {}
                () = timer => {}
                () = drain.draining() => {}
            }
        }
        // Those who wait learn of it by the end of their flight.
        self.state().end();
    }

    /// Takes what is asked next, and counts it as under way.
    fn step(&self) -> NextStep {
        let mut state = self.state();
        let is_view = state.is_next_of_view();
        let together = self.client().has_batch(BatchKind::of_views(is_view));
        let step = state.next(Instant::now(), self.terms().concurrency, together);
        if let NextStep::Call(_) = &step {
            state.under_way += 1;
        }
        step
    }

    /// Ends questions with their answers. Their leases must have been granted.
    pub(in crate::session) fn land(&self, ended: Vec<Finished>) {
        let mut state = self.state();
        for question in &ended {
            state.forget(&question.flight);
        }
        drop(state);
        for Finished { flight, result } in ended {
            flight.announce(FlightProgress::Judged(result));
        }
    }

    /// Puts questions back that Django could not be asked, and gives up those that waited too long.
    pub(in crate::session) fn put_off(
        &self,
        flights: Vec<Arc<SingleFlight>>,
        began: Instant,
        error: &AuthError,
    ) {
        let now = Instant::now();
        let mut state = self.state();
        state.backoff.failed(began, now);
        let away = state.backoff.next().is_some();
        let tried: HashSet<_> = flights.iter().map(|flight| flight.key).collect();
        // Django fails with this one session while it answers for others.
        let is_its_own = !away && error.is_failure() && tried.len() == 1;
        state.waiting.extend(flights);
        let mut ended = Vec::new();
        state.waiting.retain(|flight| {
            let concerned = away || tried.contains(&flight.key);
            if concerned {
                flight.announce_failing();
            }
            let own = is_its_own && tried.contains(&flight.key);
            let given_up = own || concerned && now >= flight.opened + self.terms().hold;
            if given_up {
                ended.push(Finished {
                    flight: Arc::clone(flight),
                    result: Err(error.clone()),
                });
            }
            !given_up
        });
        drop(state);
        self.land(ended);
    }

    /// Puts questions first again that are to be asked by themselves.
    pub(in crate::session) fn ask_alone(
        &self,
        flights: impl IntoIterator<Item = Arc<SingleFlight>>,
    ) {
        self.state().alone.extend(flights);
    }

    /// Puts questions first again that a batch had no time for.
    pub(in crate::session) fn ask_next(&self, flights: Vec<Arc<SingleFlight>>) {
        let mut state = self.state();
        for flight in flights.into_iter().rev() {
            state.waiting.push_front(flight);
        }
    }

    /// Gives a question up, unless somebody waits for it after all.
    pub(in crate::session) fn give_up(&self, flight: &Arc<SingleFlight>) -> bool {
        let mut state = self.state();
        let given_up = flight.is_abandoned();
        if given_up {
            state.forget(flight);
        }
        given_up
    }

    pub(in crate::session) fn state(&self) -> MutexGuard<'_, Queue> {
        self.state.lock()
    }
}

impl CallPermit {
    /// A turn that was counted already.
    pub(in crate::session) fn counted(scheduler: &Arc<Scheduler>) -> Self {
        Self(Arc::clone(scheduler))
    }

    pub(in crate::session) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.0
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.wake.notify_one();
        self.0.freed.notify_waiters();
    }
}
