//! A client of the internal listener: publish, revoke, connections, health, metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::raw::{Answered, Raw};
use super::signature::{Signed, now};
use super::{SECRET, eventually_some};

/// Tells signed calls of one second apart.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Where the internal listener is.
#[derive(Clone, Debug)]
pub enum Internal {
    Tcp(std::net::SocketAddr),
    Unix(std::path::PathBuf),
}

/// How a call proves that it may.
#[derive(Clone, Debug)]
enum Proof {
    Bearer(String),
    /// Made with this secret by a clock that is so many seconds ahead.
    Signature(String, i64),
    None,
}

/// A client of the internal listener.
#[derive(Clone, Debug)]
pub struct Api {
    internal: Internal,
    proof: Proof,
}

impl Api {
    /// A client with the right secret as bearer.
    pub fn new(internal: Internal) -> Self {
        let proof = Proof::Bearer(SECRET.to_owned());
        Self { internal, proof }
    }

    /// With this secret as bearer.
    #[must_use]
    pub fn with_bearer(mut self, secret: &str) -> Self {
        self.proof = Proof::Bearer(secret.to_owned());
        self
    }

    /// Signs with this secret instead of showing it.
    #[must_use]
    pub fn signing_with(mut self, secret: &str) -> Self {
        self.proof = Proof::Signature(secret.to_owned(), 0);
        self
    }

    /// Signs by a clock that is so many seconds ahead.
    #[must_use]
    pub fn signing_ahead(mut self, seconds: i64) -> Self {
        self.proof = Proof::Signature(SECRET.to_owned(), seconds);
        self
    }

    /// Without any proof.
    #[must_use]
    pub fn without_secret(mut self) -> Self {
        self.proof = Proof::None;
        self
    }

    /// Publishes and wants 202; returns the receipt.
    #[track_caller]
    pub fn publish(&self, publication: &Value) -> impl Future<Output = Value> + use<> {
        self.publish_text(&publication.to_string())
    }

    /// Publishes these very bytes and wants 202; returns the receipt.
    #[track_caller]
    pub fn publish_text(&self, publication: &str) -> impl Future<Output = Value> + use<> {
        let caller = std::panic::Location::caller();
        let call = self.post("/v1/publish", publication);
        async move {
            let answer = call.await;
            assert_eq!(answer.status(), 202, "{caller}: {}", answer.text());
            answer.json()
        }
    }

    /// Revokes and wants 200; returns how many sockets were closed.
    #[track_caller]
    pub fn revoke(&self, what: &Value) -> impl Future<Output = u64> + use<> {
        let caller = std::panic::Location::caller();
        let call = self.post("/v1/revoke", &what.to_string());
        async move {
            let answer = call.await;
            assert_eq!(answer.status(), 200, "{caller}: {}", answer.text());
            answer.json()["closed"].as_u64().expect("a count")
        }
    }

    /// The connections of a user.
    pub async fn connections(&self, user: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/connections?user={user}")).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()["connections"].as_array().unwrap().clone()
    }

    /// Waits until a user has so many connections; returns them.
    pub async fn connected(&self, user: &str, count: usize) -> Vec<Value> {
        eventually_some(super::PATIENCE, async || {
            let connections = self.connections(user).await;
            (connections.len() == count).then_some(connections)
        })
        .await
    }

    /// One sample of `/metrics`, such as `gatepost_connections`, labels included, which must be there.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
        value.trim().parse().unwrap()
    }

    /// A POST of JSON.
    pub fn post(&self, target: &str, body: &str) -> impl Future<Output = Answered> + use<> {
        self.call("POST", target, "application/json", body.as_bytes())
    }

    /// A GET.
    pub fn get(&self, target: &str) -> impl Future<Output = Answered> + use<> {
        self.call("GET", target, "", b"")
    }

    /// Any call.
    pub fn call(
        &self,
        method: &str,
        target: &str,
        content_type: &str,
        body: &[u8],
    ) -> impl Future<Output = Answered> + use<> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        let nonce = format!("{:016x}", CALLS.fetch_add(1, Ordering::Relaxed));
        let signed = Signed {
            method,
            target,
            host: "localhost",
            nonce: &nonce,
            body: Some(body),
            ..Signed::default()
        };
        match &self.proof {
            Proof::Bearer(secret) => head += &format!("Authorization: Bearer {secret}\r\n"),
            Proof::Signature(secret, ahead) => {
                let time = now().checked_add_signed(*ahead).unwrap();
                let signature = signed.at(time, secret);
                head += &format!("Gatepost-Signature: {signature}\r\n");
            }
            Proof::None => {}
        }
        if method != "GET" {
            let length = body.len();
            head += &format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n");
        }
        head += "Connection: close\r\n\r\n";
        let bytes = [head.as_bytes(), body].concat();
        let connection = self.raw();
        async move {
            let mut raw = connection.await;
            raw.send(bytes).await;
            raw.answer().await
        }
    }

    /// A connection for bytes of any kind.
    pub fn raw(&self) -> impl Future<Output = Raw<Either<TcpStream, UnixStream>>> + use<> {
        let internal = self.internal.clone();
        async move {
            Raw::new(match internal {
                Internal::Tcp(address) => Either::Left(TcpStream::connect(address).await.unwrap()),
                Internal::Unix(path) => Either::Right(UnixStream::connect(path).await.unwrap()),
            })
        }
    }
}
