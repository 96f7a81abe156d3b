//! One throw-away certificate a run, trusted by nobody but this run's clients: a client that speaks
//! TLS with us speaks with the server we started.

use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name in the certificate, and the host every client asks for.
pub(crate) const HOST: &str = "localhost";

/// A self-signed P-256 certificate, as files and in memory.
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    der: CertificateDer<'static>,
    secret: Vec<u8>,
}

/// Which key exchange a client offers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyExchange {
    /// X25519, which every server here speaks: like for like.
    Classic,
    /// X25519MLKEM768 first, as today's browsers.
    PostQuantum,
}

impl Certificate {
    /// Makes a certificate and writes it under `directory`.
    pub(crate) fn make(directory: &Path) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).map_err(Error::other)?;
        let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        std::fs::write(&cert, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let (der, secret) = (made.cert.der().clone(), made.signing_key.serialize_der());
        Ok(Self {
            cert,
            key,
            der,
            secret,
        })
    }

    /// Reads back what [`Certificate::make`] wrote, for the limit program.
    pub(crate) fn load(cert: &Path, key: &Path) -> io::Result<Self> {
        use rustls::pki_types::pem::PemObject;
        let der = CertificateDer::from_pem_file(cert).map_err(Error::other)?;
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(Error::other)?
            .secret_der()
            .to_vec();
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            der,
            secret,
        })
    }

    /// A client that trusts this certificate alone and never resumes: every handshake is a full one.
    pub(crate) fn client(&self, exchange: KeyExchange) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).map_err(Error::other)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider(exchange)))
            .with_safe_default_protocol_versions()
            .map_err(Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// The limit program's side: no tickets, nothing that could be avoided.
    pub(crate) fn server(&self) -> io::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.secret.clone()));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(provider(KeyExchange::PostQuantum)))
                .with_safe_default_protocol_versions()
                .map_err(Error::other)?
                .with_no_client_auth()
                .with_single_cert(vec![self.der.clone()], key)
                .map_err(Error::other)?;
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn provider(exchange: KeyExchange) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if exchange == KeyExchange::Classic {
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    }
    provider
}
