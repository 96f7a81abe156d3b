//! Reads what Django says of a stream, and believes it where its MAC holds for the very request.
//!
//! Used by `hand_over`.

use aws_lc_rs::digest;
use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::LAST_EVENT_ID;
use super::description::{Description, LARGEST};
use super::hand_over_error::HandOverError;
use crate::broker::Since;
use crate::ids::RequestId;
use crate::mac::MacReader;
use crate::proxy::hand_over::HandOver;
use crate::secret::Secrets;
use crate::socket::topics::OwnParameters;
use crate::web::body::ResponseBody;

/// The request that Django has answered.
#[derive(Clone, Debug)]
pub struct HandedRequest {
    method: Method,
    /// Its name.
    pub(super) id: RequestId,
    /// What its browser got last, where it comes back.
    last_event: Option<HeaderValue>,
}

impl HandedRequest {
    /// Remembers a request that goes to Django.
    pub fn of<B>(request: &Request<B>, id: RequestId) -> Self {
        Self {
            method: request.method().clone(),
            id,
            last_event: request.headers().get(LAST_EVENT_ID).cloned(),
        }
    }

    /// What its client has already of what it asked for there. The query is the view's, which has seen it.
    pub(super) fn since(&self, asked: &Uri) -> Since {
        let mut own = OwnParameters::take(&mut asked.clone());
        own.resume_after(self.last_event.as_ref());
        own.since
    }
}

/// Tells what Django describes from everything else.
#[derive(Debug)]
pub(super) struct StreamReader(MacReader);

impl StreamReader {
    /// Believes what was made with these secrets.
    pub(super) fn new(secrets: &Secrets) -> Self {
        Self(MacReader::new(secrets))
    }

    /// What Django describes in an answer to this request.
    pub(super) async fn read(
        &self,
        request: &HandedRequest,
        hand_over: &HandOver,
        body: ResponseBody,
    ) -> Result<Description, HandOverError> {
        let text = whole(body).await?;
        if hand_over.vouched.is_empty() {
            return Err(HandOverError::NotOne);
        }
        if !self.vouches(request, hand_over, &text) {
            return Err(HandOverError::Mac);
        }
        Ok(Description::decode(&text)?)
    }

    fn vouches(&self, request: &HandedRequest, hand_over: &HandOver, text: &[u8]) -> bool {
        let field = hand_over.vouched.to_str().unwrap_or_default();
        let target = hand_over.asked.uri.path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let id = request.id.to_string();
        self.holds(field, [request.method.as_str(), target, &id], text)
    }

    /// Whether a field vouches for a body, as the answer to this: method, target and name.
    fn holds(&self, field: &str, [method, target, id]: [&str; 3], body: &[u8]) -> bool {
        let hash = digest::digest(&digest::SHA256, body);
        let hash = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        let hash: String = hash.collect();
        let lines = ["gatepost-stream", method, target, id, &hash];
        let mac = field.strip_prefix("v1,");
        mac.is_some_and(|mac| self.0.holds(mac, &lines))
    }
}

async fn whole(body: ResponseBody) -> Result<Bytes, HandOverError> {
    match Limited::new(body, LARGEST).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(HandOverError::TooLarge),
        Err(error) => Err(HandOverError::Broken(error)),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::secret::Secret;

    #[derive(Deserialize)]
    struct Vectors {
        streams: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        secret: String,
        method: String,
        target: String,
        request_id: String,
        body: String,
        header: String,
    }

    #[test]
    fn both_sides_agree_on_what_vouches_for_a_stream() {
        let text = include_str!("../../../tests/fixtures/topic_tokens.json");
        let Vectors { streams } = serde_json::from_str(text).unwrap();
        assert!(!streams.is_empty());
        for vector in streams {
            let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
            let believed = StreamReader::new(&Secrets {
                current: secret("another secret of at least 32 bytes"),
                previous: Some(secret(&vector.secret)),
            });
            let Vector {
                method,
                target,
                request_id,
                body,
                header,
                ..
            } = &vector;
            let holds =
                |field: &str, asked, body: &str| believed.holds(field, asked, body.as_bytes());
            assert!(
                holds(header, [method, target, request_id], body),
                "{target}"
            );
            assert!(!holds(&header[3..], [method, target, request_id], body));
            assert!(!holds(header, ["HEAD", target, request_id], body));
            assert!(!holds(header, [method, "/", request_id], body));
            assert!(!holds(header, [method, target, "5b2f0e6c-00000000"], body));
            assert!(!holds(header, [method, target, request_id], "{}"));
        }
    }
}
