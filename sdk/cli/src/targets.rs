//! What an app's bitstreams are for the FPGAs of this machine, told before anything is loaded.

use tilemark::{App, TargetFit};

use crate::drivers;

/// An FPGA, and what each target is for it.
pub(crate) struct Fits {
    pub(crate) device: String,
    name: String,
    pub(crate) targets: Vec<TargetFit>,
}

/// Of every FPGA. Drivers are not asked where the app ships nothing for them.
pub(crate) fn of(app: &App) -> Vec<Fits> {
    let devices = if app.has_targets() { drivers::fpgas() } else { Vec::new() };
    let fits = |device: &tilemark::Device| {
        let facts = device.facts()?;
        Some(Fits { device: facts.id(), name: facts.name.clone(), targets: app.target_fits(facts) })
    };
    devices.iter().filter_map(fits).collect()
}

/// Whether any target fits a device, and what stands against the others.
pub(crate) fn judge(app: &App) -> Option<(bool, String)> {
    if !app.has_targets() {
        return None;
    }
    let all = of(app);
    if all.is_empty() {
        return Some((false, "the app ships bitstreams, and there is no FPGA here".to_owned()));
    }
    let describe = |fits: &Fits| format!("{} ({}): {}", fits.device, fits.name, describe(&fits.targets));
    let any = all.iter().flat_map(|fits| &fits.targets).any(|target| target.fits);
    Some((any, all.iter().map(describe).collect::<Vec<_>>().join(". ")))
}

/// Targets in words.
pub(crate) fn describe(targets: &[TargetFit]) -> String {
    let one = |target: &TargetFit| match &target.reason {
        None => format!("{} fits", target.target),
        Some(reason) => format!("{} does not: {reason}", target.target),
    };
    targets.iter().map(one).collect::<Vec<_>>().join("; ")
}
