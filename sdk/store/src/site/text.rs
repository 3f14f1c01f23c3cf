//! Other people's words, on their way into a page or a script.

use std::fmt::{self, Write as _};

use serde::Serialize;
use tilemark_bundle::text::{self, entity, is_deceptive, is_line_end};
pub(super) use tilemark_bundle::text::{bytes, milliseconds as ms};

/// Characters of one text that are shown: nobody reads more of a name, and a page has many.
const MAX_CHARS: usize = 1100;

/// Text within an element or a quoted attribute: cut at [`MAX_CHARS`], on one line, in the direction of the page.
#[derive(Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !b"&<>\"'".contains(&byte);
        if self.0.len() <= MAX_CHARS && self.0.bytes().all(plain) {
            return f.write_str(self.0); // as most is
        }
        for (at, c) in self.0.chars().enumerate() {
            if at == MAX_CHARS {
                return f.write_char('…');
            }
            let c = harmless(c);
            match entity(c) {
                Some(entity) => f.write_str(entity)?,
                None => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// What ends a line becomes a space, what turns the direction of text or is not seen at all a replacement that is.
fn harmless(c: char) -> char {
    match c {
        c if is_line_end(c) => ' ',
        c if is_deceptive(c) || c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// At most so many characters of a text, for places that have no room.
pub(super) fn short(text: &str, most: usize) -> String {
    text::short(text, most).chars().map(harmless).collect()
}

/// A value in a script: JSON that no reader of HTML or of old scripts takes for anything else.
pub(super) fn script(value: &impl Serialize) -> String {
    // Strings, numbers and lists of them have a JSON.
    let json = serde_json::to_string(value).unwrap_or_default();
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // A string takes everything.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
        out
    })
}

/// `12345` as `12,345`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 app`, `2 apps`.
pub(super) fn plural(n: usize, word: &str) -> String {
    format!("{} {word}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

/// `2026-11-22T23:50:00Z` as `2026-11-22 23:50 UTC`; what is no such time as it is.
pub(super) fn moment(seconds: u64) -> String {
    let text = crate::time::format(seconds);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => text,
    }
}

/// `2026-11-22T23:50:00Z` as `2026-11-22`.
pub(super) fn day(seconds: u64) -> String {
    crate::time::format(seconds).chars().take(10).collect()
}

/// `image -> labels` as people write it.
pub(super) fn task(task: &str) -> String {
    task.replace("->", "→")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_elses_words_are_markup_or_script() {
        let evil = "</script><img src=x onerror=\"a('&')\">\u{2028}\u{202e}\u{200b}\u{1b}[2J\nline";
        let text = Text(evil).to_string();
        assert_eq!(
            text,
            "&lt;/script&gt;&lt;img src=x onerror=&quot;a(&#39;&amp;&#39;)&quot;&gt; \u{fffd}\u{fffd}\u{fffd}[2J line"
        );
        let json = script(&evil);
        assert!(!json.contains(['<', '>', '&', '\u{2028}', '\n']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), evil);
    }

    #[test]
    fn a_long_name_is_cut() {
        let long = "ä".repeat(100_000);
        assert_eq!(Text(&long).to_string().chars().count(), MAX_CHARS + 1);
        assert_eq!(short("a\u{202e}b\nc", 4), "a\u{fffd}b…");
        assert!(Text(&"<".repeat(100_000)).to_string().len() < 5000);
    }

    #[test]
    fn quantities_are_as_people_write_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(moment(1_795_391_399), "2026-11-22 23:49 UTC");
    }
}
