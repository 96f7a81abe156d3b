//! What a client asks of the gateway itself: `{"gatepost":"subscribe",…}` and `unsubscribe`.
//!
//! Used by the connection for messages that are no ping. A malformed request is answered, as a malformed
//! token is; only a message that is not for the gateway at all closes.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::broker::Since;

/// The longest `id` that is echoed, in bytes of JSON.
const LONGEST_ID: usize = 1024;

/// One request. `id` is echoed in each answer.
#[derive(Debug)]
pub(in crate::socket) struct TopicRequest<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) wish: Wish<'a>,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish<'a> {
    /// To listen by these tokens.
    Tokens {
        tokens: Vec<Cow<'a, str>>,
        since: Since,
    },
    /// To listen to what the view of this path grants.
    Path { path: Cow<'a, str>, since: Since },
    /// To listen to these topics no more.
    Stop(Vec<Cow<'a, str>>),
    /// Not a request that can be understood.
    Malformed,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    gatepost: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    topics: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    position: Option<Cow<'a, str>>,
}

impl<'a> TopicRequest<'a> {
    /// Reads a message; `None` where it is neither.
    pub(in crate::socket) fn decode(message: &'a str) -> Option<Self> {
        if !message.trim_ascii_start().starts_with('{') {
            return None;
        }
        let envelope: Envelope<'a> = serde_json::from_str(message).ok()?;
        let members = serde_json::from_str::<Members<'a>>(message).ok();
        let wish = match &*envelope.gatepost {
            "subscribe" => subscription(members),
            "unsubscribe" => members.and_then(|it| it.topics).map(Wish::Stop),
            _ => return None,
        };
        let id = envelope.id.filter(|id| id.get().len() <= LONGEST_ID);
        let wish = wish.filter(|_| id.is_some() == envelope.id.is_some());
        Some(Self {
            id,
            wish: wish.unwrap_or(Wish::Malformed),
        })
    }
}

/// Tokens, or a path; not both.
fn subscription(members: Option<Members<'_>>) -> Option<Wish<'_>> {
    let Members {
        topics,
        path,
        position,
    } = members?;
    let since = match position {
        None => Since::Unsaid,
        Some(text) => Since::Position(text.parse().ok()),
    };
    match (topics, path) {
        (Some(tokens), None) => Some(Wish::Tokens { tokens, since }),
        (None, Some(path)) => Some(Wish::Path { path, since }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::publication::Position;

    fn wish(message: &str) -> Option<Wish<'_>> {
        TopicRequest::decode(message).map(|request| request.wish)
    }

    #[test]
    fn requests_are_told_from_each_other_and_from_everything_else() {
        let position = Position {
            generation: 7,
            sequence: 12,
        };
        let tokens = |since| Wish::Tokens {
            tokens: vec!["a".into(), "b\n".into()],
            since,
        };
        assert_eq!(
            wish(r#"{"gatepost":"subscribe","topics":["a","b\n"]}"#),
            Some(tokens(Since::Unsaid))
        );
        assert_eq!(
            wish(r#"{"gatepost":"subscribe","topics":["a","b\n"],"position":"00000007.12"}"#),
            Some(tokens(Since::Position(Some(position))))
        );
        assert_eq!(
            wish(r#"{"topics":["a","b\n"],"gatepost":"subscribe","position":"x","more":1}"#),
            Some(tokens(Since::Position(None)))
        );
        assert_eq!(
            wish(r#"{"gatepost":"subscribe","path":"/ws/orders/17/"}"#),
            Some(Wish::Path {
                path: "/ws/orders/17/".into(),
                since: Since::Unsaid,
            })
        );
        assert_eq!(
            wish(r#"{"gatepost":"unsubscribe","topics":["news"]}"#),
            Some(Wish::Stop(vec!["news".into()]))
        );
    }

    #[test]
    fn a_request_without_sense_is_told_from_what_is_none() {
        for malformed in [
            r#"{"gatepost":"subscribe"}"#,
            r#"{"gatepost":"subscribe","topics":"a"}"#,
            r#"{"gatepost":"subscribe","topics":[1]}"#,
            r#"{"gatepost":"subscribe","topics":[],"path":"/"}"#,
            r#"{"gatepost":"unsubscribe"}"#,
        ] {
            assert_eq!(wish(malformed), Some(Wish::Malformed), "{malformed}");
        }
        for other in [
            "",
            "[]",
            r#"["subscribe"]"#,
            r#"{"gatepost":"resync"}"#,
            r#"{"gatepost":1}"#,
            r#"{"type":"subscribe","topics":[]}"#,
            r#"{"gatepost":"subscribe","topics":[]"#,
        ] {
            assert_eq!(wish(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_is_kept_as_it_is_up_to_a_bound() {
        let message = r#"{"gatepost":"unsubscribe","topics":[],"id":{"a":1e400}}"#;
        let request = TopicRequest::decode(message).unwrap();
        assert_eq!(request.id.unwrap().get(), r#"{"a":1e400}"#);
        let long = "9".repeat(LONGEST_ID + 1);
        let message = format!(r#"{{"gatepost":"unsubscribe","topics":[],"id":{long}}}"#);
        let request = TopicRequest::decode(&message).unwrap();
        assert!(request.id.is_none() && request.wish == Wish::Malformed);
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(text in r#"[\[\]{}":,0-9a-z\\ ]{0,60}"#) {
            TopicRequest::decode(&text);
            TopicRequest::decode(&format!(r#"{{"gatepost":"subscribe",{text}}}"#));
        }
    }
}
