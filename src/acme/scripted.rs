//! An authority that follows a script, for tests.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::authority::CertificateAuthority;
use super::error::AcmeError;
use super::order::CertificateRequest;
use crate::tls::issued::IssuedCertificate;

/// One answer after another; then it hangs.
#[derive(Default)]
pub(super) struct Script {
    pub(super) answers: Mutex<VecDeque<Result<String, AcmeError>>>,
    pub(super) wishes: Mutex<VecDeque<SystemTime>>,
    pub(super) orders: Mutex<Vec<PlacedOrder>>,
}

/// What was ordered.
pub(super) struct PlacedOrder {
    pub(super) at: Instant,
    pub(super) replaced: Option<SystemTime>,
}

impl CertificateAuthority for Script {
    async fn suggested(&self, _: &IssuedCertificate) -> Result<Option<SystemTime>, AcmeError> {
        Ok(self.wishes.lock().pop_front())
    }

    async fn issue(&self, request: CertificateRequest<'_>) -> Result<String, AcmeError> {
        self.orders.lock().push(PlacedOrder {
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

/// Key and certificate, valid from so long ago until in so long.
pub(super) fn certificate_of(name: &str, age: Duration, left: Duration) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = (SystemTime::now() - age).into();
    params.not_after = (SystemTime::now() + left).into();
    key.serialize_pem() + &params.self_signed(&key).unwrap().pem()
}
