//! The `tilemark` command line. Results go to stdout, everything else to stderr; `docs/cli.md` describes it all.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod drivers;
#[cfg(all(test, feature = "store"))] // the page has the codes of all crates
mod errors_page;
mod failure;
mod files;
mod outputs;
mod targets;
mod text;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use failure::Failure;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return misused(&error),
    };
    let json = args.command.wants_json();
    match commands::run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure, json),
    }
}

/// Wrong usage, or help that was asked for. Scripts that ask for JSON get JSON here too.
fn misused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        return report(&Failure::arguments(error), true);
    }
    error.exit() // 2 on wrong usage, 0 for help
}

/// Says what went wrong: on stderr for people, on stdout as JSON for scripts that asked for it.
fn report(failure: &Failure, json: bool) -> ExitCode {
    if failure.is_closed_pipe() {
        return ExitCode::SUCCESS;
    }
    if json && !failure.already_reported() {
        // Nobody is left to tell if this fails; the exit code still says it.
        let _ = text::json_line(&failure.to_json());
    } else {
        text::note(format_args!("error[{}]: {failure}", failure.code()));
        text::note(format_args!("  help: {}", failure.hint()));
    }
    ExitCode::from(failure.exit_code())
}
