//! Pictures of lines, bars and words, as SVG within a page.

use std::fmt::Write as _;

use super::page::escape;

/// All pictures are as wide: on a phone their letters are as large as they say, elsewhere larger.
pub(crate) const WIDTH: f64 = 360.0;

/// A picture under way. Its first words are read out to who cannot see it.
#[derive(Debug)]
pub(crate) struct Svg {
    /// Of no other picture of the page.
    name: &'static str,
    height: f64,
    title: String,
    description: String,
    body: String,
}

/// Where a text begins, or what of it is at its place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn new(name: &'static str, height: f64, title: &str, description: &str) -> Self {
        let (title, description) = (title.to_owned(), description.to_owned());
        Self { name, height, title, description, body: String::new() }
    }

    /// Left, top, width and height.
    pub(crate) fn rectangle(&mut self, [left, top, width, height]: [f64; 4], class: &str) {
        self.tinted([left, top, width, height], class, 1.0);
    }

    /// The same, so far from transparent, 0 to 1.
    pub(crate) fn tinted(&mut self, [left, top, width, height]: [f64; 4], class: &str, opacity: f64) {
        let [left, top] = [left, top].map(number);
        let [width, height] = [width.max(0.0), height.max(0.0)].map(number);
        let opacity =
            if opacity < 1.0 { format!(" fill-opacity=\"{}\"", number(opacity)) } else { String::new() };
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"{opacity}/>"
        ));
    }

    /// From one point to another.
    pub(crate) fn line(&mut self, ends: [f64; 4], class: &str) {
        let [x1, y1, x2, y2] = ends.map(number);
        self.add(format_args!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"));
    }

    /// A disc.
    pub(crate) fn disc(&mut self, [x, y]: [f64; 2], radius: f64, class: &str) {
        let [x, y, radius] = [x, y, radius].map(number);
        self.add(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"));
    }

    /// A line of text.
    pub(crate) fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, class: &str, text: &str) {
        self.turned([x, y], anchor, class, 0.0, text);
    }

    /// A line of text, turned about its place by so many degrees.
    pub(crate) fn turned(&mut self, [x, y]: [f64; 2], anchor: Anchor, class: &str, degrees: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let ([x, y], text) = ([x, y].map(number), escape(text));
        let turn = match degrees {
            0.0 => String::new(),
            _ => format!(" transform=\"rotate({} {x} {y})\"", number(degrees)),
        };
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\"{turn}>{text}</text>"
        ));
    }

    /// The element.
    pub(crate) fn finish(self) -> String {
        let Self { name, height, title, description, body } = self;
        let (title, description) = (escape(&title), escape(&description));
        format!(
            "<svg role=\"img\" viewBox=\"0 0 {} {}\" aria-labelledby=\"{name}-title {name}-text\">\n\
             <title id=\"{name}-title\">{title}</title>\n<desc id=\"{name}-text\">{description}</desc>\n{body}</svg>\n",
            number(WIDTH),
            number(height)
        )
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing into a string does not fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// A coordinate: two digits are a fraction of a pixel. What is no number would break the whole picture.
fn number(value: f64) -> String {
    let text = format!("{:.2}", if value.is_finite() { value } else { 0.0 });
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What of a quantity is shown, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
}

impl Scale {
    /// Shows at least from `low` to `high` between the places `from` and `to`, with about `ticks` round numbers. `bounds` are never
    /// gone beyond.
    pub(crate) fn over([low, high]: [f64; 2], bounds: [f64; 2], [from, to]: [f64; 2], ticks: f64) -> Self {
        let finite = |value: f64, else_: f64| if value.is_finite() { value } else { else_ };
        let low = finite(low, 0.0);
        let high = finite(high, 1.0).max(low);
        let span = if high > low { high - low } else { low.abs().max(1e-3) };
        let step = round_step(span / ticks);
        let low = (libm::floor(low / step) * step).max(bounds[0]);
        let high = (libm::ceil(high / step) * step).min(bounds[1]);
        let high = if high > low { high } else { low + step };
        Self { low, high, from, to, step }
    }

    /// Where a value is.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = if value.is_finite() { value.clamp(self.low, self.high) } else { self.low };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The round numbers on it.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let first = libm::ceil(self.low / self.step - 1e-9);
        let count = libm::floor((self.high - first * self.step) / self.step + 1e-9).clamp(0.0, 50.0);
        (0..=count as u32).map(|at| (first + f64::from(at)) * self.step).collect()
    }

    /// Digits after the point that tell its ticks apart.
    pub(crate) fn digits(&self) -> usize {
        libm::ceil(-libm::log10(self.step) - 1e-9).clamp(0.0, 9.0) as usize
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(step)));
    [1.0, 2.0, 5.0]
        .map(|times| times * power)
        .into_iter()
        .find(|round| *round >= step)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let scale = Scale::over([0.8991, 0.9106], [0.0, 1.0], [100.0, 300.0], 5.0);
        let ticks: Vec<String> = scale.ticks().iter().map(|tick| format!("{tick:.3}")).collect();
        assert_eq!((ticks.join(" ").as_str(), scale.digits()), ("0.895 0.900 0.905 0.910 0.915", 3));
        assert_eq!((scale.at(0.895), scale.at(0.915), scale.at(f64::NAN)), (100.0, 300.0, 100.0));
        let all = Scale::over([0.97, 1.0], [0.0, 1.0], [0.0, 1.0], 4.0);
        assert!(all.ticks().last().is_some_and(|last| *last <= 1.0 + 1e-12), "{:?}", all.ticks());
        for odd in [[3.0, 3.0], [0.0, 0.0], [f64::NAN, f64::NAN], [0.0, f64::INFINITY], [-5.0, 1e300]] {
            let scale = Scale::over(odd, [f64::NEG_INFINITY, f64::INFINITY], [0.0, 100.0], 5.0);
            assert!(!scale.ticks().is_empty() && scale.at(odd[0]).is_finite(), "{odd:?} {scale:?}");
        }
    }

    #[test]
    fn words_of_others_stay_words() {
        let mut svg = Svg::new("plot", 10.0, "<script>", "a \"b\"");
        svg.text([1.0, f64::NAN], Anchor::End, "small", "</text><script>alert(1)</script>");
        let text = svg.finish();
        assert!(!text.contains("<script") && !text.contains("NaN"), "{text}");
        assert!(text.contains("&lt;/text&gt;&lt;script&gt;") && text.contains("a &quot;b&quot;"), "{text}");
    }
}
