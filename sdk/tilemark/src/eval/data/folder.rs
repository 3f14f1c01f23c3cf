//! Folders of samples: one folder a class, text files beside pictures, or `images` beside `masks` or `targets`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Classes, Kind, MAX_SAMPLES, Sample, Truth, check_count, wrong};
use crate::error::Error;

/// Endings of what apps take; other files are not looked at.
const INPUTS: &[&str] = &["jpg", "jpeg", "png", "bmp", "webp", "wav"];
/// Folders within folders.
const MAX_DEPTH: usize = 16;
/// Files and folders of any kind: links can make few of them look like very many.
const MAX_ENTRIES: usize = 4 * MAX_SAMPLES;
/// Names that an error has.
const NAMED: usize = 5;

pub(super) fn read(path: &Path, kind: Kind, classes: &Classes) -> Result<Vec<Sample>, Error> {
    match kind {
        Kind::Class => by_class(path, classes),
        Kind::Text => with_texts(path),
        Kind::Picture => with_pictures(path),
        Kind::Things => Err(wrong(path, "boxes are expected, which a COCO file (.json) has")),
    }
}

fn by_class(path: &Path, classes: &Classes) -> Result<Vec<Sample>, Error> {
    let (mut samples, mut unknown, mut unlabelled) = (Vec::new(), Vec::new(), Vec::new());
    for Entry { name, is_folder } in entries(path)? {
        if !is_folder {
            unlabelled.extend(is_input(&name).then_some(name));
            continue;
        }
        let Some(class) = classes.find(&name) else {
            unknown.push(name);
            continue;
        };
        let truth = Truth::Class(class, Arc::from(name.as_str()));
        let files = inputs(&path.join(&name), &name)?;
        samples.extend(files.into_iter().map(|name| Sample { name: name.into(), truth: truth.clone() }));
        check_count(path, samples.len())?;
    }
    if !unknown.is_empty() {
        let (found, known) = (unknown.join(", "), classes.some());
        return Err(wrong(
            path,
            format!("folders that no class of the app is called: {found}; its classes: {known}"),
        ));
    }
    if samples.is_empty() {
        return Err(wrong(path, "one folder for each class is expected, with pictures or sounds in it"));
    }
    if !unlabelled.is_empty() {
        return Err(wrong(
            path,
            format!("without a label, since in no class's folder: {}", some(&unlabelled)),
        ));
    }
    Ok(samples)
}

/// The first of many names, and how many more there are.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn with_texts(path: &Path) -> Result<Vec<Sample>, Error> {
    let missing = "a text file of the same name, ending in .txt, is expected beside";
    let sample = |name: String| {
        let text = with_ending(&name, "txt");
        if !path.join(&text).is_file() {
            return Err(wrong(path, format!("{missing} {name}")));
        }
        Ok(Sample { name: name.into(), truth: Truth::TextFile(text.into()) })
    };
    inputs(path, "")?.into_iter().map(sample).collect()
}

fn with_pictures(path: &Path) -> Result<Vec<Sample>, Error> {
    let targets = ["masks", "targets"].into_iter().find(|name| path.join(name).is_dir());
    let (Some(targets), true) = (targets, path.join("images").is_dir()) else {
        return Err(wrong(path, "a folder `images` is expected, and beside it `masks` or `targets`"));
    };
    let stem = |name: &str| with_ending(name, "").trim_end_matches('.').to_owned();
    let mut by_stem: BTreeMap<String, String> = BTreeMap::new();
    for name in inputs(&path.join(targets), "")? {
        if let Some(other) = by_stem.insert(stem(&name), name.clone()) {
            return Err(wrong(path, format!("{targets}/{other} and {targets}/{name} are for one picture")));
        }
    }
    let sample = |name: String| {
        let target = by_stem.get(&stem(&name));
        let target =
            target.ok_or_else(|| wrong(path, format!("{targets} has no picture for images/{name}")))?;
        let truth = Truth::Picture(format!("{targets}/{target}").into());
        Ok(Sample { name: format!("images/{name}").into(), truth })
    };
    inputs(&path.join("images"), "")?.into_iter().map(sample).collect()
}

fn with_ending(name: &str, ending: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("{stem}.{ending}")
}

/// Files that may be inputs, below a folder, by name.
pub(super) fn files_below(folder: &Path) -> Result<Vec<String>, Error> {
    inputs(folder, "")
}

/// Files that may be inputs, below a folder, by name; each name begins with `prefix`.
fn inputs(folder: &Path, prefix: &str) -> Result<Vec<String>, Error> {
    let mut walk = Walk::default();
    walk.down(folder, prefix)?;
    Ok(walk.names)
}

fn is_input(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| INPUTS.contains(&ending.as_str()))
}

/// A walk through folders within folders, which links may make endless.
#[derive(Default)]
struct Walk {
    names: Vec<String>,
    /// Where it is, without links, and every folder above.
    within: Vec<PathBuf>,
    seen: usize,
}

impl Walk {
    fn down(&mut self, folder: &Path, prefix: &str) -> Result<(), Error> {
        let io = |source| Error::Io { path: folder.to_owned(), source };
        let here = folder.canonicalize().map_err(io)?;
        if self.within.contains(&here) {
            return Err(wrong(folder, format!("a link back to {}, which it is in", here.display())));
        }
        if self.within.len() > MAX_DEPTH {
            return Err(wrong(folder, format!("more than {MAX_DEPTH} folders within each other")));
        }
        self.within.push(here);
        for Entry { name, is_folder } in entries(folder)? {
            self.seen += 1;
            if self.names.len() > MAX_SAMPLES || self.seen > MAX_ENTRIES {
                return Err(wrong(
                    folder,
                    format!("more than {MAX_SAMPLES} samples, or {MAX_ENTRIES} files"),
                ));
            }
            let below = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if is_folder {
                self.down(&folder.join(&name), &below)?;
            } else if is_input(&name) {
                self.names.push(below);
            }
        }
        self.within.pop();
        Ok(())
    }
}

/// What is in a folder.
struct Entry {
    name: String,
    /// Or a link to one.
    is_folder: bool,
}

/// What is in a folder, by name, but for what is hidden.
fn entries(folder: &Path) -> Result<Vec<Entry>, Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(wrong(&entry.path(), "its name is not UTF-8"));
        };
        if name.starts_with('.') {
            continue;
        }
        if name.chars().any(char::is_control) {
            return Err(wrong(
                folder,
                format!("`{}` has control characters in its name", name.escape_default()),
            ));
        }
        let kind = entry.file_type().map_err(io)?;
        let is_folder = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
        found.push(Entry { name: name.to_owned(), is_folder });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::Dataset;
    use super::*;

    fn set(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        folder
    }

    fn open(folder: &tempfile::TempDir, kind: Kind) -> Result<Dataset, String> {
        let classes = Classes::new(["cat", "big dog"].map(str::to_owned).to_vec());
        Dataset::open(folder.path(), kind, &classes).map_err(|error| error.to_string())
    }

    fn names(set: &Dataset) -> Vec<&str> {
        set.samples().iter().map(|sample| &*sample.name).collect()
    }

    #[test]
    fn a_folder_a_class_is_read_by_name_and_digested() {
        let files = ["cat/b.png", "cat/a.JPG", "Big_Dog/deep/c.wav", "cat/notes.txt", "cat/.hidden.png"];
        let folder = set(&files);
        let found = open(&folder, Kind::Class).unwrap();
        assert_eq!(names(&found), ["Big_Dog/deep/c.wav", "cat/a.JPG", "cat/b.png"]);
        assert_eq!(found.samples()[0].truth, Truth::Class(1, "Big_Dog".into()));
        let loaded = found.load(&found.samples()[1]).unwrap();
        assert_eq!(
            (loaded.bytes.as_slice(), &loaded.content),
            (&b"cat/a.JPG"[..], &super::super::Content::None)
        );
        let before = found.outline();
        std::fs::rename(folder.path().join("cat/a.JPG"), folder.path().join("Big_Dog/a.JPG")).unwrap();
        let other = open(&folder, Kind::Class).unwrap();
        assert_ne!(other.outline(), before);
        let swapped = other.samples().iter().find(|sample| sample.name.ends_with("a.JPG")).unwrap();
        assert_ne!(other.load(swapped).unwrap().leaf, loaded.leaf);
    }

    #[test]
    fn texts_and_masks_are_found_beside_their_pictures() {
        let found = open(&set(&["a.png", "a.txt", "x/b.png", "x/b.txt"]), Kind::Text).unwrap();
        assert_eq!(found.samples()[1].truth, Truth::TextFile("x/b.txt".into()));
        let found = open(&set(&["images/a.jpg", "masks/a.png"]), Kind::Picture).unwrap();
        assert_eq!(
            found.samples()[0],
            Sample { name: "images/a.jpg".into(), truth: Truth::Picture("masks/a.png".into()) }
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let cases: [(&[&str], Kind, &str); 9] = [
            (&["cat/a.png", "b.png"], Kind::Class, "without a label, since in no class's folder: b.png"),
            (
                &["images/a.png", "masks/a.png", "masks/a.jpg"],
                Kind::Picture,
                "masks/a.jpg and masks/a.png are for",
            ),
            (&["cat/a\n.png"], Kind::Class, "`a\\n.png` has control characters"),
            (&["bird/a.png"], Kind::Class, "no class of the app is called: bird; its classes: cat, big dog"),
            (&["a.png"], Kind::Class, "one folder for each class is expected"),
            (&["a.png"], Kind::Text, "is expected beside a.png"),
            (&["images/a.png", "masks/b.png"], Kind::Picture, "masks has no picture for images/a.png"),
            (&["a.png"], Kind::Picture, "a folder `images` is expected"),
            (&["a.png"], Kind::Things, "COCO"),
        ];
        for (files, kind, expected) in cases {
            let error = open(&set(files), kind).unwrap_err();
            assert!(error.contains(expected), "{error}, expected {expected}");
        }
    }

    #[test]
    fn a_folder_may_be_called_in_another_case() {
        let found = open(&set(&["CAT/a.png", "big dog/b.png"]), Kind::Class).unwrap();
        assert_eq!(found.samples()[0].truth, Truth::Class(0, "CAT".into()));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_back_are_told_instead_of_followed() {
        use std::os::unix::fs::symlink;
        let folder = set(&["cat/a.png"]);
        // A link to a file or to another folder is as good as what it leads to.
        symlink(folder.path().join("cat/a.png"), folder.path().join("cat/b.png")).unwrap();
        assert_eq!(names(&open(&folder, Kind::Class).unwrap()), ["cat/a.png", "cat/b.png"]);
        for at in 0..10 {
            symlink(folder.path(), folder.path().join(format!("cat/loop{at}"))).unwrap();
        }
        let error = open(&folder, Kind::Class).unwrap_err();
        assert!(error.contains("cat/loop0/cat: a link back to"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_no_sample_that_anybody_waits_for() {
        let folder = set(&["cat/a.png"]);
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("cat/b.png")).status();
        if !made.is_ok_and(|status| status.success()) {
            return eprintln!("skipped: there is no mkfifo");
        }
        let found = open(&folder, Kind::Class).unwrap();
        let error = found.load(&found.samples()[1]).unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
    }

    #[test]
    fn a_label_of_a_gigabyte_is_not_read() {
        let folder = set(&["a.png", "a.txt"]);
        let label = std::fs::File::create(folder.path().join("a.txt")).unwrap();
        label.set_len(1 << 30).unwrap(); // sparse
        let found = open(&folder, Kind::Text).unwrap();
        let error = found.load(&found.samples()[0]).unwrap_err().to_string();
        assert!(error.contains("a text of 1073741824 bytes"), "{error}");
    }
}
