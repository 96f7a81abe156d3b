//! Which names Django is asked about at all: those that an authority could issue a certificate for.

use crate::config::AcmeConfig;

/// Whether a name in lower case is one of the internet's (RFC 1123 section 2.1): two labels or more of letters, digits
/// and hyphens, the last of them not a number; no address, no star.
pub(in crate::acme) fn is_askable(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(is_letter)
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= 253 && !is_number && name.split('.').all(is_label) && AcmeConfig::is_public(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_internet_are_asked_about_and_nothing_else() {
        let longest = format!("{}.{}.example", "a".repeat(63), "b".repeat(63));
        for name in [
            "shop.example",
            "a.b.c.example",
            "xn--bcher-kva.example",
            "4.example",
            &longest,
        ] {
            assert!(is_askable(name), "{name}");
        }
        let too_long = format!("{}.example", vec!["a".repeat(60); 5].join("."));
        let long_label = format!("{}.example", "a".repeat(64));
        for name in [
            "",
            "localhost",
            "shop",
            "*.example.com",
            "a.*.example",
            "192.0.2.1",
            "1.2.3",
            "[2001:db8::1]",
            "2001:db8::1",
            "shop.example.",
            ".shop.example",
            "shop..example",
            "-shop.example",
            "shop-.example",
            "Shop.example",
            "a_b.example",
            "bücher.example",
            "shop.example/x",
            "shop.example?name=x",
            "shop example.com",
            &too_long,
            &long_label,
        ] {
            assert!(!is_askable(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_asked_about_is_a_query_as_it_is(name in "\\PC{0,40}|[a-z0-9.*-]{0,20}") {
            if is_askable(&name) {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
                prop_assert!(name.bytes().all(is_plain));
            }
        }
    }
}
