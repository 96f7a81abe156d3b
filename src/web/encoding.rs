//! Content codings: which of them a client takes (RFC 9110 12.5.3).
//!
//! Asked by `files` for copies of a file, and by `server` for what is compressed on its way.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// How a representation is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// Zstandard, `.zst`
    Zstd,
    /// Brotli, `.br`
    Brotli,
    /// `.gz`
    Gzip,
}

/// What a client says of each encoding, in thousandths; `None`: nothing.
#[derive(Debug, Default)]
struct Weights {
    identity: Option<u16>,
    zstd: Option<u16>,
    brotli: Option<u16>,
    gzip: Option<u16>,
    any: Option<u16>,
}

impl Encoding {
    /// What counts as compressed; the first is taken where the client has no preference.
    pub const COMPRESSED: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The best that the client takes and `has` is there for.
    pub fn choose(headers: &HeaderMap, has: impl Fn(Self) -> bool) -> Self {
        let weights = Weights::of(headers);
        let mut best = (Self::Identity, weights.identity.unwrap_or(0));
        for encoding in Self::COMPRESSED.into_iter().rev() {
            let wish = weights.of_encoding(encoding).or(weights.any).unwrap_or(0);
            if wish > 0 && wish >= best.1 && has(encoding) {
                best = (encoding, wish);
            }
        }
        best.0
    }

    /// Its name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

impl Weights {
    fn of(headers: &HeaderMap) -> Self {
        let mut weights = Self::default();
        let lines = headers.get_all(ACCEPT_ENCODING).iter();
        let items = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        for item in items {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            if let Some(weight) = weights.named(name.trim())
                && weight.is_none()
            {
                *weight = Some(read(parameters));
            }
        }
        weights
    }

    fn named(&mut self, name: &str) -> Option<&mut Option<u16>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        Some(match name {
            "*" => &mut self.any,
            _ if is("gzip") => &mut self.gzip,
            _ if is("br") => &mut self.brotli,
            _ if is("zstd") => &mut self.zstd,
            _ if is("identity") => &mut self.identity,
            _ => return None,
        })
    }

    fn of_encoding(&self, encoding: Encoding) -> Option<u16> {
        match encoding {
            Encoding::Identity => self.identity,
            Encoding::Zstd => self.zstd,
            Encoding::Brotli => self.brotli,
            Encoding::Gzip => self.gzip,
        }
    }
}

/// The weight among an item's parameters. What cannot be read is no wish.
fn read(parameters: &str) -> u16 {
    let weight = parameters
        .trim()
        .strip_prefix(['q', 'Q'])
        .and_then(|rest| rest.trim_start().strip_prefix('='));
    let Some(weight) = weight.map(str::trim) else {
        return 1000;
    };
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_digits = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    match whole {
        "1" if fraction.bytes().all(|digit| digit == b'0') => 1000,
        "0" if is_digits => {
            let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
            digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Encoding::{Brotli, Gzip, Identity, Zstd};
    use super::*;

    fn choice(accepted: &str, there: &[Encoding]) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accepted.parse().unwrap());
        Encoding::choose(&headers, |encoding| there.contains(&encoding))
    }

    #[test]
    fn the_client_s_wish_decides_and_then_the_order() {
        let all = [Zstd, Brotli, Gzip];
        for (accepted, there, expected) in [
            ("gzip, deflate, br, zstd", &all[..], Zstd),
            ("gzip, deflate, br", &all, Brotli),
            ("gzip, deflate, br, zstd", &[Gzip, Brotli], Brotli),
            ("gzip, deflate, br", &[Gzip], Gzip),
            ("br;q=0.5, gzip;q=0.8", &all, Gzip),
            ("zstd;q=0.9, br;q=0.901", &all, Brotli),
            ("gzip", &[Brotli], Identity),
            ("deflate, compress", &all, Identity),
            ("", &all, Identity),
            ("*", &all, Zstd),
            ("*;q=0", &all, Identity),
            ("*;q=0.5, zstd;q=0, br;q=0", &all, Gzip),
            ("br;q=0, gzip;q=0.0", &all, Identity),
            ("identity, gzip;q=0.5", &all, Identity),
            ("identity;q=0.5, gzip;q=0.5", &all, Gzip),
            ("identity;q=0", &all, Identity),
            ("identity;q=0, gzip;q=0.001", &all, Gzip),
            ("gzip;q=0, gzip", &all, Identity),
            ("GZIP ; Q=1.0", &all, Gzip),
            ("gzip;q=much", &all, Identity),
            ("gzip;q=1.5, br;q=-1", &all, Identity),
            ("gzip;q=0.0001", &all, Identity),
        ] {
            assert_eq!(choice(accepted, there), expected, "{accepted}");
        }
        assert_eq!(Encoding::choose(&HeaderMap::new(), |_| true), Identity);
    }

    proptest! {
        #[test]
        fn nothing_is_chosen_that_was_not_named(accepted in "[a-z*;=,.0-9 ]{0,40}") {
            let chosen = choice(&accepted, &[Zstd, Brotli, Gzip]);
            prop_assert!(chosen == Identity || accepted.contains(chosen.name()) || accepted.contains('*'));
        }
    }
}
