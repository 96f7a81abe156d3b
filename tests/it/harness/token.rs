//! Topic tokens, made a second time so that a mistake in the gateway's own reading does not prove itself
//! right.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::SECRET;
use super::signature::now;

/// A token in the making.
#[derive(Clone, Debug)]
pub struct Token {
    pub names: String,
    pub user: String,
    /// Unix milliseconds.
    pub issued: u64,
    /// Unix seconds.
    pub expires: u64,
    pub secret: String,
}

impl Token {
    /// For a user, issued now and good for an hour.
    pub fn of(user: &str, names: &str) -> Self {
        Self {
            names: names.to_owned(),
            user: user.to_owned(),
            issued: now_ms(),
            expires: now() + 3600,
            secret: SECRET.to_owned(),
        }
    }

    /// Issued so much earlier.
    #[must_use]
    pub fn aged(mut self, by: Duration) -> Self {
        self.issued -= u64::try_from(by.as_millis()).unwrap();
        self
    }

    /// Over since a second.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.expires = now() - 1;
        self
    }

    /// Made with another secret.
    #[must_use]
    pub fn with_secret(mut self, secret: &str) -> Self {
        secret.clone_into(&mut self.secret);
        self
    }

    /// As text.
    pub fn text(&self) -> String {
        let (names, issued, expires) = (&self.names, self.issued, self.expires);
        let lines = format!(
            "gatepost-topic\n{names}\n{}\n{issued}\n{expires}",
            self.user
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&key, lines.as_bytes()));
        format!("{names}~{issued}~{expires}~{mac}")
    }
}

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

/// A text as a value of a query, as JavaScript's `encodeURIComponent` writes it.
pub fn in_query(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    let quote = |byte: u8| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(quote).collect()
}
