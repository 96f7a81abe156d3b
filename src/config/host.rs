//! Hosts as `gateway.toml` names them.
//!
//! Used by `[server]`, and by the kinds of addresses and origins. An IPv6 address stands in brackets, as
//! in `Host`.

use std::net::{IpAddr, Ipv6Addr};

use super::kind::{Hint, ValueKind};

/// A host of the origin: lower case, an IPv6 address in brackets.
pub(super) const HOST: ValueKind<String> = ValueKind {
    expected: "a host name or IP address without scheme, port and path",
    parse: |text| {
        let text = text.to_lowercase();
        if let Some(address) = bracketed(&text) {
            return Ok(format!("[{address}]"));
        }
        if is_host_name(&text) {
            Ok(text)
        } else {
            Err(host_hint(&text))
        }
    },
};

/// A host of the origin, or a star in front of what all of them end in.
pub(super) const HOST_OR_WILDCARD: ValueKind<String> = ValueKind {
    expected: "a host name or IP address without scheme, port and path, or a name with a star in front \
               such as \"*.example.com\"",
    parse: |text| {
        match text.strip_prefix("*.") {
        // Browsers take no certificate for all names of a top-level domain.
        Some(domain) if is_host_name(domain) && domain.contains('.') && !is_address(domain) => {
            Ok(text.to_ascii_lowercase())
        }
        Some("localhost") => Err(Some(
            "browsers take no certificate for \"*.localhost\": write \"*.app.localhost\", or list every name"
                .to_owned(),
        )),
        _ => (HOST.parse)(text),
    }
    },
};

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

pub(super) fn bracketed(text: &str) -> Option<Ipv6Addr> {
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Letters, digits, hyphens and, as container names have them, underscores; labels by dots.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn host_hint(text: &str) -> Hint {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(format!(
            "write an IPv6 address in brackets: \"[{address}]\""
        ));
    }
    if !text.is_ascii() {
        return Some("write the name in its ASCII form, which starts with \"xn--\"".to_owned());
    }
    if let Some(domain) = text.strip_prefix('.').filter(|rest| is_host_name(rest)) {
        return Some(format!(
            "write \"*.{domain}\" for its subdomains, and \"{domain}\" for itself"
        ));
    }
    if text.contains('*') {
        return Some(
            "a star stands for one label or more in front of two or more: \"*.example.com\""
                .to_owned(),
        );
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let name = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = match name.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    };
    let name = name.trim_end_matches('.');
    (is_host_name(name) || bracketed(name).is_some())
        .then(|| format!("write \"{name}\": scheme and port come from where the gateway listens"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(kind: &ValueKind<String>, text: &str) -> String {
        (kind.parse)(text).unwrap_err().unwrap_or_default()
    }

    #[test]
    fn a_host_is_a_name_alone() {
        assert_eq!((HOST.parse)("App.Example.com").unwrap(), "app.example.com");
        assert_eq!((HOST.parse)("[::1]").unwrap(), "[::1]");
        assert_eq!((HOST.parse)("192.168.1.5").unwrap(), "192.168.1.5");
        assert!(hint(&HOST, "https://a.test:8443/x").starts_with("write \"a.test\""));
        assert!(hint(&HOST, "a.test:8443").starts_with("write \"a.test\""));
        assert!(hint(&HOST, "::1").contains("[::1]"));
        assert!(hint(&HOST, "*.a.test").contains("a star stands for"));
        assert!(hint(&HOST, "bücher.test").contains("xn--"));
        for text in ["", "a b", "-a", "a..b", "a@b"] {
            assert!((HOST.parse)(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_star_stands_in_front_of_two_labels_or_more() {
        let parse = HOST_OR_WILDCARD.parse;
        assert_eq!(parse("*.Example.com").unwrap(), "*.example.com");
        assert_eq!(parse("example.com").unwrap(), "example.com");
        for (text, expected) in [
            ("*.localhost", "*.app.localhost"),
            ("*.com", "in front of two or more"),
            ("*", "in front of two or more"),
            ("a.*.test", "in front of two or more"),
            ("*a.example.com", "in front of two or more"),
            ("*.10.0.0.1", "in front of two or more"),
            (".example.com", "write \"*.example.com\""),
        ] {
            let hint = hint(&HOST_OR_WILDCARD, text);
            assert!(hint.contains(expected), "{text}: {hint}");
        }
    }
}
