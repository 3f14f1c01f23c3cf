//! Files that survive a crash: after each call either the old or the new content is there, whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How long to wait for another process that holds a lock; each holds it for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The end of a file in which a line that a crash cut short is looked for; lines are shorter.
const TAIL_BYTES: u64 = 16 << 10;

/// Where a write has got to. Tests end the process at each; what is found afterwards must be whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// The bytes were handed to the system.
    Written,
    /// They are on the disk.
    Synced,
    /// The new file has taken the place of the old one.
    Renamed,
}

/// Told of every step of a write.
pub type Probe<'a> = &'a dyn Fn(Step);

/// Replaces the file at `path`, or makes it; `private` lets nobody but its owner read it. Whoever may write at the same time
/// holds a [`lock`].
///
/// # Errors
/// [`Error::Io`].
pub fn replace(path: &Path, bytes: &[u8], private: bool, probe: Probe<'_>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = create(&temporary, private)?;
        file.write_all(bytes)?;
        probe(Step::Written);
        file.sync_all()?;
        probe(Step::Synced);
        fs::rename(&temporary, path)?;
        probe(Step::Renamed);
        path.parent().map_or(Ok(()), sync_dir)
    };
    // On a full disk what was begun is in the way of everything else.
    write().inspect_err(|_| drop(fs::remove_file(&temporary))).map_err(io("write", path))
}

/// Adds a line to the end of a file, making it if it is not there. What a crash left of a line before goes: nobody was told that
/// it was written, and it must not run together with this one. Whoever may write at the same time holds a [`lock`].
///
/// # Errors
/// [`Error::Io`].
pub fn append_line(path: &Path, line: &[u8], private: bool, probe: Probe<'_>) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let new = !path.exists();
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(false);
        restrict(&mut options, private);
        let mut file = options.open(path)?;
        drop_cut_line(&mut file)?;
        file.write_all(&[line, b"\n"].concat())?;
        probe(Step::Written);
        file.sync_data()?;
        probe(Step::Synced);
        if new { path.parent().map_or(Ok(()), sync_dir) } else { Ok(()) }
    };
    write().map_err(io("write", path))
}

/// Bytes up to the end of the last line that ends.
#[must_use]
pub fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// Makes a directory that only its owner may look into, and those above it.
///
/// # Errors
/// [`Error::Io`].
pub fn make_private_dir(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io("make the directory", path))
}

/// Waits until no other process or thread holds the lock of the directory `dir`; it is held until the file is dropped, and
/// ends with the process that holds it, however that ends.
///
/// # Errors
/// [`Error::Io`], also when another process holds it for 10 seconds.
pub fn lock(dir: &Path) -> Result<File> {
    let (file, path) = open_lock(dir)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(io("lock", &path)(error.into())),
        }
    }
}

/// The same, made with its directory if it is not there, for those whose turns are as long as a download: it waits for as long as
/// that takes.
///
/// # Errors
/// [`Error::Io`].
pub fn wait_for_lock(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).map_err(io("make the directory", dir))?;
    let (file, path) = open_lock(dir)?;
    file.lock().map_err(io("lock", &path))?;
    Ok(file)
}

fn open_lock(dir: &Path) -> Result<(File, PathBuf)> {
    let path = dir.join("lock");
    let file = match File::options().create_new(true).write(true).open(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => open_regular(&path),
        made => made,
    };
    Ok((file.map_err(io("open", &path))?, path))
}

/// A file that is there, for writing. A link that somebody put in its place is not followed.
fn open_regular(path: &Path) -> std::io::Result<File> {
    let other =
        || std::io::Error::new(ErrorKind::InvalidInput, "it is no file of its own, but a link or a pipe");
    let seen = fs::symlink_metadata(path)?;
    if !seen.is_file() {
        return Err(other());
    }
    let file = File::options().write(true).open(path)?;
    // What was looked at is what was opened.
    match same_file(&seen, &file.metadata()?) {
        true => Ok(file),
        false => Err(other()),
    }
}

#[cfg(unix)]
fn same_file(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true // links are made by administrators there
}

/// Cuts a file after its last whole line, and goes there.
fn drop_cut_line(file: &mut File) -> std::io::Result<()> {
    let length = file.metadata()?.len();
    let start = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    (&*file).take(TAIL_BYTES).read_to_end(&mut tail)?;
    let end = start + whole_lines(&tail) as u64;
    if end < length {
        file.set_len(end)?;
    }
    file.seek(SeekFrom::Start(end)).map(|_| ())
}

/// A new file: what lies there is left of a crash, or a link that somebody put there to have another file overwritten.
fn create(path: &Path, private: bool) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    restrict(&mut options, private);
    options.open(path)
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, private: bool) {
    std::os::unix::fs::OpenOptionsExt::mode(options, if private { 0o600 } else { 0o644 });
}

#[cfg(not(unix))]
fn restrict(_options: &mut OpenOptions, _private: bool) {}

/// Makes what was renamed in a folder survive a loss of power.
///
/// # Errors
/// What the system says.
#[cfg(unix)]
pub fn sync_dir(dir: &Path) -> std::io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// Makes what was renamed in a folder survive a loss of power.
///
/// # Errors
/// What the system says.
#[cfg(not(unix))]
pub fn sync_dir(_dir: &Path) -> std::io::Result<()> {
    Ok(()) // directories cannot be opened as files there
}

pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_temporary_file_is_not_followed() {
        let dir = tempfile::TempDir::new().unwrap();
        let [victim, file] = ["victim", "file"].map(|name| dir.path().join(name));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("file.new")).unwrap();
        replace(&file, b"content", false, &|_| ()).unwrap();
        assert_eq!(
            (fs::read(&victim).unwrap(), fs::read(&file).unwrap()),
            (b"precious".into(), b"content".into())
        );
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
    }

    #[test]
    fn a_link_in_the_place_of_a_lock_is_not_followed() {
        let dir = tempfile::TempDir::new().unwrap();
        let victim = dir.path().join("victim");
        std::os::unix::fs::symlink(&victim, dir.path().join("lock")).unwrap();
        for there in [false, true] {
            assert!(lock(dir.path()).unwrap_err().to_string().contains("a link"), "{there}");
            assert_eq!(victim.exists(), there);
            wait_for_lock(dir.path()).unwrap_err();
            fs::write(&victim, "precious").unwrap();
        }
        fs::remove_file(dir.path().join("lock")).unwrap();
        drop(lock(dir.path()).unwrap());
        lock(dir.path()).unwrap();
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_no_temporary_file() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("file");
        fs::create_dir_all(file.join("full")).unwrap();
        replace(&file, b"content", false, &|_| ()).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
