//! MACs that Django makes of lines of text, and the gateway compares.
//!
//! Used for topics' tokens and for streams; `docs/protocol.md` says which lines. Both sides' tests read the same vectors.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{Secret, Secrets};

/// Tells good MACs from others.
pub struct MacReader {
    keys: Vec<hmac::Key>,
}

impl MacReader {
    /// Believes what was made with these secrets.
    pub fn new(secrets: &Secrets) -> Self {
        let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        Self {
            keys: secrets.believed().map(key).collect(),
        }
    }

    /// Whether a MAC was made of these lines with one of the secrets.
    pub fn holds(&self, mac: &str, lines: &[&str]) -> bool {
        let mut found = false;
        for key in &self.keys {
            let mut context = hmac::Context::with_key(key);
            for (index, line) in lines.iter().enumerate() {
                if index > 0 {
                    context.update(b"\n");
                }
                context.update(line.as_bytes());
            }
            // As text: bytes can be spelled in several ways.
            let made = URL_SAFE_NO_PAD.encode(context.sign());
            let same = constant_time::verify_slices_are_equal(made.as_bytes(), mac.as_bytes());
            found |= same.is_ok();
        }
        found
    }
}

impl fmt::Debug for MacReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacReader({})", self.keys.len())
    }
}
