//! An item as one JSON object: `{"id":"<position>","topic":…,"event":…,"data":<frame>}`.
//!
//! Used by the dialects that are JSON. An object has no line breaks, so that it can be a line; what a frame has of
//! them stands between its values and becomes spaces, and nothing else of it changes.

use serde::Serialize;

use crate::hub::{Item, Said};
use crate::ids::TopicName;
use crate::publication::{Content, Position};

/// What is said of an item besides its content.
#[derive(Serialize)]
struct Head<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
}

/// The object; `at` is where its client is, where the item itself is nowhere. `None` where there is nothing but an end.
pub(super) fn write(item: &Item, at: Option<Position>) -> Option<String> {
    let (name, value) = match item.said() {
        Said::Word(word) => return Some(word.control()),
        Said::Content(Content::Frame(frame)) => ("data", frame.text().replace(['\n', '\r'], " ")),
        Said::Content(Content::Text(text)) => ("text", json(&text.as_str())),
        Said::Content(Content::Nothing) => return None,
    };
    let id = item.position().or(at);
    let mut object = json(&Head {
        id: id.map(|id| id.to_string()),
        topic: item.topic().map(TopicName::as_str),
        event: item.event(),
    });
    // The content comes before the closing brace.
    object.pop();
    let comma = if object.len() > 1 { "," } else { "" };
    object.reserve(value.len() + name.len() + 6);
    for part in [comma, "\"", name, "\":", &value, "}"] {
        object.push_str(part);
    }
    Some(object)
}

fn json(value: &impl Serialize) -> String {
    // Texts always serialise.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::publication::{Audience, Frame, Publication};
    use crate::words::Word;

    const AT: Position = Position {
        generation: 7,
        sequence: 12,
    };

    fn item(to: Audience, content: Content, event: Option<&str>) -> Arc<Item> {
        let publication = Publication {
            to: vec![to],
            content,
            event: event.map(Into::into),
            end: false,
            key: None,
            expires: None,
            exclude: None,
            socket: None,
        };
        Item::published(&publication, AT)
    }

    fn frame(text: &str) -> Content {
        Content::Frame(Frame::new(text))
    }

    #[test]
    fn an_object_has_what_there_is_to_say() {
        let everyone = || Audience::Everyone;
        let topic = Audience::Topic(TopicName::new("shop.order:a%2Fb").unwrap());
        for (item, object) in [
            (
                item(everyone(), frame(r#"{"n": 1e400}"#), None),
                r#"{"id":"00000007.12","data":{"n": 1e400}}"#,
            ),
            (
                item(topic, frame("[1,\r\n 2]"), Some("a \"b\"")),
                r#"{"id":"00000007.12","topic":"shop.order:a%2Fb","event":"a \"b\"","data":[1,   2]}"#,
            ),
            (
                item(everyone(), Content::Text("<li>\"é\n".into()), None),
                r#"{"id":"00000007.12","text":"<li>\"é\n"}"#,
            ),
        ] {
            assert_eq!(write(&item, None).as_deref(), Some(object));
        }
        assert_eq!(write(&item(everyone(), Content::Nothing, None), None), None);
        let word = Item::word(Word::resync().text());
        let word = write(&word, Some(AT));
        assert_eq!(word.as_deref(), Some(r#"{"control":"resync"}"#));
    }

    #[test]
    fn what_is_nowhere_is_where_its_client_is() {
        let first = Item::first(frame("1"), None);
        let object = write(&first, Some(AT));
        assert_eq!(object.as_deref(), Some(r#"{"id":"00000007.12","data":1}"#));
        assert_eq!(write(&first, None).as_deref(), Some(r#"{"data":1}"#));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_written(text in any::<String>(), event in any::<String>()) {
            let item = item(Audience::Everyone, Content::Text(text.clone().into()), Some(&event));
            let object = write(&item, None).unwrap();
            prop_assert!(!object.contains(['\n', '\r']));
            let object: serde_json::Value = serde_json::from_str(&object).unwrap();
            prop_assert_eq!(object["text"].as_str(), Some(&*text));
            prop_assert_eq!(object["event"].as_str(), Some(&*event));
        }
    }
}
