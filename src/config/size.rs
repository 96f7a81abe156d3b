//! The one parser of sizes: `"64KiB"`, `"1MiB"`, and `"100MB"` in powers of 1000.

/// Reads a size in bytes; `None` where the text is not one.
pub(super) fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit_at].parse().ok()?;
    let unit = match &text[unit_at..] {
        "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_understood() {
        assert_eq!(parse("512B"), Some(512));
        assert_eq!(parse("64KiB"), Some(65_536));
        assert_eq!(parse("1MiB"), Some(1_048_576));
        assert_eq!(parse("100MB"), Some(100_000_000));
        assert_eq!(parse("2GiB"), Some(2_147_483_648));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "64",
            "KiB",
            "-1KiB",
            "1.5MiB",
            "64 KiB",
            "64kib",
            "99999999999GiB",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
