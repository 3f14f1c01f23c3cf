//! Other people's words before they are shown, and quantities as people read them: one spelling on terminals, in reports and on sites.

/// Whether a character turns the direction of text, or is not seen at all: what it stands in does not read as it is.
#[must_use]
pub const fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether a character ends a line, or moves to another place in it.
#[must_use]
pub const fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// How HTML spells a character within an element or a quoted attribute, if not as itself.
#[must_use]
pub const fn entity(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

/// A text of at most so many characters, for places that have no room.
#[must_use]
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The beginning of a hostile text, for a message.
#[must_use]
pub fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

/// Characters of a name or a reason that nobody vouches for: enough to find it by.
const EXCERPT: usize = 120;

/// Microseconds as milliseconds with three figures.
#[must_use]
pub fn milliseconds(microseconds: u64) -> String {
    let ms = microseconds as f64 / 1e3;
    let digits = if ms < 9.995 { 2 } else { usize::from(ms < 99.95) };
    format!("{ms:.digits$} ms")
}

/// `12345678` as `12.3 MB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    scaled(n, ["B", "kB", "MB", "GB", "TB"])
}

/// `12345678` as `12.3 M`.
#[must_use]
pub fn count(n: u64) -> String {
    scaled(n, ["", "k", "M", "G", "T"])
}

fn scaled(n: u64, units: [&str; 5]) -> String {
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    format!("{value:.digits$} {}", units[unit]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_text_or_is_not_seen_is_deceptive() {
        // Overrides, isolates, zero width, soft hyphen, a filler, tags.
        for c in
            ['\u{202e}', '\u{2066}', '\u{200b}', '\u{200f}', '\u{ad}', '\u{3164}', '\u{feff}', '\u{e0041}']
        {
            assert!(is_deceptive(c) && !is_line_end(c), "{c:?}");
        }
        assert!(!"Käse 奶酪 جبن 🧀 a-b".chars().any(|c| is_deceptive(c) || is_line_end(c)));
        assert!("\n\r\t\u{85}\u{2028}\u{2029}".chars().all(is_line_end));
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!((short("häuser", 4), short("haus", 4)), ("häu…".to_owned(), "haus".to_owned()));
    }

    #[test]
    fn quantities_are_short() {
        let texts: Vec<_> = [0, 999, 1000, 12_345_678, 999_950, u64::MAX].map(bytes).into();
        assert_eq!(texts, ["0 B", "999 B", "1.0 kB", "12.3 MB", "1.0 MB", "18446744 TB"]);
        assert_eq!((count(385_000_000), count(7)), ("385 M".to_owned(), "7".to_owned()));
        let times = [0, 5300, 42_000, 9_994, 9_996, 123_456].map(milliseconds);
        assert_eq!(times, ["0.00 ms", "5.30 ms", "42.0 ms", "9.99 ms", "10.0 ms", "123 ms"]);
    }
}
