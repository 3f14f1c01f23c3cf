//! Steps of a task: what ran, what failed, what was skipped and why.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// How a step ended.
enum End {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The steps so far; each is announced, run, and listed again at the end.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, End, f32)>,
}

impl Steps {
    /// Runs a step; a failure is kept, so that the others run too.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) {
        self.end(name, step, End::Failed);
    }

    /// Runs a step that prepares something from outside, such as the network. Without it the step is skipped, which in CI is a
    /// failure: what CI does not run nobody runs.
    pub(crate) fn prepare(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        self.end(name, step, if is_ci() { End::Failed } else { End::Skipped });
        matches!(self.done.last(), Some((_, End::Passed, _)))
    }

    /// Names a step that this machine's hardware cannot run.
    pub(crate) fn absent(&mut self, name: &str, reason: &str) {
        println!("== {name}\nabsent: {reason}");
        self.done.push((name.to_owned(), End::Skipped(reason.to_owned()), 0.0));
    }

    /// In CI, deletes folders of `target/` that no later step reads: its disks are small.
    pub(crate) fn done_with(&self, folders: &[&str]) {
        for folder in folders.iter().filter(|_| is_ci()) {
            let _ = fs::remove_dir_all(crate::target().join(folder)); // what stays only takes room
        }
    }

    fn end(&mut self, name: &str, step: impl FnOnce() -> Result<()>, otherwise: fn(String) -> End) {
        let free = free_gigabytes(&crate::root())
            .map_or(String::new(), |free| format!(" ({free:.1} GB of disk free)"));
        println!("== {name}{free}");
        let start = Instant::now();
        let end = step().map_or_else(|error| otherwise(format!("{error:#}")), |()| End::Passed);
        if let End::Failed(reason) | End::Skipped(reason) = &end {
            println!("{reason}");
        }
        self.done.push((name.to_owned(), end, start.elapsed().as_secs_f32()));
    }

    /// Prints every step and the sums; whether none failed.
    pub(crate) fn summary(&self) -> bool {
        println!("\n== summary");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for (name, end, seconds) in &self.done {
            let (word, reason) = match end {
                End::Passed => ("passed", String::new()),
                End::Failed(reason) => ("FAILED", format!(": {reason}")),
                End::Skipped(reason) => ("SKIPPED", format!(": {reason}")),
            };
            println!("{word:<8}{name} ({seconds:.1} s){reason}");
            match end {
                End::Passed => passed += 1,
                End::Failed(_) => failed += 1,
                End::Skipped(_) => skipped += 1,
            }
        }
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        failed == 0
    }
}

fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

/// What the disk of a folder has left, as `df` says.
fn free_gigabytes(folder: &Path) -> Option<f64> {
    let output = Command::new("df").args(["-P", "-k"]).arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kilobytes: f64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes / 1e6)
}

/// Runs a command in the repository's root; its output is shown as it comes.
pub(crate) fn shell(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status =
        command.current_dir(crate::root()).status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// `cargo test` of these test programs, and what is added. Of the whole workspace, so that nothing is compiled again with other
/// features.
pub(crate) fn programs(tests: &[&str]) -> Command {
    let mut test = cargo();
    test.args(["test", "--locked", "--workspace"]);
    for name in tests {
        test.args(["--test", name]);
    }
    test.arg("--");
    test
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
