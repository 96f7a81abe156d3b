//! The signature on what passes between gateway and Django: `Gatepost-Signature: t=…,v1=…`.
//!
//! `vouch` signs with it what goes to Django, `publish` checks callers of the internal listener. The
//! message names `Host`, the client's address and the scheme too, so that a signed call cannot be
//! replayed as a call for another host or another client.

use aws_lc_rs::{constant_time, digest, hmac};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::secret::{Secret, Secrets};

/// The header that carries the signature.
pub const SIGNATURE: HeaderName = HeaderName::from_static("gatepost-signature");

/// The client's address, as it is signed. Servers own `X-Forwarded-For`: some remove it.
pub const ADDRESS: HeaderName = HeaderName::from_static("gatepost-address");

/// The scheme the client speaks, as it is signed.
pub const SCHEME: HeaderName = HeaderName::from_static("gatepost-scheme");

/// How far the two clocks may differ, either way, in seconds.
pub const TOLERANCE: u64 = 60;

/// What tells apart calls of one second that are otherwise the same, in hexadecimal digits.
const NONCE: std::ops::RangeInclusive<usize> = 16..=64;

/// No well-formed header is longer: `t=`, 20 digits, `,n=`, 64 digits, `,v1=`, 64 digits.
const LONGEST_HEADER: usize = 157;

/// What a signature vouches for.
#[derive(Clone, Copy, Debug)]
pub struct SignedParts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target's path with its query, as sent.
    pub path_and_query: &'a str,
    /// The `Host` header.
    pub host: &'a [u8],
    /// The `Gatepost-Address` header; empty where absent.
    pub address: &'a [u8],
    /// The `Gatepost-Scheme` header; empty where absent.
    pub scheme: &'a [u8],
    /// The body.
    pub body: BodyHash,
}

/// What a signature says about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyHash {
    /// Its SHA-256.
    Sha256([u8; 32]),
    /// Nothing: it is sent while it is still being read.
    Streamed,
}

/// A signature that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// When it was made, in unix seconds of the signer.
    pub time: u64,
    /// What no other call has.
    pub tag: [u8; 32],
}

/// Why a signature is not believed. The texts are for the caller who signs wrongly: none tells
/// anything about a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is not `t=<unix seconds>[,n=<nonce>],v1=<64 lower-case hexadecimal digits>`.
    #[error(
        "the header is not of the form t=<unix seconds>[,n=<16 to 64 hex digits>],v1=<64 lower-case \
         hex digits>"
    )]
    Malformed,
    /// No secret that is believed makes this signature.
    #[error("no secret in force here makes this signature of this request")]
    Mismatch,
    /// The signature is right, and made at another time; positive: in the past.
    #[error("it was made {difference} s from now by this clock, and {TOLERANCE} s are allowed")]
    Clock {
        /// Seconds by which the clocks differ.
        difference: u64,
    },
}

impl BodyHash {
    /// The hash of a whole body.
    pub fn of(body: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
        Self::Sha256(hash)
    }
}

impl<'a> SignedParts<'a> {
    /// The parts of a request whose headers are `headers`.
    pub fn of(
        method: &'a Method,
        path_and_query: &'a str,
        headers: &'a HeaderMap,
        body: BodyHash,
    ) -> Self {
        let field = |name: &HeaderName| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        Self {
            method,
            path_and_query,
            host: field(&header::HOST),
            address: field(&ADDRESS),
            scheme: field(&SCHEME),
            body,
        }
    }

    /// `moment` is what the header says between `t=` and `,v1=`.
    fn tag(&self, key: &hmac::Key, moment: &[u8]) -> hmac::Tag {
        let mut message = Vec::with_capacity(256);
        message.extend_from_slice(b"v1\n");
        message.extend_from_slice(self.method.as_str().as_bytes());
        message.push(b'\n');
        message.extend_from_slice(self.path_and_query.as_bytes());
        message.push(b'\n');
        message.extend_from_slice(moment);
        for field in [self.host, self.address, self.scheme] {
            message.push(b'\n');
            message.extend_from_slice(field);
        }
        message.push(b'\n');
        match &self.body {
            BodyHash::Sha256(hash) => push_hex(&mut message, hash),
            BodyHash::Streamed => message.push(b'-'),
        }
        hmac::sign(key, &message)
    }
}

/// Signs with one secret, whose key is worked out once.
#[derive(Clone, Debug)]
pub struct Signer(hmac::Key);

impl Signer {
    /// Signs with this secret.
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// The header for a request that is sent at `now`, in unix seconds.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "digits, letters, `=` and `,` are a header value"
    )]
    pub fn sign(&self, parts: &SignedParts<'_>, now: u64) -> HeaderValue {
        let mut buffer = [0; 20];
        let moment = decimal(&mut buffer, now);
        let mut text = Vec::with_capacity(LONGEST_HEADER);
        text.extend_from_slice(b"t=");
        text.extend_from_slice(moment);
        text.extend_from_slice(b",v1=");
        push_hex(&mut text, parts.tag(&self.0, moment).as_ref());
        HeaderValue::from_maybe_shared(Bytes::from(text)).expect("visible ASCII is a header value")
    }
}

/// The header for a request that is sent at `now`, in unix seconds.
pub fn sign(secret: &Secret, parts: &SignedParts<'_>, now: u64) -> HeaderValue {
    Signer::new(secret).sign(parts, now)
}

/// Checks a request that arrived at `now`, in unix seconds. The time taken does not tell which
/// secret was tried, nor how much of the signature was right.
pub fn verify(
    secrets: &Secrets,
    header: &HeaderValue,
    parts: &SignedParts<'_>,
    now: u64,
) -> Result<Signature, SignatureError> {
    let (moment, signature) = parse(header.as_bytes()).ok_or(SignatureError::Malformed)?;
    let Signature { time, tag: claimed } = &signature;
    let believed = secrets.believed().fold(false, |believed, secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        let tag = parts.tag(&key, moment);
        constant_time::verify_slices_are_equal(tag.as_ref(), claimed).is_ok() | believed
    });
    if !believed {
        return Err(SignatureError::Mismatch);
    }
    // Judged last, so that a clock is blamed only where the secrets do agree.
    match now.abs_diff(*time) {
        0..=TOLERANCE => Ok(signature),
        difference => Err(SignatureError::Clock { difference }),
    }
}

/// The moment (time and nonce, as written) and the signature of a header, in the one spelling that is
/// allowed.
fn parse(header: &[u8]) -> Option<(&[u8], Signature)> {
    if header.len() > LONGEST_HEADER {
        return None;
    }
    let text = std::str::from_utf8(header).ok()?;
    let (moment, tag) = text.strip_prefix("t=")?.split_once(",v1=")?;
    let time = match moment.split_once(",n=") {
        Some((time, nonce)) => is_nonce(nonce).then_some(time)?,
        None => moment,
    };
    if time.is_empty() || !time.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let signature = Signature {
        time: time.parse().ok()?,
        tag: parse_hex(tag.as_bytes())?,
    };
    Some((moment.as_bytes(), signature))
}

fn is_nonce(text: &str) -> bool {
    let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    NONCE.contains(&text.len()) && text.bytes().all(digits)
}

fn parse_hex(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 64 {
        return None;
    }
    let mut tag = [0; 32];
    for (byte, pair) in tag.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(tag)
}

fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    };
    text.extend(bytes.iter().flat_map(digits));
}

/// As `Display` writes it, without its machinery: every proxied request is signed.
fn decimal(buffer: &mut [u8; 20], mut number: u64) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
        if number == 0 {
            return &buffer[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn secrets() -> Secrets {
        Secrets {
            current: Secret::new(b"0123456789abcdef0123456789abcdef".to_vec()),
            previous: Some(Secret::new(b"fedcba9876543210fedcba9876543210".to_vec())),
        }
    }

    fn publish(body: &[u8]) -> SignedParts<'static> {
        SignedParts {
            method: &Method::POST,
            path_and_query: "/v1/publish",
            host: b"127.0.0.1:9400",
            address: b"",
            scheme: b"",
            body: BodyHash::of(body),
        }
    }

    fn auth() -> SignedParts<'static> {
        SignedParts {
            method: &Method::GET,
            path_and_query: "/_gatepost/auth/?a=1&b=%C3%A9",
            host: b"example.test:8443",
            address: b"203.0.113.9",
            scheme: b"https",
            body: BodyHash::Streamed,
        }
    }

    // Computed with Python's hmac and hashlib.
    #[test]
    fn known_answers_are_met() {
        let secret = secrets().current;
        assert_eq!(
            sign(&secret, &publish(b"{}"), NOW),
            "t=1790000000,v1=2762a4ece03eff74199a3a358f39b8a6dff8a5a833e67e8dd5a910643b42be3d"
        );
        assert_eq!(
            sign(&secret, &auth(), NOW),
            "t=1790000000,v1=e742b09acd4e82b28b5df156c96c626631b254398e175f92df57136d0b474798"
        );
    }

    /// The Django package is tested against the same file.
    #[test]
    fn the_vectors_shared_with_python_are_met() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/python/tests/signature_vectors.json"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let vectors = vectors["signatures"].as_array().unwrap();
        assert!(vectors.len() >= 4);
        for vector in vectors {
            let field = |name: &str| vector[name].as_str().unwrap();
            let method = field("method").parse().unwrap();
            let time = vector["t"].as_u64().unwrap();
            let body = vector["body"].as_str();
            let parts = SignedParts {
                method: &method,
                path_and_query: field("target"),
                host: field("host").as_bytes(),
                address: field("address").as_bytes(),
                scheme: field("scheme").as_bytes(),
                body: body.map_or(BodyHash::Streamed, |body| BodyHash::of(body.as_bytes())),
            };
            let secret = Secret::new(field("secret").into());
            // The gateway checks nonces, and makes none.
            if field("nonce").is_empty() {
                assert_eq!(sign(&secret, &parts, time), field("header"));
            }
            let secrets = Secrets {
                current: secret,
                previous: None,
            };
            let header = HeaderValue::from_str(field("header")).unwrap();
            let believed = verify(&secrets, &header, &parts, time);
            assert_eq!(believed.map(|it| it.time), Ok(time), "{}", vector["name"]);
        }
    }

    #[test]
    fn both_secrets_are_believed() {
        let secrets = secrets();
        for secret in secrets.believed() {
            let header = sign(secret, &auth(), NOW);
            assert!(verify(&secrets, &header, &auth(), NOW).is_ok());
        }
        let stranger = Secret::new(vec![b'x'; 32]);
        let header = sign(&stranger, &auth(), NOW);
        assert_eq!(
            verify(&secrets, &header, &auth(), NOW),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn every_part_counts() {
        let secrets = secrets();
        let header = sign(&secrets.current, &auth(), NOW);
        let changed: [fn(&mut SignedParts<'_>); 6] = [
            |p| p.method = &Method::HEAD,
            |p| p.path_and_query = "/_gatepost/auth/",
            |p| p.host = b"example.test",
            |p| p.address = b"",
            |p| p.scheme = b"http",
            |p| p.body = BodyHash::of(b""),
        ];
        for change in changed {
            let mut parts = auth();
            change(&mut parts);
            assert_eq!(
                verify(&secrets, &header, &parts, NOW),
                Err(SignatureError::Mismatch)
            );
        }
    }

    #[test]
    fn a_minute_either_way_is_allowed_and_no_more() {
        let secrets = secrets();
        let header = sign(&secrets.current, &auth(), NOW);
        for now in [NOW - 60, NOW + 60] {
            assert!(verify(&secrets, &header, &auth(), now).is_ok());
        }
        for now in [NOW - 61, NOW + 61] {
            let refused = verify(&secrets, &header, &auth(), now);
            assert_eq!(refused, Err(SignatureError::Clock { difference: 61 }));
        }
        let text = SignatureError::Clock { difference: 61 }.to_string();
        assert!(text.contains("61 s"), "{text}");
    }

    #[test]
    fn other_spellings_are_refused() {
        let secrets = secrets();
        let good = sign(&secrets.current, &auth(), NOW);
        let good = good.to_str().unwrap();
        let tag = good.split_once(",v1=").unwrap().1;
        let other = [
            String::new(),
            good.to_uppercase(),
            format!(" {good}"),
            format!("{good},v1={tag}"),
            format!("{good}0"),
            format!("t=+{NOW},v1={tag}"),
            format!("t=,v1={tag}"),
            format!("t=99999999999999999999,v1={tag}"),
            format!("v1={tag},t={NOW}"),
            format!("t={NOW}, v1={tag}"),
            format!("t={NOW},n=,v1={tag}"),
            format!("t={NOW},n=0123456789abcde,v1={tag}"),
            format!("t={NOW},n=0123456789abcdeF,v1={tag}"),
            format!("t={NOW},n={},v1={tag}", "0".repeat(65)),
            format!("n=0123456789abcdef,t={NOW},v1={tag}"),
            format!("t={NOW},v1={}", &tag[1..]),
            format!("t={NOW},v1={}", tag.to_uppercase()),
            format!("t={NOW},v1={}g", &tag[1..]),
        ];
        for header in other {
            let value = HeaderValue::from_str(&header).unwrap();
            let refused = verify(&secrets, &value, &auth(), NOW);
            assert_eq!(refused, Err(SignatureError::Malformed), "{header}");
        }
    }

    #[test]
    fn numbers_are_written_as_everywhere() {
        for number in [0, 7, 10, 1_790_000_000, u64::MAX] {
            let written = decimal(&mut [0; 20], number).to_vec();
            assert_eq!(written, number.to_string().into_bytes());
        }
    }

    #[test]
    fn absent_headers_are_signed_as_empty() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9400"));
        let parts = SignedParts::of(&Method::POST, "/v1/publish", &headers, BodyHash::of(b"{}"));
        let secret = secrets().current;
        assert_eq!(
            sign(&secret, &parts, NOW),
            sign(&secret, &publish(b"{}"), NOW)
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&header) {
                prop_assert!(verify(&secrets(), &value, &auth(), NOW).is_err());
            }
        }
    }
}
