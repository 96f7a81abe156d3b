//! What the gateway writes for itself and nobody else may read or forge: encrypted and authenticated with
//! a key made of the secret.
//!
//! Used for the files in `.gatepost/` that hold leases and ticket keys. What is sealed says what it is
//! and in which version, so that one kind of file never passes for another.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;

use crate::secret::Secret;

/// How one kind of file is sealed: AES-256-GCM with a random nonce.
#[derive(Clone, Copy, Debug)]
pub struct Seal {
    /// What a file begins with: its kind and version.
    pub mark: &'static [u8],
    /// What the key is made of besides the secret.
    pub purpose: &'static [u8],
}

impl Seal {
    /// Seals a text.
    pub fn seal(&self, mut text: Vec<u8>, secret: &Secret) -> io::Result<Vec<u8>> {
        let key = self.key(secret).ok_or_else(failed)?;
        let nonce = key.seal_in_place_append_tag(Aad::from(self.mark), &mut text);
        let nonce = nonce.map_err(|_| failed())?;
        Ok([self.mark, nonce.as_ref(), &text].concat())
    }

    /// The text that was sealed; `None` for what was not sealed with this secret, for this purpose, in this
    /// version.
    pub fn open(&self, sealed: &[u8], secret: &Secret) -> Option<Vec<u8>> {
        let sealed = sealed.strip_prefix(self.mark)?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut text = text.to_vec();
        let key = self.key(secret)?;
        let opened = key.open_in_place(nonce, Aad::from(self.mark), &mut text);
        let length = opened.ok()?.len();
        text.truncate(length);
        Some(text)
    }

    fn key(&self, secret: &Secret) -> Option<RandomizedNonceKey> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        let key = hmac::sign(&key, self.purpose);
        RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).ok()
    }
}

fn failed() -> io::Error {
    io::Error::other("it cannot be encrypted")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = Seal {
        mark: b"gatepost test 1\n",
        purpose: b"test\n",
    };

    #[test]
    fn only_the_same_secret_purpose_and_version_open_what_is_whole() {
        let (ours, theirs) = (Secret::new(vec![1; 32]), Secret::new(vec![2; 32]));
        let sealed = SEAL.seal(b"content".to_vec(), &ours).unwrap();
        assert_eq!(SEAL.open(&sealed, &ours).unwrap(), b"content");
        assert!(!sealed.windows(7).any(|part| part == b"content"));
        assert_eq!(SEAL.open(&sealed, &theirs), None);
        let purpose = Seal {
            purpose: b"other\n",
            ..SEAL
        };
        assert_eq!(purpose.open(&sealed, &ours), None);
        let version = Seal {
            mark: b"gatepost test 2\n",
            ..SEAL
        };
        let renamed = [version.mark, &sealed[SEAL.mark.len()..]].concat();
        assert_eq!(version.open(&renamed, &ours), None);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(SEAL.open(&changed, &ours), None, "byte {index}");
            assert_eq!(SEAL.open(&sealed[..index], &ours), None);
        }
    }
}
