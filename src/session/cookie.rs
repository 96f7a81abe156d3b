//! Picks the cookies that Django's authentication reads out of a `Cookie` header.
//!
//! Used by the handshake. The surprise: duplicates and quotes are kept as they came, and what names the
//! session is what Django reads of it, which is the last one without its quotes; so one session has one
//! digest however it is spelled. More than 8 KiB, which is more than gunicorn takes in one field, is
//! nothing to ask Django about: each waiting handshake keeps a copy.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::diagnosis::{Diagnosis, DiagnosisKind};
use super::naming::CookieNames;
use super::unquote::unquote;
use crate::ids::SessionDigest;
use crate::secret::Secrets;

/// Picked cookies in all, in bytes.
const LONGEST: usize = 8 << 10;

/// The picked cookies of one handshake. Clones share one copy, which is zeroed with the last of them.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionCookies {
    header: HeaderValue,
    /// Where in it the session cookie's value is.
    session: Range<u32>,
    /// What Django reads of that, where it is something else.
    unquoted: Option<Arc<Zeroizing<Box<[u8]>>>>,
}

/// Why there is no session to ask Django about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSession {
    /// There is no session cookie, or an empty one.
    Absent,
    /// It has bytes that gateway and Django might read in two ways.
    Unreadable,
    /// It is too long, with those in `auth.cookies`.
    TooLong,
}

impl NoSession {
    /// What is wrong, unless there simply is no session.
    pub fn diagnosis(self, name: &str) -> Option<Diagnosis> {
        match self {
            Self::Absent => None,
            Self::Unreadable => Some(Diagnosis::new(
                DiagnosisKind::CookieUnreadable,
                format!("the cookie {name} has bytes that a session cookie cannot have"),
                format!(
                    "A browser sent {name} with control characters or bytes that are not ASCII, \
                     which servers read in different ways. Nobody is asked whose it is. If your \
                     session engine writes such values, let it encode them, in base64 say."
                ),
            )),
            Self::TooLong => Some(Diagnosis::new(
                DiagnosisKind::CookiesTooLarge,
                "the session's cookies have more than 8 KiB",
                "The session cookie and those in `auth.cookies` have more than 8 KiB together. \
                 Keep less in the session, or use another SESSION_ENGINE than signed cookies.",
            )),
        }
    }
}

/// A session as a browser shows it to one host.
#[derive(Clone, Copy, Debug)]
pub struct SessionAt<'a> {
    /// The origin's authority as the browser wrote it.
    pub host: &'a HeaderValue,
    /// The picked cookies.
    pub cookies: &'a SessionCookies,
}

impl SessionCookies {
    /// The cookies in `names`, where there is a session cookie.
    pub fn pick(header: &HeaderValue, names: &CookieNames) -> Result<Self, NoSession> {
        // As long as all of them, or growing would leave copies behind.
        let pairs = header.as_bytes().split(|byte| *byte == b';');
        let room = header.len() + pairs.clone().count();
        let mut picked = Zeroizing::new(Vec::with_capacity(room));
        let mut session = 0..0;
        for pair in pairs {
            let Some((name, value)) = parts(pair) else {
                continue;
            };
            let is_session = name == names.session.as_bytes();
            if !is_session && !names.others.iter().any(|other| other.as_bytes() == name) {
                continue;
            }
            if !picked.is_empty() {
                picked.extend_from_slice(b"; ");
            }
            picked.extend_from_slice(pair.trim_ascii());
            if is_session {
                // The value is what a pair ends with.
                session = picked.len() - value.len()..picked.len();
            }
        }
        Self::of(&picked, session)
    }

    fn of(picked: &[u8], session: Range<usize>) -> Result<Self, NoSession> {
        let value = unquote(&picked[session.clone()]).ok_or(NoSession::Unreadable)?;
        if value.is_empty() {
            return Err(NoSession::Absent);
        }
        if picked.len() > LONGEST {
            return Err(NoSession::TooLong);
        }
        let is_itself = value.len() == session.len();
        let unquoted = (!is_itself).then(|| Arc::new(Zeroizing::new(value.into_owned().into())));
        let small = |place| u32::try_from(place).map_err(|_| NoSession::TooLong);
        let session = small(session.start)?..small(session.end)?;
        Ok(Self {
            header: zeroed_copy(picked).ok_or(NoSession::Unreadable)?,
            session,
            unquoted,
        })
    }

    /// No cookies at all: the question that learns what Django calls its session cookie.
    pub fn none() -> Self {
        Self {
            header: HeaderValue::from_static(""),
            session: 0..0,
            unquoted: None,
        }
    }

    /// Whether these are none, so that whatever is said of them is said of no session.
    pub fn is_none(&self) -> bool {
        self.header.is_empty()
    }

    /// The session cookie's value in a `Cookie` header, as Django reads it, where it is usable. As
    /// [`Self::pick`] sees it, without a copy, and however long all of them are.
    pub fn value_in<'a>(header: &'a HeaderValue, names: &CookieNames) -> Option<Cow<'a, [u8]>> {
        let mut pairs = header.as_bytes().rsplit(|byte| *byte == b';');
        let found = pairs.find_map(|pair| {
            let (name, value) = parts(pair)?;
            (name == names.session.as_bytes()).then_some(value)
        });
        unquote(found?).filter(|value| !value.is_empty())
    }

    /// Whether a `Cookie` header has any cookie that Django's authentication reads, even an empty one.
    pub fn any_in(header: &HeaderValue, names: &CookieNames) -> bool {
        let mut pairs = header.as_bytes().split(|byte| *byte == b';');
        pairs.any(|pair| {
            let name = parts(pair).map_or(b"".as_slice(), |(name, _)| name);
            let mut known = std::iter::once(&names.session).chain(&names.others);
            known.any(|known| known.as_bytes() == name)
        })
    }

    /// How many cookies of this name a `Cookie` header has.
    pub(super) fn count(header: &HeaderValue, name: &str) -> usize {
        let pairs = header.as_bytes().split(|byte| *byte == b';');
        let named = |pair: &&[u8]| parts(pair).is_some_and(|(own, _)| own == name.as_bytes());
        pairs.filter(named).count()
    }

    /// Whether these are of the same session, whatever the other cookies are.
    pub fn is_same_session(&self, other: &Self) -> bool {
        self.session() == other.session()
    }

    /// The one `Cookie` line for Django.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The session's digests, under the current and then under the previous secret.
    pub fn digests(&self, secrets: &Secrets) -> Box<[SessionDigest]> {
        secrets
            .believed()
            .map(|secret| SessionDigest::of(secret, self.session()))
            .collect()
    }

    /// Whether the session itself is in the cookie, signed, as the engine `signed_cookies` keeps it:
    /// it gets another value whenever something is written to it, and the old one stays good.
    pub(super) fn is_signed(&self) -> bool {
        self.session().contains(&b':')
    }

    pub(super) fn session(&self) -> &[u8] {
        match &self.unquoted {
            Some(value) => value,
            None => &self.header.as_bytes()[self.session.start as usize..self.session.end as usize],
        }
    }
}

/// Name and value of a pair, as Django takes it apart.
pub(super) fn parts(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
}

/// A copy of a `Cookie` field, where it is no longer than what may be picked of it.
pub fn keep(header: &HeaderValue) -> Option<HeaderValue> {
    let short = header.len() <= LONGEST;
    short.then(|| zeroed_copy(header.as_bytes())).flatten()
}

fn zeroed_copy(bytes: &[u8]) -> Option<HeaderValue> {
    let bytes = PickedBytes(Zeroizing::new(bytes.into()));
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Bytes that are zeroed when they are given back.
struct PickedBytes(Zeroizing<Box<[u8]>>);

impl AsRef<[u8]> for PickedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SessionCookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionCookies(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn names() -> CookieNames {
        CookieNames {
            others: vec!["tenant".into()],
            ..CookieNames::session("sessionid")
        }
    }

    fn pick(header: &'static str) -> Result<SessionCookies, NoSession> {
        SessionCookies::pick(&HeaderValue::from_static(header), &names())
    }

    fn digests(header: &'static str) -> Box<[SessionDigest]> {
        let current = Secret::new(vec![1; 32]);
        pick(header).unwrap().digests(&Secrets {
            current,
            previous: Some(Secret::new(vec![2; 32])),
        })
    }

    #[test]
    fn only_the_cookies_that_authentication_reads_are_sent() {
        let picked = pick("a=1; sessionid=abc; csrftoken=x; tenant=blue").unwrap();
        assert_eq!(picked.header(), "sessionid=abc; tenant=blue");
        assert!(picked.header().is_sensitive());
    }

    #[test]
    fn duplicates_stay_and_the_last_one_counts() {
        assert_eq!(
            pick("sessionid=a; sessionid=b").unwrap().header(),
            "sessionid=a; sessionid=b"
        );
        assert_eq!(digests("sessionid=a; sessionid=b"), digests("sessionid=b"));
        assert_eq!(digests("sessionid=b").len(), 2);
    }

    #[test]
    fn without_a_session_cookie_there_is_none() {
        for header in [
            "",
            "a=1",
            "sessionid",
            "sessionid=",
            "sessionid=\"\"",
            "xsessionid=1",
            "sessionid=a; sessionid=",
        ] {
            assert_eq!(pick(header).err(), Some(NoSession::Absent), "{header}");
        }
    }

    #[test]
    fn a_session_has_one_digest_however_it_is_spelled() {
        let plain = digests("sessionid=gAAA-_==");
        for spelled in [
            "sessionid=\"gAAA-_==\"",
            r#"sessionid="gAAA-_\075\075""#,
            r#"sessionid = "\gAAA-_=\=" ; a=1"#,
        ] {
            assert_eq!(digests(spelled), plain, "{spelled}");
            assert!(
                pick(spelled)
                    .unwrap()
                    .is_same_session(&pick("sessionid=gAAA-_==").unwrap())
            );
        }
        // Django is shown it as it came.
        let quoted = pick("sessionid=\"gAAA-_==\"; tenant=blue").unwrap();
        assert_eq!(quoted.header(), "sessionid=\"gAAA-_==\"; tenant=blue");
        assert_ne!(digests("sessionid=gAAA-_=\""), plain);
        assert!(pick(r#"sessionid="a\072b""#).unwrap().is_signed());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for value in [
            &b"abc\xa0"[..],
            b"caf\xc3\xa9",
            br#""a\012""#,
            b"ok; sessionid=\xe9",
        ] {
            let header = [b"sessionid=", value].concat();
            let header = HeaderValue::from_bytes(&header).unwrap();
            let picked = SessionCookies::pick(&header, &names());
            assert_eq!(picked.err(), Some(NoSession::Unreadable));
            assert_eq!(SessionCookies::value_in(&header, &names()), None);
        }
    }

    #[test]
    fn more_than_anybody_keeps_in_them_is_no_session() {
        let picked = |length: usize| {
            let fixed = "sessionid=; tenant=blue".len();
            let value = "x".repeat(length - fixed);
            let other = "y".repeat(LONGEST);
            let header = format!("a={other}; sessionid={value}; tenant=blue");
            SessionCookies::pick(&HeaderValue::try_from(header).unwrap(), &names())
        };
        assert_eq!(picked(LONGEST).unwrap().header().len(), LONGEST);
        assert_eq!(picked(LONGEST + 1), Err(NoSession::TooLong));
    }

    proptest! {
        #[test]
        fn the_value_alone_is_the_one_that_is_picked(
            header in "([ a;=]|a=|sessionid|sessionid=|; ?|[!-~]|\\\\075|\u{e9}){0,20}"
        ) {
            let header = HeaderValue::from_bytes(header.as_bytes()).unwrap();
            let picked = SessionCookies::pick(&header, &names());
            let value = SessionCookies::value_in(&header, &names());
            prop_assert_eq!(picked.as_ref().ok().map(SessionCookies::session), value.as_deref());
        }

        #[test]
        fn picking_never_panics_and_never_lets_another_cookie_through(
            bytes in proptest::collection::vec(0x20_u8..0x7f, 0..200)
        ) {
            let header = HeaderValue::from_bytes(&bytes).unwrap();
            if let Ok(picked) = SessionCookies::pick(&header, &names()) {
                for pair in picked.header().to_str().unwrap().split("; ") {
                    let name = pair.split('=').next().unwrap().trim();
                    prop_assert!(name == "sessionid" || name == "tenant");
                }
            }
        }
    }
}
