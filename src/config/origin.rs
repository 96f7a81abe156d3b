//! An origin as the `Origin` field names it (RFC 6454 section 6.1).
//!
//! Used by `[[sockets]]`. Apps and extensions have origins too, with schemes of their own, and
//! `null` is one that every site can have.

use super::host::{bracketed, is_host_name};
use super::kind::{Hint, ValueKind};

pub(super) const ORIGIN: ValueKind<String> = ValueKind {
    expected: "an origin as browsers write it such as \"https://app.example.com\"",
    parse: |text| {
        if is_origin(text) {
            Ok(text.to_owned())
        } else {
            Err(hint(text))
        }
    },
};

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        // Expressly: sandboxed frames of every site have it.
        return text == "null";
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => is_web_authority(authority),
        // A page's origin never has these; its socket does.
        "ws" | "wss" => false,
        // Old web views call all files of a device by it.
        "file" => authority.is_empty(),
        _ => is_scheme(scheme) && is_app(authority),
    }
}

fn is_web_authority(authority: &str) -> bool {
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let port_fits = port.is_none_or(|port| !port.starts_with('0') && port.parse::<u16>().is_ok());
    port_fits && (is_host_name(name) || bracketed(name).is_some())
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// An extension's id, an app's bundle, `localhost`, with a port at most.
fn is_app(authority: &str) -> bool {
    (1..=253).contains(&authority.len())
        && authority
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~:".contains(c))
}

fn hint(text: &str) -> Hint {
    if text.contains('*') {
        return Some("wildcards are not known here: list every origin".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    for (socket, page) in [("wss://", "https://"), ("ws://", "http://")] {
        if let Some(rest) = lower.strip_prefix(socket) {
            return Some(format!(
                "the page's own origin is meant: write \"{page}{rest}\""
            ));
        }
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let origin = format!("{scheme}://{}", &rest[..end]);
        return (origin != text && is_origin(&origin)).then(|| format!("write \"{origin}\""));
    }
    let origin = format!("https://{text}");
    is_origin(&origin).then(|| format!("write \"{origin}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_apps_and_extensions_have_origins() {
        for text in [
            "https://a.test",
            "https://a.test:8443",
            "https://a.test:443",
            "https://A.test",
            "http://[::1]:3000",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "http://tauri.localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
            "safari-web-extension://E1C4FEA8-3C0B-4F3B-9C5A-5B1B0F0D3F11",
            "vscode-webview://1q2w3e",
            "app://.",
            "file://",
            "null",
        ] {
            assert_eq!((ORIGIN.parse)(text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_no_client_sends_is_refused_with_a_hint() {
        for (text, expected) in [
            ("a.test", "write \"https://a.test\""),
            ("https://a.test/", "write \"https://a.test\""),
            ("https://a.test/app?x", "write \"https://a.test\""),
            ("capacitor://localhost/", "write \"capacitor://localhost\""),
            ("wss://a.test", "write \"https://a.test\""),
            ("https://*.a.test", "list every origin"),
            ("*", "list every origin"),
        ] {
            let hint = (ORIGIN.parse)(text).unwrap_err().unwrap_or_default();
            assert!(hint.contains(expected), "{text}: {hint}");
        }
        for text in [
            "",
            "https://",
            "https://a@b",
            "https://a.test:0",
            "https://a.test:x",
            "://a",
            "1app://a",
            "app://",
            "app://a b",
            "file://x",
            "NULL",
        ] {
            assert!((ORIGIN.parse)(text).is_err(), "{text:?}");
        }
    }
}
