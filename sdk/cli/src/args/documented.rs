//! Every command and every option is in the documentation.

use clap::{Command, CommandFactory};

use super::Args;

/// All pages in one text.
fn pages() -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let list = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    list.filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// Whether a text has an option as a whole word.
fn says(text: &str, option: &str) -> bool {
    text.match_indices(option).any(|(at, _)| {
        let next = text[at + option.len()..].chars().next();
        next.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-')
    })
}

/// Whatever of a command, and of those below it, is on no page.
fn missing(command: &Command, path: &str, text: &str, found: &mut Vec<String>) {
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let option = argument.get_long().filter(|long| !["help", "version"].contains(long));
        found.extend(
            option
                .map(|long| format!("--{long}"))
                .filter(|long| !says(text, long))
                .map(|long| format!("{path} {long}")),
        );
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let path = format!("{path} {}", below.get_name());
        if !text.contains(below.get_name()) {
            found.push(path.clone());
        }
        missing(below, &path, text, found);
    }
}

#[test]
fn every_option_is_documented() {
    let mut found = Vec::new();
    missing(&Args::command(), "tilemark", &pages(), &mut found);
    assert!(found.is_empty(), "on no page of docs/: {found:#?}");
    assert!(says("a `--key` b", "--key") && !says("--key-file --keys", "--key"));
}
