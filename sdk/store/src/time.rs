//! Points in time as TUF writes them: UTC, whole seconds, `2026-11-22T23:50:00Z`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 of this machine's clock.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// The text for so many seconds since 1970-01-01; the years beyond 9999 are 9999.
#[must_use]
pub fn format(seconds: u64) -> String {
    let seconds = seconds.min(253_402_300_799);
    let (days, second) = (seconds / DAY, seconds % DAY);
    let (mut year, mut day) = (1970, days);
    while day >= year_days(year) {
        day -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while day >= month_days(year, month) {
        day -= month_days(year, month);
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{:02}Z", day + 1, second % 60)
}

/// Reads exactly what [`format()`] writes.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let field = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
        return None;
    }
    let days: u64 = (1970..year).map(year_days).sum::<u64>()
        + (1..month).map(|month| month_days(year, month)).sum::<u64>()
        + day
        - 1;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second;
    (format(seconds) == text).then_some(seconds)
}

fn year_days(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
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
