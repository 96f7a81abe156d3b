//! The secret that gateway and Django share, wrapped so that it cannot be printed.
//!
//! Made by `config` (or by the composition root in development); used to sign, to check callers of
//! the internal listener and to key session digests. Comparing goes through [`Secret::matches`],
//! never through `==`.

use std::fmt;

use aws_lc_rs::constant_time;

/// The shortest secret that is accepted, in bytes.
pub const SHORTEST_SECRET: usize = 32;

/// One secret value.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Wraps the bytes. The length is the configuration's business.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice())
    }

    /// The bytes, for use as a key.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether `candidate` is this secret, in time that depends on the lengths alone.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.0, candidate).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secret in force and, while secrets are rotated, the one before it.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Signs everything the gateway sends.
    pub current: Secret,
    /// Still believed from Django.
    pub previous: Option<Secret>,
}

impl Secrets {
    /// Whether these are the same, in the same places.
    pub fn are(&self, others: &Self) -> bool {
        let previous = match (&self.previous, &others.previous) {
            (Some(one), Some(other)) => one.matches(other.expose()),
            (None, None) => true,
            _ => false,
        };
        previous && self.current.matches(others.current.expose())
    }

    /// All secrets that are believed, the current one first.
    pub fn believed(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new(b"hunter2hunter2".to_vec());
        assert!(!format!("{secret:?}").contains("hunter"));
        assert!(secret.matches(b"hunter2hunter2"));
        assert!(!secret.matches(b"hunter2hunter3"));
    }
}
