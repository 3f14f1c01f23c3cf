//! The `tilemark` command line. Results go to stdout, everything else to stderr; `docs/cli.md` describes it all.

#![allow(clippy::print_stdout, reason = "a command line's results go to stdout")]
#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod files;
mod text;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use failure::Failure;

fn main() -> ExitCode {
    let args = Args::parse(); // exits with 2 on wrong usage
    let json = args.command.wants_json();
    match commands::run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure, json),
    }
}

/// Says what went wrong: on stderr for people, on stdout as JSON for scripts that asked for it.
fn report(failure: &Failure, json: bool) -> ExitCode {
    if failure.is_closed_pipe() {
        return ExitCode::SUCCESS;
    }
    if json && !failure.already_reported() {
        println!("{}", failure.to_json());
    } else {
        eprintln!("error[{}]: {failure}", failure.code());
        eprintln!("  help: {}", failure.hint());
    }
    ExitCode::from(failure.exit_code())
}
