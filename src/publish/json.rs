//! JSON decoding with a place for every complaint.
//!
//! Used by all of the folder that reads JSON. The surprises: serde takes a JSON array for a struct, so
//! [`Object`] insists on an object; and serde's limit of nesting does not hold for raw values, so
//! [`too_deep`] looks at them.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

/// Deeper frames are refused: some receiver's recursive parser would fall over them.
const DEEPEST: usize = 128;

/// What is quoted of a caller's text in a complaint, in bytes.
const LONGEST_MESSAGE: usize = 300;

/// Where in a text something is, line and column from 1, columns in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextPosition {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why a text is not what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    /// It is not UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8(TextPosition),
    /// It is not JSON.
    #[error("the body is not JSON: {message}")]
    NotJson {
        message: String,
        place: TextPosition,
    },
    /// It is JSON, of another shape.
    #[error("{message}")]
    Refused {
        message: String,
        place: TextPosition,
    },
    /// The frame would not fit an outbox.
    #[error("the frame has {size} bytes, and {limit} are allowed (delivery.outbox_size)")]
    FrameTooLarge {
        size: usize,
        limit: usize,
        place: TextPosition,
    },
    /// The frame is nested too deeply.
    #[error("the frame is nested deeper than {DEEPEST} levels")]
    TooDeep(TextPosition),
}

/// A `T` that is written as a JSON object.
pub(super) struct Object<T>(pub(super) T);

/// Decodes a text that is one JSON object.
pub(super) fn decode<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<(T, &'a str), DecodeError> {
    let text = utf8(text)?;
    serde_json::from_str::<Object<T>>(text)
        .map(|object| (object.0, text))
        .map_err(DecodeError::from)
}

/// Takes a text apart that is one JSON array.
pub(super) fn decode_array(text: &[u8]) -> Result<Vec<&RawValue>, DecodeError> {
    let text = utf8(text)?;
    serde_json::from_str(text).map_err(DecodeError::from)
}

fn utf8(text: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(text)
        .map_err(|error| DecodeError::NotUtf8(TextPosition::of(text, error.valid_up_to())))
}

impl TextPosition {
    /// The place of a byte of a text.
    pub(super) fn of(text: &[u8], offset: usize) -> Self {
        let before = &text[..offset];
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        Self {
            line: before.split(|byte| *byte == b'\n').count(),
            column: 1 + offset - line_start,
        }
    }
}

impl DecodeError {
    /// Where it was found.
    pub(super) fn place(&self) -> TextPosition {
        match self {
            Self::NotUtf8(place)
            | Self::TooDeep(place)
            | Self::NotJson { place, .. }
            | Self::Refused { place, .. }
            | Self::FrameTooLarge { place, .. } => *place,
        }
    }
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        let place = TextPosition {
            line: error.line().max(1),
            column: error.column().max(1),
        };
        let mut message = error.to_string();
        // The place is told apart from the message.
        if let Some(end) = message.rfind(" at line ") {
            message.truncate(end);
        }
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        match error.classify() {
            Category::Data => Self::Refused { message, place },
            _ => Self::NotJson { message, place },
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// The offset at which a JSON text goes deeper than [`DEEPEST`] levels.
pub(super) fn too_deep(json: &str) -> Option<usize> {
    let opens = |byte: u8| matches!(byte, b'[' | b'{');
    if json.bytes().filter(|byte| opens(*byte)).count() <= DEEPEST {
        return None;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    json.bytes().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        depth > DEEPEST
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_from_one() {
        assert_eq!(
            TextPosition::of(b"ab", 0),
            TextPosition { line: 1, column: 1 }
        );
        assert_eq!(
            TextPosition::of(b"a\nbc\n", 3),
            TextPosition { line: 2, column: 2 }
        );
        assert_eq!(
            TextPosition::of(b"a\n", 2),
            TextPosition { line: 2, column: 1 }
        );
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(too_deep(&nested(128)), None);
        assert_eq!(too_deep(&nested(129)), Some(128));
        let flat = vec!["[]"; 500].join(",");
        assert_eq!(too_deep(&format!("[{flat}]")), None);
        let text = "[".repeat(500);
        assert_eq!(
            too_deep(&format!(r#"["\"{text}",{{"a":"{text}\\"}}]"#)),
            None
        );
    }
}
