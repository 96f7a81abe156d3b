//! The elements of `Forwarded` (RFC 7239), from the right.
//!
//! Used by the reader of what proxies say. The surprise: a client that leaves a quotation mark open
//! would swallow what a proxy appends, were the line read from the left. From the right, each proxy's
//! element is whole before what stood there already is looked at.

use super::hop::Hop;

/// What one proxy says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// `for=`; `None` where it is missing or nonsense.
    pub(super) hop: Option<Hop>,
    /// `proto=`
    pub(super) proto: Option<Vec<u8>>,
    /// `host=`
    pub(super) host: Option<Vec<u8>>,
}

/// The elements of one line, from the right; `None` for a malformed one, behind which nothing is
/// believed.
pub(super) fn elements(line: &[u8]) -> impl Iterator<Item = Option<Element>> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        loop {
            let line = rest?;
            let text = match cut(line, b',') {
                Some(at) => {
                    rest = Some(&line[..at]);
                    &line[at + 1..]
                }
                None => rest.take()?,
            };
            // Lists may have empty elements (RFC 9110 5.6.1).
            if !text.trim_ascii().is_empty() {
                return Some(Element::parse(text));
            }
        }
    })
}

impl Element {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut element = Self::default();
        let mut seen = [false; 3];
        let mut rest = Some(text);
        while let Some(text) = rest {
            let pair = match cut(text, b';') {
                Some(at) => {
                    rest = Some(&text[..at]);
                    &text[at + 1..]
                }
                None => rest.take()?,
            };
            let pair = pair.trim_ascii();
            if pair.is_empty() {
                continue;
            }
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&pair[..equals], unquoted(&pair[equals + 1..])?);
            let known = ["for", "proto", "host"]
                .iter()
                .position(|known| name.eq_ignore_ascii_case(known.as_bytes()));
            let Some(known) = known else { continue };
            // Said twice, it may mean either.
            if std::mem::replace(&mut seen[known], true) {
                return None;
            }
            match known {
                0 => element.hop = Hop::parse(&value),
                1 => element.proto = Some(value),
                _ => element.host = Some(value),
            }
        }
        Some(element)
    }
}

/// Where the last `separator` outside quotation marks is.
fn cut(text: &[u8], separator: u8) -> Option<usize> {
    let mut quoted = false;
    for at in (0..text.len()).rev() {
        if text[at] == b'"' && !is_escaped(&text[..at]) {
            quoted = !quoted;
        } else if text[at] == separator && !quoted {
            return Some(at);
        }
    }
    None
}

/// Whether what follows has a backslash of its own before it.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// A token, or what a quoted string says. Brackets and colons are let pass in tokens, as proxies write
/// them.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let Some(inner) = value.strip_prefix(b"\"") else {
        let is_plain = value.iter().all(u8::is_ascii_graphic) && !value.contains(&b'"');
        return (is_plain && !value.is_empty()).then(|| value.to_vec());
    };
    let mut inner = inner.strip_suffix(b"\"")?.iter();
    let mut text = Vec::with_capacity(inner.len());
    while let Some(byte) = inner.next() {
        match byte {
            b'\\' => text.push(*inner.next()?),
            b'"' => return None,
            byte => text.push(*byte),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(line: &str) -> Vec<Option<String>> {
        let shown = |element: Option<Element>| match element?.hop? {
            Hop::Address(address) => Some(address.to_string()),
            Hop::Unix => Some("unix".to_owned()),
        };
        elements(line.as_bytes()).map(shown).collect()
    }

    #[test]
    fn elements_come_from_the_right_with_their_quotes_undone() {
        let line =
            r#"for=192.0.2.1, FOR="[2001:db8::2]:4711";proto=https ;Host="a.test:8443",,for=unix:"#;
        let shown = hops(line);
        let expected = ["unix", "2001:db8::2", "192.0.2.1"].map(|hop| Some(hop.to_owned()));
        assert_eq!(shown, expected);
        let element = elements(line.as_bytes()).nth(1).unwrap().unwrap();
        assert_eq!(element.proto.as_deref(), Some(&b"https"[..]));
        assert_eq!(element.host.as_deref(), Some(&b"a.test:8443"[..]));
        let escaped = elements(br#"host="a\"b\\c""#).next().unwrap().unwrap();
        assert_eq!(escaped.host.as_deref(), Some(&br#"a"b\c"#[..]));
    }

    #[test]
    fn an_open_quotation_mark_swallows_nothing_that_a_proxy_appends() {
        for evil in [
            "for=\"",
            "for=\"\\",
            "for=\"a, for=\\\"",
            "\"",
            ";;;=\"",
            "for=\"x\\\\\\",
            "host=\"a;b",
        ] {
            for own in [
                "for=192.0.2.9;proto=https",
                "for=\"[::9]:1\";proto=\"https\"",
            ] {
                let line = format!("{evil}, {own}");
                let last = elements(line.as_bytes()).next().unwrap().unwrap();
                assert!(last.hop.is_some(), "{line}");
                assert_eq!(last.proto.as_deref(), Some(&b"https"[..]), "{line}");
            }
        }
    }

    #[test]
    fn what_is_no_element_is_nothing() {
        for text in [
            "for",
            "for=",
            "for=1.2.3.4;for=5.6.7.8",
            "for=\"1.2.3.4",
            "for=1.2.3.4\"",
            "for=a b",
            "for=\"a\"b\"",
        ] {
            let first = elements(text.as_bytes()).next().unwrap();
            assert!(first.is_none_or(|element| element.hop.is_none()), "{text}");
        }
        assert_eq!(hops(" , ,"), Vec::new());
        assert_eq!(hops("secret=x;by=_y"), [None]);
    }
}
