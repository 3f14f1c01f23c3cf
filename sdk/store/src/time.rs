//! Points in time as TUF writes them: UTC, whole seconds, `2026-11-22T23:50:00Z`.

use std::time::{SystemTime, UNIX_EPOCH};

use tilemark_bundle::calendar;

/// Seconds since 1970-01-01 of this machine's clock.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// The text for so many seconds since 1970-01-01; the years beyond 9999 are 9999.
#[must_use]
pub fn format(seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = calendar::date_and_time(seconds.min(253_402_300_799));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads exactly what [`format()`] writes.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let field = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let days = calendar::days_before(field(0, 4)?, field(5, 7)?, field(8, 10)?)?;
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    let seconds = days * calendar::DAY + hour * 3600 + minute * 60 + second;
    (format(seconds) == text).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // `date -u -d @N +%FT%TZ`
        let known = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_391_399, "2026-11-22T23:49:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, text) in known {
            assert_eq!((format(seconds).as_str(), parse(text)), (text, Some(seconds)));
        }
    }

    #[test]
    fn other_spellings_are_no_times() {
        let bad = [
            "",
            "2026-11-22T23:50:00",
            "2026-11-22T23:50:00z",
            "2026-11-22 23:50:00Z",
            "2026-11-22T23:50:00+00:00",
            "2026-11-22T23:50:00.5Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T23:60:00Z",
            "+026-11-22T23:50:00Z",
            "1969-12-31T23:59:59Z",
            "2026-1é-22T23:50:00Z",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
