//! The handshake of a name that may get its certificate while the client waits.
//!
//! Called by `server` for each connection. Only with a supplier are a client's first words read before the
//! configuration for the rest is chosen; a name that a certificate holds costs one look-up more.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::accept::{self, Protocol, TlsStream};
use super::challenges::is_challenge;
use super::store::CertificateStore;
use super::supplier::{CertificateSupplier, SupplyStage};

/// Performs the handshake with the certificate of now, or one that this client's request brings about. The stream
/// comes back with an error.
pub async fn handshake<S>(
    store: &CertificateStore,
    client: Option<IpAddr>,
    stream: S,
) -> Result<(TlsStream<S>, Protocol), (io::Error, Option<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match store.supplier() {
        None => accept::handshake(store.handshake(), stream).await,
        Some(supplier) => Box::pin(supplied(store, supplier, client, stream)).await,
    }
}

async fn supplied<S>(
    store: &CertificateStore,
    supplier: Arc<dyn CertificateSupplier>,
    client: Option<IpAddr>,
    stream: S,
) -> Result<(TlsStream<S>, Protocol), (io::Error, Option<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = accept::first_words(stream).await?;
    let hello = start.client_hello();
    let is_challenge = is_challenge(&hello);
    let missing = hello.server_name().filter(|name| !store.holds(name));
    let missing = missing.filter(|_| !is_challenge).map(str::to_owned);
    if let Some(name) = missing
        && let Some(supply) = supplier.request(&name, client)
    {
        supply.until(SupplyStage::Over).await;
    }
    let configs = store.handshake();
    let config = match configs.challenged {
        Some(challenged) if is_challenge => challenged,
        _ => configs.usual,
    };
    accept::go_on(start, config).await
}
