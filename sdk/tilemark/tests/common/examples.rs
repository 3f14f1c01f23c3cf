//! The apps in `examples/apps`. Their networks are made by `cargo xtask models`.

use std::path::{Path, PathBuf};

use tilemark::App;
use tilemark::pack::{Description, Package};

pub(crate) fn folder(app: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/apps").join(app)
}

/// The app with its models in this form, packed and verified; `None` where they are not there.
pub(crate) fn app(name: &str, form: &str) -> Option<App> {
    packed(name, form, |text| text)
}

/// The app without its golden inputs, which take the reference interpreter long.
pub(crate) fn without_golden(name: &str) -> Option<App> {
    packed(name, "", |text| text.split("[golden]").next().unwrap_or_default().to_owned())
}

fn packed(name: &str, form: &str, edit: impl Fn(String) -> String) -> Option<App> {
    let from = folder(name);
    let description = Description::read(&from.join("app.toml")).unwrap();
    let mut text = std::fs::read_to_string(from.join("app.toml")).unwrap();
    for model in description.models.values() {
        let network = from.join(&model.file);
        let network = if form.is_empty() { network } else { network.with_file_name(form) };
        let Ok(absolute) = network.canonicalize() else {
            eprintln!("skipped: {name} needs {}; `cargo xtask models` makes it", network.display());
            return None;
        };
        text = text.replace(&format!("{:?}", model.file), &format!("{absolute:?}"));
    }
    let to = tilemark_testkit::temp::TempFolder::new();
    let beside = description.pipeline();
    let files = beside.resources().unwrap().into_iter().map(str::to_owned).chain(description.golden.inputs);
    for file in files.chain(description.golden.results) {
        std::fs::create_dir_all(to.path().join(&file).parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), to.path().join(&file)).unwrap();
    }
    Some(super::load(&Package::from_description(to.file("app.toml", edit(text))).unwrap()))
}
