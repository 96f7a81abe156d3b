//! The signature between gateway and Django, written a second time so that a mistake in the
//! gateway's own does not prove itself right.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};

use super::SECRET;
use super::server::Received;

/// What is signed besides the time.
#[derive(Clone, Debug, Default)]
pub struct Signed<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub host: &'a str,
    pub address: &'a str,
    pub scheme: &'a str,
    pub nonce: &'a str,
    /// `None` where it streams and is not signed.
    pub body: Option<&'a [u8]>,
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

impl Signed<'_> {
    /// The value of `Gatepost-Signature`.
    pub fn at(&self, time: u64, secret: &str) -> String {
        let mut moment = time.to_string();
        if !self.nonce.is_empty() {
            moment += &format!(",n={}", self.nonce);
        }
        let body = self.body.map_or_else(|| "-".to_owned(), sha256);
        let lines = [
            "v1",
            self.method,
            self.target,
            &moment,
            self.host,
            self.address,
            self.scheme,
            &body,
        ]
        .join("\n");
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        format!(
            "t={moment},v1={}",
            hex(hmac::sign(&key, lines.as_bytes()).as_ref())
        )
    }
}

/// Panics unless the gateway signed this request, its body included, just now.
#[track_caller]
pub fn assert_signed(request: &Received) {
    assert_signed_with(request, Some(&request.body.bytes));
}

/// Panics unless the gateway signed this request, without its body, just now.
#[track_caller]
pub fn assert_signed_but_body(request: &Received) {
    assert_signed_with(request, None);
}

#[track_caller]
fn assert_signed_with(request: &Received, body: Option<&[u8]>) {
    let given = request.header("gatepost-signature").expect("a signature");
    let time = given.split(',').next().and_then(|t| t.strip_prefix("t="));
    let time: u64 = time.and_then(|t| t.parse().ok()).expect("a time");
    assert!(now().abs_diff(time) <= 60, "signed at {time}");
    let field = |name| request.header(name).unwrap_or_default();
    let signed = Signed {
        method: &request.method(),
        target: &request.target(),
        host: &field("host"),
        address: &field("gatepost-address"),
        scheme: &field("gatepost-scheme"),
        nonce: "",
        body,
    };
    assert_eq!(given, signed.at(time, SECRET));
}

/// What the gateway calls a session.
pub fn session_digest(cookie: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let message = format!("gatepost-session\n{cookie}");
    hex(hmac::sign(&key, message.as_bytes()).as_ref())
}

fn sha256(body: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, body).as_ref())
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
