//! Names of topics: objects of Django's, and free names.
//!
//! Only the name of an object has a colon, so no free text can name an object; and names are compared
//! byte for byte, so each has one spelling (the Django package writes it).

use std::fmt;
use std::sync::Arc;

/// The longest free name, in bytes.
const LONGEST_FREE: usize = 200;
/// The longest name of an object, in bytes.
const LONGEST: usize = 512;

/// The name of a topic: `shop.order:17`, or a free one such as `news`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Takes a text that is the name of a topic.
    pub fn new(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.into()))
    }

    /// The name, as Django wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    match text.split_once(':') {
        None => (1..=LONGEST_FREE).contains(&text.len()) && text.bytes().all(is_free),
        Some((model, key)) => {
            let is_model = |byte| is_free(byte) || byte == b'%';
            let model_fits = !model.is_empty() && model.bytes().all(is_model);
            text.len() <= LONGEST && model_fits && is_key(key.as_bytes())
        }
    }
}

fn is_free(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte)
}

/// A key is quoted as in URLs, in upper case.
fn is_key(mut key: &[u8]) -> bool {
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(byte);
    let is_empty = key.is_empty();
    while let [first, rest @ ..] = key {
        key = match rest {
            [high, low, rest @ ..] if *first == b'%' && is_hex(high) && is_hex(low) => rest,
            rest if is_plain(first) => rest,
            _ => return false,
        };
    }
    !is_empty
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_an_objects_name_has_a_colon_and_each_name_has_one_spelling() {
        let names = [
            "news",
            "A-Z_0.9/x",
            "shop.order:17",
            "acme/shop.order:17",
            "shop.order:a~b",
            "shop.order:a%2Fb%2Cc%3Ad",
            "shop.gr%C3%B6%C3%9Fe:1",
        ];
        for name in names {
            assert_eq!(TopicName::new(name).unwrap().as_str(), name);
        }
        let others = [
            "",
            "two words",
            "a,b",
            "a~b",
            "a%20b",
            "shop.order:",
            ":17",
            "shop.order:1:2",
            "shop.order:a%2fb",
            "shop.order:a%2",
            "shop.order:%",
            "shop.order:a/b",
            "shop.order:ü",
            "grüße",
        ];
        for other in others {
            assert_eq!(TopicName::new(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_bounded() {
        let free = |length| TopicName::new(&"n".repeat(length));
        assert!(free(200).is_some() && free(201).is_none());
        let object = |length: usize| TopicName::new(&format!("a.b:{}", "9".repeat(length - 4)));
        assert!(object(512).is_some() && object(513).is_none());
    }

    proptest! {
        #[test]
        fn a_name_goes_into_tokens_queries_and_logs_as_it_is(text in "\\PC{0,40}") {
            if TopicName::new(&text).is_some() {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!text.contains([',', '"', '\\']));
            }
        }
    }
}
