//! Where a command that runs for hours writes: looked at before it runs, so that nothing is lost at its end.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// As much of a file as tells what it is.
const HEAD_BYTES: u64 = 1 << 22;

/// Files that a command reads and writes, by the options that name them.
#[derive(Default)]
pub(crate) struct Outputs<'p> {
    read: Vec<(&'static str, &'p Path)>,
    written: Vec<(&'static str, &'p Path)>,
}

impl<'p> Outputs<'p> {
    /// Files that are read, where they are named.
    pub(crate) fn reads(mut self, named: &[(&'static str, Option<&'p PathBuf>)]) -> Self {
        self.read.extend(named.iter().filter_map(|(option, path)| Some((*option, path.as_ref()?.as_path()))));
        self
    }

    /// A file that is written, where it is named. What is there may be written over if it is `ours`, as its first bytes tell.
    ///
    /// # Errors
    /// [`Failure::Usage`] if it is the file of another option, or no file can be there; [`Failure::Exists`] if something else is there.
    pub(crate) fn writes(
        mut self,
        option: &'static str,
        path: Option<&'p PathBuf>,
        ours: impl Fn(&[u8]) -> bool,
    ) -> Result<Self> {
        let Some(path) = path else { return Ok(self) };
        let place = place(path).ok_or_else(|| {
            let folder = path.parent().unwrap_or(path).display().to_string();
            Failure::usage(
                format!("{option} {}: there is no folder {folder}", path.display()),
                "make the folder first",
            )
        })?;
        let others = self.read.iter().chain(&self.written);
        if let Some((other, _)) =
            others.clone().find(|(_, other)| self::place(other).as_ref() == Some(&place))
        {
            return Err(Failure::usage(
                format!("{option} and {other} name the same file, {}", path.display()),
                "give each its own",
            ));
        }
        match std::fs::metadata(&place) {
            Ok(found) if !found.is_file() => {
                let message = format!("{option} {}: a file cannot be there", path.display());
                return Err(Failure::usage(message, "name a file that is not there yet"));
            }
            Ok(found) if found.len() > 0 && !head(&place).is_some_and(|head| ours(&head)) => {
                return Err(Failure::Exists { path: path.clone() });
            }
            _ => {}
        }
        self.written.push((option, path));
        Ok(self)
    }
}

/// A file's one name: links followed, where it is there; else that of its folder. `None` where there is no such folder.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(place) = path.canonicalize() {
        return Some(place);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_not_two_whatever_it_is_called() {
        let folder = tilemark_testkit::temp::TempFolder::new();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("below")).unwrap();
        std::fs::write(at("data.csv"), "file,label\n").unwrap();
        let ours = |bytes: &[u8]| bytes.starts_with(b"ours");
        let failure = |read: &PathBuf, written: &[(&'static str, &PathBuf)]| {
            let outputs = Outputs::default().reads(&[("--data", Some(read))]);
            let all =
                written.iter().try_fold(outputs, |all, (option, path)| all.writes(option, Some(path), ours));
            all.err().map(|failure| failure.to_string())
        };
        let (data, one, other) = (at("data.csv"), at("a.html"), at("below/../a.html"));
        let found = failure(&data, &[("--html", &one), ("--report", &other)]).unwrap();
        assert!(found.contains("--report and --html name the same file"), "{found}");
        let found = failure(&data, &[("--html", &at("below/../data.csv"))]).unwrap();
        assert!(found.contains("--html and --data name the same file"), "{found}");
        let found = failure(&data, &[("--html", &at("nowhere/a.html"))]).unwrap();
        assert!(found.contains("there is no folder"), "{found}");
        let found = failure(&data, &[("--html", &at("below"))]).unwrap();
        assert!(found.contains("a file cannot be there"), "{found}");
        std::fs::write(&one, "my notes").unwrap();
        assert!(failure(&data, &[("--html", &one)]).unwrap().ends_with("exists already"));
        std::fs::write(&one, "ours, from yesterday").unwrap();
        assert_eq!(failure(&data, &[("--html", &one), ("--report", &at("b.json"))]), None);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&data, at("link")).unwrap();
            let found = failure(&data, &[("--html", &at("link"))]).unwrap();
            assert!(found.contains("--html and --data name the same file"), "{found}");
        }
    }
}
