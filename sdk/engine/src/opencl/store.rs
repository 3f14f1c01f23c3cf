//! What is learned of OpenCL devices, where it outlives the process, and what it is kept under.

use std::fmt::Debug;

use super::launch::ProgramKey;
use super::survey::Facts;

/// Where what was learned of OpenCL devices outlives the process: the engine knows no files. What is kept are outcomes of the
/// known-answer test and programs as their drivers keep them.
///
/// A subject is a text of some hundred kilobytes at most that says all that the bytes depend on: platform, driver, device, source.
/// A store gives back what was kept under the very same subject, unchanged, or nothing.
pub trait DeviceStore: Debug + Send + Sync {
    /// What was kept under a subject.
    fn load(&self, subject: &str) -> Option<Vec<u8>>;

    /// Keeps bytes under a subject in place of what was there. Failing is not worth an error: they are made again.
    fn save(&self, subject: &str, bytes: &[u8]);
}

/// All that a built program depends on.
pub(super) fn program(facts: &Facts, key: &ProgramKey) -> String {
    let (source, options, prelude) = (&key.source, &key.options, tilemark_kernels::PRELUDE);
    format!("program {}\noptions {options}\n{}\n{prelude}\n{}", source.name, device(facts), source.text)
}

/// All that the outcome of the known-answer test depends on: any kernel may take part in it.
pub(super) fn answers(facts: &Facts) -> String {
    format!("known answers\n{}\n{}", device(facts), sources())
}

/// All that the time of a kernel depends on.
pub(crate) fn times(facts: &Facts) -> String {
    format!("times\n{}\n{}", device(facts), sources())
}

/// The sources of all programs.
fn sources() -> String {
    [tilemark_kernels::PRELUDE]
        .into_iter()
        .chain(tilemark_kernels::ALL.iter().map(|source| source.text))
        .collect()
}

/// A device with its driver, wherever it stands in the list.
fn device(facts: &Facts) -> String {
    format!(
        "platform {}\ndevice {}\nkind {}\ndriver {}\nversion {}\nunits {}\ntilemark {}",
        facts.platform,
        facts.name,
        facts.kind,
        facts.driver,
        facts.version,
        facts.compute_units,
        env!("CARGO_PKG_VERSION"),
    )
}
