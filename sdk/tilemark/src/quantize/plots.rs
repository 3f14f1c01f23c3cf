//! Plots as SVG inside a page: they take the page's colours and font, and need nothing from elsewhere.

use std::fmt::Write;

/// One bar of a plot.
pub(super) struct Bar {
    /// Shown beside it, or when it is pointed at.
    pub(super) label: String,
    /// Its length.
    pub(super) value: f64,
    /// Whether it stands out.
    pub(super) marked: bool,
}

/// Width of every plot, in its own units; the page scales it.
const WIDTH: f64 = 880.0;
/// Room for labels left of horizontal bars.
const LABELS: f64 = 260.0;
/// Height of a horizontal bar with its gap.
const ROW: f64 = 26.0;
/// Height of the area of upright bars, and room for the axis left of it.
const HEIGHT: f64 = 220.0;
const AXIS: f64 = 44.0;

/// Horizontal bars, one a line, each with its value in dB.
pub(super) fn rows(bars: &[Bar]) -> String {
    let most = largest(bars);
    let height = ROW * bars.len() as f64;
    let mut svg = open(height);
    for (i, bar) in bars.iter().enumerate() {
        let y = ROW * i as f64;
        let length = (WIDTH - LABELS - 70.0) * (bar.value / most).clamp(0.0, 1.0);
        let class = class(bar);
        let middle = y + ROW / 2.0 + 4.5;
        let label = escape(&bar.label);
        let _ = write!(
            svg,
            "<text x='{:.0}' y='{middle:.1}' text-anchor='end'>{label}</text>\
             <rect class='{class}' x='{LABELS}' y='{:.1}' width='{length:.1}' height='{:.1}' rx='2'/>\
             <text x='{:.1}' y='{middle:.1}'>{:.1} dB</text>",
            LABELS - 10.0,
            y + 4.0,
            ROW - 8.0,
            LABELS + length + 8.0,
            bar.value,
        );
    }
    svg + "</svg>"
}

/// Upright bars side by side over an axis in dB, each named when it is pointed at.
pub(super) fn columns(bars: &[Bar]) -> String {
    let top = (largest(bars) / 10.0).ceil().max(1.0) * 10.0;
    let mut svg = open(HEIGHT + 30.0);
    let y = |value: f64| 10.0 + HEIGHT * (1.0 - (value / top).clamp(0.0, 1.0));
    let step = if top > 60.0 { 20.0 } else { 10.0 };
    let mut line = 0.0;
    while line <= top {
        let at = y(line);
        let _ = write!(
            svg,
            "<line x1='{AXIS}' x2='{WIDTH}' y1='{at:.1}' y2='{at:.1}'/>\
             <text x='{:.0}' y='{:.1}' text-anchor='end'>{line:.0}</text>",
            AXIS - 8.0,
            at + 4.0,
        );
        line += step;
    }
    let pitch = (WIDTH - AXIS) / bars.len().max(1) as f64;
    for (i, bar) in bars.iter().enumerate() {
        let (x, at) = (AXIS + pitch * i as f64, y(bar.value));
        let _ = write!(
            svg,
            "<rect class='{}' x='{:.1}' y='{at:.1}' width='{:.1}' height='{:.1}'><title>{}: {:.1} dB</title></rect>",
            class(bar),
            x + pitch * 0.1,
            (pitch * 0.8).max(0.5),
            10.0 + HEIGHT - at,
            escape(&bar.label),
            bar.value,
        );
    }
    let last = bars.len().max(1);
    let _ = write!(
        svg,
        "<text x='{AXIS}' y='{0:.0}'>layer 1</text><text x='{WIDTH}' y='{0:.0}' text-anchor='end'>layer {last}</text>",
        HEIGHT + 27.0
    );
    svg + "</svg>"
}

fn open(height: f64) -> String {
    format!("<svg viewBox='0 0 {WIDTH} {height:.0}' role='img'>")
}

fn class(bar: &Bar) -> &'static str {
    if bar.marked { "marked" } else { "bar" }
}

fn largest(bars: &[Bar]) -> f64 {
    bars.iter().map(|bar| bar.value).fold(1e-9, f64::max)
}

/// Text as it may stand in a page: names in models are other people's.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar { label: label.into(), value, marked: false }
    }

    #[test]
    fn lengths_are_proportional_and_names_harmless() {
        let svg = rows(&[bar("a", 10.0), bar("<script>", 20.0), bar("none", -3.0)]);
        for part in ["width='275.0'", "width='550.0'", "width='0.0'", "&lt;script&gt;", "20.0 dB"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("<script"));
    }

    #[test]
    fn upright_bars_stand_on_the_axis() {
        let svg = columns(&[bar("x", 30.0), bar("y", 15.0)]);
        assert!(svg.contains("y='10.0'") && svg.contains("height='220.0'"), "{svg}");
        assert!(svg.contains("height='110.0'"), "{svg}");
        assert!(columns(&[]).ends_with("</svg>") && rows(&[]).ends_with("</svg>"));
    }
}
