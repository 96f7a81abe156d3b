//! What `acme` tells the store: which names are to have certificates, what was issued for them, and what hinders it.

use std::sync::Arc;
use std::time::SystemTime;

use super::by_name::CertificatesByName;
use super::issued::IssuedCertificate;
use super::store::CertificateStore;
use super::supplier::CertificateSupplier;

impl CertificateStore {
    /// Serves what is issued for these names from now on, and refuses every name that no certificate
    /// holds. Names that files hold are left out; returns the others.
    pub fn expect(&self, names: &[String]) -> Vec<String> {
        let mut kept = self.kept.lock();
        let held = CertificatesByName::of(kept.certificates.pairs());
        let names: Vec<_> = names
            .iter()
            .filter(|name| !held.holds(name))
            .cloned()
            .collect();
        kept.ordered.expect(names.clone());
        self.serve(&kept);
        names
    }

    /// Of the names that came by demand, serves these alone from now on, with what there is of them.
    pub fn readmit(&self, names: Vec<(String, IssuedCertificate)>) {
        let mut kept = self.kept.lock();
        kept.ordered.readmit(names);
        self.serve(&kept);
    }

    /// Expects one more name, by demand.
    pub fn admit(&self, name: &str) {
        let mut kept = self.kept.lock();
        kept.ordered.admit(name);
        self.publish(&kept);
    }

    /// Forgets a name that came by demand.
    pub fn dismiss(&self, name: &str) {
        let mut kept = self.kept.lock();
        if kept.ordered.dismiss(name) {
            self.serve(&kept);
        }
    }

    /// Asks for certificates of names that none holds here from now on.
    pub fn be_supplied(&self, supplier: Option<Arc<dyn CertificateSupplier>>) {
        let mut kept = self.kept.lock();
        kept.is_supplied = supplier.is_some();
        *self.supplier.write() = supplier;
        self.serve(&kept);
    }

    /// Who has certificates issued for names that none holds, where they are issued on demand.
    pub fn supplier(&self) -> Option<Arc<dyn CertificateSupplier>> {
        self.supplier.read().clone()
    }

    /// Serves a certificate that was issued for one of the expected names, and counts it.
    pub fn take(&self, name: &str, issued: IssuedCertificate) {
        let mut kept = self.kept.lock();
        if kept.ordered.take(name, issued) {
            self.metrics.renewed();
            self.serve(&kept);
        }
    }

    /// Serves a certificate that is there already: of the gateway before, or of one that shares the folder,
    /// which has counted it.
    pub fn restore(&self, name: &str, kept: IssuedCertificate) {
        let mut all = self.kept.lock();
        if all.ordered.take(name, kept) {
            self.serve(&all);
        }
    }

    /// Tells that nothing is wrong with the certificate of a name any more.
    pub fn recover(&self, name: &str) {
        let mut kept = self.kept.lock();
        if kept.ordered.recover(name) {
            self.publish(&kept);
        }
    }

    /// Until when the certificate of an expected name is valid; `None` where it has none.
    pub fn ends(&self, name: &str) -> Option<SystemTime> {
        self.kept.lock().ordered.ends(name)
    }

    /// Tells that no other certificate can be had for a name, and why.
    pub fn fail(&self, name: &str, trouble: String) {
        self.metrics.failed();
        self.lapse(name, trouble);
    }

    /// Tells that no other certificate is wanted for a name, and why.
    pub fn lapse(&self, name: &str, reason: String) {
        let mut kept = self.kept.lock();
        kept.ordered.fail(name, reason);
        self.publish(&kept);
    }
}
