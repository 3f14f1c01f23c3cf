//! Runs the examples of a documentation page: what a reader types must give what the page shows.
//!
//! An example is a block fenced by ```` ```console ````. A line that begins with `$ ` is a command, `> ` continues it;
//! the lines after it are its output, stdout and stderr as a terminal mixes them. In output, `…` within a line stands for
//! any text and a line of `…` alone for any lines. A last line `? 3` says that the command exits with 3, not 0. All
//! commands of a page run in one folder, one after another.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// What stands for anything.
const ANYTHING: &str = "…";

/// One command of a page and what it must print.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Line of the page, from 1.
    pub line: usize,
    /// What a shell runs.
    pub command: String,
    /// The output's lines.
    pub output: Vec<String>,
    /// The exit code.
    pub exit: i32,
}

/// Every example of a page, in order.
///
/// # Panics
/// If a block begins with output, or is never closed.
#[must_use]
pub fn examples(markdown: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    let mut fresh = false; // no command yet in this block
    for (line, text) in (1..).zip(markdown.lines()) {
        match text.trim_end() {
            "```console" if !inside => (inside, fresh) = (true, true),
            "```" if inside => inside = false,
            _ if !inside => {}
            text if text.starts_with("$ ") => {
                fresh = false;
                examples.push(Example { line, command: text[2..].to_owned(), output: vec![], exit: 0 });
            }
            text => {
                assert!(!fresh, "line {line}: output without a command");
                let example = examples.last_mut().expect("a command came before");
                match (text.strip_prefix("> "), text.strip_prefix("? ")) {
                    (Some(more), _) if example.output.is_empty() => example.command += &format!("\n{more}"),
                    (_, Some(code)) => example.exit = code.parse().expect("an exit code after `? `"),
                    _ => example.output.push(text.to_owned()),
                }
            }
        }
    }
    assert!(!inside, "a console block is never closed");
    examples
}

/// Runs every example of a page in `folder`. `environment` is set on top of the inherited one. Returns a report for each
/// example that gave something else.
///
/// # Panics
/// If no shell can be started.
#[must_use]
pub fn failures(markdown: &str, folder: &Path, environment: &[(&str, &str)]) -> Vec<String> {
    examples(markdown).iter().filter_map(|example| failure(example, folder, environment)).collect()
}

fn failure(example: &Example, folder: &Path, environment: &[(&str, &str)]) -> Option<String> {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &format!("exec 2>&1\n{}", example.command)]).current_dir(folder);
    shell.env_remove("TILEMARK_CPU").envs(environment.iter().copied());
    let ran = shell.output().unwrap_or_else(|error| panic!("sh: {error}"));
    let text = String::from_utf8_lossy(&ran.stdout);
    let found: Vec<&str> = text.lines().map(str::trim_end).collect();
    let expected: Vec<&str> = example.output.iter().map(String::as_str).collect();
    let exit = ran.status.code().unwrap_or(-1);
    if exit == example.exit && lines_match(&expected, &found) {
        return None;
    }
    let mut report = format!("line {}: $ {}\n", example.line, example.command);
    let alike =
        expected.iter().zip(&found).take_while(|(a, b)| **a != ANYTHING && line_matches(a, b)).count();
    let mut show = |mark: char, lines: &[&str]| {
        lines.iter().for_each(|line| writeln!(report, "  {mark} {line}").expect("a string takes everything"));
    };
    show(' ', &found[..alike]);
    show('-', &expected[alike..]);
    show('+', &found[alike..]);
    writeln!(report, "  exit code {exit}, the page says {}", example.exit)
        .expect("a string takes everything");
    Some(report)
}

/// Whether lines are as a page shows them.
fn lines_match(shown: &[&str], found: &[&str]) -> bool {
    match shown.split_first() {
        None => found.is_empty(),
        Some((&ANYTHING, rest)) => (0..=found.len()).any(|skip| lines_match(rest, &found[skip..])),
        Some((line, rest)) => found
            .split_first()
            .is_some_and(|(first, found)| line_matches(line, first) && lines_match(rest, found)),
    }
}

fn line_matches(shown: &str, found: &str) -> bool {
    let Some((start, rest)) = shown.split_once(ANYTHING) else { return shown == found };
    let Some(mut found) = found.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split(ANYTHING).collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place is the best one: it leaves most to what follows.
        let Some(at) = found.find(part) else { return false };
        found = &found[at + part.len()..];
    }
    found.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp::TempFolder;

    const PAGE: &str = "\
text
```console
$ printf 'one\\ntwo 2.5 ms\\nthree\\n'
one
two … ms
three
$ for i in 1 2
> do echo $i; echo e >&2; done
1
…
e
$ echo no; exit 3
no
? 3
```
```sh
$ never run
```
";

    #[test]
    fn a_true_page_passes() {
        assert_eq!(
            examples(PAGE).iter().map(|e| (e.line, e.exit)).collect::<Vec<_>>(),
            [(3, 0), (7, 0), (12, 3)]
        );
        assert_eq!(failures(PAGE, TempFolder::new().path(), &[]), [""; 0]);
    }

    #[test]
    fn a_false_page_fails_with_a_difference() {
        let folder = TempFolder::new();
        let cases = [
            ("three\n$ for", "four\n$ for", "    one\n    two 2.5 ms\n  - four\n  + three"),
            ("two … ms", "two … s each", "- two … s each"),
            ("one\ntwo", "two", "- two"),
            ("? 3\n", "", "exit code 3, the page says 0"),
            ("no\n? 3", "no\n…\nyes\n? 3", "- yes"),
        ];
        for (from, to, difference) in cases {
            let failures = failures(&PAGE.replacen(from, to, 1), folder.path(), &[]);
            assert!(failures.len() == 1 && failures[0].contains(difference), "{from:?}: {failures:?}");
        }
    }

    #[test]
    fn an_ellipsis_stands_for_any_text_between_its_neighbours() {
        for (shown, found) in
            [("…", ""), ("a…", "abc"), ("…c", "abc"), ("a…b…c", "a1b2b3c"), ("a… …c", "a c c")]
        {
            assert!(line_matches(shown, found), "{shown} {found}");
        }
        for (shown, found) in [("a…", "ba"), ("…c", "cb"), ("a…a", "a"), ("a…b…c", "acb"), ("a", "ab")]
        {
            assert!(!line_matches(shown, found), "{shown} {found}");
        }
    }

    #[test]
    #[should_panic(expected = "output without a command")]
    fn output_needs_a_command() {
        let _ = examples("```console\nhello\n```\n");
    }
}
