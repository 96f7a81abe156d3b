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
use crate::tls::challenges::{Challenges, StandingAnswer};

/// Orders a certificate for a name. Returns the key, a new one, and the chain as PEM.
pub(super) async fn order(
    account: &Account,
    challenges: &Arc<Challenges>,
    name: &str,
    kind: ChallengeKind,
) -> Result<String, AcmeError> {
    let identifiers = [Identifier::Dns(name.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
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
