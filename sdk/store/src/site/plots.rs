//! The pictures of a listing: times as bars, shares with their intervals. The numbers are in a table beside each.

use std::fmt::Write as _;

use super::text::{Text, short};

/// All pictures are as wide; on a phone their letters are as large as they say.
const WIDTH: f64 = 360.0;
/// Where scales begin and end: half of a tick's text is beyond.
const FROM: f64 = 8.0;
const TO: f64 = WIDTH - 14.0;
/// Words, and what they are about below them.
const ROW: f64 = 40.0;
const TOP: f64 = 2.0;
/// Characters of a label.
const LABEL: usize = 34;

/// A value, and how far it may be off.
pub(super) struct Mark {
    pub(super) label: String,
    pub(super) value: f64,
    /// The interval's ends; none of what was measured once.
    pub(super) interval: Option<[f64; 2]>,
    /// The value, as it is shown.
    pub(super) shown: String,
    /// The same in words, for who hears it.
    pub(super) written: String,
}

/// Round numbers on an axis.
struct Scale {
    low: f64,
    step: f64,
    steps: u32,
    digits: usize,
}

impl Scale {
    /// From `low` to `high` at least, never beyond `most`.
    fn over(low: f64, high: f64, most: f64) -> Self {
        let span = (high - low).max(1e-6);
        // 1, 2 or 5 times a power of ten: by products of integers, so that every machine draws the same.
        let (mut power, mut digits) = (1e-6, 6_usize);
        let step = loop {
            let round =
                [1.0, 2.0, 5.0].map(|times| times * power).into_iter().find(|step| step * 5.0 >= span);
            match round {
                Some(step) => break step,
                None => (power, digits) = (power * 10.0, digits.saturating_sub(1)),
            }
        };
        let low = (low / step).floor() * step;
        let steps = ((high.min(most) - low) / step - 1e-9).ceil().clamp(1.0, 7.0) as u32;
        Self { low, step, steps, digits }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.step * f64::from(self.steps));
        FROM + share.clamp(0.0, 1.0) * (TO - FROM)
    }

    /// Lines, their numbers, and what is measured, below `bottom`.
    fn draw(&self, svg: &mut String, bottom: f64, unit: &str) {
        for at in 0..=self.steps {
            let value = self.low + self.step * f64::from(at);
            let (x, digits) = (self.at(value), self.digits);
            line(svg, [x, TOP, x, bottom], "rule");
            text(svg, [x, bottom + 15.0], "middle", "small", &format!("{:.digits$}", value + 0.0));
        }
        text(svg, [(FROM + TO) / 2.0, bottom + 31.0], "middle", "small", unit);
    }
}

/// Times in milliseconds, as bars from zero.
pub(super) fn times(title: &str, marks: &[Mark]) -> String {
    let most = marks.iter().map(|mark| mark.value).fold(0.0, f64::max);
    let scale = Scale::over(0.0, most, f64::INFINITY);
    picture("speed", title, "milliseconds, lower is better", marks, &scale, |svg, mark, middle| {
        let width = number((scale.at(mark.value) - FROM).max(1.0));
        let (x, y) = (number(FROM), number(middle - 7.0));
        let _ = writeln!(
            svg,
            "<rect class=\"bar\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"14\" rx=\"2\"/>"
        );
    })
}

/// Shares in percent, as points with their intervals.
pub(super) fn shares(title: &str, marks: &[Mark]) -> String {
    let ends = |mark: &Mark| mark.interval.unwrap_or([mark.value; 2]);
    let low = marks.iter().map(|mark| ends(mark)[0]).fold(100.0, f64::min);
    let high = marks.iter().map(|mark| ends(mark)[1]).fold(0.0, f64::max);
    let room = ((high - low) / 4.0).max(1.0);
    let scale = Scale::over((low - room).max(0.0), (high + room).min(100.0), 100.0);
    picture("quality", title, "percent, with 95 % intervals", marks, &scale, |svg, mark, middle| {
        let [low, high] = ends(mark).map(|end| scale.at(end));
        line(svg, [low, middle, high, middle], "whisker");
        for end in [low, high] {
            line(svg, [end, middle - 5.0, end, middle + 5.0], "whisker");
        }
        let x = number(scale.at(mark.value));
        let _ = writeln!(svg, "<circle class=\"dot\" cx=\"{x}\" cy=\"{}\" r=\"4.5\"/>", number(middle));
    })
}

/// A row for each mark, with its label on the left and the scale below.
fn picture(
    name: &str,
    title: &str,
    unit: &str,
    marks: &[Mark],
    scale: &Scale,
    draw: impl Fn(&mut String, &Mark, f64),
) -> String {
    let bottom = TOP + ROW * marks.len() as f64 + 2.0;
    let said: Vec<String> = marks.iter().map(|mark| format!("{}: {}", mark.label, mark.written)).collect();
    let mut svg = format!(
        "<svg role=\"img\" viewBox=\"0 0 {WIDTH} {}\" aria-labelledby=\"{name}-title {name}-text\">\n\
         <title id=\"{name}-title\">{}</title>\n<desc id=\"{name}-text\">{}</desc>\n",
        number(bottom + 38.0),
        Text(title),
        Text(&said.join("; "))
    );
    scale.draw(&mut svg, bottom, unit);
    for (mark, at) in marks.iter().zip(0u32..) {
        let words = TOP + ROW * f64::from(at) + 14.0;
        text(&mut svg, [FROM, words], "start", "over", &short(&mark.label, LABEL));
        text(&mut svg, [TO, words], "end", "over value", &mark.shown);
        draw(&mut svg, mark, words + 14.0);
    }
    svg.push_str("</svg>");
    svg
}

fn line(svg: &mut String, ends: [f64; 4], class: &str) {
    let [x1, y1, x2, y2] = ends.map(number);
    let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
}

fn text(svg: &mut String, at: [f64; 2], anchor: &str, class: &str, text: &str) {
    let ([x, y], text) = (at.map(number), Text(text));
    let _ =
        writeln!(svg, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// A coordinate: two digits are a fraction of a pixel.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(value: f64, interval: Option<[f64; 2]>) -> Mark {
        Mark { label: "</text><script>".into(), value, interval, shown: "<b>".into(), written: "<b>".into() }
    }

    #[test]
    fn scales_are_round_and_cover_what_is_shown() {
        for (low, high) in [
            (0.0, 0.004),
            (0.0, 5.3),
            (0.0, 18_446_744_073_709_551.0),
            (89.5, 91.3),
            (0.0, 0.0),
            (99.0, 100.0),
        ] {
            let scale = Scale::over(low, high, f64::INFINITY);
            let end = scale.low + scale.step * f64::from(scale.steps);
            assert!(
                scale.low <= low && end >= high && scale.steps <= 7,
                "{low} to {high}: {} to {end}",
                scale.low
            );
        }
        let shares = Scale::over(97.0, 100.0, 100.0);
        assert_eq!(shares.low + shares.step * f64::from(shares.steps), 100.0);
    }

    #[test]
    fn pictures_are_well_formed_whatever_they_show() {
        for svg in [
            times("<i>", &[mark(0.0, None), mark(1e16, None), mark(5.3, None)]),
            shares("<i>", &[mark(0.0, Some([0.0, 3.0])), mark(100.0, None)]),
        ] {
            for bad in ["<script", "<b>", "<i>", "NaN", "inf", "-0\""] {
                assert!(!svg.contains(bad), "{bad} in {svg}");
            }
            let count = |what: &str| svg.matches(what).count();
            assert_eq!((count("<text"), count("<svg")), (count("</text>"), count("</svg>")));
        }
    }
}
