//! What a client's text message means.
//!
//! Used by the connection. `{"type":"ping"}` is answered with all its other members, which
//! therefore keep their bytes (numbers are never parsed).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The usual ping, and its answer.
const PING: &str = r#"{"type":"ping"}"#;
const PONG: &str = r#"{"type":"pong"}"#;

/// The answer to a ping; `None` for every other message.
pub(super) fn pong(message: &str) -> Option<Utf8Bytes> {
    if message == PING {
        return Some(Utf8Bytes::from_static(PONG));
    }
    let members: JsonMembers<'_> = serde_json::from_str(message).ok()?;
    let mut types = members.0.iter().filter(|(name, _)| name == "type");
    let kind: Cow<'_, str> = serde_json::from_str(types.next()?.1.get()).ok()?;
    if kind != "ping" || types.next().is_some() {
        return None;
    }
    let mut answer = String::with_capacity(message.len());
    answer.push_str(r#"{"type":"pong""#);
    for (name, value) in members.0.iter().filter(|(name, _)| name != "type") {
        answer.push(',');
        answer.push_str(&serde_json::to_string(name).ok()?);
        answer.push(':');
        answer.push_str(value.get());
    }
    answer.push('}');
    Some(answer.into())
}

/// Why a message that is no ping is refused, for the developer of the page.
pub(super) fn refusal(message: &str) -> &'static str {
    if is_heartbeat(message) {
        r#"a heartbeat is {"type":"ping"} here, as JSON text"#
    } else {
        r#"only {"type":"ping"} is taken here: send everything else to Django by HTTP"#
    }
}

/// Whether a message is what libraries keep a connection alive with: `ping`, `{"type":"heartbeat"}`,
/// engine.io's `2`, Phoenix's and Pusher's, …
fn is_heartbeat(message: &str) -> bool {
    const LONGEST: usize = 256;
    const WHOLE: [&str; 8] = ["", "0", "1", "2", "3", "h", "hb", "#1"];
    const WORDS: [&str; 6] = ["ping", "pong", "heartbeat", "keepalive", "alive", "heart"];
    if message.len() > LONGEST {
        return false;
    }
    let lower = message.to_ascii_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    WHOLE.contains(&lower.trim()) || words.any(|word| WORDS.contains(&word))
}

/// The members of a JSON object, in order, with their values' bytes.
struct JsonMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for JsonMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = JsonMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonMembers<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(JsonMembers(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ping_is_answered_with_its_other_members() {
        let pongs = [
            (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#),
            (r#" { "type" : "ping" } "#, r#"{"type":"pong"}"#),
            (
                r#"{"id":7,"type":"ping","t":1e400}"#,
                r#"{"type":"pong","id":7,"t":1e400}"#,
            ),
            (
                r#"{"type":"p\u0069ng","é\n":[1, 2]}"#,
                r#"{"type":"pong","é\n":[1, 2]}"#,
            ),
        ];
        for (ping, answer) in pongs {
            assert_eq!(pong(ping).as_deref(), Some(answer), "{ping}");
        }
    }

    #[test]
    fn nothing_else_is_a_ping() {
        let others = [
            "",
            "ping",
            "[]",
            "\"ping\"",
            "{}",
            r#"{"type":"pong"}"#,
            r#"{"type":["ping"]}"#,
            r#"{"type":"ping"} x"#,
            r#"{"type":"ping""#,
            r#"{"type":"x","type":"ping"}"#,
            r#"{"Type":"ping"}"#,
        ];
        for other in others {
            assert_eq!(pong(other), None, "{other}");
        }
    }

    #[test]
    fn heartbeats_of_other_libraries_are_told_ours() {
        for message in [
            "ping",
            "PING",
            "\"ping\"",
            "pong",
            "2",
            "",
            "heartbeat",
            "primus::ping::1",
            r#"{"type":"heartbeat"}"#,
            r#"{"type":"keep_alive"}"#,
            r#"{"type":"KEEPALIVE"}"#,
            r#"{"event":"pusher:ping","data":{}}"#,
            r#"[null,"1","phoenix","heartbeat",{}]"#,
            r#"{"jsonrpc":"2.0","method":"ping","id":1}"#,
            r#"{"heart-beat":1}"#,
        ] {
            assert!(
                refusal(message).starts_with("a heartbeat is {"),
                "{message}"
            );
        }
        for message in [
            r#"{"type":"chat","text":"go shopping"}"#,
            "hello",
            r#"{"action":"join"}"#,
        ] {
            assert!(refusal(message).starts_with("only {"), "{message}");
        }
        for message in ["ping", "hello"] {
            assert!(refusal(message).contains(r#"{"type":"ping"}"#));
            assert!(refusal(message).len() <= crate::close::LONGEST_REASON);
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_always_json(text in "\\PC*") {
            let ping = format!(r#"{{"type":"ping","x":{}}}"#, serde_json::to_string(&text).unwrap());
            let answer: serde_json::Value = serde_json::from_str(&pong(&ping).unwrap()).unwrap();
            prop_assert_eq!(answer["x"].as_str(), Some(text.as_str()));
            pong(&text);
        }
    }
}
