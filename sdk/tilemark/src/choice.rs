//! `auto`: where an app runs if nobody says where. A graphics processor must give the golden vectors' bits, and must take less time
//! than the host for the app's own golden input. That is measured once on a machine and kept.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tilemark_bundle::codec;
use tilemark_engine::{Device, Tuning, survey};

use crate::app::App;
use crate::error::Error;
use crate::kept::Kept;

/// How the names of the files end that keep what was measured.
const EXTENSION: &str = "speeds";
const SCHEMA: u16 = 1;
/// Runs that are timed after the first one, which allocates and compiles late; the fastest counts.
const RUNS: usize = 10;
/// They end early when they have taken this long.
const LONG: Duration = Duration::from_millis(500);

/// A device chosen for an app.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The device.
    pub device: Device,
    /// Why this one.
    pub why: String,
}

/// What one inference takes on a device and on the host.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Speeds {
    device: Duration,
    host: Duration,
}

/// What is kept of a measurement, in the codec's layout.
#[derive(Deserialize, Serialize)]
struct Entry {
    schema: u16,
    /// What it is about; see [`subject`].
    subject: String,
    speeds: Speeds,
}

impl App {
    /// The best device of this machine for this app: the fastest graphics processor that gives the golden vectors' bits, if it is
    /// faster than the host, or else the host. Loads the drivers of this machine.
    ///
    /// # Errors
    /// Those of [`App::choose_device_of`].
    pub fn choose_device(&self, threads: Option<usize>) -> Result<Choice, Error> {
        self.choose_device_of(Device::gpus(&survey()), threads)
    }

    /// The first of `preferred` that gives the golden vectors' bits and runs the first of them in less time than the host, or else
    /// the host. What was measured is kept where kernels' times are ([`App::with_tuning`]); with `TILEMARK_TUNE=off` nothing is
    /// measured, and the first that passes is taken.
    ///
    /// # Errors
    /// [`Error::GoldenMismatch`] or [`Error::Engine`] of the host, if it does not pass either.
    pub fn choose_device_of(&self, preferred: Vec<Device>, threads: Option<usize>) -> Result<Choice, Error> {
        let host = limited(Device::host(), threads)?;
        let (mut passed_over, mut any_slower) = (String::new(), false);
        for device in preferred {
            let device = limited(device, threads)?;
            match self.prefer(&device, &host) {
                Ok(Ok(reason)) => return Ok(Choice { device, why: format!("{reason}{passed_over}") }),
                Ok(Err(speeds)) => {
                    any_slower = true;
                    passed_over += &format!("; not {}: {speeds}", device.id());
                }
                Err(error) => passed_over += &format!("; not {}: {error}", device.id()),
            }
        }
        let replay = self.replay(&host)?;
        replay.check()?;
        let reason = match (any_slower, passed_over.is_empty()) {
            (true, _) => "faster here than a graphics processor",
            (false, true) => "no graphics processor here",
            (false, false) => "no other passes",
        };
        Ok(Choice { device: host, why: format!("{reason}; {replay}{passed_over}") })
    }

    /// Why a device is better than the host, or how slow it is.
    fn prefer(&self, device: &Device, host: &Device) -> Result<Result<String, Slow>, Error> {
        let kept = self.kept_speeds(device, host);
        if let Some(slow) = kept.and_then(Speeds::slow) {
            return Ok(Err(slow)); // whether it passes does not matter
        }
        let replay = self.replay(device)?;
        replay.check()?;
        let name = device.name();
        if device.tuning()? == Tuning::Off {
            return Ok(Ok(format!("{name}, preferred to the host and not timed; {replay}")));
        }
        let speeds = kept.map_or_else(|| self.measure(device, host), Ok)?;
        Ok(match speeds.slow() {
            Some(slow) => Err(slow),
            None => {
                let Speeds { device, host } = speeds;
                Ok(format!("{name}, {} a run and {} on the host; {replay}", ms(device), ms(host)))
            }
        })
    }

    /// Times an inference on both, and keeps what it took.
    fn measure(&self, device: &Device, host: &Device) -> Result<Speeds, Error> {
        let speeds = Speeds { device: self.fastest(device)?, host: self.fastest(host)? };
        if let Some(kept) = self.speeds() {
            let subject = self.subject(device, host);
            let path = kept.path(&subject);
            // Not kept is measured again: nothing that anybody should be stopped by.
            let entry = codec::encode(&Entry { schema: SCHEMA, subject, speeds });
            let _ = entry.map(|entry| kept.write(&path, &entry));
        }
        Ok(speeds)
    }

    /// The shortest of some inferences on the first golden input, without the pipeline around them.
    fn fastest(&self, device: &Device) -> Result<Duration, Error> {
        let missing = || Error::Contents { what: "golden vectors", reason: "there are none".to_owned() };
        let mut session = self.unmetered().session(device.clone())?;
        let sample = self.sample_input().ok_or_else(missing)?;
        // Of several models, the whole app counts.
        let prepared = match self.pipeline().is_single() {
            true => Some(session.prepare_input(sample.clone())?),
            false => None,
        };
        let mut run = || match &prepared {
            Some(inputs) => session.run_tensors(inputs).map(|_| ()),
            None => session.run(sample.clone()).map(|_| ()),
        };
        run()?;
        let begin = Instant::now();
        let mut fastest = Duration::MAX;
        for _ in 0..RUNS {
            let start = Instant::now();
            run()?;
            fastest = fastest.min(start.elapsed());
            if begin.elapsed() > LONG {
                break;
            }
        }
        Ok(fastest)
    }

    fn kept_speeds(&self, device: &Device, host: &Device) -> Option<Speeds> {
        if device.tuning() == Ok(Tuning::Off) {
            return None;
        }
        let (kept, subject) = (self.speeds()?, self.subject(device, host));
        let entry: Entry = codec::decode(&kept.read(&kept.path(&subject))?).ok()?;
        (entry.schema == SCHEMA && entry.subject == subject).then_some(entry.speeds)
    }

    fn speeds(&self) -> Option<Kept> {
        self.tuning().map(|cache| cache.beside(EXTENSION))
    }

    /// All that a measurement depends on, by its SHA-256.
    fn subject(&self, device: &Device, host: &Device) -> String {
        let graphs: Vec<String> =
            self.models().map(|(name, _)| self.graph_digest(name).to_string()).collect();
        let (graph, device, host) = (graphs.join("+"), device.measured_as(), host.measured_as());
        tilemark_bundle::sha256(format!("graph {graph}\n{device}\nhost\n{host}").as_bytes()).to_string()
    }
}

/// A device that takes longer than the host.
struct Slow(Speeds);

impl Speeds {
    fn slow(self) -> Option<Slow> {
        (self.device >= self.host).then_some(Slow(self))
    }
}

impl std::fmt::Display for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} a run there and {} on the host", ms(self.0.device), ms(self.0.host))
    }
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", 1e3 * time.as_secs_f64())
}

fn limited(device: Device, threads: Option<usize>) -> Result<Device, Error> {
    threads.map_or(Ok(device.clone()), |threads| Ok(device.with_threads(threads)?))
}

#[cfg(test)]
mod tests {
    use tilemark_bundle::{Algorithm, AppIdentity, SigningKey, Trust, Untrusted};
    use tilemark_testkit::onnx::{Builder, Quantization};

    use super::*;
    use crate::pack::Package;
    use crate::tuning::TuningCache;

    /// An app of one activation, which keeps what it measures in `folder`.
    fn app(folder: &std::path::Path) -> App {
        let mut net = Builder::new(13);
        let x = net.input("x", &[1, 3, 8, 8]);
        let x = net.qdq(&x, Quantization::u8(0.02, 128));
        let y = net.unary("Relu", &x);
        let y = net.qdq(&y, Quantization::u8(0.02, 0));
        net.output(&y);
        let identity = AppIdentity::new("acme/raw", "1.0.0", 1, "MIT", "").unwrap();
        let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let file = Package::from_model(&net.encode(), identity).unwrap().sign(&[&key]).unwrap();
        let bundle = Untrusted::from_bytes(file).unwrap().verify(&Trust::key(key.public().clone())).unwrap();
        App::from_bundle(bundle).unwrap().with_tuning(TuningCache::at(folder))
    }

    /// Two devices that differ in a name alone: as a graphics processor would, the first asks to be preferred.
    fn devices() -> [Device; 2] {
        [2, 1].map(|threads| Device::host().with_threads(threads).unwrap())
    }

    fn keep(app: &App, [device, host]: [u64; 2]) {
        let [preferred, of_host] = devices();
        let subject = app.subject(&preferred, &of_host);
        let speeds = Speeds { device: Duration::from_micros(device), host: Duration::from_micros(host) };
        let kept = app.speeds().unwrap();
        let entry = Entry { schema: SCHEMA, subject: subject.clone(), speeds };
        kept.write(&kept.path(&subject), &codec::encode(&entry).unwrap()).unwrap();
    }

    /// What `auto` does where the first of [`devices`] is preferred and the second the host.
    fn choose(app: &App) -> Result<String, Slow> {
        let [preferred, host] = devices();
        app.prefer(&preferred, &host).unwrap()
    }

    #[test]
    fn the_faster_one_is_chosen_and_both_times_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        keep(&app, [700, 5_250]);
        let why = choose(&app).ok().unwrap();
        assert!(why.contains("0.70 ms a run and 5.25 ms on the host; 1 golden vector replayed"), "{why}");
        keep(&app, [5_250, 700]);
        let slow = choose(&app).err().unwrap();
        assert_eq!(slow.to_string(), "5.25 ms a run there and 0.70 ms on the host");
    }

    #[test]
    fn what_was_not_measured_is_measured_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        let [preferred, host] = devices();
        assert_eq!(app.kept_speeds(&preferred, &host), None);
        let first = choose(&app);
        let speeds = app.kept_speeds(&preferred, &host).unwrap();
        assert_eq!(first.is_ok(), speeds.device < speeds.host);
        assert!(choose(&app).is_ok() == first.is_ok() && app.kept_speeds(&preferred, &host) == Some(speeds));
        assert_eq!(app.kept_speeds(&host, &preferred), None, "of other devices");
    }

    #[test]
    fn damaged_records_are_measured_anew() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        let [preferred, host] = devices();
        keep(&app, [1, 2]);
        let kept = app.speeds().unwrap();
        let path = kept.path(&app.subject(&preferred, &host));
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(app.kept_speeds(&preferred, &host), None, "byte {place}");
        }
        let _ = choose(&app);
        assert!(app.kept_speeds(&preferred, &host).is_some());
    }

    #[test]
    fn where_nothing_is_timed_the_preferred_one_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        keep(&app, [5_250, 700]);
        let [preferred, host] = devices();
        let why = app.prefer(&preferred.with_tuning(Tuning::Off), &host).unwrap().ok().unwrap();
        assert!(why.contains("not timed"), "{why}");
    }
}
