//! The pictures of a report. Each is made of the numbers of the table that is beside it.

use tilemark_bundle::text::short;

use super::svg::{Anchor, Scale, Svg, WIDTH};

/// Letters of a label left of a plot, and the room for them.
const LABEL: usize = 17;
const GUTTER: f64 = 100.0;
/// Where plots end: half of a tick's text goes beyond.
const END: f64 = WIDTH - 18.0;
/// From one row to the next.
const ROW: f64 = 20.0;

/// A value and how far it may be off.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// What an axis shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// In words.
    pub(crate) name: &'static str,
    /// Values are multiplied by this before they are written: 100 for percent.
    pub(crate) times: f64,
    /// Values cannot be less or more.
    pub(crate) bounds: [f64; 2],
    /// Whether it begins at zero, as bars have to.
    pub(crate) from_zero: bool,
    /// Which bars stand out.
    pub(crate) worse: Worse,
}

/// On which side of zero a difference is for the worse.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Worse {
    /// Of what is no difference, on neither.
    Neither,
    /// Below: of accuracy.
    Less,
    /// Above: of errors.
    More,
}

impl Worse {
    fn is(self, value: f64) -> bool {
        match self {
            Self::Neither => false,
            Self::Less => value < 0.0,
            Self::More => value > 0.0,
        }
    }
}

impl Axis {
    /// Of shares, written in percent.
    pub(crate) const SHARE: Self = Self { times: 100.0, bounds: [0.0, 1.0], ..Self::of("%") };

    /// Of any number of these units.
    pub(crate) const fn of(name: &'static str) -> Self {
        let bounds = [f64::NEG_INFINITY, f64::INFINITY];
        Self { name, times: 1.0, bounds, from_zero: false, worse: Worse::Neither }
    }

    /// Draws the scale below `bottom`, with lines up to `top`.
    fn draw(&self, svg: &mut Svg, scale: Scale, [top, bottom]: [f64; 2]) {
        for tick in scale.ticks() {
            let x = scale.at(tick);
            svg.line([x, top, x, bottom], "rule");
            svg.text([x, bottom + 13.0], Anchor::Middle, "small faint", &self.written(scale, tick));
        }
        svg.text([END, bottom + 26.0], Anchor::End, "small faint", self.name);
    }

    fn written(&self, scale: Scale, value: f64) -> String {
        let digits = scale.digits().saturating_sub(if self.times >= 100.0 { 2 } else { 0 });
        // No minus zero.
        format!("{:.digits$}", self.times * value + 0.0)
    }
}

/// Values with their intervals, one a row, as bars from zero or as points.
pub(crate) fn marks(name: &'static str, title: &str, axis: Axis, marks: &[Mark]) -> Svg {
    let bottom = 6.0 + ROW * marks.len() as f64;
    let said: Vec<String> = marks.iter().take(12).map(|mark| said(axis, mark)).collect();
    let mut svg = Svg::new(name, bottom + 32.0, title, &said.join("; "));
    let ends = |of: fn(f64, f64) -> f64, start: f64| {
        marks
            .iter()
            .flat_map(|mark| [mark.low, mark.value, mark.high])
            .filter(|v| v.is_finite())
            .fold(start, of)
    };
    let low = if axis.from_zero { ends(f64::min, 0.0) } else { ends(f64::min, f64::INFINITY) };
    let high = if axis.from_zero { ends(f64::max, 0.0) } else { ends(f64::max, f64::NEG_INFINITY) };
    let scale = Scale::over([low, high], axis.bounds, [GUTTER, END], 5.0);
    axis.draw(&mut svg, scale, [2.0, bottom]);
    for (mark, at) in marks.iter().zip(0u32..) {
        let middle = 6.0 + ROW * (f64::from(at) + 0.5);
        svg.text([GUTTER - 6.0, middle + 4.0], Anchor::End, "", &short(&mark.label, LABEL));
        let [low, value, high] = [mark.low, mark.value, mark.high].map(|value| scale.at(value));
        if axis.from_zero {
            let zero = scale.at(0.0);
            let class = if axis.worse.is(mark.value) { "bar bad" } else { "bar" };
            svg.rectangle([zero.min(value), middle - 6.0, (value - zero).abs(), 12.0], class);
        }
        if mark.low.is_finite() && mark.high.is_finite() {
            svg.line([low, middle, high, middle], "whisker");
            for end in [low, high] {
                svg.line([end, middle - 4.0, end, middle + 4.0], "whisker");
            }
        }
        if !axis.from_zero && mark.value.is_finite() {
            svg.disc([value, middle], 4.0, "dot");
        }
    }
    svg.line([scale.at(0.0), 2.0, scale.at(0.0), bottom], if axis.from_zero { "axis" } else { "rule" });
    svg
}

fn said(axis: Axis, mark: &Mark) -> String {
    let [value, low, high] = [mark.value, mark.low, mark.high].map(|value| axis.times * value);
    let interval =
        if low.is_finite() && high.is_finite() { format!(", {low:.2} to {high:.2}") } else { String::new() };
    match value.is_finite() {
        true => format!("{} {value:.2} {}{interval}", mark.label, axis.name),
        false => format!("{}: no number", mark.label),
    }
}

/// A bar of [`columns`].
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// Whether it stands out.
    pub(crate) marked: bool,
}

/// Many values side by side as upright bars from zero, too many to be named: the table beside them does that.
pub(crate) fn columns(name: &'static str, title: &str, axis: Axis, columns: &[Column]) -> Svg {
    let (top, bottom, left) = (10.0, 150.0, 34.0);
    let worst = columns.iter().min_by(|a, b| a.value.total_cmp(&b.value));
    let worst = worst.map(|worst| format!("; the least {:.2} {}, {}", worst.value, axis.name, worst.label));
    let text = format!("{} values{}", columns.len(), worst.unwrap_or_default());
    let mut svg = Svg::new(name, bottom + 20.0, title, &text);
    let most =
        columns.iter().map(|column| column.value).filter(|value| value.is_finite()).fold(1e-9, f64::max);
    let up = Scale::over([0.0, most], axis.bounds, [bottom, top], 5.0);
    for tick in up.ticks() {
        svg.line([left, up.at(tick), END, up.at(tick)], "rule");
        svg.text([left - 4.0, up.at(tick) + 3.0], Anchor::End, "small faint", &axis.written(up, tick));
    }
    let pitch = (END - left) / columns.len().max(1) as f64;
    for (at, column) in columns.iter().enumerate() {
        let (x, y) = (left + pitch * at as f64, up.at(column.value.max(0.0)));
        let class = if column.marked { "bar bad" } else { "bar" };
        svg.rectangle([x + pitch * 0.1, y, (pitch * 0.8).max(0.3), bottom - y], class);
    }
    svg.line([left, bottom, END, bottom], "axis");
    svg.text([left, bottom + 14.0], Anchor::Start, "small faint", &format!("{}, from the first", axis.name));
    svg.text([END, bottom + 14.0], Anchor::End, "small faint", &format!("to the last of {}", columns.len()));
    svg
}

/// How often each class (a row) was taken for each other (a column).
pub(crate) fn heat(name: &'static str, classes: &[String], counts: &[Vec<u64>]) -> Svg {
    let left = 92.0;
    let cell = ((WIDTH - left - 2.0) / classes.len().max(1) as f64).min(40.0);
    let side = cell * classes.len() as f64;
    let (hits, all) = counts.iter().enumerate().fold((0, 0), |(hits, all), (at, row)| {
        (hits + row.get(at).copied().unwrap_or(0), all + row.iter().sum::<u64>())
    });
    let text = format!(
        "{} classes; {hits} of {all} samples are on the diagonal, where what was found is what it is. Rows are what a sample is, columns what \
         it was taken for.",
        classes.len()
    );
    let head = 70.0;
    let mut svg = Svg::new(name, head + side + 20.0, "What was taken for what", &text);
    for (at, class) in classes.iter().enumerate() {
        let middle = cell * (at as f64 + 0.5);
        svg.text([left - 5.0, head + middle + 4.0], Anchor::End, "small", &short(class, 17));
        svg.turned([left + middle + 3.0, head - 5.0], Anchor::Start, "small", -60.0, &short(class, 13));
    }
    for (row, of) in counts.iter().enumerate() {
        let most = of.iter().sum::<u64>().max(1) as f64;
        for (column, count) in of.iter().enumerate() {
            let place = [left + cell * column as f64, head + cell * row as f64, cell, cell];
            // By the root, so that what happens seldom is seen too.
            let depth = libm::sqrt(*count as f64 / most);
            if *count > 0 {
                svg.tinted(place, if row == column { "bar" } else { "bar bad" }, 0.1 + 0.9 * depth);
            }
            svg.rectangle(place, "cell");
            let written = count.to_string();
            if *count > 0 && written.len() as f64 * 5.8 <= cell - 2.0 {
                let class = if depth > 0.6 { "small over" } else { "small" };
                let [x, y] = [place[0] + cell / 2.0, place[1] + cell / 2.0 + 3.0];
                svg.text([x, y], Anchor::Middle, class, &written);
            }
        }
    }
    svg.text([left, head + side + 14.0], Anchor::Start, "small faint", "row: what it is; column: taken for");
    svg
}

/// How many samples took how long: the ends of each bin and the count in it.
pub(crate) fn histogram(name: &'static str, bins: &[(f64, f64, u64)], median: f64) -> Svg {
    let (top, bottom, left) = (18.0, 150.0, 34.0);
    let most = bins.iter().map(|bin| bin.2).max().unwrap_or(0) as f64;
    let [first, last] = [bins.first().map_or(0.0, |bin| bin.0), bins.last().map_or(1.0, |bin| bin.1)];
    let text = format!("From {first:.3} to {last:.3} ms, half of the samples at most {median:.3} ms.");
    let mut svg = Svg::new(name, bottom + 32.0, "How long a sample took", &text);
    let up = Scale::over([0.0, most.max(1.0)], [0.0, f64::INFINITY], [bottom, top], 4.0);
    for tick in up.ticks().into_iter().filter(|tick| *tick == libm::trunc(*tick)) {
        svg.line([left, up.at(tick), END, up.at(tick)], "rule");
        svg.text([left - 4.0, up.at(tick) + 3.0], Anchor::End, "small faint", &format!("{tick}"));
    }
    let scale = Scale::over([first, last], [0.0, f64::INFINITY], [left, END], 6.0);
    for (from, to, count) in bins {
        let [x, end] = [scale.at(*from), scale.at(*to)];
        let y = up.at(*count as f64);
        svg.rectangle([x, y, (end - x - 0.7).max(0.7), bottom - y], "bar");
    }
    let axis = Axis { bounds: [0.0, f64::INFINITY], from_zero: true, ..Axis::of("ms") };
    for tick in scale.ticks() {
        svg.text([scale.at(tick), bottom + 13.0], Anchor::Middle, "small faint", &axis.written(scale, tick));
    }
    svg.line([left, bottom, END, bottom], "axis");
    svg.line([scale.at(median), top - 4.0, scale.at(median), bottom], "whisker");
    let (anchor, off) =
        if scale.at(median) > WIDTH / 2.0 { (Anchor::End, -4.0) } else { (Anchor::Start, 4.0) };
    svg.text([scale.at(median) + off, top - 6.0], anchor, "small", &format!("median {median:.3} ms"));
    svg.text([END, bottom + 26.0], Anchor::End, "small faint", "ms a sample");
    svg
}

/// One app on one device, in the picture of what is to be had for what.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) letter: String,
    pub(crate) quality: Mark,
    pub(crate) median_ms: f64,
    pub(crate) bytes: u64,
    /// Whether none other is as good, as fast and as small.
    pub(crate) on_front: bool,
}

/// Speed, quality and size at once: quality upwards, time to the right, size as the area of the disc.
pub(crate) fn choices(name: &'static str, axis: Axis, choices: &[Choice]) -> Svg {
    let (top, bottom, left) = (14.0, 220.0, 44.0);
    let said: Vec<String> = choices
        .iter()
        .map(|choice| {
            let front = if choice.on_front { "" } else { ", beaten in all by another" };
            format!("{}: {}, {:.2} ms{front}", choice.letter, said(axis, &choice.quality), choice.median_ms)
        })
        .collect();
    let title = "Speed, quality and size";
    let mut svg = Svg::new(name, bottom + 32.0, title, &said.join("; "));
    let ends = |of: fn(&Choice) -> [f64; 2]| {
        choices
            .iter()
            .map(of)
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], [a, b]| [low.min(a), high.max(b)])
    };
    let up = Scale::over(ends(|c| [c.quality.low, c.quality.high]), axis.bounds, [bottom, top], 5.0);
    let slowest = ends(|choice| [choice.median_ms; 2])[1];
    let right = Scale::over([0.0, slowest * 1.05], [0.0, f64::INFINITY], [left, END], 5.0);
    for tick in up.ticks() {
        svg.line([left, up.at(tick), END, up.at(tick)], "rule");
        svg.text([left - 4.0, up.at(tick) + 3.0], Anchor::End, "small faint", &axis.written(up, tick));
    }
    let time = Axis { bounds: [0.0, f64::INFINITY], from_zero: true, ..Axis::of("ms") };
    time.draw(&mut svg, right, [top, bottom]);
    svg.text([left - 4.0, top - 5.0], Anchor::End, "small faint", axis.name);
    let largest = choices.iter().map(|choice| choice.bytes).max().unwrap_or(1).max(1) as f64;
    for choice in choices {
        let [x, y] = [right.at(choice.median_ms), up.at(choice.quality.value)];
        svg.line([x, up.at(choice.quality.low), x, up.at(choice.quality.high)], "whisker");
        let radius = 4.0 + 10.0 * libm::sqrt(choice.bytes as f64 / largest);
        svg.disc([x, y], radius, if choice.on_front { "dot" } else { "hollow" });
        let class = if choice.on_front { "over" } else { "" };
        svg.text([x, y + 4.0], Anchor::Middle, class, &choice.letter);
    }
    svg.text(
        [left, bottom + 26.0],
        Anchor::Start,
        "small faint",
        "left: faster; up: more; a large disc: a large bundle",
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worse_stands_out_on_its_side_alone() {
        let mark = |value| Mark { label: "second − first".into(), value, low: f64::NAN, high: f64::NAN };
        for (worse, value, stands_out) in [
            (Worse::Less, -0.1, true),
            (Worse::Less, 0.1, false),
            (Worse::More, 0.1, true),
            (Worse::More, -0.1, false),
            (Worse::Neither, -0.1, false),
        ] {
            let axis = Axis { from_zero: true, worse, ..Axis::of("%") };
            let picture = marks("difference", "", axis, &[mark(value)]).finish();
            assert_eq!(picture.contains("bar bad"), stands_out, "{worse:?} {value}: {picture}");
        }
    }

    #[test]
    fn columns_are_in_proportion_and_names_harmless() {
        let column = |label: &str, value, marked| Column { label: label.into(), value, marked };
        let all = [column("a", 20.0, false), column("<script>", 10.0, true), column("none", f64::NAN, false)];
        let picture = columns("noise", "", Axis::of("dB"), &all).finish();
        assert!(picture.contains("height=\"140\"") && picture.contains("height=\"70\""), "{picture}");
        assert_eq!((picture.matches("bar bad").count(), picture.contains("<script")), (1, false));
        assert!(!columns("none", "", Axis::of("dB"), &[]).finish().contains("NaN"));
    }
}
