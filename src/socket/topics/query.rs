//! What of a handshake's query is for the gateway: `?topic=<token>`, `?position=<position>` and `?welcome=1`.
//!
//! Used by the handshake, first of all. Only values of these forms are taken, and then they are gone from the
//! query; whatever else a view calls so is its own.

use std::fmt;

use http::Uri;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

use crate::broker::Since;
use crate::ids::ViewTarget;
use crate::publication::Position;
use crate::session::LONGEST_TARGET;
use crate::token::Token;

/// The longest text that may be a position, here or elsewhere.
const LONGEST_POSITION: usize = 64;

/// What came with a handshake. Tokens are never printed.
#[derive(Clone, Default)]
pub(in crate::socket) struct OwnParameters {
    pub(super) tokens: Vec<Box<str>>,
    /// What the page has; of several positions the oldest.
    pub(in crate::socket) since: Since,
    /// Whether a plain client wants to be told who it is, and where it begins.
    pub(in crate::socket) welcome: bool,
}

impl fmt::Debug for OwnParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, since, welcome) = (self.tokens.len(), self.since, self.welcome);
        write!(
            f,
            "OwnParameters {{ tokens: {tokens}, {since:?}, {welcome} }}"
        )
    }
}

impl OwnParameters {
    /// Takes them out of a handshake's target.
    pub(in crate::socket) fn take(uri: &mut Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        if query.is_empty() {
            return Self::default();
        }
        let (mut own, mut rest) = (Self::default(), Vec::new());
        let mut is_changed = false;
        for pair in query.split('&') {
            let is_own = own.read(pair);
            is_changed |= is_own;
            if !is_own {
                rest.push(pair);
            }
        }
        if is_changed {
            let (path, rest) = (uri.path(), rest.join("&"));
            let mark = if rest.is_empty() { "" } else { "?" };
            // A part of what was a target is one.
            if let Ok(target) = PathAndQuery::try_from(format!("{path}{mark}{rest}")) {
                let mut parts = std::mem::take(uri).into_parts();
                parts.path_and_query = Some(target);
                *uri = Uri::from_parts(parts).unwrap_or_default();
            }
        }
        own
    }

    /// Names another position in place of all: that of the last event that a browser got, if it got one.
    pub(in crate::socket) fn resume_after(&mut self, event: Option<&HeaderValue>) {
        if let Some(event) = event.filter(|event| !event.is_empty()) {
            let named = event.to_str().ok().and_then(|text| text.parse().ok());
            self.since = Since::Position(named);
        }
    }

    /// Reads one parameter, its percent signs decoded once. Whether it is one of these.
    fn read(&mut self, pair: &str) -> bool {
        let Some((name, value)) = pair.split_once('=') else {
            return false;
        };
        let decoded = |text| percent_decode_str(text).decode_utf8().ok();
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            return false;
        };
        match &*name {
            "topic" if Token::parse(&value).is_some() => self.tokens.push(value.into()),
            "position" if is_position(&value) => {
                let named = value.parse().ok();
                self.since = Since::Position(match self.since {
                    Since::Unsaid => named,
                    Since::Position(other) => older(other, named),
                });
            }
            "welcome" if value == "1" => self.welcome = true,
            _ => return false,
        }
        true
    }
}

/// Whether a text may be a position, of whatever gateway.
fn is_position(text: &str) -> bool {
    let is_part = |part: &str| {
        let mut letters = part.bytes();
        !part.is_empty() && letters.all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    let parts = text.split_once('.');
    text.len() <= LONGEST_POSITION && parts.is_some_and(|(one, two)| is_part(one) && is_part(two))
}

/// The older of two positions; `None` where nobody knows which that is.
fn older(one: Option<Position>, other: Option<Position>) -> Option<Position> {
    let (one, other) = (one?, other?);
    let sequence = one.sequence.min(other.sequence);
    (one.generation == other.generation).then_some(Position { sequence, ..one })
}

/// What Django's view of a handshake's path is asked: the path, and the query without what is the gateway's. `None`
/// where the path is too long to be anybody's.
pub(in crate::socket) fn view_of(uri: &Uri) -> Option<ViewTarget> {
    let path = uri.path();
    let whole = uri.query().unwrap_or_default();
    let is_own = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8();
        !name.is_ok_and(|name| matches!(&*name, "position" | "welcome"))
    };
    let query: Vec<_> = whole.split('&').filter(is_own).collect();
    let query = query.join("&");
    let fits = path.len() + query.len() < LONGEST_TARGET && !query.is_empty();
    let target = if fits {
        format!("{path}?{query}")
    } else {
        path.to_owned()
    };
    (path.len() <= LONGEST_TARGET).then(|| ViewTarget::new(&target))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: &str = "pIKcEvmOYlwOGdP87dzW04Ogcc9HRNLzU148I6J1Tok";

    fn taken(target: &str) -> (String, Vec<String>) {
        let mut uri: Uri = target.parse().unwrap();
        let tokens = OwnParameters::take(&mut uri).tokens;
        let tokens = tokens.iter().map(ToString::to_string).collect();
        (uri.to_string(), tokens)
    }

    #[test]
    fn tokens_are_taken_out_and_everything_else_stays_as_it_was() {
        let one = format!("shop.order:17,news~1~2~{MAC}");
        let quoted = format!("shop.file:a%2Fb~1~2~{MAC}");
        let twice = quoted.replace('%', "%25");
        for (target, rest, tokens) in [
            ("/ws/".to_owned(), "/ws/", vec![]),
            ("/ws/?".to_owned(), "/ws/?", vec![]),
            (format!("/ws/?topic={one}"), "/ws/", vec![&one]),
            (
                format!("/ws/?a=1&topic={one}&&b=%20&topic={twice}"),
                "/ws/?a=1&&b=%20",
                vec![&one, &quoted],
            ),
            (
                format!("/ws/?%74opic={}", one.replace('~', "%7E")),
                "/ws/",
                vec![&one],
            ),
            ("/ws/?topic=news".to_owned(), "/ws/?topic=news", vec![]),
            ("/ws/?topic&topic=".to_owned(), "/ws/?topic&topic=", vec![]),
            (
                format!("/ws/?topics={one}"),
                &format!("/ws/?topics={one}"),
                vec![],
            ),
        ] {
            let tokens: Vec<_> = tokens.into_iter().cloned().collect();
            assert_eq!(taken(&target), (rest.to_owned(), tokens), "{target}");
        }
        let mut absolute = format!("https://app.test/ws/?topic={one}&x=1")
            .parse()
            .unwrap();
        OwnParameters::take(&mut absolute);
        assert_eq!(absolute, "https://app.test/ws/?x=1");
    }

    #[test]
    fn a_position_is_taken_and_of_several_the_oldest_counts() {
        let position = |sequence| Position {
            generation: 7,
            sequence,
        };
        for (query, rest, since) in [
            ("a=1", "?a=1", Since::Unsaid),
            ("position=3", "?position=3", Since::Unsaid),
            ("position=48.20.1", "?position=48.20.1", Since::Unsaid),
            (
                "a=1&position=00000007.12",
                "?a=1",
                Since::Position(Some(position(12))),
            ),
            (
                "position=00000007.12&position=00000007%2E9",
                "",
                Since::Position(Some(position(9))),
            ),
            (
                "position=00000007.12&position=00000008.9",
                "",
                Since::Position(None),
            ),
            ("position=another.1-2", "", Since::Position(None)),
        ] {
            let mut uri: Uri = format!("/ws/?{query}").parse().unwrap();
            let own = OwnParameters::take(&mut uri);
            assert_eq!((uri.to_string(), own.since), (format!("/ws/{rest}"), since));
        }
    }

    #[test]
    fn a_wish_for_a_welcome_is_taken() {
        for (query, rest, welcome) in [
            ("welcome=1&a=1", "?a=1", true),
            ("welcome=%31", "", true),
            ("welcome=yes", "?welcome=yes", false),
            ("welcome", "?welcome", false),
        ] {
            let mut uri: Uri = format!("/ws/?{query}").parse().unwrap();
            let own = OwnParameters::take(&mut uri);
            assert_eq!(own.welcome, welcome, "{query}");
            assert_eq!(uri.to_string(), format!("/ws/{rest}"));
        }
    }

    #[test]
    fn a_view_gets_the_query_without_what_is_the_gateways() {
        let asked = |target: &str| view_of(&target.parse().unwrap());
        for (target, expected) in [
            ("/ws/orders/17/", "/ws/orders/17/"),
            ("/ws/orders/17/?", "/ws/orders/17/"),
            (
                "/ws/?position=1.2&a=1&w%65lcome=1&topic=tea",
                "/ws/?a=1&topic=tea",
            ),
            ("/ws/?welcome", "/ws/"),
        ] {
            assert_eq!(asked(target).unwrap().as_str(), expected, "{target}");
        }
        let long = format!("/ws/?{}", "q".repeat(LONGEST_TARGET));
        assert_eq!(asked(&long).unwrap().as_str(), "/ws/");
        assert_eq!(asked(&format!("/{}", "p".repeat(LONGEST_TARGET))), None);
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "[a-z=&%~0-9:,./?-]{0,80}") {
            let target = format!("/ws/?topic={query}&topic=a~1~2~{MAC}");
            if let Ok(mut uri) = target.parse() {
                OwnParameters::take(&mut uri);
                prop_assert!(!uri.to_string().contains(MAC));
            }
        }
    }
}
