use std::path::Path;

use tilemark::{Bundle, Home, SigningKey, ml_bom, oms, sha256};

use crate::args::Export;
use crate::failure::{Failure, Result};
use crate::{files, text};

/// The signed manifest, beside the blobs.
const ENVELOPE_FILE: &str = "manifest.dsse.json";

/// Verifies a bundle and writes what was asked for.
pub(crate) fn run(args: &Export) -> Result<()> {
    let key = args.key.as_ref().map(SigningKey::from_file).transpose().map_err(tilemark::Error::from)?;
    let bundle =
        tilemark::verify_with(&args.bundle, &files::trust(args.trust.as_deref())?, &Home::from_env()?)?;
    if let (Some(folder), Some(key)) = (&args.oms, &key) {
        unpack(&bundle, folder, key)?;
    }
    let Some(path) = &args.ml_bom else { return Ok(()) };
    let bom = ml_bom::write(bundle.manifest(), bundle.identity()).map_err(tilemark::Error::from)?;
    files::write(path, &bom)?;
    text::line(format_args!("{}: CycloneDX 1.6, {}", path.display(), text::bytes(bom.len() as u64)))
}

/// Writes the contents into a new folder and signs the files. An encrypted bundle stays closed: its terms are the bundle's.
fn unpack(bundle: &Bundle, folder: &Path, key: &SigningKey) -> Result<()> {
    let manifest = bundle.manifest();
    let envelope = bundle.envelope();
    let mut contents = vec![(ENVELOPE_FILE, &envelope[..])];
    for blob in &manifest.blobs {
        if [ENVELOPE_FILE, oms::SIGNATURE_FILE].iter().any(|taken| blob.name.eq_ignore_ascii_case(taken)) {
            return Err(Failure::Exists { path: folder.join(&blob.name) });
        }
        contents.push((&blob.name, bundle.blob(&blob.name).map_err(tilemark::Error::from)?));
    }
    let digests = contents.iter().map(|(name, bytes)| ((*name).to_owned(), sha256(bytes))).collect();
    let signature = oms::sign(manifest.app.name.as_str(), &digests, key).map_err(tilemark::Error::from)?;
    make_new(folder)?;
    contents.push((oms::SIGNATURE_FILE, &signature));
    for (name, bytes) in &contents {
        let path = folder.join(name); // blob names lead nowhere else
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|source| Failure::File { path: parent.to_owned(), source })?;
        }
        files::write(&path, bytes)?;
    }
    text::line(format_args!("{}: {} files, signed by {}", folder.display(), digests.len(), key.public().id()))
}

/// Other files would be in the way: they are not signed.
fn make_new(folder: &Path) -> Result<()> {
    std::fs::create_dir(folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Exists { path: folder.to_owned() },
        _ => Failure::File { path: folder.to_owned(), source },
    })
}
