//! Authenticates callers of the internal API: they know the secret, or are refused.
//!
//! Used by `api`. A bearer token is judged before the body is read, a signature after, for it
//! vouches for the body.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use super::error::PublishError;
use super::replays::Replays;
use crate::secret::{Secret, Secrets};
use crate::unix_time;
use crate::web::signature::{self, BodyHash, SIGNATURE, SignedParts};

/// Knows the secrets, and what was believed already.
#[derive(Debug)]
pub(super) struct Authenticator {
    secrets: Secrets,
    /// What the operator on this machine calls with.
    token: Option<Secret>,
    replays: Arc<Replays>,
}

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallerRole {
    /// Django, which has the secret.
    Application,
    /// Django, or the operator on this machine, who has the token.
    Operator,
}

/// What a request brings to be believed.
#[derive(Debug)]
pub(super) enum Credentials {
    /// The secret itself: believed.
    Proven,
    /// A signature, to be checked against the body.
    Signed(HeaderValue),
}

impl Credentials {
    fn of(headers: &HeaderMap, is_believed: impl Fn(&[u8]) -> bool) -> Result<Self, PublishError> {
        if let Some(authorization) = only(headers, &AUTHORIZATION)? {
            let token = bearer(authorization).ok_or(PublishError::NoSecret)?;
            return if is_believed(token) {
                Ok(Self::Proven)
            } else {
                Err(PublishError::WrongSecret)
            };
        }
        match only(headers, &SIGNATURE)? {
            Some(signature) => Ok(Self::Signed(signature.clone())),
            None => Err(PublishError::NoSecret),
        }
    }
}

impl Authenticator {
    pub(super) fn new(secrets: Secrets, token: Option<Secret>, replays: Arc<Replays>) -> Self {
        Self {
            secrets,
            token,
            replays,
        }
    }

    /// What these headers bring for a call that is this role's. A wrong token is refused here.
    pub(super) fn credentials(
        &self,
        headers: &HeaderMap,
        role: CallerRole,
    ) -> Result<Credentials, PublishError> {
        Credentials::of(headers, |token| {
            let is_operator = self.token.as_ref().is_some_and(|own| own.matches(token));
            let is_application = is_believed(&self.secrets, token);
            is_application || is_operator && role == CallerRole::Operator
        })
    }

    /// Checks a signature against the request and its whole body, and that it is no replay where that
    /// would change something.
    pub(super) fn prove(
        &self,
        credentials: &Credentials,
        request: &Parts,
        body: &[u8],
    ) -> Result<(), PublishError> {
        let Credentials::Signed(header) = credentials else {
            return Ok(());
        };
        let target = request.uri.path_and_query().map_or("/", |pq| pq.as_str());
        let hash = BodyHash::of(body);
        let parts = SignedParts::of(&request.method, target, &request.headers, hash);
        let now = unix_time::seconds();
        let signature = signature::verify(&self.secrets, header, &parts, now)?;
        if request.method.is_safe() {
            return Ok(());
        }
        self.replays.accept(signature, now)
    }
}

/// The token of a `Bearer` credential.
fn bearer(authorization: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = authorization.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// All secrets are tried whatever the first one says: time must not tell which it was.
fn is_believed(secrets: &Secrets, token: &[u8]) -> bool {
    secrets
        .believed()
        .fold(false, |believed, secret| secret.matches(token) | believed)
}

/// A header that may be there once. Two of them are a confused caller or an attempt to be one.
fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, PublishError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(PublishError::WrongSecret),
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::*;

    const CURRENT: &str = "0123456789abcdef0123456789abcdef";
    const PREVIOUS: &str = "fedcba9876543210fedcba9876543210";

    fn secrets() -> Secrets {
        Secrets {
            current: Secret::new(CURRENT.into()),
            previous: Some(Secret::new(PREVIOUS.into())),
        }
    }

    fn believed(headers: &HeaderMap) -> Result<Credentials, PublishError> {
        Credentials::of(headers, |token| is_believed(&secrets(), token))
    }

    #[test]
    fn the_operator_s_token_is_for_the_operator_s_calls_alone() {
        let token = Secret::new(b"token-of-this-process".to_vec());
        let authenticator = Authenticator::new(secrets(), Some(token), Arc::default());
        let said = |token: &str, role| {
            let mut headers = HeaderMap::new();
            let value = format!("Bearer {token}").parse().unwrap();
            headers.insert(AUTHORIZATION, value);
            authenticator.credentials(&headers, role).is_ok()
        };
        assert!(said("token-of-this-process", CallerRole::Operator));
        assert!(said(CURRENT, CallerRole::Operator));
        assert!(!said("token-of-that-process", CallerRole::Operator));
        assert!(!said("token-of-this-process", CallerRole::Application));
    }

    fn credentials(authorization: &str) -> Result<Credentials, PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        believed(&headers)
    }

    #[test]
    fn both_secrets_are_believed_as_bearer_tokens() {
        for token in [CURRENT, PREVIOUS] {
            assert!(matches!(
                credentials(&format!("Bearer {token}")),
                Ok(Credentials::Proven)
            ));
            assert!(matches!(
                credentials(&format!("bearer  {token}")),
                Ok(Credentials::Proven)
            ));
        }
        for other in [
            "Bearer ",
            "Bearer x",
            &format!("Bearer {CURRENT}x"),
            &format!("Bearer {}", &CURRENT[1..]),
        ] {
            assert!(
                matches!(credentials(other), Err(PublishError::WrongSecret)),
                "{other}"
            );
        }
        for other in ["", "Bearer", CURRENT, &format!("Basic {CURRENT}")] {
            assert!(
                matches!(credentials(other), Err(PublishError::NoSecret)),
                "{other}"
            );
        }
    }

    #[test]
    fn a_second_credential_is_refused() {
        let mut headers = HeaderMap::new();
        let good = HeaderValue::from_str(&format!("Bearer {CURRENT}")).unwrap();
        headers.append(AUTHORIZATION, good.clone());
        headers.append(AUTHORIZATION, good);
        assert!(believed(&headers).is_err());
    }

    #[test]
    fn a_signature_vouches_for_the_body() {
        let (request, credentials) = signed(Method::POST);
        let authenticator = Authenticator::new(secrets(), None, Arc::default());
        let prove = |body: &[u8]| authenticator.prove(&credentials, &request, body);
        assert!(prove(b"{ }").is_err());
        assert!(prove(b"{}").is_ok());
    }

    #[test]
    fn what_changes_something_is_believed_once() {
        for (method, again) in [(Method::POST, false), (Method::GET, true)] {
            let (request, credentials) = signed(method);
            let authenticator = Authenticator::new(secrets(), None, Arc::default());
            let prove = || authenticator.prove(&credentials, &request, b"{}");
            assert!(prove().is_ok());
            assert_eq!(prove().is_ok(), again);
        }
    }

    fn signed(method: Method) -> (Parts, Credentials) {
        let request = Request::builder()
            .method(method)
            .uri("/v1/publish?x=1")
            .header("host", "127.0.0.1:9400")
            .body(())
            .unwrap();
        let (mut request, ()) = request.into_parts();
        let hash = BodyHash::of(b"{}");
        let parts = SignedParts::of(&request.method, "/v1/publish?x=1", &request.headers, hash);
        let header = signature::sign(&secrets().current, &parts, unix_time::seconds());
        request.headers.insert(SIGNATURE, header);
        let credentials = believed(&request.headers).unwrap();
        (request, credentials)
    }
}
