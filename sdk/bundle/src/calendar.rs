//! Days of the Gregorian calendar, counted from 1970-01-01, in UTC.

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// Year, month and day, `days` after 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date Algorithms"): counted from
/// 0000-03-01, so that leap days end a year.
#[must_use]
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The reverse; `None` for a day that does not exist, or is before 1970 or after 9999.
#[must_use]
pub fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let from_march = if month <= 2 { year - 1 } else { year };
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let (era, of_era) = (from_march / 400, from_march % 400);
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    // A day that does not exist comes back as another one.
    (civil(days) == (year, month, day)).then_some(days)
}

/// A second's year, month, day, hour, minute and second.
#[must_use]
pub fn date_and_time(seconds: u64) -> [u64; 6] {
    let ((year, month, day), second) = (civil(seconds / DAY), seconds % DAY);
    [year, month, day, second / 3600, second / 60 % 60, second % 60]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_come_back() {
        for day in 0..2_932_897 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days_before(year, month, of_month), Some(day));
        }
        assert_eq!(civil(2_932_896), (9999, 12, 31));
        for (year, month, day) in [
            (2026, 2, 29),
            (2100, 2, 29),
            (2026, 4, 31),
            (2026, 13, 1),
            (2026, 0, 1),
            (2026, 1, 0),
            (1969, 12, 31),
        ] {
            assert_eq!(days_before(year, month, day), None);
        }
        assert!(days_before(2000, 2, 29).is_some());
    }
}
