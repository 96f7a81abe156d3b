//! What fuzz targets may call (`fuzz/`).

use super::query::OwnParameters;
use super::request::TopicRequest;
use crate::token::Token;
use crate::words;

/// Reads a text in every way in which a client's is read.
pub fn read(text: &str) {
    let _ = Token::parse(text).map(|token| token.topics().len());
    let _ = TopicRequest::decode(text);
    let _ = words::is_one(text);
    if let Ok(mut uri) = format!("/ws/?{text}").parse() {
        OwnParameters::take(&mut uri);
    }
}
