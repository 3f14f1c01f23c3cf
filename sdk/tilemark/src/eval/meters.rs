//! What an evaluation costs: time, memory, and energy where the machine tells.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Percentiles of how long the app took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the samples took no longer.
    pub median: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// None took longer.
    pub max: f64,
}

impl Latency {
    /// Of times, ascending; zero of none.
    #[must_use]
    pub fn of(times: &[f64]) -> Self {
        // The nearest rank: a time that was measured, and as many as said are no longer.
        let at = |share: f64| {
            let rank = libm::ceil(share * times.len() as f64) as usize;
            times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { median: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

/// How many samples took how long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// At least so many milliseconds.
    pub from: f64,
    /// And less than so many; the last bin's end is in it.
    pub to: f64,
    /// So many samples.
    pub count: u64,
}

/// Bins of a histogram.
const BINS: usize = 24;

impl Bin {
    /// Of times, ascending: as many bins of one width, from the least time to the 99th percentile. The few that took longer would leave no
    /// room for the others.
    #[must_use]
    pub fn of(times: &[f64]) -> Vec<Self> {
        let to = Latency::of(times).p99;
        let from = times.first().copied().unwrap_or(to);
        let width = (to - from) / BINS as f64;
        if times.is_empty() || width <= 0.0 {
            let count = times.iter().filter(|time| **time <= to).count() as u64;
            return if times.is_empty() { Vec::new() } else { vec![Self { from, to, count }] };
        }
        let edge = |at: usize| if at == BINS { to } else { from + width * at as f64 };
        let mut bins: Vec<Self> =
            (0..BINS).map(|at| Self { from: edge(at), to: edge(at + 1), count: 0 }).collect();
        for time in times.iter().filter(|time| **time <= to) {
            let at = ((time - from) / width) as usize;
            bins[at.min(BINS - 1)].count += 1;
        }
        bins
    }
}

/// The most memory that this process had resident, in bytes; `None` where the system does not tell.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// The energy counters of the CPU's packages (RAPL), as the Linux kernel shows them.
#[derive(Debug)]
pub struct Energy {
    packages: Vec<Package>,
    read: Instant,
}

/// How often counters are read: they go round in a minute at the least.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Package {
    counter: PathBuf,
    /// The counter begins again at zero after this.
    range: u64,
    last: u64,
    /// Since the beginning, in microjoules.
    used: u64,
}

impl Energy {
    /// Begins to count; `None` where there is no counter that this user may read.
    #[must_use]
    pub fn begin() -> Option<Self> {
        Self::at(Path::new("/sys/class/powercap"))
    }

    fn at(folder: &Path) -> Option<Self> {
        let mut packages = Vec::new();
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            // `intel-rapl:0` is a package; `intel-rapl:0:1` a part of it.
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.strip_prefix("intel-rapl:").is_some_and(|rest| !rest.is_empty() && !rest.contains(':')) {
                let counter = entry.path().join("energy_uj");
                let (last, range) = (number(&counter)?, number(&entry.path().join("max_energy_range_uj"))?);
                packages.push(Package { counter, range, last, used: 0 });
            }
        }
        (!packages.is_empty()).then(|| Self { packages, read: Instant::now() })
    }

    /// Reads the counters if they were not read for a second; to be called so often that none goes round in between.
    pub fn update(&mut self) {
        if self.read.elapsed() >= EVERY {
            self.read();
        }
    }

    fn read(&mut self) {
        self.read = Instant::now();
        for package in &mut self.packages {
            let Some(now) = number(&package.counter) else { continue };
            let round = if now < package.last { package.range } else { 0 };
            package.used += now.saturating_add(round).saturating_sub(package.last);
            package.last = now;
        }
    }

    /// Joules since the beginning: of the whole machine, not of the app alone.
    #[must_use]
    pub fn joules(mut self) -> f64 {
        self.read();
        self.packages.iter().map(|package| package.used as f64).sum::<f64>() / 1e6
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let latency = Latency::of(&(1..=200).map(f64::from).collect::<Vec<_>>());
        assert_eq!(latency, Latency { median: 100.0, p90: 180.0, p99: 198.0, max: 200.0 });
        assert_eq!(Latency::of(&[3.0]), Latency { median: 3.0, p90: 3.0, p99: 3.0, max: 3.0 });
        assert_eq!(Latency::of(&[]), Latency::default());
    }

    #[test]
    fn a_histogram_has_every_time_up_to_the_99th_percentile_once() {
        let mut times: Vec<f64> = (0..1000).map(|at| 2.0 + f64::from(at % 97) / 10.0).collect();
        times[7] = 500.0;
        times.sort_by(f64::total_cmp);
        let bins = Bin::of(&times);
        let p99 = Latency::of(&times).p99;
        let within = times.iter().filter(|time| **time <= p99).count() as u64;
        assert_eq!((bins.len(), bins.iter().map(|bin| bin.count).sum::<u64>()), (BINS, within));
        assert_eq!((bins[0].from, bins[BINS - 1].to), (2.0, p99));
        assert!(bins.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(Bin::of(&[3.0, 3.0]), [Bin { from: 3.0, to: 3.0, count: 2 }]);
        assert_eq!(Bin::of(&[]), []);
    }

    #[test]
    fn packages_are_counted_once_and_a_counter_may_go_round() {
        let folder = tempfile::tempdir().unwrap();
        let write = |zone: &str, file: &str, value: u64| {
            std::fs::create_dir_all(folder.path().join(zone)).unwrap();
            std::fs::write(folder.path().join(zone).join(file), format!("{value}\n")).unwrap();
        };
        for (zone, value) in
            [("intel-rapl:0", 900), ("intel-rapl:1", 5_000_000), ("intel-rapl:0:0", 7), ("dtpm", 1)]
        {
            write(zone, "energy_uj", value);
            write(zone, "max_energy_range_uj", 1_000_000_000);
        }
        let mut energy = Energy::at(folder.path()).unwrap();
        write("intel-rapl:0", "energy_uj", 400); // a billion microjoules, less 500
        write("intel-rapl:1", "energy_uj", 7_000_000);
        energy.update();
        let joules = energy.joules();
        assert!((joules - 1001.9995).abs() < 1e-9, "{joules}");
        assert!(Energy::at(&folder.path().join("none")).is_none());
        std::fs::remove_dir_all(folder.path()).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_told_on_linux() {
        assert!(peak_memory().unwrap() > 1 << 20);
    }
}
