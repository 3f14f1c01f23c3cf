use std::path::{Path, PathBuf};
use std::time::Instant;

use tilemark::pack::Package;
use tilemark::{Algorithm, Device, Home, Input, SigningKey, Trust};

use crate::args::Demo;
use crate::failure::{Failure, Result};
use crate::{files, text};

/// The whole story on the photo tagger, in a directory of its own that is removed at the end.
pub(crate) fn run(args: &Demo) -> Result<()> {
    let app_dir = match &args.app {
        Some(dir) => dir.clone(),
        None => find_app()?,
    };
    let scratch =
        tempfile::tempdir().map_err(|source| Failure::File { path: std::env::temp_dir(), source })?;
    let bundle = scratch.path().join("tagger.tmk");
    let key = SigningKey::generate(Algorithm::Ed25519).map_err(tilemark::Error::from)?;

    pack(&app_dir, &key, &bundle)?;
    let trust = Trust::key(key.public().clone());
    let home = Home::at(scratch.path().join("home"));
    let app = verify(&bundle, &trust, &home)?;
    tag(&app, &app_dir)?;
    let replay = app.replay(&Device::best())?;
    text::line(format_args!("\nreplay: {replay}"))?;
    replay.check()?;
    tamper(&bundle, &trust, &home)
}

fn pack(app_dir: &Path, key: &SigningKey, bundle: &Path) -> Result<()> {
    let start = Instant::now();
    let spinner = text::spinner("importing the model and recording golden vectors");
    let package = Package::from_description(app_dir.join("app.toml"))?;
    spinner.finish_and_clear();
    let (identity, size) = super::pack::sign_and_write(&package, &[key], bundle)?;
    text::line(format_args!("pack:   {} signed by a fresh key, {} s", text::bytes(size), seconds(start)))?;
    text::line(format_args!("        identity {identity}"))
}

fn verify(bundle: &Path, trust: &Trust, home: &Home) -> Result<tilemark::App> {
    let start = Instant::now();
    let app = tilemark::open_with(bundle, trust, home)?;
    let holds = app.verdict().facts().iter().filter(|fact| fact.holds).count();
    text::line(format_args!("verify: {holds} facts hold, {:.0} ms", 1e3 * start.elapsed().as_secs_f64()))?;
    Ok(app)
}

fn tag(app: &tilemark::App, app_dir: &Path) -> Result<()> {
    let device = Device::best();
    let mut session = app.session(device.clone())?;
    text::line(format_args!("run:    on the {}", device.description()))?;
    for photo in photos(app_dir)? {
        let name = photo.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Twice: the first run touches memory for the first time.
        session.run(Input::image(&photo)?)?;
        let output = session.run(Input::image(&photo)?)?;
        let ms = output.ms();
        text::line(format_args!("\n{name}  {:.1} ms", ms.pre + ms.infer + ms.post))?;
        for label in output.labels() {
            text::line(format_args!("  {:5.1}%  {}", 100.0 * label.score, label.name))?;
        }
    }
    Ok(())
}

/// Flips one bit in the middle of the file; opening it must fail.
fn tamper(bundle: &Path, trust: &Trust, home: &Home) -> Result<()> {
    let mut bytes = files::read(bundle)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    files::write(bundle, &bytes)?;
    match tilemark::open_with(bundle, trust, home) {
        Ok(_) => {
            Err(Failure::usage("a changed bundle was accepted", "this is a defect of tilemark: report it"))
        }
        Err(error) => {
            text::line(format_args!(
                "\ntamper: byte {middle} changed by one bit, and the bundle is refused:"
            ))?;
            text::line(format_args!("        error[{}]: {error}", error.code()))
        }
    }
}

/// The app's photos, by name.
fn photos(app_dir: &Path) -> Result<Vec<PathBuf>> {
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

fn seconds(start: Instant) -> String {
    format!("{:.1}", start.elapsed().as_secs_f64())
}
