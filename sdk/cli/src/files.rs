//! Files that commands read and write.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use tilemark::{Home, SigningKey, Trust};

use crate::failure::{Failure, Result};

/// Writes a whole file or nothing: to a neighbour first, then renamed over. Never over a private key, which nobody can make again.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if is_private_key(path) {
        return Err(Failure::Exists { path: path.to_owned() });
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let neighbour = path.with_file_name(name);
    // What lies there is left of a crash, or a link that somebody put there to have another file overwritten.
    let _ = std::fs::remove_file(&neighbour);
    let written = File::create_new(&neighbour)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&neighbour, path));
    written.map_err(|source| {
        // Best effort: the failure to tell is the first one.
        let _ = std::fs::remove_file(&neighbour);
        Failure::File { path: path.to_owned(), source }
    })
}

/// Whether a file may be written here, by whoever does that itself.
#[cfg(feature = "store")]
pub(crate) fn may_replace(path: &Path) -> Result<()> {
    if is_private_key(path) { Err(Failure::Exists { path: path.to_owned() }) } else { Ok(()) }
}

fn is_private_key(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    read.is_ok() && head.starts_with(b"-----BEGIN") && String::from_utf8_lossy(&head).contains("PRIVATE KEY")
}

/// Makes a file that did not exist, readable by its owner alone if it is secret.
pub(crate) fn create_new(path: &Path, bytes: impl AsRef<[u8]>, secret: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o644 });
    let file =
        options.open(path).and_then(|mut file| file.write_all(bytes.as_ref()).and_then(|()| file.sync_all()));
    file.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Exists { path: path.to_owned() },
        _ => Failure::File { path: path.to_owned(), source },
    })
}

/// Makes a folder that only its owner may look into, and those above it.
#[cfg(feature = "store")]
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| Failure::File { path: path.to_owned(), source })
}

/// Reads a file of moderate size whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Failure::File { path: path.to_owned(), source })
}

/// The signing keys in these files.
pub(crate) fn keys(paths: &[PathBuf]) -> Result<Vec<SigningKey>> {
    let key = |path: &PathBuf| Ok(SigningKey::from_file(path).map_err(tilemark::Error::from)?);
    paths.iter().map(key).collect()
}

/// The trust that `--trust` names, or else the `trust` file in the state directory.
pub(crate) fn trust(path: Option<&Path>) -> Result<Trust> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => {
            let default = Home::from_env()?.path().join("trust");
            if !default.exists() {
                return Err(Failure::usage(
                    "whom to trust is not said",
                    format!("give --trust with the vendor's public key, or put one at {}", default.display()),
                ));
            }
            default
        }
    };
    Ok(Trust::from_file(path).map_err(tilemark::Error::from)?)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_link_beside_an_output_is_not_written_through() {
        let folder = tilemark_testkit::temp::TempFolder::new();
        let [victim, output] = ["victim", "output"].map(|name| folder.path().join(name));
        std::fs::write(&victim, "precious").unwrap();
        let neighbour = folder.path().join(format!("output.{}.tmp", std::process::id()));
        std::os::unix::fs::symlink(&victim, neighbour).unwrap();
        write(&output, b"content").unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert_eq!(std::fs::read(&output).unwrap(), b"content");
    }
}
