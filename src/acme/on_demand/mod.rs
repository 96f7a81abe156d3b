//! Certificates for names that clients ask for and Django allows (`tls.acme.names = "django"`).
//!
//! Made by `keeper`, asked by handshakes through the store. Each name that is asked about has a task of its own, from
//! the question on; so whoever asks for the same name meanwhile waits for the same question and the same order, and a
//! client that leaves stops neither. `askable` and `limits` say which names Django is asked about at all, `table` is what
//! is known of names, `attend` what is done about one.

mod askable;
mod attend;
mod hosts_view;
mod limits;
mod table;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub(super) use askable::is_askable;
pub(super) use attend::Attendant;
pub(super) use hosts_view::NameJudge;
pub use hosts_view::{HostsView, HostsViewSettings};
pub(super) use limits::DemandLimits;
use table::{Attended, NameFound};

use super::authority::CertificateAuthority;
use crate::net::drain::DrainWatch;
use crate::tls::supplier::{CertificateSupplier, PendingSupply, SupplyStage};

/// Has certificates issued for names that Django allows.
pub(super) struct OnDemand<A, J> {
    attendant: Arc<Attendant<A, J>>,
    /// The names of the configuration, which have certificates without it.
    expected: HashSet<String>,
    drain: DrainWatch,
}

impl<A: CertificateAuthority, J: NameJudge> OnDemand<A, J> {
    /// Nothing was asked for yet.
    pub(super) fn new(
        attendant: Attendant<A, J>,
        expected: HashSet<String>,
        drain: DrainWatch,
    ) -> Self {
        Self {
            attendant: Arc::new(attendant),
            expected,
            drain,
        }
    }

    /// Goes on with names that have a certificate of before.
    pub(super) fn resume(&self, names: Vec<String>) {
        for name in names {
            let (stage, attended) = attended(SupplyStage::Over);
            let demand = Arc::clone(&attended.demand);
            self.attendant.table.lock().attend(&name, attended);
            let (attendant, watch) = (Arc::clone(&self.attendant), self.drain.clone());
            self.drain.spawn(async move {
                tokio::select! {
                    () = attendant.resumed(&name, stage, &demand) => {}
                    () = watch.draining() => {}
                }
            });
        }
    }

    /// Begins with a name, where nothing says that it should not be asked about now.
    fn begin(&self, name: &str, client: Option<IpAddr>) -> Option<Attended> {
        let (attendant, now) = (&self.attendant, Instant::now());
        let mut table = attendant.table.lock();
        let failures = match table.find(name, now) {
            NameFound::Attended(attended) => {
                attended.demand.notify_one();
                return Some(attended);
            }
            NameFound::Resting => return None,
            NameFound::New { failures } => failures,
        };
        // The rate first: making room takes a look at all that rest.
        if !attendant.limits.spend(client, now) || !table.has_room(now) {
            attendant.refuse(name, "questions");
            return None;
        }
        let Ok(question) = Arc::clone(&attendant.limits.questions).try_acquire_owned() else {
            attendant.refuse(name, "questions that wait");
            return None;
        };
        let (stage, attended) = attended(SupplyStage::Asked);
        table.attend(name, attended.clone());
        drop(table);
        let (attendant, watch) = (Arc::clone(attendant), self.drain.clone());
        let (name, demand) = (name.to_owned(), Arc::clone(&attended.demand));
        self.drain.spawn(async move {
            let asked = attend::AskedName {
                name: &name,
                stage,
                demand: &demand,
                failures,
            };
            tokio::select! {
                () = attendant.asked(asked, question) => {}
                () = watch.draining() => {}
            }
        });
        Some(attended)
    }
}

fn attended(stage: SupplyStage) -> (watch::Sender<SupplyStage>, Attended) {
    let (sender, stage) = watch::channel(stage);
    let demand = Arc::new(Notify::new());
    (sender, Attended { stage, demand })
}

impl<A: CertificateAuthority, J: NameJudge> CertificateSupplier for OnDemand<A, J> {
    fn request(&self, name: &str, client: Option<IpAddr>) -> Option<PendingSupply> {
        let is_expected = self.expected.contains(name);
        if is_expected || !is_askable(name) || self.drain.is_draining() {
            return None;
        }
        let Some(place) = self.attendant.limits.wait(client) else {
            self.attendant.refuse(name, "clients that wait");
            return None;
        };
        let attended = self.begin(name, client)?;
        Some(PendingSupply::new(attended.stage, place))
    }
}

#[cfg(test)]
mod tests;
