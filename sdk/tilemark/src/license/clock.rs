//! What time it is, and how it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use tilemark_bundle::calendar;

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

/// `2026-11-22 14:35:00 UTC`.
pub fn format_time(seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = calendar::date_and_time(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
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
    let days = calendar::days_before(year, month, day).filter(|_| parts.next().is_none())?;
    Some((days + 1) * calendar::DAY - 1)
}

#[cfg(test)]
mod tests {
    use tilemark_bundle::calendar::DAY;

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
