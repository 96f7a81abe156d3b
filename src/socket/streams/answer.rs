//! From a request at a socket route to a stream.
//!
//! Called by the route where a client asks for events. The surprise: a browser comes back to a stream that ends, but
//! gives up where it is answered an error. So a client that is to come back gets a stream that says when, and ends.

use std::sync::Arc;
use std::time::Instant;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response};

use super::body::{OpenStream, Terms};
use super::form::StreamForm;
use super::{LAST_EVENT_ID, come_back, started};
use crate::close::Reconnect;
use crate::hub::Item;
use crate::net::per_address::AddressPermit;
use crate::socket::accept::HandshakeError;
use crate::socket::handshake::SocketRoute;
use crate::socket::outcome::Outcome;
use crate::socket::pending_handshake::{Arrival, Decision};
use crate::socket::topics::OwnParameters;
use crate::web::body::ResponseBody;
use crate::web::request::Downstream;
use crate::web::request_body::{BoxedRequest, RequestBody};
use crate::words::Word;

impl SocketRoute {
    /// Answers with events in place of a WebSocket.
    pub(in crate::socket) async fn stream(
        &self,
        mut request: BoxedRequest,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, HandshakeError> {
        let mut own = OwnParameters::take(request.uri_mut());
        own.resume_after(request.headers().get(LAST_EVENT_ID));
        let welcome = own.welcome;
        let came = Arrival {
            began: Instant::now(),
            name: downstream.name(),
            own,
            transport: StreamForm::Events.transport(),
            presence: self.presence,
        };
        let permit = match self.admit_stream(&request, downstream) {
            Ok(permit) => permit,
            Err(HandshakeError::Draining) => {
                self.parts.count("draining");
                let reason = self.parts.lifecycle.going_away();
                return Ok(come_back(StreamForm::Events, &reason));
            }
            Err(error) => {
                self.log_refusal(&error, downstream);
                return Err(error);
            }
        };
        let settled = match self.judge(&request, downstream, came).await? {
            Decision::Now(settled) => settled,
            Decision::Later(judging) => judging.await,
        };
        let follows = settled.outcome.is_of_a_session() && !settled.set_cookies.is_empty();
        let mut response = self.begin(settled.outcome, permit, welcome).await?;
        let fields = response.headers_mut();
        for cookie in settled.set_cookies {
            fields.append(header::SET_COOKIE, cookie);
        }
        if follows {
            self.parts.follow(&request, downstream, fields);
        }
        let_page_read(request.headers(), fields);
        Ok(response)
    }

    /// Everything that is refused before Django is asked.
    fn admit_stream(
        &self,
        request: &Request<RequestBody>,
        downstream: &Downstream,
    ) -> Result<AddressPermit, HandshakeError> {
        let permit = self.enter(downstream)?;
        self.origin
            .check_fetch(request.headers(), &downstream.host)?;
        Ok(permit)
    }

    /// `welcome`: whether the client wants to be told which connection it is.
    async fn begin(
        &self,
        outcome: Outcome,
        permit: AddressPermit,
        welcome: bool,
    ) -> Result<Response<ResponseBody>, HandshakeError> {
        match outcome {
            Outcome::Serve { joined, greeting } => {
                let form = StreamForm::Events;
                let (id, position) = (joined.member().id, greeting.recovery.position);
                let word = welcome.then(|| Item::word(Word::welcome(id, position, None).text()));
                let greeting: Vec<_> = word.into_iter().chain(greeting.with_resync()).collect();
                let stream = OpenStream {
                    joined,
                    parts: Arc::clone(&self.parts),
                    form,
                    _permit: permit,
                    terms: Terms::default(),
                };
                Ok(started(form, stream.begin(position, &greeting)))
            }
            Outcome::StayAway(reason, delay) => {
                let parts = &self.parts;
                parts.throttle.hold_request(delay, &parts.drain).await;
                Err(HandshakeError::Closed(reason))
            }
            Outcome::Close(reason) => match reason.reconnect() {
                Reconnect::Later => Ok(come_back(StreamForm::Events, &reason)),
                Reconnect::Never => Err(HandshakeError::Closed(reason)),
            },
            Outcome::Echo => Err(HandshakeError::NotAnUpgrade),
        }
    }
}

/// The page's origin was let in, which may be another one than this: the browser is told so.
fn let_page_read(asked: &HeaderMap, fields: &mut HeaderMap) {
    let Some(origin) = asked.get(header::ORIGIN) else {
        return;
    };
    fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    let yes = HeaderValue::from_static("true");
    fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    fields.append(header::VARY, HeaderValue::from_static("Origin"));
}
