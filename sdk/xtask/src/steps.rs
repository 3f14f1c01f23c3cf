//! Steps of a task: what ran, what failed, what was skipped and why.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

/// How a step ended.
enum End {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Tests that the programs of the step at hand say have passed.
static PASSED: AtomicUsize = AtomicUsize::new(0);

/// A step that ended.
struct Done {
    name: String,
    end: End,
    seconds: f32,
    tests: usize,
}

/// The steps so far; each is announced, run, and listed again at the end.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Done>,
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
        matches!(self.done.last(), Some(Done { end: End::Passed, .. }))
    }

    /// Names a step that this machine's hardware cannot run.
    pub(crate) fn absent(&mut self, name: &str, reason: &str) {
        println!("== {name}\nabsent: {reason}");
        let end = End::Skipped(reason.to_owned());
        self.done.push(Done { name: name.to_owned(), end, seconds: 0.0, tests: 0 });
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
        PASSED.store(0, Ordering::Relaxed);
        let start = Instant::now();
        let end = step().map_or_else(|error| otherwise(format!("{error:#}")), |()| End::Passed);
        if let End::Failed(reason) | End::Skipped(reason) = &end {
            println!("{reason}");
        }
        let (seconds, tests) = (start.elapsed().as_secs_f32(), PASSED.load(Ordering::Relaxed));
        self.done.push(Done { name: name.to_owned(), end, seconds, tests });
    }

    /// Prints every step and the sums; whether none failed.
    pub(crate) fn summary(&self) -> bool {
        println!("\n== summary");
        println!("{:<8}{:>8}{:>7}  step", "", "seconds", "tests");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for Done { name, end, seconds, tests } in &self.done {
            let (word, reason) = match end {
                End::Passed => ("passed", String::new()),
                End::Failed(reason) => ("FAILED", format!(": {reason}")),
                End::Skipped(reason) => ("SKIPPED", format!(": {reason}")),
            };
            let tests = if *tests > 0 { tests.to_string() } else { String::new() };
            println!("{word:<8}{seconds:>8.1}{tests:>7}  {name}{reason}");
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

/// Runs a command in the repository's root; its output is shown as it comes, and the tests that it says have passed are counted.
pub(crate) fn shell(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    command.current_dir(crate::root()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {shown}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        if let Some(from) = stderr {
            scope.spawn(|| pass_on(from, std::io::stderr()));
        }
        if let Some(from) = stdout {
            pass_on(from, std::io::stdout());
        }
    });
    let status = child.wait().with_context(|| format!("cannot wait for {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Runs tests as [`shell`] does. A filter that none of them has is a mistake.
pub(crate) fn tests(command: &mut Command) -> Result<()> {
    let before = PASSED.load(Ordering::Relaxed);
    shell(command)?;
    ensure!(PASSED.load(Ordering::Relaxed) > before, "no test ran: {command:?}");
    Ok(())
}

/// Shows lines as they come. What cannot be shown or read is no reason to end the command.
fn pass_on(from: impl Read, mut to: impl Write) {
    for mut line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        PASSED.fetch_add(passed(&String::from_utf8_lossy(&line)), Ordering::Relaxed);
        line.push(b'\n');
        let _ = to.write_all(&line).and_then(|()| to.flush());
    }
}

/// How many tests a line says have passed: cargo's own harness, or nextest's summary.
fn passed(line: &str) -> usize {
    let counts = line.split_once("test result: ok. ").or_else(|| line.split_once(" tests run: "));
    let count =
        counts.and_then(|(_, counts)| counts.split_once(" passed")).map(|(count, _)| count.trim().parse());
    count.and_then(Result::ok).unwrap_or(0)
}

/// Of the whole workspace and with what any test needs, so that nothing is compiled twice with other features. What emulates does so
/// only where [`EMULATE`] asks for it.
pub(crate) const WHOLE: [&str; 4] = [
    "--locked",
    "--workspace",
    "--features",
    "tilemark-engine/emulate-cpu,tilemark-engine/emulate-mma,tilemark/pkcs11",
];
/// The variable that asks for instructions in software, where this machine lacks them.
pub(crate) const EMULATE: &str = "TILEMARK_TEST_EMULATE";

/// `cargo test` of the whole.
pub(crate) fn whole() -> Command {
    let mut test = cargo();
    test.arg("test").args(WHOLE);
    test
}

/// `cargo test` of these test programs, and what is added.
pub(crate) fn programs(tests: &[&str]) -> Command {
    let mut test = whole();
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

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn tests_are_counted_as_both_harnesses_say() {
        assert_eq!(passed("test result: ok. 62 passed; 0 failed; 2 ignored; 0 measured"), 62);
        assert_eq!(passed("     Summary [ 306.1s] 1046 tests run: 1039 passed (3 slow), 7 failed"), 1039);
        for other in
            ["test passed ... ok", "test result: FAILED. 1 passed; 1 failed", "", "tests run: x passed"]
        {
            assert_eq!(passed(other), 0, "{other}");
        }
    }
}
