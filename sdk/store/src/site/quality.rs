//! What a signed evaluation says, as a value with an interval where its counts give one.

use super::plots::Mark;
use crate::contract::Reported;

/// The 97.5 % quantile of the standard normal distribution: 95 % of it is within.
const Z: f64 = 1.959_963_984_540_054;

/// A report's value, in words, and its mark where it is a share of samples.
pub(super) struct Quality {
    pub(super) value: String,
    pub(super) interval: String,
    pub(super) mark: Option<Mark>,
}

/// The value that follows from a report's counts.
pub(super) fn of(report: &Reported) -> Quality {
    let count = |name: &str| -> Option<u64> {
        report.counts.iter().find_map(|count| {
            let (found, value) = count.rsplit_once(' ')?;
            (found == name).then(|| value.parse().ok())?
        })
    };
    let metric = report.metric.as_str();
    let plain = |value: String| Quality { value, interval: "not told by its counts".into(), mark: None };
    let ratio = |over: Option<u64>, under: Option<u64>| match (over, under) {
        (Some(over), Some(under)) if under > 0 => Some(100.0 * over as f64 / under as f64),
        _ => None,
    };
    match metric {
        "accuracy" | "top-5" => match (count("hits"), count("of")) {
            (Some(hits), Some(of)) if of > 0 && hits <= of => share(metric, hits, of),
            _ => plain("no number".into()),
        },
        "cer" | "wer" => {
            let [errors, all] = match metric {
                "cer" => ["character errors", "characters"],
                _ => ["word errors", "words"],
            };
            plain(
                ratio(count(errors), count(all)).map_or("no number".into(), |value| format!("{value:.2} %")),
            )
        }
        "map" => plain(part(count("metric in billionths"), 1e9, 4)),
        "psnr" => plain(part(count("metric in millionths"), 1e6, 2) + " dB"),
        "mae" => plain(part(count("metric in millionths"), 1e6, 3) + " steps of 1/255"),
        // Of each class: what they mean together is for the report's own page.
        _ => plain(match ratio(count("hits"), count("of")) {
            Some(value) => format!("{value:.2} % of the samples right"),
            None => "counts of each class".into(),
        }),
    }
}

fn part(count: Option<u64>, of: f64, digits: usize) -> String {
    count.map_or("no number".into(), |count| format!("{:.digits$}", count as f64 / of))
}

/// A share with Wilson's interval (1927).
fn share(metric: &str, hits: u64, of: u64) -> Quality {
    let (share, n) = (hits as f64 / of as f64, of as f64);
    let over = Z * Z / n;
    let middle = (share + over / 2.0) / (1.0 + over);
    let margin = Z * (share * (1.0 - share) / n + over / (4.0 * n)).sqrt() / (1.0 + over);
    let low = if hits == 0 { 0.0 } else { 100.0 * (middle - margin).max(0.0) };
    let high = if hits == of { 100.0 } else { 100.0 * (middle + margin).min(1.0) };
    let (value, interval) = (format!("{:.2} %", 100.0 * share), format!("{low:.2} to {high:.2} %"));
    let written = format!("{value}, 95 % interval {interval}");
    let (label, shown) = (metric.to_owned(), value.clone());
    let mark = Mark { label, value: 100.0 * share, interval: Some([low, high]), shown, written };
    Quality { value, interval, mark: Some(mark) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(metric: &str, counts: &[&str]) -> Reported {
        Reported {
            metric: metric.into(),
            whose: "seller".into(),
            samples: 100,
            counts: counts.iter().map(|count| (*count).to_owned()).collect(),
            by_publisher: true,
            signers: vec![],
            unchecked: vec![],
        }
    }

    #[test]
    fn intervals_are_those_of_statsmodels() {
        // proportion_confint(hits, of, method="wilson")
        for (hits, all, expected) in [
            (9, 10, "59.58 to 98.21 %"),
            (9050, 10_000, "89.91 to 91.06 %"),
            (0, 10, "0.00 to 27.75 %"),
            (10, 10, "72.25 to 100.00 %"),
        ] {
            let found = of_counts("accuracy", &[&format!("hits {hits}"), &format!("of {all}")]);
            assert_eq!(found.interval, expected, "{hits} of {all}");
        }
    }

    fn of_counts(metric: &str, counts: &[&str]) -> Quality {
        of(&report(metric, counts))
    }

    #[test]
    fn counts_that_are_none_give_no_number() {
        for counts in [&["hits 11", "of 10"][..], &["hits 1", "of 0"], &["hits", "of x"], &[]] {
            let found = of_counts("accuracy", counts);
            assert!(found.mark.is_none() && found.value == "no number", "{counts:?}: {}", found.value);
        }
        assert_eq!(of_counts("cer", &["character errors 5", "characters 1000"]).value, "0.50 %");
        assert_eq!(of_counts("psnr", &["metric in millionths 31250000"]).value, "31.25 dB");
        assert_eq!(of_counts("iou", &["shared of cat 5", "either of cat 9"]).value, "counts of each class");
    }
}
