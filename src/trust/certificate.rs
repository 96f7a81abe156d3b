//! The certificate that is to be trusted, and what stores call it.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// Begins the names that stores know our certificates by, the CA's own included.
pub(super) const NAME: &str = "Gatepost local CA";

/// The local CA's certificate; never its key.
#[derive(Clone, Debug)]
pub struct CaCertificate {
    file: PathBuf,
    der: CertificateDer<'static>,
}

/// Why there is no certificate to trust.
#[derive(Debug, thiserror::Error)]
pub enum CaCertificateError {
    /// It was not made yet.
    #[error("there is no local CA in {}; the gateway makes it when it starts", file.display())]
    Missing {
        /// Where it would be.
        file: PathBuf,
    },
    /// It is something else.
    #[error("{} is no certificate; delete the folder's four files to have new ones made", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        #[source]
        /// What is wrong with it.
        source: pem::Error,
    },
}

impl CaCertificate {
    /// The first certificate of a PEM file.
    pub fn read(file: &Path) -> Result<Self, CaCertificateError> {
        let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        match CertificateDer::from_pem_file(&file) {
            Ok(der) => Ok(Self { file, der }),
            Err(pem::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(CaCertificateError::Missing { file })
            }
            Err(source) => Err(CaCertificateError::Broken { file, source }),
        }
    }

    /// Where it is.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The certificate itself, in DER form.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate, as browsers show it: `3F:0A:…`.
    pub fn fingerprint(&self) -> String {
        let bytes = digest(&SHA256, &self.der);
        let bytes: Vec<_> = bytes
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        bytes.join(":")
    }

    /// Its name in databases, which no other certificate has.
    pub(super) fn nickname(&self) -> String {
        format!("{NAME} {}", self.short())
    }

    /// The name of its file among others, without the ending.
    pub(super) fn file_stem(&self) -> String {
        format!("gatepost-local-ca-{}", self.short())
    }

    /// Tells the CAs of two projects apart.
    fn short(&self) -> String {
        self.fingerprint().replace(':', "").to_lowercase()[..16].to_owned()
    }
}
