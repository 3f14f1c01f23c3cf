//! The folder that a site is written into.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tilemark_bundle::AppName;

use crate::client::{create_dirs, read_bounded};
use crate::error::{Error, Result, io};

/// A folder of ours, and what was done in it.
pub(super) struct Folder {
    root: PathBuf,
    pub(super) written: usize,
    pub(super) unchanged: usize,
}

/// What tells a folder that was made here from any other: written before anything else.
const MARK: &str = "tilemark-site.json";
const MARK_TEXT: &str = "{\"schema\":1,\"made_by\":\"tilemark store site\"}\n";

impl Folder {
    /// A folder that does not exist yet, is empty, or was made here.
    ///
    /// # Errors
    /// [`Error::NotASite`], [`Error::Io`].
    pub(super) fn open(root: &Path) -> Result<Self> {
        create_dirs(root)?;
        let mark = root.join(MARK);
        let found = read_bounded(&mark, MARK_TEXT.len() as u64).ok().flatten();
        if found.as_deref() != Some(MARK_TEXT.as_bytes()) {
            let empty = fs::read_dir(root).map_err(io("list", root))?.next().is_none();
            if !empty {
                return Err(Error::NotASite { path: root.to_owned() });
            }
            fs::write(&mark, MARK_TEXT).map_err(io("write", &mark))?;
        }
        Ok(Self { root: root.to_owned(), written: 0, unchanged: 0 })
    }

    /// Writes a file whole, unless it has these bytes already: who serves or copies the folder sees only what changed.
    pub(super) fn put(&mut self, relative: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(relative);
        let same = fs::metadata(&path)
            .is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64)
            && fs::read(&path).is_ok_and(|found| found == bytes);
        if same {
            self.unchanged += 1;
            return Ok(());
        }
        // Not synced: what a crash leaves is put right by the next call, and 100,000 pages would take hours.
        let new = self.root.join(format!("{relative}.new"));
        let write = || fs::write(&new, bytes).and_then(|()| fs::rename(&new, &path));
        let written = match write() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                create_dirs(path.parent().unwrap_or(&self.root))?;
                write()
            }
            written => written,
        };
        written.map_err(io("write", &path))?;
        self.written += 1;
        Ok(())
    }

    /// The apps that have a page.
    pub(super) fn apps(&self) -> Result<BTreeSet<AppName>> {
        let mut apps = BTreeSet::new();
        for publisher in names(&self.root.join("apps"))? {
            for file in names(&self.root.join("apps").join(&publisher))? {
                let name = file.strip_suffix(".html").map(|name| format!("{publisher}/{name}"));
                apps.extend(name.and_then(|name| name.parse().ok()));
            }
        }
        Ok(apps)
    }

    /// Removes the files of a numbered series from `first` on.
    pub(super) fn cut(&self, folder: &str, first: usize, extension: &str) -> Result<()> {
        for name in names(&self.root.join(folder))? {
            let number = name.strip_suffix(extension).and_then(|number| number.parse::<usize>().ok());
            if number.is_some_and(|number| number >= first) {
                let path = self.root.join(folder).join(name);
                fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// The names in a folder; none in one that is not there.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(io("list", folder))?,
    };
    let name = |entry: std::io::Result<fs::DirEntry>| {
        Ok(entry.map_err(io("list", folder))?.file_name().to_str().map(str::to_owned))
    };
    entries.filter_map(|entry| name(entry).transpose()).collect()
}
