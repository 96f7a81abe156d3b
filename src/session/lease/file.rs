//! Leases survive a restart of the gateway, in a file that only the next gateway can read, once.
//!
//! The composition root loads the [`LeaseFile`] at the start and saves it at the end. The file is gone
//! before a byte of it is believed. It holds keyed hashes instead of cookies, is encrypted and authenticated
//! with a key made of the secret, and says when it was written: a copy that is put back later is as old as
//! that.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::ids::{GroupName, UserId};
use crate::sealing::Seal;
use crate::secret::Secret;
use crate::session::lease::Leases;
use crate::session::lease::entry::{Lease, LeaseKey, Validity};
use crate::session::naming::Naming;
use crate::state_folder;
use crate::unix_time::{self, milliseconds};

/// What the file begins with has its version.
const SEAL: Seal = Seal {
    mark: b"gatepost leases 2\n",
    purpose: b"gatepost-sealed-leases\n",
};
/// A larger file is not one that we wrote.
const LARGEST: u64 = 128 * 1024 * 1024;

/// Where leases wait for the next gateway.
#[derive(Debug)]
pub struct LeaseFile {
    path: PathBuf,
    secret: Secret,
    naming: Arc<Naming>,
}

/// The leases at the beginning of a shutdown; those that survive it are saved.
#[derive(Debug)]
pub struct Survivors {
    keys: HashSet<LeaseKey>,
}

/// Why leases of the gateway before cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file cannot be read, or not removed.
    #[error("it cannot be read and removed: {0}")]
    File(#[from] io::Error),
    /// Another secret, another version, or not ours at all.
    #[error("it was not written with this secret by this version")]
    Forged,
    /// Whatever it says may have changed since.
    #[error("it is too old")]
    Old,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct FileContent {
    /// When it was written, in milliseconds since 1970.
    at: u64,
    /// Whether Django says things to new connections that are not in here.
    framed: bool,
    /// What Django calls its session cookie, where it had to say so.
    #[serde(default)]
    cookie: Option<String>,
    leases: Vec<SealedLease>,
}

#[derive(Serialize, Deserialize)]
struct SealedLease {
    key: [u8; 32],
    user: String,
    groups: Vec<String>,
    sessions: Vec<String>,
    expires_at: Option<u64>,
    /// Milliseconds since Django was asked.
    age: u64,
}

impl Survivors {
    /// The leases there are now, before connections are closed.
    pub fn of(leases: &Leases) -> Self {
        let living = leases.living(|lease| !leases.is_revoked(lease));
        Self {
            keys: living.into_iter().map(|(key, _)| key).collect(),
        }
    }
}

impl LeaseFile {
    /// The file at this path, for gateways with this secret. The name of the session cookie goes along.
    pub fn new(path: PathBuf, secret: Secret, naming: Arc<Naming>) -> Self {
        Self {
            path,
            secret,
            naming,
        }
    }

    /// Saves those survivors that nothing was said against since. Returns how many.
    pub fn save(&self, survivors: &Survivors, leases: &Leases) -> io::Result<usize> {
        let now = Instant::now();
        let living = leases.living(|lease| !leases.is_revoked_by_name(lease));
        let mut sealed = Vec::with_capacity(living.len());
        for (key, lease) in living {
            if survivors.keys.contains(&key) {
                sealed.extend(SealedLease::of(key, &lease, now));
            }
        }
        let content = FileContent {
            at: milliseconds(unix_time::now()),
            framed: leases.has_frames(),
            cookie: self.naming.learned(),
            leases: sealed,
        };
        let sealed = seal(&content, &self.secret)?;
        state_folder::write(&self.path, &sealed)?;
        Ok(content.leases.len())
    }

    /// Takes over what the gateway before relied upon, for `term` from now, but not for longer than
    /// revocations are remembered. The file is removed, whatever is in it; without one there is nothing
    /// to take over. Returns how many leases there were.
    pub fn load(&self, leases: &Leases, term: Duration) -> Result<usize, SealError> {
        let Some(bytes) = take(&self.path)? else {
            return Ok(0);
        };
        let content = open(&bytes, &self.secret)?;
        let age = unix_time::now().checked_sub(Duration::from_millis(content.at));
        let age = age.filter(|age| *age <= leases.terms().grace);
        let age = age.ok_or(SealError::Old)?;
        if let Some(cookie) = content.cookie {
            self.naming.remember(cookie);
        }
        let now = Instant::now();
        let term = term.min(leases.terms().longest());
        // Where new connections get frames, Django has to be asked for these.
        let until = if content.framed { now } else { now + term };
        let mut count = 0;
        for sealed in content.leases {
            let asked = now.checked_sub(age + Duration::from_millis(sealed.age));
            if let Some((key, lease)) =
                asked.and_then(|asked| sealed.lease(Validity { asked, until }))
            {
                leases.put(key, lease);
                count += 1;
            }
        }
        Ok(count)
    }
}

impl SealedLease {
    fn of(key: LeaseKey, lease: &Lease, now: Instant) -> Option<Self> {
        let identity = lease.identity.as_ref()?;
        Some(Self {
            key: key.0,
            user: identity.user.to_string(),
            groups: identity
                .groups
                .iter()
                .map(|g| g.as_str().to_owned())
                .collect(),
            sessions: identity.sessions.iter().map(ToString::to_string).collect(),
            expires_at: identity.expires_at.map(unix_time::of).map(milliseconds),
            age: milliseconds(now.saturating_duration_since(lease.asked)),
        })
    }

    fn lease(self, valid: Validity) -> Option<(LeaseKey, Lease)> {
        let sessions = self.sessions.iter().map(|digest| digest.parse().ok());
        let identity = Identity {
            user: UserId::new(&self.user),
            groups: self
                .groups
                .iter()
                .map(|name| GroupName::new(name))
                .collect(),
            sessions: sessions.collect::<Option<_>>()?,
            expires_at: self
                .expires_at
                .and_then(|end| unix_time::moment(Duration::from_millis(end))),
        };
        let lease = Lease {
            identity: Some(identity),
            frames: Box::default(),
            listening: None,
            asked: valid.asked,
            until: valid.until,
        };
        Some((LeaseKey(self.key), lease))
    }
}

fn seal(content: &FileContent, secret: &Secret) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(content).map_err(io::Error::other)?;
    SEAL.seal(text, secret)
}

fn open(bytes: &[u8], secret: &Secret) -> Result<FileContent, SealError> {
    let text = SEAL.open(bytes, secret).ok_or(SealError::Forged)?;
    serde_json::from_slice(&text).map_err(|_| SealError::Forged)
}

/// Reads the file and removes it.
fn take(path: &Path) -> Result<Option<Vec<u8>>, SealError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    fs::remove_file(path)?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub(in crate::session) mod fuzzing {
    use super::{Duration, FileContent, Instant, SealError, Secret, Validity, open, seal};

    /// A lease file that was not written with our secret, and the same content as if it was.
    pub fn sealed(bytes: &[u8]) {
        let secret = Secret::new(b"a-shared-secret-of-at-least-32-bytes".to_vec());
        assert!(matches!(open(bytes, &secret), Err(SealError::Forged)));
        let Ok(content) = serde_json::from_slice::<FileContent>(bytes) else {
            return;
        };
        let count = content.leases.len();
        let sealed = seal(&content, &secret);
        let Some(content) = sealed.ok().and_then(|sealed| open(&sealed, &secret).ok()) else {
            panic!("what was sealed cannot be opened");
        };
        assert_eq!(content.leases.len(), count);
        let now = Instant::now();
        for sealed in content.leases {
            let asked = now.checked_sub(Duration::from_millis(sealed.age));
            let asked = asked.unwrap_or(now);
            let _ = sealed.lease(Validity { asked, until: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Hub, OutboxLimits};
    use crate::secret::Secrets;
    use crate::session::{Answer, CookieNames, LeaseTerms, SessionAt, SessionCookies};

    const TERM: Duration = Duration::from_mins(1);

    fn leases(hub: &Arc<Hub>) -> Leases {
        let terms = LeaseTerms {
            lease: Duration::ZERO,
            grace: Duration::from_mins(10),
        };
        let secrets = Secrets {
            current: secret(1),
            previous: None,
        };
        Leases::new(terms, secrets, Arc::clone(hub))
    }

    fn hub() -> Arc<Hub> {
        let limits = OutboxLimits {
            frames: 8,
            bytes: 1024,
        };
        Arc::new(Hub::new(limits).remembering(Duration::from_mins(10)))
    }

    fn secret(byte: u8) -> Secret {
        Secret::new(vec![byte; 32])
    }

    fn kept(path: PathBuf, by: u8) -> LeaseFile {
        let naming = Naming::new(None, CookieNames::default());
        LeaseFile::new(path, secret(by), Arc::new(naming))
    }

    fn grant(leases: &Leases, session: &'static str, asked: Instant) {
        let names = CookieNames::session("sessionid");
        let cookies = http::HeaderValue::from_static(session);
        let session = SessionAt {
            host: &http::HeaderValue::from_static("app.test"),
            cookies: &SessionCookies::pick(&cookies, &names).unwrap(),
        };
        let answer = Answer::decode(br#"{"user":"1","groups":["staff"]}"#).unwrap();
        leases.grant(session, &answer, asked);
    }

    #[test]
    fn going_away_ends_no_lease_but_a_revocation_meanwhile_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = kept(folder.path().join("leases"), 1);
        let hub = hub();
        let before = leases(&hub);
        grant(&before, "sessionid=a", Instant::now());
        grant(&before, "sessionid=b", Instant::now());
        let survivors = Survivors::of(&before);
        let away = crate::close::CloseReason::GoingAway { delay_ms: 1 };
        hub.close(&crate::publication::Audience::Everyone, &away);
        grant(&before, "sessionid=late", Instant::now());
        assert_eq!(file.save(&survivors, &before).unwrap(), 2);
        let user = crate::publication::Audience::User(UserId::new("1"));
        hub.close(&user, &away);
        assert_eq!(file.save(&survivors, &before).unwrap(), 0);
    }

    #[test]
    fn a_session_that_was_revoked_before_the_end_is_not_saved() {
        let folder = tempfile::tempdir().unwrap();
        let file = kept(folder.path().join("leases"), 1);
        let hub = hub();
        let before = leases(&hub);
        grant(&before, "sessionid=a", Instant::now());
        let ended = crate::close::CloseReason::NotLoggedIn;
        hub.close(&crate::publication::Audience::Everyone, &ended);
        let survivors = Survivors::of(&before);
        assert_eq!(file.save(&survivors, &before).unwrap(), 0);
    }

    #[test]
    fn what_is_taken_over_is_as_old_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = kept(folder.path().join("leases"), 1);
        let before = leases(&hub());
        grant(
            &before,
            "sessionid=a",
            Instant::now().checked_sub(TERM).unwrap(),
        );
        file.save(&Survivors::of(&before), &before).unwrap();
        let after = leases(&hub());
        assert_eq!(file.load(&after, TERM).unwrap(), 1);
        let lease = &after.living(|_| true)[0].1;
        assert!(lease.asked.elapsed() >= TERM);
        assert!(lease.until > Instant::now());
        assert_eq!(file.load(&leases(&hub()), TERM).unwrap(), 0, "used once");
    }

    #[test]
    fn another_secret_and_an_old_file_are_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases");
        let before = leases(&hub());
        grant(&before, "sessionid=a", Instant::now());
        let file = kept(path.clone(), 1);
        file.save(&Survivors::of(&before), &before).unwrap();
        let other = kept(path.clone(), 2);
        let refused = other.load(&leases(&hub()), TERM);
        assert!(matches!(refused, Err(SealError::Forged)), "{refused:?}");
        assert!(!path.exists());
        let hour = Duration::from_hours(1);
        let earlier = unix_time::now().checked_sub(hour).unwrap();
        for at in [earlier, unix_time::now() + hour] {
            let content = FileContent {
                at: milliseconds(at),
                framed: false,
                cookie: None,
                leases: Vec::new(),
            };
            state_folder::write(&path, &seal(&content, &secret(1)).unwrap()).unwrap();
            let refused = file.load(&leases(&hub()), TERM);
            assert!(matches!(refused, Err(SealError::Old)), "{refused:?}");
        }
    }

    #[test]
    fn nothing_is_relied_upon_for_longer_than_a_logout_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = kept(folder.path().join("leases"), 1);
        let before = leases(&hub());
        grant(&before, "sessionid=a", Instant::now());
        file.save(&Survivors::of(&before), &before).unwrap();
        let after = leases(&hub());
        let revalidate = Duration::from_hours(1);
        assert_eq!(file.load(&after, revalidate).unwrap(), 1);
        let remembered = after.terms().longest();
        let living = after.living(|lease| lease.until <= Instant::now() + remembered);
        assert_eq!(living.len(), 1);
    }
}
