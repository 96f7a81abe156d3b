//! One order: a challenge that is answered, and the certificate.
//!
//! Called by `keeper`, which bounds its time.

use std::sync::Arc;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeHandle, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::challenge_kind::ChallengeKind;
use super::error::{AcmeError, RefusalText};
use super::renewal;
use crate::tls::challenges::{Challenges, StandingAnswer};
use crate::tls::issued::IssuedCertificate;

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub(super) struct CertificateRequest<'a> {
    /// The name.
    pub(super) name: &'a str,
    /// How the authority shall find out whose it is.
    pub(super) kind: ChallengeKind,
    /// The certificate of this authority that is to be renewed.
    pub(super) replaced: Option<&'a IssuedCertificate>,
}

/// Orders a certificate for a name. Returns the key, a new one, and the chain as PEM.
pub(super) async fn order(
    account: &Account,
    challenges: &Arc<Challenges>,
    request: CertificateRequest<'_>,
) -> Result<String, AcmeError> {
    let CertificateRequest { name, kind, .. } = request;
    let mut order = begin(account, request).await?;
    // They stand until the authority has judged.
    let standing = answer(&mut order, challenges, name, kind).await?;
    let patience = RetryPolicy::default();
    let status = order.poll_ready(&patience).await;
    if !matches!(status, Ok(OrderStatus::Ready)) {
        let reason = match status {
            Ok(status) => reason(&mut order)
                .await
                .unwrap_or(format!("the order is {status:?}")),
            Err(instant_acme::Error::Api(problem)) => {
                reason(&mut order).await.unwrap_or(problem.to_string())
            }
            Err(error) => return Err(error.into()),
        };
        let source = RefusalText(reason);
        return Err(AcmeError::Challenge { kind, source });
    }
    drop(standing);
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&patience).await?;
    Ok(key.serialize_pem() + &chain)
}

/// Says what the order replaces (RFC 9773 section 5), for which authorities forgo their limits.
async fn begin(
    account: &Account,
    request: CertificateRequest<'_>,
) -> Result<Order, instant_acme::Error> {
    let identifiers = [Identifier::Dns(request.name.to_owned())];
    let plain = NewOrder::new(&identifiers);
    let Some(replaced) = request.replaced.and_then(renewal::identifier) else {
        return account.new_order(&plain).await;
    };
    let replacing = NewOrder::new(&identifiers).replaces(replaced);
    match account.new_order(&replacing).await {
        Err(error) if may_do_without(&error) => account.new_order(&plain).await,
        begun => begun,
    }
}

/// Whether an order was refused for what it replaces: the authority has no ARI, passes over the field, has
/// had it replaced already, or does not know it (any more). `Other` is the network's trouble too, which the
/// next order meets again.
fn may_do_without(error: &instant_acme::Error) -> bool {
    match error {
        instant_acme::Error::Unsupported(_) | instant_acme::Error::Other(_) => true,
        instant_acme::Error::Api(problem) => {
            let kind = problem.r#type.as_deref().unwrap_or_default();
            let kind = kind.rsplit(':').next().unwrap_or_default();
            !["rateLimited", "accountDoesNotExist"].contains(&kind)
        }
        _ => false,
    }
}

/// Answers what the authority asks for, and tells it so.
async fn answer(
    order: &mut Order,
    challenges: &Arc<Challenges>,
    name: &str,
    kind: ChallengeKind,
) -> Result<Vec<StandingAnswer>, AcmeError> {
    let refused = |text: &str| AcmeError::Challenge {
        kind,
        source: RefusalText(text.to_owned()),
    };
    let mut standing = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            _ => return Err(refused("the authority does not let the name be proved")),
        }
        let Some(mut challenge) = authorization.challenge(kind.of_protocol()) else {
            return Err(refused("the authority does not offer it"));
        };
        standing.push(stand(&challenge, challenges, name, kind)?);
        challenge.set_ready().await?;
    }
    Ok(standing)
}

fn stand(
    challenge: &ChallengeHandle<'_>,
    challenges: &Arc<Challenges>,
    name: &str,
    kind: ChallengeKind,
) -> Result<StandingAnswer, AcmeError> {
    let authorization = challenge.key_authorization();
    match kind {
        ChallengeKind::Http01 => Ok(challenges.put_token(&challenge.token, authorization.as_str())),
        ChallengeKind::TlsAlpn01 => {
            let digest = authorization.digest();
            let digest = <[u8; 32]>::try_from(digest.as_ref());
            let digest = digest.map_err(|_| AcmeError::Unusable)?;
            Ok(challenges.put_certificate(name, &digest)?)
        }
    }
}

/// What the authority says of a challenge that failed.
async fn reason(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        let state = authorization.refresh().await.ok()?;
        let error = state
            .challenges
            .iter()
            .find_map(|challenge| challenge.error.as_ref());
        if let Some(error) = error {
            return Some(error.to_string());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &str) -> instant_acme::Error {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        let problem = serde_json::json!({"type": kind, "status": 409});
        instant_acme::Error::Api(serde_json::from_value(problem).unwrap())
    }

    #[test]
    fn an_order_is_made_without_what_it_replaces_where_that_is_the_trouble() {
        assert!(may_do_without(&refused("alreadyReplaced")));
        assert!(may_do_without(&refused("malformed")));
        assert!(may_do_without(&instant_acme::Error::Unsupported("ARI")));
        assert!(!may_do_without(&refused("rateLimited")), "asked less then");
        assert!(!may_do_without(&refused("accountDoesNotExist")));
    }
}
