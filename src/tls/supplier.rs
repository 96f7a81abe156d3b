//! Who has certificates issued for names that no certificate holds, when a client asks for one.
//!
//! Known to the store, asked by `on_demand` in the middle of a handshake, and by `server` for plain HTTP; what
//! does it is in `acme`.

use std::any::Any;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;

/// How long a client is kept waiting. Authorities take some seconds; a client that has no answer for longer is
/// better off coming back.
const PATIENCE: Duration = Duration::from_secs(8);

/// How far it has come with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SupplyStage {
    /// It is being found out whether the name may have one.
    Asked,
    /// It may, and one is being ordered.
    Allowed,
    /// There is one, or will not be for a while.
    Over,
}

/// Has certificates issued on demand.
pub trait CertificateSupplier: Send + Sync {
    /// Begins with a name, in lower case, that this client asks for. `None` where there is nothing to wait for.
    fn request(&self, name: &str, client: Option<IpAddr>) -> Option<PendingSupply>;
}

/// A client's wait for a name.
#[derive(Debug)]
pub struct PendingSupply {
    stage: watch::Receiver<SupplyStage>,
    /// Let go of with the wait.
    _place: Box<dyn Any + Send + Sync>,
}

impl PendingSupply {
    /// Waits for the stages that come, in this place among those who wait.
    pub fn new(stage: watch::Receiver<SupplyStage>, place: impl Any + Send + Sync) -> Self {
        Self {
            stage,
            _place: Box::new(place),
        }
    }

    /// Waits until it has come so far, but not for long.
    pub async fn until(mut self, stage: SupplyStage) {
        let reached = self.stage.wait_for(|now| *now >= stage);
        // Who no longer goes on, or takes too long, is not waited for; the handshake tells what came of it.
        drop(tokio::time::timeout(PATIENCE, reached).await);
    }
}
