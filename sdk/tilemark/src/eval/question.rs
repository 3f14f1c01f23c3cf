//! What a buyer wants to know, in words: how many samples it takes, and when to stop.

use super::metric::Metric;
use super::stats::{self, Interval};

/// What a share is taken for where the question does not say: most apps that are worth a look are about as good.
const EXPECTED: f64 = 0.9;

/// How many samples answer a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plan {
    /// `accuracy within 3 % at 95 %`, and perhaps `expecting 80 %`.
    Margin {
        /// The metric; a share of samples.
        metric: Metric,
        /// Half the width of the interval.
        margin: f64,
        /// The interval's.
        confidence: f64,
        /// What the share is taken for.
        expected: f64,
    },
    /// `difference of 3 % with 10 % discordant at 95 %`, and perhaps `power 80 %`.
    Difference {
        /// Between the shares of two apps.
        difference: f64,
        /// The share of samples about which they disagree.
        discordant: f64,
        /// One less the probability of seeing a difference where there is none.
        confidence: f64,
        /// The probability of seeing it.
        power: f64,
    },
}

/// When enough is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StopWhen {
    /// `within 3 % at 95 %`: the interval is at most so wide to each side.
    Within(f64, f64),
    /// `clear of 90 % at 95 %`: the interval lies above the bar or below it.
    ClearOf(f64, f64),
}

impl Plan {
    /// Reads a question.
    ///
    /// # Errors
    /// What is expected in its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = Words::of(text);
        let plan = if words.take("difference") {
            words.expect("of")?;
            let difference = words.percent()?;
            words.expect("with")?;
            let discordant = words.percent()?;
            words.expect("discordant")?;
            words.expect("at")?;
            let confidence = words.percent()?;
            let power = if words.take("power") { words.percent()? } else { 0.8 };
            if difference > discordant {
                return Err("apps differ by no more than they disagree about".to_owned());
            }
            Self::Difference { difference, discordant, confidence, power }
        } else {
            let metric: Metric = words.next().unwrap_or_default().parse()?;
            if !metric.is_share() {
                return Err(format!(
                    "only shares of samples can be planned, accuracy and top-5; {metric} is none"
                ));
            }
            words.expect("within")?;
            let margin = words.percent()?;
            words.expect("at")?;
            let confidence = words.percent()?;
            let expected = if words.take("expecting") { words.percent()? } else { EXPECTED };
            Self::Margin { metric, margin, confidence, expected }
        };
        words.end()?;
        Ok(plan)
    }

    /// The answer.
    #[must_use]
    pub fn samples(&self) -> u64 {
        match *self {
            Self::Margin { margin, confidence, expected, .. } => {
                stats::samples_for_margin(expected, margin, confidence)
            }
            Self::Difference { difference, discordant, confidence, power } => {
                stats::samples_for_difference(discordant, difference, confidence, power)
            }
        }
    }
}

impl StopWhen {
    /// Reads a rule.
    ///
    /// # Errors
    /// What is expected in its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = Words::of(text);
        let within = words.take("within");
        if !within {
            words.expect("clear")?;
            words.expect("of")?;
        }
        let share = words.percent()?;
        words.expect("at")?;
        let confidence = words.percent()?;
        words.end()?;
        Ok(if within { Self::Within(share, confidence) } else { Self::ClearOf(share, confidence) })
    }

    /// The interval so far, which may be looked at after every sample.
    #[must_use]
    pub fn interval(&self, hits: u64, samples: u64) -> Interval {
        let (Self::Within(_, confidence) | Self::ClearOf(_, confidence)) = *self;
        stats::anytime(hits, samples, confidence)
    }

    /// Whether it is enough.
    #[must_use]
    pub fn is_met(&self, interval: &Interval) -> bool {
        match *self {
            Self::Within(margin, _) => interval.margin() <= margin,
            Self::ClearOf(bar, _) => !interval.contains(bar),
        }
    }
}

/// Words of a question, and numbers with their signs.
struct Words<'t> {
    words: std::iter::Peekable<std::vec::IntoIter<&'t str>>,
}

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Self {
        let words: Vec<&str> = text
            .split_whitespace()
            .flat_map(|word| match word.strip_suffix('%') {
                Some("") | None => vec![word],
                Some(number) => vec![number, "%"],
            })
            .collect();
        Self { words: words.into_iter().peekable() }
    }

    fn next(&mut self) -> Option<&'t str> {
        self.words.next()
    }

    fn take(&mut self, word: &str) -> bool {
        self.words.next_if(|next| next.eq_ignore_ascii_case(word)).is_some()
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) {
            return Ok(());
        }
        Err(format!(
            "`{word}` is expected, found {}",
            self.next().map_or("the end".to_owned(), |found| format!("`{found}`"))
        ))
    }

    /// `3 %` as 0.03: above 0, below 100.
    fn percent(&mut self) -> Result<f64, String> {
        let found = self.next().unwrap_or("the end");
        let number = found.parse::<f64>().ok().filter(|number| *number > 0.0 && *number < 100.0);
        let number =
            number.ok_or_else(|| format!("a number between 0 and 100 is expected, found `{found}`"))?;
        self.expect("%")?;
        Ok(number / 100.0)
    }

    fn end(&mut self) -> Result<(), String> {
        self.next().map_or(Ok(()), |found| Err(format!("the end is expected, found `{found}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_have_the_books_answers() {
        let cases = [
            ("accuracy within 3 % at 95 %", 388),
            ("accuracy within 1% at 95%", 3461),
            ("Top-5 within 3 % at 95 % expecting 50 %", 0),
            ("difference of 3 % with 10 % discordant at 95 %", 870),
            ("difference of 3 % with 10 % discordant at 95 % power 80 %", 870),
        ];
        for (text, samples) in cases {
            match Plan::parse(&text.to_lowercase()) {
                Ok(plan) if samples > 0 => assert_eq!(plan.samples(), samples, "{text}"),
                Ok(plan) => assert_eq!(plan.samples(), 1064, "{text}"),
                Err(error) => panic!("{text}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_no_question_is_told() {
        let cases = [
            ("", "expected one of accuracy"),
            ("accuracy within 3 at 95 %", "`%` is expected, found `at`"),
            ("accuracy within 0 % at 95 %", "a number between 0 and 100 is expected, found `0`"),
            ("accuracy within 3 % at 100 %", "found `100`"),
            ("accuracy within NaN % at 95 %", "found `NaN`"),
            ("accuracy within 3 % at 95 % please", "the end is expected, found `please`"),
            ("map within 3 % at 95 %", "map is none"),
            ("difference of 30 % with 10 % discordant at 95 %", "no more than they disagree"),
        ];
        for (text, expected) in cases {
            let error = Plan::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(StopWhen::parse("soon").unwrap_err().contains("`clear` is expected, found `soon`"));
    }

    #[test]
    fn rules_are_met_when_enough_is_known() {
        let within = StopWhen::parse("within 5 % at 95 %").unwrap();
        assert_eq!(within, StopWhen::Within(0.05, 0.95));
        assert!(!within.is_met(&within.interval(90, 100)) && within.is_met(&within.interval(900, 1000)));
        let clear = StopWhen::parse("clear of 80 % at 99 %").unwrap();
        assert!(!clear.is_met(&clear.interval(8, 10)));
        assert!(clear.is_met(&clear.interval(95, 100)) && clear.is_met(&clear.interval(50, 100)));
    }
}
