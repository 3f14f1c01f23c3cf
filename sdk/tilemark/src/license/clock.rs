//! What time it is, and how it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

/// Where the time comes from, in seconds since 1970 in UTC.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// The system's clock. While a process runs it does not go back: what passed since its start is added to the start.
    System { start: u64, since: Instant },
    /// A clock of the caller's.
    Given(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System { start: wall(), since: Instant::now() })
    }

    /// A clock that the caller sets: for devices whose time comes from elsewhere, and for tests.
    pub fn given(seconds: Arc<AtomicU64>) -> Self {
        Self(Source::Given(seconds))
    }

    /// The time.
    pub fn now(&self) -> u64 {
        match &self.0 {
            Source::System { start, since } => wall().max(start.saturating_add(since.elapsed().as_secs())),
            Source::Given(seconds) => seconds.load(Ordering::Relaxed),
        }
    }
}

fn wall() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds of a day.
pub(crate) const DAY: u64 = 86_400;

/// `2026-11-22 14:35:00 UTC`.
pub fn format_time(seconds: u64) -> String {
    let (days, rest) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The last second of a day in UTC, written `2026-11-22`; `None` for anything else.
pub fn parse_day(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let mut number = |digits: usize| {
        let part =
            parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()));
        part.and_then(|part| part.parse::<u64>().ok())
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    if parts.next().is_some() || year < 1970 {
        return None;
    }
    let days = days_before(year, month, day);
    // A day that does not exist comes back as another one.
    (civil(days) == (year, month, day)).then(|| (days + 1) * DAY - 1)
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms"): counted from 0000-03-01, so that leap days end a year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The reverse; any month and day are taken, and carried over.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day.max(1) - 1;
    let (era, of_era) = (year / 400, year % 400);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_come_back() {
        assert_eq!(parse_day("1970-01-01"), Some(DAY - 1));
        assert_eq!(parse_day("2026-11-22"), Some(1_795_391_999));
        assert_eq!(format_time(1_795_391_999), "2026-11-22 23:59:59 UTC");
        let mut text = String::new();
        for day in 0..80_000 {
            let end = (day + 1) * DAY - 1;
            text.clear();
            text.push_str(&format_time(end)[..10]);
            assert_eq!(parse_day(&text), Some(end), "{text}");
        }
    }

    #[test]
    fn days_that_are_none() {
        let bad =
            ["", "2026", "2026-13-01", "2026-00-10", "2026-02-29", "2026-02-30", "2026-1-01", "26-01-01"];
        for text in
            bad.into_iter().chain(["2026-01-01-01", "2026-01-00", "1969-12-31", "2026-01-+1", "2026-01-32"])
        {
            assert_eq!(parse_day(text), None, "{text}");
        }
        assert!(parse_day("2028-02-29").is_some());
    }

    #[test]
    fn a_running_clock_does_not_go_back() {
        let clock = Clock(Source::System { start: wall() + 1000, since: Instant::now() });
        assert!(clock.now() >= wall() + 999);
    }
}
