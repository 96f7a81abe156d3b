//! Fields of Django's responses that are meant for the gateway: base64url of JSON, bounded.
//!
//! Used by `edge`. A field may come in several lines, each whole by itself, since some servers
//! refuse long ones; the bound is on their sum.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName};

/// What rides in one field on one response at most, in bytes as sent.
const LARGEST: usize = 8 * 1024;

/// Python writes padding, and takes it away where it is told to.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a field is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldError {
    #[error("it is longer than {LARGEST} bytes")]
    TooLong,
    #[error("it is not base64url")]
    NotBase64,
}

/// The texts in the lines of a field, which nearly every response lacks.
pub(super) fn texts(
    fields: &HeaderMap,
    name: HeaderName,
) -> impl Iterator<Item = Result<Vec<u8>, FieldError>> {
    let mut length = 0;
    fields.get_all(name).iter().map(move |line| {
        length += line.len();
        if length > LARGEST {
            return Err(FieldError::TooLong);
        }
        let text = line.as_bytes().trim_ascii();
        BASE64.decode(text).map_err(|_| FieldError::NotBase64)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NAME: HeaderName = HeaderName::from_static("gatepost-publish");

    fn read(lines: &[&str]) -> Vec<Result<Vec<u8>, FieldError>> {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append(NAME, HeaderValue::from_str(line).unwrap());
        }
        texts(&fields, NAME).collect()
    }

    #[test]
    fn padding_may_be_there_or_not() {
        assert_eq!(
            read(&["e30", "W10=", "-_8"]),
            [Ok(b"{}".to_vec()), Ok(b"[]".to_vec()), Ok(vec![0xfb, 0xff]),]
        );
        assert!(read(&[]).is_empty());
    }

    #[test]
    fn what_is_not_base64url_is_refused_alone() {
        let refused = Err(FieldError::NotBase64);
        for line in ["e", "e3 0", "[]", "+/8=", "e30===", "é"] {
            assert_eq!(read(&[line, "e30"]), [refused.clone(), Ok(b"{}".to_vec())]);
        }
    }

    #[test]
    fn the_sum_of_the_lines_is_bounded() {
        let half = "e30A".repeat(LARGEST / 8);
        assert!(read(&[&half, &half]).iter().all(Result::is_ok));
        let third = read(&[&half, &half, "e30"]).pop();
        assert_eq!(third, Some(Err(FieldError::TooLong)));
    }
}
