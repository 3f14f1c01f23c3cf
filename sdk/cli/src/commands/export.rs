use std::path::Path;

use tilemark::{Home, SigningKey, oms, sha256};

use crate::args::Export;
use crate::failure::{Failure, Result};
use crate::{files, text};

/// The signed manifest, beside the blobs.
const ENVELOPE_FILE: &str = "manifest.dsse.json";

/// Unpacks a verified bundle into a new folder and signs the files. An encrypted one stays closed: its terms are the bundle's.
pub(crate) fn run(args: &Export) -> Result<()> {
    let key = SigningKey::from_file(&args.key).map_err(tilemark::Error::from)?;
    let bundle =
        tilemark::verify_with(&args.bundle, &files::trust(args.trust.as_deref())?, &Home::from_env()?)?;
    let manifest = bundle.manifest();
    let envelope = bundle.envelope();
    let mut contents = vec![(ENVELOPE_FILE, &envelope[..])];
    for blob in &manifest.blobs {
        if [ENVELOPE_FILE, oms::SIGNATURE_FILE].iter().any(|taken| blob.name.eq_ignore_ascii_case(taken)) {
            return Err(Failure::Exists { path: args.oms.join(&blob.name) });
        }
        contents.push((&blob.name, bundle.blob(&blob.name).map_err(tilemark::Error::from)?));
    }
    let digests = contents.iter().map(|(name, bytes)| ((*name).to_owned(), sha256(bytes))).collect();
    let signature = oms::sign(manifest.app.name.as_str(), &digests, &key).map_err(tilemark::Error::from)?;
    make_new(&args.oms)?;
    contents.push((oms::SIGNATURE_FILE, &signature));
    for (name, bytes) in &contents {
        let path = args.oms.join(name); // blob names lead nowhere else
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| Failure::File { path: folder.to_owned(), source })?;
        }
        files::write(&path, bytes)?;
    }
    text::line(format_args!(
        "{}: {} files, signed by {}",
        args.oms.display(),
        digests.len(),
        key.public().id()
    ))
}

/// Other files would be in the way: they are not signed.
fn make_new(folder: &Path) -> Result<()> {
    std::fs::create_dir(folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Exists { path: folder.to_owned() },
        _ => Failure::File { path: folder.to_owned(), source },
    })
}
