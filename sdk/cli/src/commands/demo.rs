use std::path::{Path, PathBuf};
use std::time::Instant;

use tilemark::pack::Package;
use tilemark::{Algorithm, App, Device, Home, Input, SigningKey, Trust};

use crate::args::Demo;
use crate::drivers;
use crate::failure::{Failure, Result};
use crate::{files, text};

/// The whole story on the photo tagger, in a directory of its own that is removed at the end.
pub(crate) fn run(args: &Demo) -> Result<()> {
    // Before anything is shown: it may start the program again.
    let device = drivers::gpus().into_iter().next().unwrap_or_else(Device::host);
    let app_dir = match &args.app {
        Some(dir) => dir.clone(),
        None => find_app()?,
    };
    let photos = if args.pictures.is_empty() { samples(&app_dir)? } else { args.pictures.clone() };
    let scratch = Scratch::new()?;
    let bundle = scratch.0.join("tagger.tmk");
    let key = SigningKey::generate(Algorithm::Ed25519).map_err(tilemark::Error::from)?;

    pack(&app_dir, &key, &bundle)?;
    let trust = Trust::key(key.public().clone());
    let home = Home::at(scratch.0.join("home"));
    let app = verify(&bundle, &trust, &home)?;
    tag(&app, &device, &photos)?;
    let replay = app.replay(&device)?;
    step("replay", format_args!("{replay}"))?;
    replay.check()?;
    tamper(&bundle, &trust, &home)
}

/// A new folder of this process, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let path = std::env::temp_dir().join(format!("tilemark-demo-{}-{now}", std::process::id()));
        // Fails where something is there already: nobody else chooses what is written to.
        let made = std::fs::create_dir(&path).map(|()| Self(path.clone()));
        made.map_err(|source| Failure::File { path, source })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's own folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A line that opens a step of the story.
fn step(name: &str, what: impl std::fmt::Display) -> Result<()> {
    text::line(format_args!("{name:<8}{what}"))
}

/// A line that belongs to the step above.
fn more(what: impl std::fmt::Display) -> Result<()> {
    step("", what)
}

fn pack(app_dir: &Path, key: &SigningKey, bundle: &Path) -> Result<()> {
    let start = Instant::now();
    let spinner = text::spinner("importing the model and recording golden vectors");
    let package = Package::from_description(app_dir.join("app.toml"))?;
    let bytes = package.sign(&[key])?;
    files::write(bundle, &bytes)?;
    spinner.finish_and_clear();
    let (size, vectors) = (text::bytes(bytes.len() as u64), package.golden_vectors());
    step("pack", format_args!("model, pipeline, labels and {vectors} golden vectors in one file, {size}"))?;
    more(format_args!("signed with a fresh key, {:.1} s", start.elapsed().as_secs_f64()))
}

fn verify(bundle: &Path, trust: &Trust, home: &Home) -> Result<App> {
    let start = Instant::now();
    let app = tilemark::open_with(bundle, trust, home)?;
    let ms = 1e3 * start.elapsed().as_secs_f64();
    let holds = app.verdict().facts().iter().filter(|fact| fact.holds).count();
    step("verify", format_args!("{holds} facts hold: a trusted key signed it, no byte changed; {ms:.0} ms"))?;
    Ok(app)
}

fn tag(app: &App, device: &Device, photos: &[PathBuf]) -> Result<()> {
    let mut session = app.session(device.clone())?;
    step("run", format_args!("on the {}", device.description()))?;
    let mut cards = Vec::with_capacity(photos.len());
    for photo in photos {
        let named = |error| Failure::input(&photo.display().to_string(), error);
        let input = Input::image(photo).map_err(named)?;
        // Twice: the first run touches memory for the first time.
        session.run(input.clone()).map_err(named)?;
        let output = session.run(input).map_err(named)?;
        let ms = output.ms();
        let name = photo.file_name().unwrap_or_default().to_string_lossy();
        let mut card = vec![format!("{name}, {:.1} ms", ms.pre + ms.infer + ms.post)];
        let label = |label: &tilemark::Label| format!("{:5.1}%  {}", 100.0 * label.score, label.name);
        card.extend(output.labels().iter().map(label));
        cards.push(card);
    }
    for pair in cards.chunks(2) {
        let rows = pair.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |card: usize, row: usize| pair.get(card).and_then(|card| card.get(row)).cloned();
        let rows: Vec<[String; 3]> = (0..rows)
            .map(|row| {
                ["        ".into(), cell(0, row).unwrap_or_default(), cell(1, row).unwrap_or_default()]
            })
            .map(|[indent, left, right]| [indent, format!("{left:<30}"), right])
            .collect();
        text::line("")?;
        text::table(&rows, &[])?;
    }
    text::line("")
}

/// Flips one bit in the middle of the file; opening it must fail.
fn tamper(bundle: &Path, trust: &Trust, home: &Home) -> Result<()> {
    let mut bytes = files::read(bundle)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    files::write(bundle, &bytes)?;
    let Err(error) = tilemark::open_with(bundle, trust, home) else {
        return Err(Failure::TamperingUnnoticed);
    };
    step("tamper", format_args!("one bit of byte {middle} flipped, and the bundle is refused:"))?;
    more(format_args!("error[{}]: {}", error.code(), text::shorten_digests(&error.to_string())))
}

/// The app's photos, by name.
fn samples(app_dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = app_dir.join("samples");
    let list = std::fs::read_dir(&folder).and_then(|entries| entries.map(|e| Ok(e?.path())).collect());
    let mut photos: Vec<PathBuf> = list.map_err(|source| Failure::File { path: folder, source })?;
    photos.sort();
    Ok(photos)
}

/// The tagger of the checkout that `cargo demo` runs in.
fn find_app() -> Result<PathBuf> {
    let tagger = Path::new("examples/apps/tagger");
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map(|dir| Path::new(&dir).join("../..").join(tagger));
    let mut places = package.into_iter().chain([tagger.to_owned()]);
    places.find(|dir| dir.join("app.toml").exists()).ok_or_else(|| {
        Failure::usage(
            "the tagger's files are not here",
            "run it inside a checkout, or give --app examples/apps/tagger",
        )
    })
}
