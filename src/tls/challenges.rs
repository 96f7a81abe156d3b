//! The answers to an authority's questions while certificates are ordered: HTTP-01 (RFC 8555 section 8.3)
//! and TLS-ALPN-01 (RFC 8737).
//!
//! Filled by `acme`, read by `server` for each handshake and each request over plain HTTP. The certificate
//! of a challenge is only for a client that offers `acme-tls/1` and nothing else, and has a configuration of
//! its own, so that no browser ever gets it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::TlsError;

/// The protocol of a challenge.
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// What authorities ask for now.
#[derive(Debug, Default)]
pub struct Challenges {
    /// The body of an answer, by the token that is asked for.
    tokens: Mutex<HashMap<String, String>>,
    certificates: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    /// How many certificates there are: read in every handshake, without a lock.
    count: AtomicUsize,
}

/// An answer, which is there as long as this is.
#[derive(Debug)]
pub struct StandingAnswer {
    challenges: Arc<Challenges>,
    key: String,
    is_token: bool,
}

impl Challenges {
    /// The answer at `/.well-known/acme-challenge/<token>`.
    pub fn answer(&self, token: &str) -> Option<String> {
        self.tokens.lock().get(token).cloned()
    }

    /// Answers to HTTP-01.
    pub fn put_token(self: &Arc<Self>, token: &str, authorization: &str) -> StandingAnswer {
        let mut tokens = self.tokens.lock();
        tokens.insert(token.to_owned(), authorization.to_owned());
        StandingAnswer {
            challenges: Arc::clone(self),
            key: token.to_owned(),
            is_token: true,
        }
    }

    /// Answers to TLS-ALPN-01: with the SHA-256 digest of the authorization in a certificate for `name`.
    pub fn put_certificate(
        self: &Arc<Self>,
        name: &str,
        digest: &[u8; 32],
    ) -> Result<StandingAnswer, TlsError> {
        let certificate = Arc::new(certificate(name, digest)?);
        let mut certificates = self.certificates.lock();
        certificates.insert(name.to_owned(), certificate);
        self.count.store(certificates.len(), Ordering::Release);
        Ok(StandingAnswer {
            challenges: Arc::clone(self),
            key: name.to_owned(),
            is_token: false,
        })
    }

    /// Whether a handshake may be an authority's.
    pub(super) fn are_under_way(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// How such a handshake is answered.
    pub(super) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let mut config = ServerConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByChallenge(Arc::clone(self))));
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        Ok(config)
    }
}

impl Drop for StandingAnswer {
    fn drop(&mut self) {
        if self.is_token {
            self.challenges.tokens.lock().remove(&self.key);
            return;
        }
        let mut certificates = self.challenges.certificates.lock();
        certificates.remove(&self.key);
        let count = certificates.len();
        self.challenges.count.store(count, Ordering::Release);
    }
}

/// Finds the certificate of a challenge.
#[derive(Debug)]
struct ByChallenge(Arc<Challenges>);

impl ResolvesServerCert for ByChallenge {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        self.0.certificates.lock().get(name).cloned()
    }
}

/// Whether a client is an authority that asks for its challenge (RFC 8737 section 3).
pub(super) fn is_challenge(hello: &ClientHello<'_>) -> bool {
    let mut offered = hello.alpn().into_iter().flatten();
    offered.next() == Some(ACME_TLS) && offered.next().is_none()
}

fn certificate(name: &str, digest: &[u8; 32]) -> Result<CertifiedKey, TlsError> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(|reason| {
        rustls::Error::General(format!("the key of a challenge is broken: {reason}"))
    })?;
    let private = super::provider().key_provider.load_private_key(private)?;
    // Not checked against each other: rustls refuses to read the critical extension.
    Ok(CertifiedKey::new(vec![cert.der().clone()], private))
}
