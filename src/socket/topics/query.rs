//! Tokens in the query of a handshake, `?topic=<token>`.
//!
//! Used by the handshake, first of all. The surprise: only values of a token's form are taken, and then they
//! are gone from the query; whatever else a view calls `topic` is its own.

use std::borrow::Cow;
use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

use crate::token::Token;

/// Tokens that came with a handshake. Never printed.
#[derive(Clone, Default)]
pub(in crate::socket) struct QueryTokens(pub(super) Vec<Box<str>>);

impl fmt::Debug for QueryTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryTokens({})", self.0.len())
    }
}

impl QueryTokens {
    /// Takes them out of a handshake's target.
    pub(in crate::socket) fn take(uri: &mut Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        if query.is_empty() {
            return Self::default();
        }
        let (mut tokens, mut rest) = (Vec::new(), Vec::new());
        for pair in query.split('&') {
            match token(pair) {
                Some(token) => tokens.push(token.into()),
                None => rest.push(pair),
            }
        }
        if !tokens.is_empty() {
            let (path, rest) = (uri.path(), rest.join("&"));
            let mark = if rest.is_empty() { "" } else { "?" };
            // A part of what was a target is one.
            if let Ok(target) = PathAndQuery::try_from(format!("{path}{mark}{rest}")) {
                let mut parts = std::mem::take(uri).into_parts();
                parts.path_and_query = Some(target);
                *uri = Uri::from_parts(parts).unwrap_or_default();
            }
        }
        Self(tokens)
    }
}

/// The token of a parameter, its percent signs decoded once.
fn token(pair: &str) -> Option<Cow<'_, str>> {
    let (name, value) = pair.split_once('=')?;
    let decoded = |text| percent_decode_str(text).decode_utf8().ok();
    if decoded(name)? != "topic" {
        return None;
    }
    decoded(value).filter(|token| Token::parse(token).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: &str = "pIKcEvmOYlwOGdP87dzW04Ogcc9HRNLzU148I6J1Tok";

    fn taken(target: &str) -> (String, Vec<String>) {
        let mut uri: Uri = target.parse().unwrap();
        let QueryTokens(tokens) = QueryTokens::take(&mut uri);
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
        QueryTokens::take(&mut absolute);
        assert_eq!(absolute, "https://app.test/ws/?x=1");
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "[a-z=&%~0-9:,./?-]{0,80}") {
            let target = format!("/ws/?topic={query}&topic=a~1~2~{MAC}");
            if let Ok(mut uri) = target.parse() {
                QueryTokens::take(&mut uri);
                prop_assert!(!uri.to_string().contains(MAC));
            }
        }
    }
}
