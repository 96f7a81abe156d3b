//! What Django says of a session: the JSON of an auth answer, decoded once.
//!
//! Used for the answers of the auth view, of views that say who may listen, of the batch view and for
//! `Gatepost-Identity`. A session whose `expires_at` is over has no user, whatever else the answer
//! says.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::identity::Identity;
use crate::ids::{GroupName, SessionDigest, TopicName, UserId};
use crate::publication::Frame;
use crate::unix_time;

/// Longest user id and group name, in bytes.
const LONGEST_NAME: usize = 255;

/// What Django says of a session. The default is: nobody is logged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Who it is; `None` means that nobody is logged in.
    pub user: Option<UserId>,
    /// Groups whose publications the session gets.
    pub groups: Box<[GroupName]>,
    /// When the session ends by itself, where Django knows.
    pub expires_at: Option<SystemTime>,
    /// How long Django wants this relied upon; without it, as long as `auth.lease`.
    pub lease: Option<Duration>,
    /// What a new connection gets first.
    pub frames: Vec<Frame>,
    /// What may be heard, where a view says so.
    pub listening: Option<GrantedTopics>,
    /// Whether a view refuses this client (403, 404).
    pub is_refused: bool,
}

/// What a view lets somebody listen to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantedTopics {
    /// The topics.
    pub topics: Box<[TopicName]>,
    /// Until when, where it says.
    pub expires: Option<SystemTime>,
}

/// Why bytes are no auth answer. The texts fit a close reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not the JSON object of an auth answer.
    #[error("the auth view's JSON is not an auth answer")]
    Json,
    /// `user` is neither an id nor null.
    #[error("the auth view's `user` is neither an id nor null")]
    User,
    /// `user` is an id that is too long.
    #[error("the auth view's `user` is an id of more than {LONGEST_NAME} bytes")]
    LongUser,
    /// A group has no name, or one that is too long.
    #[error("the auth view's `groups` has an empty or over-long name")]
    Groups,
    /// `expires_at` is not a time.
    #[error("the auth view's `expires_at` is not a time")]
    ExpiresAt,
    /// `lease` is not a number of seconds.
    #[error("the auth view's `lease` is not a number of seconds")]
    Lease,
    /// `topics` has a text that names none.
    #[error("the view's `topics` has a text that is no topic's name")]
    Topics,
}

/// The JSON as it comes: `{"user","groups","expires_at","lease","frames"}`, and of a view
/// `{"topics","topics_expire"}`.
#[derive(Deserialize)]
struct Json<'a> {
    user: serde_json::Value,
    #[serde(default)]
    groups: Option<Vec<Cow<'a, str>>>,
    #[serde(default)]
    expires_at: Option<f64>,
    #[serde(default)]
    lease: Option<f64>,
    #[serde(default, borrow)]
    frames: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    topics: Option<Vec<Cow<'a, str>>>,
    #[serde(default)]
    topics_expire: Option<f64>,
}

impl Json<'_> {
    fn listening(&self) -> Result<Option<GrantedTopics>, AnswerError> {
        let Some(names) = &self.topics else {
            return Ok(None);
        };
        let topics = names.iter().map(|name| TopicName::new(name));
        Ok(Some(GrantedTopics {
            topics: topics.collect::<Option<_>>().ok_or(AnswerError::Topics)?,
            expires: self.topics_expire.map(moment).transpose()?,
        }))
    }

    fn frames(&self) -> Vec<Frame> {
        let frames = self.frames.iter().flatten();
        frames.map(|frame| Frame::new(frame.get())).collect()
    }
}

impl Answer {
    /// Reads an answer. The caller bounds its size.
    pub fn decode(body: &[u8]) -> Result<Self, AnswerError> {
        // serde takes a JSON array for a struct, too, with defaults for what it lacks.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(AnswerError::Json);
        }
        let json: Json<'_> = serde_json::from_slice(body).map_err(|_| AnswerError::Json)?;
        let (listening, frames) = (json.listening()?, json.frames());
        let user = match json.user {
            serde_json::Value::Null => None,
            serde_json::Value::String(id) if is_name(&id) => Some(UserId::new(&id)),
            serde_json::Value::String(id) if !id.is_empty() => return Err(AnswerError::LongUser),
            serde_json::Value::Number(id) if !id.is_f64() => Some(UserId::new(&id.to_string())),
            _ => return Err(AnswerError::User),
        };
        let groups = json.groups.unwrap_or_default();
        if !groups.iter().all(|name| is_name(name)) {
            return Err(AnswerError::Groups);
        }
        let expires_at = json.expires_at.map(moment).transpose()?;
        let lease = json.lease.map(Duration::try_from_secs_f64).transpose();
        let lease = lease.map_err(|_| AnswerError::Lease)?;
        let over = expires_at.is_some_and(|end| end <= SystemTime::now());
        if user.is_none() || over {
            // Nobody gets frames, but where a view lets visitors listen.
            let listening = listening.filter(|_| user.is_none());
            return Ok(Self {
                lease,
                frames: listening.as_ref().map_or(Vec::new(), |_| frames),
                listening,
                ..Self::default()
            });
        }
        Ok(Self {
            user,
            groups: groups.iter().map(|name| GroupName::new(name)).collect(),
            expires_at,
            lease,
            frames,
            listening,
            is_refused: false,
        })
    }

    /// A view refuses this client.
    pub(super) fn refused() -> Self {
        Self {
            is_refused: true,
            ..Self::default()
        }
    }

    /// The answer of a view, which lets listen to nothing where it does not say to what.
    pub(super) fn of_view(mut self) -> Self {
        if !self.is_refused {
            self.listening.get_or_insert_default();
        }
        self
    }

    /// Who the session is, without what a view says besides.
    pub(super) fn of_session(&self) -> Self {
        Self {
            frames: Vec::new(),
            listening: None,
            ..self.clone()
        }
    }

    /// Who the session of these digests is; `None` where nobody is logged in.
    pub fn identity(&self, sessions: Box<[SessionDigest]>) -> Option<Identity> {
        Some(Identity {
            user: self.user.clone()?,
            groups: self.groups.clone(),
            sessions,
            expires_at: self.expires_at,
        })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME
}

fn moment(seconds: f64) -> Result<SystemTime, AnswerError> {
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| AnswerError::ExpiresAt)?;
    unix_time::moment(since).ok_or(AnswerError::ExpiresAt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Result<Answer, AnswerError> {
        Answer::decode(body.as_bytes())
    }

    #[test]
    fn a_user_comes_with_groups_lease_and_frames_as_django_wrote_them() {
        let body = r#"{"v":1,"user":"42","groups":["staff"],"frames":[{"n": 1.0}],"lease":3}"#;
        let answer = decode(body).unwrap();
        assert_eq!(answer.user.unwrap().as_str(), "42");
        assert_eq!(answer.groups[0].as_str(), "staff");
        assert_eq!(answer.expires_at, None);
        assert_eq!(answer.lease, Some(Duration::from_secs(3)));
        assert_eq!(answer.frames[0].text().as_str(), r#"{"n": 1.0}"#);
    }

    #[test]
    fn a_view_says_what_may_be_heard_and_until_when() {
        let body = r#"{"user":"42","topics":["shop.order:17","news"],"topics_expire":1794000000}"#;
        let listening = decode(body).unwrap().listening.unwrap();
        let topics = ["shop.order:17", "news"].map(|name| TopicName::new(name).unwrap());
        assert_eq!(*listening.topics, topics);
        let since = unix_time::of(listening.expires.unwrap());
        assert_eq!(since, Duration::from_mins(29_900_000));
        let visitor = decode(r#"{"user":null,"topics":["news"],"frames":[1]}"#).unwrap();
        assert_eq!((visitor.user, visitor.frames.len()), (None, 1));
        assert_eq!(visitor.listening.unwrap().topics.len(), 1);
        // Whose session is over, a visitor's topics are not granted to.
        let over = r#"{"user":"1","expires_at":1000,"topics":["news"],"frames":[1]}"#;
        assert_eq!(decode(over), Ok(Answer::default()));
        let wrong = decode(r#"{"user":"1","topics":["two words"]}"#);
        assert_eq!(wrong, Err(AnswerError::Topics));
    }

    #[test]
    fn a_number_is_a_user_too() {
        assert_eq!(
            decode(r#"{"user":42}"#).unwrap().user,
            Some(UserId::new("42"))
        );
    }

    #[test]
    fn null_and_a_session_that_is_over_are_nobody() {
        for body in [
            r#"{"user":null}"#,
            r#"{"user":"1","expires_at":1000,"groups":["staff"]}"#,
        ] {
            assert_eq!(decode(body), Ok(Answer::default()), "{body}");
        }
    }

    #[test]
    fn whatever_is_not_an_answer_is_an_error() {
        let bodies = [
            ("", AnswerError::Json),
            ("[]", AnswerError::Json),
            ("{}", AnswerError::Json),
            ("null", AnswerError::Json),
            ("{\"user\":true}", AnswerError::User),
            ("{\"user\":\"\"}", AnswerError::User),
            ("{\"user\":{\"$ne\":null}}", AnswerError::User),
            ("{\"user\":1.5}", AnswerError::User),
            ("{\"user\":[\"1\"]}", AnswerError::User),
            ("[\"1\"]", AnswerError::Json),
            (" [\"1\",[\"staff\"],null,null]", AnswerError::Json),
            ("{\"user\":\"1\",\"groups\":\"staff\"}", AnswerError::Json),
            ("{\"user\":\"1\",\"groups\":[\"\"]}", AnswerError::Groups),
            ("{\"user\":\"1\",\"expires_at\":-1}", AnswerError::ExpiresAt),
            ("{\"user\":\"1\",\"lease\":-1}", AnswerError::Lease),
            ("{\"user\":\"1\",\"lease\":\"10s\"}", AnswerError::Json),
            ("{\"user\":\"1\"", AnswerError::Json),
        ];
        for (body, error) in bodies {
            assert_eq!(decode(body), Err(error), "{body}");
        }
        let long = format!("{{\"user\":\"{}\"}}", "x".repeat(256));
        assert_eq!(decode(&long), Err(AnswerError::LongUser));
    }
}
