//! Tokens by which a page brings along what it may listen to: `name,name~issued~expiry~mac`.
//!
//! Django makes them, `socket` reads them; `docs/protocol.md` has the form, and vectors in one file bind both
//! sides. The MAC covers the exact text and the user, who is not in the text; so a token made for another
//! user, or rewritten in any way, looks like a forged one.

use crate::ids::TopicName;
use crate::mac::MacReader;
use crate::secret::Secrets;

/// A longer text is no token, in bytes.
const LONGEST: usize = 4096;
/// HMAC-SHA256 in base64url.
const MAC_LENGTH: usize = 43;
/// Until the year 33658, in milliseconds and seconds.
const ISSUED_DIGITS: usize = 15;
const EXPIRES_DIGITS: usize = 12;
/// The user in the MAC of a token that is meant for anybody.
const ANYBODY: &str = "";

/// A text of a token's form, of which nothing is believed yet.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    names: &'a str,
    issued: &'a str,
    expires: &'a str,
    mac: &'a str,
    topics: Vec<TopicName>,
}

/// What a token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    /// What may be heard.
    pub topics: Vec<TopicName>,
    /// When it was issued, by Django's clock in unix milliseconds.
    pub issued: u64,
    /// Whether anybody may use it.
    pub is_public: bool,
}

/// Why a token grants nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It was not made for this user with a secret that is believed.
    NotAllowed,
    /// It was, and is over.
    Expired,
}

/// Tells good tokens from others.
#[derive(Debug)]
pub struct TokenReader {
    macs: MacReader,
}

impl<'a> Token<'a> {
    /// Takes a text apart that has the form of a token. Read from its end, since a name may have a `~`.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut parts = text.rsplitn(4, '~');
        let (mac, expires, issued) = (parts.next()?, parts.next()?, parts.next()?);
        let names = parts.next()?;
        let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let fits = mac.len() == MAC_LENGTH
            && mac.bytes().all(is_url_safe)
            && is_number(issued, ISSUED_DIGITS)
            && is_number(expires, EXPIRES_DIGITS);
        if !fits {
            return None;
        }
        let topics = names.split(',').map(TopicName::new);
        Some(Self {
            names,
            issued,
            expires,
            mac,
            topics: topics.collect::<Option<_>>()?,
        })
    }

    /// The topics that it names.
    pub fn topics(&self) -> &[TopicName] {
        &self.topics
    }
}

/// Decimal, and not spelled in another way than Django does.
fn is_number(text: &str, most_digits: usize) -> bool {
    (1..=most_digits).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'))
}

impl TokenReader {
    /// Believes tokens that were made with these secrets.
    pub fn new(secrets: &Secrets) -> Self {
        Self {
            macs: MacReader::new(secrets),
        }
    }

    /// What a token grants to a user (an empty id is a visitor) at `now`, in unix seconds.
    pub fn judge(&self, token: &Token<'_>, user: &str, now: u64) -> Result<TokenGrant, TokenError> {
        let is_public = if self.is_made_for(token, user) {
            user == ANYBODY
        } else if user != ANYBODY && self.is_made_for(token, ANYBODY) {
            true
        } else {
            return Err(TokenError::NotAllowed);
        };
        let (Ok(issued), Ok(expires)) = (token.issued.parse(), token.expires.parse::<u64>()) else {
            return Err(TokenError::NotAllowed);
        };
        if expires <= now {
            return Err(TokenError::Expired);
        }
        Ok(TokenGrant {
            topics: token.topics.clone(),
            issued,
            is_public,
        })
    }

    fn is_made_for(&self, token: &Token<'_>, user: &str) -> bool {
        let lines = [
            "gatepost-topic",
            token.names,
            user,
            token.issued,
            token.expires,
        ];
        self.macs.holds(token.mac, &lines)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::secret::Secret;

    #[derive(Deserialize)]
    struct Vectors {
        names: Vec<Name>,
        tokens: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Name {
        name: String,
        valid: bool,
    }

    #[derive(Deserialize)]
    struct Vector {
        about: String,
        token: String,
        secrets: Vec<String>,
        user: Option<String>,
        now: u64,
        outcome: String,
        #[serde(default)]
        names: Vec<String>,
        issued: Option<u64>,
        public: Option<bool>,
    }

    fn vectors() -> Vectors {
        let text = include_str!("../tests/fixtures/topic_tokens.json");
        serde_json::from_str(text).unwrap()
    }

    fn reader(secrets: &[&str]) -> TokenReader {
        let secret = |text: &&str| Secret::new(text.as_bytes().to_vec());
        TokenReader::new(&Secrets {
            current: secret(&secrets[0]),
            previous: secrets.get(1).map(secret),
        })
    }

    #[test]
    fn both_sides_agree_on_names() {
        for Name { name, valid } in vectors().names {
            assert_eq!(TopicName::new(&name).is_some(), valid, "{name}");
        }
    }

    #[test]
    fn both_sides_agree_on_tokens() {
        for vector in vectors().tokens {
            let about = &vector.about;
            let secrets: Vec<_> = vector.secrets.iter().map(String::as_str).collect();
            let user = vector.user.as_deref().unwrap_or_default();
            let Some(token) = Token::parse(&vector.token) else {
                assert_eq!(vector.outcome, "malformed", "{about}");
                continue;
            };
            match reader(&secrets).judge(&token, user, vector.now) {
                Ok(granted) => {
                    assert_eq!(vector.outcome, "granted", "{about}");
                    let names: Vec<_> = granted.topics.iter().map(TopicName::as_str).collect();
                    assert_eq!(names, vector.names, "{about}");
                    assert_eq!(Some(granted.issued), vector.issued, "{about}");
                    assert_eq!(Some(granted.is_public), vector.public, "{about}");
                }
                Err(TokenError::NotAllowed) => assert_eq!(vector.outcome, "not_allowed", "{about}"),
                Err(TokenError::Expired) => assert_eq!(vector.outcome, "expired", "{about}"),
            }
        }
    }

    fn good() -> Vector {
        let good = vectors().tokens.into_iter();
        good.into_iter()
            .find(|one| one.outcome == "granted")
            .unwrap()
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", parts in "[a-z.:,~%0-9A-F]{0,60}") {
            Token::parse(&text);
            Token::parse(&parts);
            let mac = "A".repeat(MAC_LENGTH);
            if let Some(token) = Token::parse(&format!("{parts}~1~2~{mac}")) {
                prop_assert!(reader(&["x"]).judge(&token, "1", 0).is_err());
            }
        }

        #[test]
        fn a_token_that_differs_in_one_byte_grants_nothing(at in 0_usize..90, byte in 33_u8..127) {
            let good = good();
            let mut text = good.token.clone().into_bytes();
            let at = at % text.len();
            prop_assume!(text[at] != byte);
            text[at] = byte;
            let text = String::from_utf8(text).unwrap();
            if let Some(token) = Token::parse(&text) {
                let judged = reader(&[&good.secrets[0]]).judge(&token, "42", good.now);
                prop_assert_eq!(judged, Err(TokenError::NotAllowed));
            }
        }
    }
}
