//! Every command and every option is in the documentation, where who uses the command looks for it.

use std::path::Path;

use clap::{Command, CommandFactory};

use super::Args;

/// A section of a page: its heading, which begins with as many `#` as it is deep, and the lines below.
fn sections(page: &str, depth: usize) -> impl Iterator<Item = &str> {
    let starts = |line: &str| {
        let marks = line.bytes().take_while(|byte| *byte == b'#').count();
        (1..=depth).contains(&marks) && line.as_bytes().get(marks) == Some(&b' ')
    };
    let mut at = 0;
    let mut begins: Vec<usize> = Vec::new();
    for line in page.split_inclusive('\n') {
        if starts(line) {
            begins.push(at);
        }
        at += line.len();
    }
    let ends: Vec<usize> = begins.iter().skip(1).copied().chain([page.len()]).collect();
    begins.into_iter().zip(ends).map(|(begin, end)| &page[begin..end])
}

/// Where a command's options may be: its section of the page of commands, what holds for all of them, and the pages to which its section
/// refers for more.
struct Places {
    page: String,
    all: Vec<(String, String)>,
}

impl Places {
    fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let all = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let pages = all.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let all = pages.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect();
        Self { page: std::fs::read_to_string(folder.join("cli.md")).unwrap(), all }
    }

    fn of(&self, command: &str) -> Vec<&str> {
        let named = |heading: &str| {
            sections(&self.page, 2).find(|section| section.lines().next() == Some(&format!("## {heading}")))
        };
        let own = named(command).unwrap_or_else(|| panic!("docs/cli.md has no section {command}"));
        let referred = self.all.iter().filter(|(name, _)| {
            name != "cli.md" && (own.contains(&format!("({name})")) || own.contains(&format!("({name}#")))
        });
        let more = referred.flat_map(|(_, page)| sections(page, 3));
        named("Rules for scripts").into_iter().chain([own]).chain(more).collect()
    }
}

/// Whether a text has a word, such as an option, as a whole.
fn says(text: &str, word: &str) -> bool {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(goes_on) && !after.starts_with(goes_on)
    })
}

/// Whatever of a command, and of those below it, is in none of its places. What a command below says of its options stands where it is
/// named.
fn missing(command: &Command, path: &str, places: &[&str], found: &mut Vec<String>) {
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let option = argument.get_long().filter(|long| !["help", "version"].contains(long));
        let Some(long) = option.map(|long| format!("--{long}")) else { continue };
        if !places.iter().any(|place| says(place, &long)) {
            found.push(format!("{path} {long}"));
        }
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let (name, path) = (below.get_name(), format!("{path} {}", below.get_name()));
        let common = places.first().into_iter().filter(|place| place.starts_with("## Rules"));
        let named = places.iter().filter(|place| says(place, name));
        let places: Vec<&str> = common.chain(named).copied().collect();
        missing(below, &path, &places, found);
    }
}

#[test]
fn every_option_is_documented_where_its_command_is() {
    let (places, mut found) = (Places::read(), Vec::new());
    for command in Args::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        if name != "help" {
            missing(command, name, &places.of(name), &mut found);
        }
    }
    assert!(found.is_empty(), "not in its section of docs/cli.md, nor where that refers to: {found:#?}");
}

#[test]
fn words_are_whole() {
    assert!(says("a `--key` b", "--key") && !says("--key-file --keys", "--key") && !says("x--key", "--key"));
    let page = "# A\n1\n## B\n2\n### C\n3\n";
    assert_eq!(sections(page, 2).collect::<Vec<_>>(), ["# A\n1\n", "## B\n2\n### C\n3\n"]);
}
