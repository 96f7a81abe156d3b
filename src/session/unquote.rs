//! A cookie's value as Django reads it, which is as Python's `http.cookies` unquotes it.
//!
//! Used wherever a value is read. The surprise: Python's cookie writer quotes whatever has a byte that
//! is not plain, `=` among them, so a session of Fernet or base64 comes quoted or not depending on
//! its length.

use std::borrow::Cow;

/// A value without the quotes and escapes that Django takes off; `None` where gateway and Django might
/// read two things: bytes that are not ASCII (servers decode them in two ways), and control characters.
pub(super) fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return None;
    }
    let quoted = value.strip_prefix(b"\"");
    let Some(inner) = quoted.and_then(|rest| rest.strip_suffix(b"\"")) else {
        return is_visible(value).then_some(Cow::Borrowed(value));
    };
    if !inner.contains(&b'\\') {
        return is_visible(inner).then_some(Cow::Borrowed(inner));
    }
    let text = unescape(inner)?;
    Some(Cow::Owned(text.into_bytes()))
}

/// `\ooo` is the character of that number, `\x` is x.
fn unescape(mut rest: &[u8]) -> Option<String> {
    // As long as it can become, or growing would leave copies of a secret behind.
    let mut text = String::with_capacity(rest.len());
    loop {
        let (character, length) = match *rest {
            [] => return Some(text),
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                let number = ((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0');
                (char::from(number), 4)
            }
            [b'\\', escaped, ..] => (char::from(escaped), 2),
            [plain, ..] => (char::from(plain), 1),
        };
        if character.is_control() {
            return None;
        }
        text.push(character);
        rest = &rest[length..];
    }
}

fn is_visible(value: &[u8]) -> bool {
    !value.contains(&b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// What Python makes of it, see `python/tests/test_cookie_vectors.py`.
    #[derive(Deserialize)]
    struct Vector {
        sent: String,
        read: String,
    }

    #[test]
    fn values_are_read_as_python_reads_them() {
        let text = include_str!("../../python/tests/cookie_vectors.json");
        let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
        assert!(vectors.len() > 10);
        for Vector { sent, read } in vectors {
            let value = unquote(sent.as_bytes());
            assert_eq!(value.as_deref(), Some(read.as_bytes()), "{sent}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for value in ["h\u{e9}", "\u{a0}", r#""a\012b""#, "\"\u{e9}\"", "a\tb"] {
            assert_eq!(unquote(value.as_bytes()), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_grow(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(read) = unquote(&value) {
                prop_assert!(read.len() <= value.len());
            }
        }
    }
}
