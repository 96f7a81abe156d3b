//! Picks the cookies that Django's authentication reads out of a `Cookie` header.
//!
//! Used by the handshake. The surprise: duplicates are kept as they came, and like Django the digest
//! takes the last one; a value that Django would unquote or trim is treated as no session, so that one
//! session cannot be spelled in two ways. More than 8 KiB of them, which is more than gunicorn takes in
//! one field, are no session either: each waiting handshake keeps a copy.

use std::ops::Range;

use bytes::Bytes;
use cookie::Cookie;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::ids::SessionDigest;
use crate::secret::Secrets;

/// Picked cookies in all, in bytes.
const LONGEST: usize = 8 << 10;

/// The cookies that matter.
#[derive(Clone, Debug)]
pub struct CookieNames {
    /// Django's `SESSION_COOKIE_NAME`.
    pub session: String,
    /// `auth.cookies`: further ones.
    pub others: Vec<String>,
}

/// The picked cookies of one handshake. Clones share one copy, which is zeroed with the last of them.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionCookies {
    header: HeaderValue,
    /// Where in it the session cookie's value is.
    session: Range<u32>,
}

impl SessionCookies {
    /// The cookies in `names`, or `None` where there is no usable session cookie, or too much of them.
    pub fn pick(header: &HeaderValue, names: &CookieNames) -> Option<Self> {
        // As long as all of them, or growing would leave copies behind.
        let pairs = header.as_bytes().split(|byte| *byte == b';');
        let room = header.len() + pairs.clone().count();
        let mut picked = Zeroizing::new(Vec::with_capacity(room));
        let mut session = None;
        for pair in pairs {
            let pair = pair.trim_ascii();
            let Some(cookie) = std::str::from_utf8(pair)
                .ok()
                .and_then(|p| Cookie::parse(p).ok())
            else {
                continue;
            };
            let is_session = cookie.name() == names.session;
            if !is_session && !names.others.iter().any(|other| other == cookie.name()) {
                continue;
            }
            if !picked.is_empty() {
                picked.extend_from_slice(b"; ");
            }
            picked.extend_from_slice(pair);
            if is_session {
                // The value is what a pair ends with.
                session = Some(picked.len() - cookie.value().len()..picked.len());
            }
        }
        if picked.len() > LONGEST {
            tracing::debug!(
                bytes = picked.len(),
                "cookies of more than 8 KiB are no session"
            );
            return None;
        }
        let session = session.filter(|place| is_plain(&picked[place.clone()]))?;
        let session = u32::try_from(session.start).ok()?..u32::try_from(session.end).ok()?;
        let picked = Zeroizing::new(picked.as_slice().into());
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(Kept(picked))).ok()?;
        header.set_sensitive(true);
        Some(Self { header, session })
    }

    /// The session cookie's value in a `Cookie` header, where it is usable. As [`Self::pick`] sees it,
    /// without a copy, and however long all of them are.
    pub fn value_in<'a>(header: &'a HeaderValue, names: &CookieNames) -> Option<&'a [u8]> {
        let mut pairs = header.as_bytes().rsplit(|byte| *byte == b';');
        let found = pairs.find_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let is_it = pair[..equals].trim_ascii() == names.session.as_bytes()
                && std::str::from_utf8(pair).is_ok();
            is_it.then(|| pair[equals + 1..].trim_ascii())
        });
        found.filter(|found| is_plain(found))
    }

    /// Whether these are of the same session, whatever the other cookies are.
    pub fn is_same_session(&self, other: &Self) -> bool {
        self.session() == other.session()
    }

    /// The one `Cookie` line for Django.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Whether a `Set-Cookie` field gives one of these cookies another value.
    pub(super) fn is_replaced_by(&self, set_cookie: &HeaderValue) -> bool {
        let pair = set_cookie.as_bytes().split(|byte| *byte == b';').next();
        let pair = pair.unwrap_or_default().trim_ascii();
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let mut own = self.header.as_bytes().split(|byte| *byte == b';');
        own.any(|own| {
            let own = own.trim_ascii();
            let rest = own.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(b"=")) && own != pair
        })
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

    fn session(&self) -> &[u8] {
        &self.header.as_bytes()[self.session.start as usize..self.session.end as usize]
    }
}

/// Bytes that are zeroed when they are given back.
struct Kept(Zeroizing<Box<[u8]>>);

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SessionCookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionCookies(…)")
    }
}

/// Whether Django reads exactly these bytes. Python's cookie parser unquotes, unescapes and trims
/// Unicode spaces; no session engine of Django writes a value that needs any of it.
fn is_plain(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    !value.is_empty() && value.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn names() -> CookieNames {
        CookieNames {
            session: "sessionid".into(),
            others: vec!["tenant".into()],
        }
    }

    fn pick(header: &'static str) -> Option<SessionCookies> {
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
    fn another_value_of_one_of_them_replaces_them() {
        let picked = pick("sessionid=abc; tenant=blue").unwrap();
        let replaced = |line| picked.is_replaced_by(&HeaderValue::from_static(line));
        assert!(replaced("sessionid=abd; Path=/"));
        assert!(replaced("sessionid=\"\"; Max-Age=0"));
        assert!(replaced("tenant=red"));
        assert!(!replaced("sessionid=abc; Max-Age=1209600"));
        assert!(!replaced("session=x"));
        assert!(!replaced("csrftoken=x; Path=/"));
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
    fn without_a_usable_session_cookie_there_is_none() {
        for header in [
            "",
            "a=1",
            "sessionid",
            "sessionid=",
            "sessionid=\"abc\"",
            "xsessionid=1",
        ] {
            assert!(pick(header).is_none(), "{header}");
        }
        let spaced = HeaderValue::from_bytes(b"sessionid=abc\xa0").unwrap();
        assert!(SessionCookies::pick(&spaced, &names()).is_none());
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
        assert!(picked(LONGEST + 1).is_none());
    }

    proptest! {
        #[test]
        fn the_value_alone_is_the_one_that_is_picked(
            header in "([ a;=]|a=|sessionid|sessionid=|; ?|[!-~]|\u{e9}){0,20}"
        ) {
            let header = HeaderValue::from_bytes(header.as_bytes()).unwrap();
            let picked = SessionCookies::pick(&header, &names());
            let value = SessionCookies::value_in(&header, &names());
            prop_assert_eq!(picked.as_ref().map(SessionCookies::session), value);
        }

        #[test]
        fn picking_never_panics_and_never_lets_another_cookie_through(
            bytes in proptest::collection::vec(0x20_u8..0x7f, 0..200)
        ) {
            let header = HeaderValue::from_bytes(&bytes).unwrap();
            if let Some(picked) = SessionCookies::pick(&header, &names()) {
                for pair in picked.header().to_str().unwrap().split("; ") {
                    let name = pair.split('=').next().unwrap().trim();
                    prop_assert!(name == "sessionid" || name == "tenant");
                }
            }
        }
    }
}
