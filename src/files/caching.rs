//! How long a browser may keep a file without asking again.
//!
//! Asked by `asset`. A name counts as hashed only if no person would write it by hand, because a
//! file kept for a year under a name that is used again cannot be called back.

use http::HeaderValue;

/// `Cache-Control` for a file of this name.
pub(super) fn policy(name: &str) -> HeaderValue {
    if is_hashed(name) {
        return HeaderValue::from_static("public, max-age=31536000, immutable");
    }
    HeaderValue::from_static("no-cache")
}

/// Whether a name changes with its content: `app.0c2b7f6a4d1e.css` (Django's manifest storage,
/// webpack), `app-0c2b7f6a.js`, `index-BnZ3kq1a.js` (Vite). HTML is what names them, so it is not.
fn is_hashed(name: &str) -> bool {
    let Some((stem, ending)) = name.rsplit_once('.') else {
        return false;
    };
    if matches!(ending, "html" | "htm") {
        return false;
    }
    // A source map or a compressed file: `app-0c2b7f6a.js.map`.
    if matches!(ending, "map" | "zst" | "br" | "gz") && stem.contains('.') {
        return is_hashed(stem);
    }
    let after = |mark| stem.rsplit_once(mark).map(|(_, part)| part);
    let vite = || {
        let cut = stem
            .len()
            .checked_sub(9)
            .filter(|cut| stem.is_char_boundary(*cut))?;
        stem[cut..].strip_prefix('-')
    };
    after('.').is_some_and(is_hex)
        || after('-').is_some_and(is_hex)
        || vite().is_some_and(is_base64)
}

/// Eight or more hexadecimal digits; neither a date nor a word.
fn is_hex(part: &str) -> bool {
    part.len() >= 8
        && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && part.bytes().any(|b| b.is_ascii_digit())
        && part.bytes().any(|b| b.is_ascii_lowercase())
}

/// Eight characters of URL-safe base64 in an order that no one writes: `Chapter2` or `DataGrid` does not count.
fn is_base64(part: &str) -> bool {
    let bytes = part.as_bytes();
    let inner = bytes
        .get(1..bytes.len().saturating_sub(1))
        .unwrap_or_default();
    bytes.len() == 8
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bytes.iter().any(u8::is_ascii_uppercase)
        && inner.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashed_names_are_kept_and_others_asked_for() {
        for name in [
            "app.0c2b7f6a4d1e.css",
            "main.3f2a1b9c.js",
            "app-0c2b7f6a.js",
            "index-BnZ3kq1a.js",
            "index-B_Z3-q1a.css",
            "index-BnZ3kq1a.js.map",
            "chunk.a1b2c3d4e5f60718.mjs",
        ] {
            assert!(is_hashed(name), "{name}");
        }
        for name in [
            "index.html",
            "index-BnZ3kq1a.html",
            "app.js",
            "jquery-3.7.1.min.js",
            "bootstrap-datepicker.js",
            "Guide-Chapter2.pdf",
            "Mui-DataGrid.js",
            "report-20240101.pdf",
            "photo.20240101.jpg",
            "my-facebook.svg",
            "x.deadbeef.js",
            "v1.2.3.js",
            "BnZ3kq1a",
            "",
            ".",
        ] {
            assert!(!is_hashed(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "\\PC{0,20}") {
            let _ = policy(&name);
        }
    }
}
