//! `server.hsts`: for how long browsers are to use HTTPS alone.
//!
//! The surprise: browsers keep it for a name whatever its port, so it is refused for `localhost`.

use http::HeaderValue;

use super::duration;
use super::kind::ValueKind;
use super::section::Section;

/// What the lists that browsers ship take (hstspreload.org).
const PRELOADED: u64 = 31_536_000;

/// The value of `Strict-Transport-Security`; `None` for none.
pub(super) const HSTS: ValueKind<Option<HeaderValue>> = ValueKind {
    expected: "a duration, such as \"365d\" or \"365d; includeSubDomains; preload\", or \"\"",
    parse,
};

fn parse(text: &str) -> Result<Option<HeaderValue>, Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut parts = text.split(';').map(str::trim);
    let age = parts
        .next()
        .and_then(duration::parse)
        .ok_or(None)?
        .as_secs();
    let (mut subdomains, mut preload) = (false, false);
    for part in parts {
        match part.to_ascii_lowercase().as_str() {
            "includesubdomains" => subdomains = true,
            "preload" => preload = true,
            _ => return Err(None),
        }
    }
    if preload && !(subdomains && age >= PRELOADED) {
        return Err(Some("preload takes includeSubDomains and 365d".to_owned()));
    }
    let mut value = format!("max-age={age}");
    for (said, word) in [(subdomains, "; includeSubDomains"), (preload, "; preload")] {
        value.push_str(if said { word } else { "" });
    }
    HeaderValue::try_from(value).map(Some).map_err(|_| None)
}

/// Refuses what would speak for every project of a developer's machine.
pub(super) fn check(section: &mut Section<'_, '_>, value: Option<&HeaderValue>, hosts: &[String]) {
    if value.is_some() && hosts.iter().any(|host| host == "localhost") {
        let message = "is set, but localhost is one of server.hosts, and browsers would refuse plain HTTP \
                       for all of localhost";
        section.refuse(
            "hsts",
            message,
            Some("name the public hosts alone in server.hosts"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_and_what_goes_with_it_become_the_field() {
        for (text, value) in [
            ("1h", "max-age=3600"),
            ("0s", "max-age=0"),
            (
                "365d;includesubdomains",
                "max-age=31536000; includeSubDomains",
            ),
            (
                "365d; includeSubDomains; preload",
                "max-age=31536000; includeSubDomains; preload",
            ),
        ] {
            assert_eq!(
                parse(text),
                Ok(Some(HeaderValue::from_static(value))),
                "{text}"
            );
        }
        assert_eq!(parse(""), Ok(None));
        for text in [
            "31536000",
            "365d; preload",
            "1h; includeSubDomains; preload",
            "365d; nonsense",
            "365d;",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
