//! Whether Django can tell from the decoded path what was on the request line.
//!
//! Used by `vouch`. The surprise: wsgiref, and so runserver, keeps the decoded path only;
//! the Django package quotes it again, and where that gives other bytes it has to be told what was sent.

/// What stands in a path as it is, besides letters and digits: Django's package quotes all else.
const AS_THEY_ARE: &[u8] = b"-._~/:@!$&'()*+,;=";

/// Whether a target, quoted again from its decoded path and its query, is the same again.
pub(super) fn survives_quoting(target: &str) -> bool {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    query != Some("") && is_quoted_once(path)
}

/// The path has passed `web::path`: two hexadecimal digits follow every `%`.
fn is_quoted_once(path: &str) -> bool {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') {
        return bytes.iter().copied().all(stands);
    }
    let decoded: Vec<u8> = percent_encoding::percent_decode(bytes).collect();
    // Django shows broken UTF-8 percent-encoded, and so it is encoded twice.
    std::str::from_utf8(&decoded).is_ok() && quoted(&decoded).eq(bytes.iter().copied())
}

fn stands(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || AS_THEY_ARE.contains(&byte)
}

/// As Python's `urllib.parse.quote` writes it.
fn quoted(decoded: &[u8]) -> impl Iterator<Item = u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    decoded.iter().flat_map(|&byte| {
        let escape = [
            b'%',
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ];
        let (escape, plain) = if stands(byte) {
            (None, Some(byte))
        } else {
            (Some(escape), None)
        };
        escape.into_iter().flatten().chain(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each was compared with quote(unquote(path), "/:@!$&'()*+,;=~") of Python.
    #[test]
    fn only_what_django_would_write_otherwise_has_to_be_told() {
        for same in [
            "/",
            "/a/b-c_d.e~f/",
            "/:@!$&'()*+,;=",
            "/a%20b/",
            "/%C3%A4/?q=%c3%a4&r=%7E",
            "/a?b?c",
            "/%25/",
        ] {
            assert!(survives_quoting(same), "{same}");
        }
        for other in [
            "/%7Euser/",
            "/%c3%a4/",
            "/%41",
            "/a%3Ab",
            "/a|b",
            "/a\"b",
            "/%E9/",
            "/a?",
            "/[x]",
            "/%3d",
        ] {
            assert!(!survives_quoting(other), "{other}");
        }
    }
}
