//! Responses that Django began and hands over: from its answer, which describes a stream, to the stream.
//!
//! Called by `server` with the answers of Django's that say so. Django's answer is read to its end first, which frees
//! its worker and its turn; whatever is wrong with it, its JSON never reaches the client.

use std::sync::Arc;
use std::time::SystemTime;

use http::Response;
use http::header::{self, HeaderMap, HeaderName};
use tokio::time::Instant;

use super::body::{OpenStream, Terms};
use super::description::Description;
use super::hand_over_error::HandOverError;
use super::vouched::{HandedRequest, StreamReader};
use super::{describe, return_time};
use crate::broker::Since;
use crate::close::{CloseReason, Reconnect};
use crate::hub::{Item, Member, NotHeard};
use crate::ids::ViewTarget;
use crate::proxy::hand_over::HandOver;
use crate::proxy::intercept::RequestSummary;
use crate::secret::Secrets;
use crate::session::{AuthSubject, Judged, Scope, SessionCookies};
use crate::socket::accept::HandshakeError;
use crate::socket::parts::SocketParts;
use crate::socket::topics::{Greeting, ToldFirst, view_of};
use crate::socket::visitors::Attendance;
use crate::web::body::{ResponseBody, Unending};
use crate::web::problem::Problem;

/// What Django says of its own body, which no client gets.
const OF_THE_DESCRIPTION: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::EXPIRES,
];

/// Goes on with what Django hands over.
#[derive(Debug)]
pub struct HandedOver {
    parts: Arc<SocketParts>,
    secrets: Secrets,
    reader: StreamReader,
}

/// A client of a stream.
#[derive(Clone, Copy)]
struct Came<'a> {
    asked: &'a RequestSummary,
    /// What it has already.
    since: Since,
}

impl HandedOver {
    /// Believes what was made with these secrets.
    pub fn new(parts: Arc<SocketParts>, secrets: &Secrets) -> Self {
        Self {
            parts,
            secrets: secrets.clone(),
            reader: StreamReader::new(secrets),
        }
    }

    /// The stream that an answer describes.
    pub async fn go_on(
        &self,
        request: &HandedRequest,
        hand_over: &HandOver,
        answer: Response<ResponseBody>,
    ) -> Result<Response<ResponseBody>, Problem> {
        let (mut head, body) = answer.into_parts();
        let read = self.reader.read(request, hand_over, body).await;
        let begun = read.and_then(|description| {
            let form = description.form;
            let asked = &hand_over.asked;
            let came = Came {
                asked,
                since: request.since(&asked.uri),
            };
            let body = self.begin(came, &head.headers, description)?;
            Ok((form, body))
        });
        let (form, body) = begun.map_err(|error| {
            self.parts.count("hand_over_refused");
            error.log(hand_over.asked.uri.path(), request.id);
            error.into_problem()
        })?;
        for name in OF_THE_DESCRIPTION {
            head.headers.remove(name);
        }
        describe(form, &mut head.headers);
        head.extensions.insert(Unending);
        Ok(Response::from_parts(head, body))
    }

    /// The body of the stream. `fields` are those of Django's answer.
    fn begin(
        &self,
        came: Came<'_>,
        fields: &HeaderMap,
        description: Description,
    ) -> Result<ResponseBody, HandOverError> {
        let form = description.form;
        match self.open(came, fields, &description)? {
            Ok((stream, mut greeting)) => {
                self.parts.count("handed_over");
                let first = description.first.into_iter();
                let first = first.map(|one| Item::first(one.content, one.event));
                greeting.items.extend(first);
                let position = greeting.recovery.position;
                Ok(stream.begin(position, &greeting.with_resync()))
            }
            Err(reason) if reason.reconnect() == Reconnect::Later => {
                let back = form.come_back(return_time::after(&reason));
                Ok(ResponseBody::full(back))
            }
            Err(reason) => Err(HandshakeError::Closed(reason).into()),
        }
    }

    /// The connection, or why there is none.
    fn open(
        &self,
        came: Came<'_>,
        fields: &HeaderMap,
        description: &Description,
    ) -> Result<Result<(OpenStream, Greeting), CloseReason>, HandOverError> {
        let Came { asked, since } = came;
        let parts = &self.parts;
        if parts.drain.is_draining() {
            return Ok(Err(parts.lifecycle.going_away()));
        }
        let permit = parts.limits.enter(asked.address)?;
        let joined = match self.join(asked, fields, description)? {
            Ok(joined) => joined,
            Err(reason) => return Ok(Err(reason)),
        };
        let told = ToldFirst {
            view: view_of(&asked.uri).unwrap_or_else(|| ViewTarget::new(asked.uri.path())),
            since,
            asked: asked.at,
        };
        let granted = parts
            .topics
            .grant(joined.member(), &description.topics, told);
        let greeting = match granted {
            Ok(greeting) => greeting,
            Err(NotHeard::TooMany) => return Err(HandOverError::TooManyTopics),
            Err(NotHeard::Revoked) => return Ok(Err(CloseReason::NotAllowed)),
            Err(NotHeard::Gone) => return Ok(Err(CloseReason::SessionChanged)),
        };
        let terms = Terms {
            ends_with_topics: true,
            until: description.end().and_then(instant_of),
        };
        let stream = OpenStream {
            joined,
            parts: Arc::clone(parts),
            form: description.form,
            _permit: permit,
            terms,
        };
        Ok(Ok((stream, greeting)))
    }

    /// Makes it a connection of the user whom Django names.
    fn join(
        &self,
        asked: &RequestSummary,
        fields: &HeaderMap,
        description: &Description,
    ) -> Result<Result<Attendance, CloseReason>, HandOverError> {
        let parts = &self.parts;
        let path: Arc<str> = asked.uri.path().into();
        let connect = |who| {
            Member::new(who, Arc::clone(&path), asked.address)
                .handed_over(description.form.transport())
        };
        let Some(session) = description.session else {
            let visitors = &parts.visitors;
            let joined = match description.who.identity(Box::default()) {
                Some(user) => visitors.join_user(user.into(), asked.at, connect),
                None => visitors.join(asked.address, asked.at, connect),
            };
            return Ok(joined.map(Attendance::Visitor));
        };
        let names = parts.naming.names();
        let scope = Scope {
            host: &asked.host,
            path: asked.uri.path(),
            cookies: asked.cookies.as_ref(),
        };
        let before = || SessionCookies::pick(scope.cookies?, &names).ok();
        let cookies = [names.after(fields, scope), before()];
        let mut cookies = cookies.into_iter().flatten();
        let cookies = cookies
            .find(|one| one.digests(&self.secrets).contains(&session))
            .ok_or(HandOverError::OtherSession)?;
        let Some(identity) = description.who.identity(cookies.digests(&self.secrets)) else {
            let joined = parts.visitors.join(asked.address, asked.at, connect);
            return Ok(joined.map(Attendance::Visitor));
        };
        let judged = Judged {
            identity,
            asked: asked.at,
        };
        let about = AuthSubject::after(asked, cookies);
        let joined = parts.lifecycle.join(&about, judged, connect);
        Ok(joined.map(Attendance::Session))
    }
}

/// The moment by the clock that timers go by; `None`: so late that it never comes.
fn instant_of(moment: SystemTime) -> Option<Instant> {
    let left = moment.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left)
}
