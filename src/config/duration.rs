//! The one parser of durations: `"10s"`, `"500ms"`, `"5m"`, `"1h"`, `"2d"`.

use std::time::Duration;

/// Longer ones are refused: a year is a slip, and no deadline computed from one may overflow.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Reads a duration; `None` where the text is not one.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit_at].parse().ok()?;
    let milliseconds = match &text[unit_at..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(milliseconds)?);
    (duration <= LONGEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_understood() {
        let seconds = |text| parse(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("500ms"), Some(0.5));
        assert_eq!(seconds("10s"), Some(10.0));
        assert_eq!(seconds("5m"), Some(300.0));
        assert_eq!(seconds("1h"), Some(3600.0));
        assert_eq!(seconds("2d"), Some(172_800.0));
        assert_eq!(seconds("0s"), Some(0.0));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "10S",
            "1s ",
            "999d",
            "99999999999999999999s",
            "é",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
