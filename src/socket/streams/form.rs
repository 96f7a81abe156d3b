//! How a stream is written: as events (SSE, `text/event-stream`) or as lines of JSON.
//!
//! Used by the body. An event's data is cut into lines at each line feed, carriage return and pair of both, which
//! is how its reader puts it together; what JSON has of these between its values becomes a space where a line may
//! hold only one.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::close::CloseReason;
use crate::hub::{Item, ItemForm, Said, Transport};
use crate::publication::Position;
use crate::socket::envelope;

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::socket) enum StreamForm {
    /// `text/event-stream`.
    Events,
    /// `application/x-ndjson`.
    Lines,
}

/// What the gateway says on a line of its own.
#[derive(Debug, Default, Serialize)]
struct Control<'a> {
    #[serde(rename = "control")]
    says: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<u64>,
}

/// The end of a stream, for its page.
#[derive(Debug, Serialize)]
struct Close<'a> {
    code: u16,
    reason: &'a str,
}

impl StreamForm {
    /// The media type of the response.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// What its connections are called.
    pub(super) fn transport(self) -> Transport {
        match self {
            Self::Events => Transport::EventStream,
            Self::Lines => Transport::JsonLines,
        }
    }

    /// The beginning: where in the history the client is, and when it is to come back if the connection
    /// breaks.
    pub(super) fn begin(self, position: Position, back: Duration) -> String {
        match self {
            Self::Events => format!("id: {position}\nretry: {}\n\n", back.as_millis()),
            Self::Lines => line(&Control {
                says: "position",
                position: Some(position.to_string()),
                ..Control::default()
            }),
        }
    }

    /// An item; nothing where there is nothing but an end.
    pub(super) fn write(self, item: &Item) -> Option<Bytes> {
        item.text()?;
        let written = match self {
            Self::Events => item.in_form(ItemForm::Event, |item| event_of(item).into()),
            Self::Lines => item.in_form(ItemForm::Line, |item| line_of(item).into()),
        };
        Some(written.into())
    }

    /// A sign of life, and where in the history the client is by now.
    pub(super) fn heartbeat(self, position: Position) -> String {
        match self {
            Self::Events => format!(":\nid: {position}\n\n"),
            Self::Lines => "\n".to_owned(),
        }
    }

    /// The last that a client hears which is not to come back.
    pub(super) fn close(self, at: Option<Position>, reason: &CloseReason) -> String {
        let (code, text) = (reason.code(), reason.text());
        match self {
            Self::Events => {
                let close = Close {
                    code,
                    reason: &text,
                };
                event(at, Some("close"), &json(&close))
            }
            Self::Lines => line(&Control {
                says: "close",
                position: at.map(|at| at.to_string()),
                code: Some(code),
                reason: Some(&text),
                ..Control::default()
            }),
        }
    }

    /// The last that a client hears which is to come back, and when.
    pub(super) fn come_back(self, after: Duration) -> String {
        match self {
            Self::Events => format!("retry: {}\n\n", after.as_millis()),
            Self::Lines => line(&Control {
                says: "retry",
                milliseconds: u64::try_from(after.as_millis()).ok(),
                ..Control::default()
            }),
        }
    }
}

fn event_of(item: &Item) -> String {
    let name = match item.said() {
        Said::Content(_) => item.event(),
        Said::Word(_) => Some("gatepost"),
    };
    event(item.position(), name, &item.text().unwrap_or_default())
}

/// One event (WHATWG HTML, 9.2.5). A space behind each colon, since a reader takes the first one away.
fn event(id: Option<Position>, name: Option<&str>, data: &str) -> String {
    let mut event = String::with_capacity(data.len() + 64);
    // Writing to a text does not fail.
    if let Some(id) = id {
        let _ = writeln!(event, "id: {id}");
    }
    if let Some(name) = name {
        let _ = writeln!(event, "event: {name}");
    }
    for text in lines(data) {
        event.push_str("data: ");
        event.push_str(text);
        event.push('\n');
    }
    event.push('\n');
    event
}

/// The lines of a text as a reader of events counts them: at least one, perhaps empty.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let behind = &text[end..];
        let behind = behind.strip_prefix("\r\n").unwrap_or(&behind[1..]);
        rest = Some(behind);
        Some(&text[..end])
    })
}

fn line_of(item: &Item) -> String {
    envelope::write(item, None).unwrap_or_default() + "\n"
}

fn line(control: &Control<'_>) -> String {
    json(control) + "\n"
}

fn json(value: &impl Serialize) -> String {
    // Texts and numbers always serialise.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::publication::{Content, Frame};
    use crate::words::Word;

    fn text(text: &str, event: Option<&str>) -> Arc<Item> {
        let content = Content::Text(text.to_owned().into());
        Item::first(content, event.map(Into::into))
    }

    fn written(form: StreamForm, item: &Item) -> String {
        String::from_utf8(form.write(item).unwrap().into()).unwrap()
    }

    #[test]
    fn an_event_has_a_line_for_each_line_of_its_text() {
        let events = |item: &Item| written(StreamForm::Events, item);
        let html = text("<p>\r\n a</p>", Some("row"));
        assert_eq!(events(&html), "event: row\ndata: <p>\ndata:  a</p>\n\n");
        assert_eq!(events(&text("", None)), "data: \n\n");
        let word = Item::word(Word::resync().text());
        let expected = "event: gatepost\ndata: {\"gatepost\":\"resync\"}\n\n";
        assert_eq!(events(&word), expected);
    }

    #[test]
    fn a_line_has_one_value_whatever_is_in_it() {
        let lines = |item: &Item| written(StreamForm::Lines, item);
        let html = text("<p>\n\"</p>", Some("row"));
        let expected = "{\"event\":\"row\",\"text\":\"<p>\\n\\\"</p>\"}\n";
        assert_eq!(lines(&html), expected);
        let pretty = Content::Frame(Frame::new("[\n1,\r\n2]"));
        assert_eq!(lines(&Item::first(pretty, None)), "{\"data\":[ 1,  2]}\n");
        let word = Item::word(Word::resync().text());
        assert_eq!(lines(&word), "{\"control\":\"resync\"}\n");
    }

    #[test]
    fn an_end_is_said_where_it_is_final() {
        let reason = CloseReason::Policy("a \"rule\"");
        let data = "{\"code\":1008,\"reason\":\"a \\\"rule\\\"\"}";
        let close = StreamForm::Events.close(None, &reason);
        assert_eq!(close, format!("event: close\ndata: {data}\n\n"));
        let close = StreamForm::Lines.close(None, &CloseReason::StreamEnded);
        let expected = "{\"control\":\"close\",\"code\":1000,\"reason\":\"end\"}\n";
        assert_eq!(close, expected);
        let after = Duration::from_millis(1500);
        assert_eq!(StreamForm::Events.come_back(after), "retry: 1500\n\n");
        let expected = "{\"control\":\"retry\",\"milliseconds\":1500}\n";
        assert_eq!(StreamForm::Lines.come_back(after), expected);
    }

    /// What a page reads of one event, by the letter of WHATWG HTML, 9.2.6.
    fn read(event: &str) -> String {
        let normal = event.replace("\r\n", "\n").replace('\r', "\n");
        let mut data = String::new();
        for line in normal.lines() {
            if let Some(value) = line.strip_prefix("data:") {
                data.push_str(value.strip_prefix(' ').unwrap_or(value));
                data.push('\n');
            }
        }
        data.pop();
        data
    }

    proptest! {
        #[test]
        fn a_page_reads_the_text_that_was_published(said in "[ -~\\r\\n\\té\u{2028}\u{85}]{0,40}") {
            let event = written(StreamForm::Events, &text(&said, None));
            let expected = said.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(read(&event), expected);
            prop_assert!(event.ends_with("\n\n") && !event[..event.len() - 2].contains("\n\n"));
            let line = written(StreamForm::Lines, &text(&said, None));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["text"].as_str(), Some(&*said));
            prop_assert!(!line[..line.len() - 1].contains(['\n', '\r']));
        }
    }
}
