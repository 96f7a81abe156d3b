//! Which compressed copy a client takes (RFC 9110 12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// How a representation is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Identity,
    /// `.br`
    Brotli,
    /// `.gz`
    Gzip,
}

impl Encoding {
    /// The best that the client takes and `has` is there for.
    pub(super) fn choose(headers: &HeaderMap, has: impl Fn(Self) -> bool) -> Self {
        let mut best = (Self::Identity, weight(headers, "identity").unwrap_or(0.0));
        // Brotli is the smaller of the two, where the client has no preference.
        for encoding in [Self::Gzip, Self::Brotli] {
            if !has(encoding) {
                continue;
            }
            let wish = weight(headers, encoding.name())
                .or_else(|| weight(headers, "*"))
                .unwrap_or(0.0);
            if wish > 0.0 && wish >= best.1 {
                best = (encoding, wish);
            }
        }
        best.0
    }

    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// What the client says of an encoding, if it does.
fn weight(headers: &HeaderMap, name: &str) -> Option<f32> {
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    let items = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    items.into_iter().find_map(|item| {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        if !coding.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        let weight = parameters
            .trim()
            .strip_prefix(['q', 'Q'])
            .and_then(|rest| rest.trim_start().strip_prefix('='));
        // What cannot be read is no wish.
        Some(weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Brotli, Gzip, Identity};
    use super::*;

    fn choice(accepted: &str, there: &[Encoding]) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accepted.parse().unwrap());
        Encoding::choose(&headers, |encoding| there.contains(&encoding))
    }

    #[test]
    fn the_client_s_wish_decides_and_then_the_smaller_copy() {
        let both = [Brotli, Gzip];
        for (accepted, there, expected) in [
            ("gzip, deflate, br, zstd", &both[..], Brotli),
            ("gzip, deflate, br", &[Gzip], Gzip),
            ("br;q=0.5, gzip;q=0.8", &both, Gzip),
            ("gzip", &[Brotli], Identity),
            ("", &both, Identity),
            ("*", &both, Brotli),
            ("*;q=0.5, br;q=0", &both, Gzip),
            ("br;q=0, gzip;q=0.0", &both, Identity),
            ("identity, gzip;q=0.5", &both, Identity),
            ("GZIP ; Q=1.0", &both, Gzip),
            ("gzip;q=much", &both, Identity),
        ] {
            assert_eq!(choice(accepted, there), expected, "{accepted}");
        }
        assert_eq!(Encoding::choose(&HeaderMap::new(), |_| true), Identity);
    }
}
