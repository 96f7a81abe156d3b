//! Session tickets (RFC 8446 section 4.6.1, RFC 5077), by which a client resumes without a full handshake.
//!
//! One for all configurations of the store. Their keys are kept in a sealed file, so that tickets are good
//! after a restart too. The file is read again before a new key is made, so that gateways that share it,
//! as an old process and the new one in its place do, share their keys.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use super::error::TlsError;
use crate::sealing::Seal;
use crate::secret::Secrets;
use crate::state_folder;
use crate::telemetry::seldom::OnChange;
use crate::unix_time;

const SEAL: Seal = Seal {
    mark: b"gatepost tickets 1\n",
    purpose: b"gatepost-sealed-ticket-keys\n",
};

/// How long tickets are made with a key, and good afterwards: a key that is stolen lets its thief read connections of
/// one day at most, and with TLS 1.3 not even those, as each has a key exchange of its own.
const TERM: Duration = Duration::from_hours(12);

const NAME: usize = 16;
const KEY: usize = 32;
/// Name, key, when it was made.
const RECORD: usize = NAME + KEY + 8;

/// Where keys are kept.
pub struct TicketFile {
    /// `.gatepost/tickets`
    pub path: PathBuf,
    /// Seal it; one sealed with the previous secret is read, too.
    pub secrets: Secrets,
}

/// Makes and reads tickets.
pub(super) struct Tickets {
    file: TicketFile,
    keys: ArcSwap<TicketKeys>,
    faults: parking_lot::Mutex<OnChange>,
}

/// The key that tickets are made with, and the one before it.
struct TicketKeys {
    current: TicketKey,
    previous: Option<TicketKey>,
}

#[derive(Clone)]
struct TicketKey {
    /// What its tickets begin with.
    name: [u8; NAME],
    bytes: Zeroizing<[u8; KEY]>,
    /// In seconds since 1970.
    made: u64,
    cipher: std::sync::Arc<RandomizedNonceKey>,
}

impl Tickets {
    /// With the keys of the gateway before, where they are good still.
    pub(super) fn load(file: TicketFile) -> Result<Self, TlsError> {
        let kept = file.read();
        let now = unix_time::seconds();
        let (keys, is_new) = TicketKeys::now(kept, now)?;
        let tickets = Self {
            file,
            keys: ArcSwap::from_pointee(keys),
            faults: parking_lot::Mutex::default(),
        };
        if is_new {
            tickets.save();
        }
        Ok(tickets)
    }

    /// Makes a new key where one is due.
    pub(super) fn look(&self) {
        self.look_at(unix_time::seconds());
    }

    pub(super) fn look_at(&self, now: u64) {
        if self.keys.load().current.is_fresh(now) {
            return;
        }
        // Of another gateway perhaps, with which this one shares them.
        let mut kept = self.file.read();
        let keys = self.keys.load_full();
        kept.extend(
            [keys.current.clone()]
                .into_iter()
                .chain(keys.previous.clone()),
        );
        // Without randomness the old one goes on.
        if let Ok((keys, is_new)) = TicketKeys::now(kept, now) {
            self.keys.store(std::sync::Arc::new(keys));
            if is_new {
                self.save();
            }
        }
    }

    pub(super) fn decrypt_at(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.load();
        let key = keys.find(name)?;
        if !key.is_good(now) {
            return None;
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut text = text.to_vec();
        let opened = key.cipher.open_in_place(nonce, Aad::from(name), &mut text);
        let length = opened.ok()?.len();
        text.truncate(length);
        Some(text)
    }

    fn save(&self) {
        let mut faults = self.faults.lock();
        match self.file.write(&self.keys.load()) {
            Ok(()) => drop(faults.is_mended()),
            Err(error) if faults.is_news(&error.to_string()) => tracing::warn!(
                file = %self.file.path.display(), %error,
                "the keys of session tickets cannot be kept: after a restart every client makes a full \
                 TLS handshake"
            ),
            Err(_) => {}
        }
    }
}

impl TicketKeys {
    /// The keys that are good at a moment, with a new one where none can be used for new tickets; whether
    /// that was made.
    fn now(mut kept: Vec<TicketKey>, now: u64) -> Result<(Self, bool), TlsError> {
        kept.retain(|key| key.is_good(now));
        kept.sort_by_key(|key| std::cmp::Reverse(key.made));
        kept.dedup_by_key(|key| key.name);
        let newest = kept.first().filter(|key| key.is_fresh(now)).cloned();
        let is_new = newest.is_none();
        let current = match newest {
            Some(key) => key,
            None => TicketKey::make(now)?,
        };
        let previous = kept.into_iter().find(|key| key.name != current.name);
        Ok((Self { current, previous }, is_new))
    }

    fn find(&self, name: &[u8]) -> Option<&TicketKey> {
        let all = std::iter::once(&self.current).chain(&self.previous);
        all.into_iter().find(|key| key.name == name)
    }
}

impl TicketKey {
    fn make(now: u64) -> Result<Self, TlsError> {
        let (mut name, mut bytes) = ([0; NAME], Zeroizing::new([0; KEY]));
        let filled = rand::fill(&mut name).and_then(|()| rand::fill(&mut *bytes));
        filled.map_err(|_| rustls::Error::FailedToGetRandomBytes)?;
        Self::of(name, bytes, now).ok_or_else(|| rustls::Error::FailedToGetRandomBytes.into())
    }

    fn of(name: [u8; NAME], bytes: Zeroizing<[u8; KEY]>, made: u64) -> Option<Self> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &*bytes).ok()?;
        Some(Self {
            name,
            bytes,
            made,
            cipher: std::sync::Arc::new(cipher),
        })
    }

    fn read(record: &[u8; RECORD]) -> Option<Self> {
        let (name, rest) = record.split_first_chunk::<NAME>()?;
        let (key, made) = rest.split_first_chunk::<KEY>()?;
        let made = u64::from_be_bytes(made.try_into().ok()?);
        Self::of(*name, Zeroizing::new(*key), made)
    }

    /// Whether new tickets may be made with it. One that is of the future is none: the clock was set back,
    /// and its time would never be over.
    fn is_fresh(&self, now: u64) -> bool {
        self.made <= now && now - self.made < TERM.as_secs()
    }

    /// Whether its tickets are believed.
    fn is_good(&self, now: u64) -> bool {
        self.made <= now && now - self.made < 2 * TERM.as_secs()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(TERM.as_secs()).unwrap_or(u32::MAX)
    }

    /// The key's name, a nonce, what is encrypted, its tag.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        let key = &keys.current;
        let mut text = plain.to_vec();
        let nonce = key
            .cipher
            .seal_in_place_append_tag(Aad::from(&key.name), &mut text)
            .ok()?;
        Some([&key.name[..], nonce.as_ref(), &text].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(ticket, unix_time::seconds())
    }
}

impl TicketFile {
    /// What another gateway, or the one before, has left; nothing where that cannot be read.
    fn read(&self) -> Vec<TicketKey> {
        let sealed = match std::fs::read(&self.path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::debug!(file = %self.path.display(), %error, "no ticket keys");
                return Vec::new();
            }
        };
        let mut secrets = self.secrets.believed();
        let Some(text) = secrets.find_map(|secret| SEAL.open(&sealed, secret)) else {
            tracing::info!(
                file = %self.path.display(),
                "ticket keys were not sealed with this secret by this version: new ones are made"
            );
            return Vec::new();
        };
        let text = Zeroizing::new(text);
        let (records, _) = text.as_chunks::<RECORD>();
        records.iter().filter_map(TicketKey::read).collect()
    }

    fn write(&self, keys: &TicketKeys) -> io::Result<()> {
        let mut text = Vec::with_capacity(2 * RECORD);
        for key in std::iter::once(&keys.current).chain(&keys.previous) {
            text.extend_from_slice(&key.name);
            text.extend_from_slice(&*key.bytes);
            text.extend_from_slice(&key.made.to_be_bytes());
        }
        state_folder::write(&self.path, &SEAL.seal(text, &self.secrets.current)?)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}
