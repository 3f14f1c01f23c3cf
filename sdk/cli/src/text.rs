//! Printing for people and for scripts.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tilemark::text::is_deceptive;
pub(crate) use tilemark::text::{bytes, count};

use crate::failure::{Failure, Result};

/// Prints one line of results, whatever is in it.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<()> {
    put(&harmless(&text.to_string()))
}

/// An empty line, and then one of results.
pub(crate) fn paragraph(text: impl std::fmt::Display) -> Result<()> {
    line("")?;
    line(text)
}

/// Prints a document of ours, which has lines of its own.
pub(crate) fn document(text: &str) -> Result<()> {
    text.lines().try_for_each(line)
}

fn put(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(Failure::Stdout)
}

/// Prints one line that is no result: progress, what was chosen, what went wrong.
pub(crate) fn note(text: impl std::fmt::Display) {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{}", harmless(&text.to_string()));
}

/// Names in models and bundles, and what servers say, are other people's: they must neither begin a line of their own, nor move a
/// terminal's cursor, nor turn a line's direction.
fn harmless(text: &str) -> String {
    escaped(text, char::is_control, |c| c.escape_default().to_string())
}

fn escaped(text: &str, controls: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> String {
    // Two that are no controls, and that some terminals take for the end of a line.
    let acts = |c: char| controls(c) || is_deceptive(c) || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(acts) {
        return text.to_owned();
    }
    text.chars().map(|c| if acts(c) { escape(c) } else { c.to_string() }).collect()
}

/// JSON that is as harmless, and still the same JSON. A line end is between values: within a text JSON has none.
fn harmless_json(text: &str) -> String {
    escaped(
        text,
        |c| c.is_control() && c != '\n',
        |c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    )
}

/// Where the exit code matters more than who reads the output, a closed stdout ends nothing.
pub(crate) fn unless_closed(printed: Result<()>) -> Result<()> {
    printed.or_else(|failure| if failure.is_closed_pipe() { Ok(()) } else { Err(failure) })
}

/// Prints a result as one JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Stdout(error.into()))?;
    put(&harmless_json(&text))
}

/// JSON on one line, for results that follow each other.
pub(crate) fn json_line(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| Failure::Stdout(error.into()))?;
    put(&harmless_json(&text))
}

/// Prints rows with aligned columns; the last column is left as it is. `right` names the right-aligned columns.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], right: &[usize]) -> Result<()> {
    let rows: Vec<[String; N]> = rows.iter().map(|row| std::array::from_fn(|i| harmless(&row[i]))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let mut text = String::new();
        for (i, cell) in row.iter().enumerate() {
            let width = widths[i];
            text.push_str(&if right.contains(&i) {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            });
        }
        put(text.trim_end())?;
    }
    Ok(())
}

/// A spinner on a terminal's stderr while something takes its time; nothing elsewhere.
pub(crate) fn spinner(message: impl Into<String>) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message.into());
    spinner.set_style(
        ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or(ProgressStyle::default_spinner()),
    );
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A progress bar with rate and time left on a terminal's stderr; nothing elsewhere.
pub(crate) fn progress(total: u64, message: impl Into<String>) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta} left");
    ProgressBar::new(total)
        .with_message(message.into())
        .with_style(style.unwrap_or(ProgressStyle::default_bar()))
}

/// `1 key`, `2 keys`.
pub(crate) fn plural(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// Every SHA-256 in a text cut to its first twelve digits, for people who compare at a glance.
pub(crate) fn shorten_digests(text: &str) -> String {
    let is_digest = |word: &str| {
        word.len() == 64 && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let mut short = String::new();
    for part in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if is_digest(word) {
            short.push_str(&word[..12]);
            short.push('…');
            short.push_str(&part[word.len()..]);
        } else {
            short.push_str(part);
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_names_cannot_move_the_cursor() {
        let hostile = "turned \u{202e} and \u{9b}2J, unseen \u{200b} and \u{e0041}";
        assert_eq!(
            serde_json::from_str::<String>(&harmless_json(&format!("\"{hostile}\""))).unwrap(),
            hostile
        );
        assert!(!harmless_json(hostile).contains(['\u{202e}', '\u{9b}', '\u{200b}', '\u{e0041}']));
        assert_eq!(harmless("conv\u{1b}[2J\ttab"), "conv\\u{1b}[2J\\ttab");
        assert_eq!(harmless("acme\u{200b}/tag\u{ad}ger"), "acme\\u{200b}/tag\\u{ad}ger");
    }

    #[test]
    fn other_peoples_names_begin_no_line() {
        assert_eq!(harmless("a\nprice  free\r\u{2028}b"), "a\\nprice  free\\r\\u{2028}b");
        let pretty = "{\n  \"a\": \"b\u{2029}\"\n}";
        assert_eq!(harmless_json(pretty), "{\n  \"a\": \"b\\u2029\"\n}");
    }

    #[test]
    fn digests_alone_are_shortened() {
        let digest = "0123456789abcdef".repeat(4);
        let text = format!("expected {digest}, found {digest}; {}", "x".repeat(64));
        let short = format!("expected 0123456789ab…, found 0123456789ab…; {}", "x".repeat(64));
        assert_eq!(shorten_digests(&text), short);
    }
}
