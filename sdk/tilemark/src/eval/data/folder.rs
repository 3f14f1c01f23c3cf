//! Folders of samples: one folder a class, text files beside pictures, or `images` beside `masks` or `targets`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Classes, Kind, MAX_SAMPLES, Sample, Truth, wrong};
use crate::error::Error;

/// Endings of what apps take; other files are not looked at.
const INPUTS: &[&str] = &["jpg", "jpeg", "png", "bmp", "webp", "wav"];
/// Folders within folders.
const MAX_DEPTH: usize = 16;

pub(super) fn read(path: &Path, kind: Kind, classes: &Classes) -> Result<Vec<Sample>, Error> {
    match kind {
        Kind::Class => by_class(path, classes),
        Kind::Text => with_texts(path),
        Kind::Picture => with_pictures(path),
        Kind::Things => Err(wrong(path, "boxes are expected, which a COCO file (.json) has")),
    }
}

fn by_class(path: &Path, classes: &Classes) -> Result<Vec<Sample>, Error> {
    let mut samples = Vec::new();
    let mut unknown = Vec::new();
    for (name, folder) in entries(path)?.into_iter().filter(|(_, path)| path.is_dir()) {
        match classes.find(&name) {
            Some(class) => {
                let truth = Truth::Class(class, name.clone());
                for file in inputs(&folder, &name, 0)? {
                    samples.push(Sample { name: file, truth: truth.clone() });
                }
            }
            None => unknown.push(name),
        }
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
    Ok(samples)
}

fn with_texts(path: &Path) -> Result<Vec<Sample>, Error> {
    let missing = "a text file of the same name, ending in .txt, is expected beside";
    let sample = |name: String| {
        let text = with_ending(&name, "txt");
        if !path.join(&text).is_file() {
            return Err(wrong(path, format!("{missing} {name}")));
        }
        Ok(Sample { name, truth: Truth::TextFile(text) })
    };
    inputs(path, "", 0)?.into_iter().map(sample).collect()
}

fn with_pictures(path: &Path) -> Result<Vec<Sample>, Error> {
    let targets = ["masks", "targets"].into_iter().find(|name| path.join(name).is_dir());
    let (Some(targets), true) = (targets, path.join("images").is_dir()) else {
        return Err(wrong(path, "a folder `images` is expected, and beside it `masks` or `targets`"));
    };
    let stem = |name: &str| with_ending(name, "").trim_end_matches('.').to_owned();
    let found = inputs(&path.join(targets), "", 0)?;
    let by_stem: BTreeMap<String, String> = found.into_iter().map(|name| (stem(&name), name)).collect();
    let sample = |name: String| {
        let target = by_stem.get(&stem(&name));
        let target =
            target.ok_or_else(|| wrong(path, format!("{targets} has no picture for images/{name}")))?;
        Ok(Sample { name: format!("images/{name}"), truth: Truth::Picture(format!("{targets}/{target}")) })
    };
    inputs(&path.join("images"), "", 0)?.into_iter().map(sample).collect()
}

fn with_ending(name: &str, ending: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("{stem}.{ending}")
}

/// Files that may be inputs, below a folder, by name.
pub(super) fn files_below(folder: &Path) -> Result<Vec<String>, Error> {
    inputs(folder, "", 0)
}

/// Files that may be inputs, below a folder, by name; each name begins with `prefix`.
fn inputs(folder: &Path, prefix: &str, depth: usize) -> Result<Vec<String>, Error> {
    if depth > MAX_DEPTH {
        return Err(wrong(folder, format!("more than {MAX_DEPTH} folders within each other")));
    }
    let mut names = Vec::new();
    for (name, path) in entries(folder)? {
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if path.is_dir() {
            names.extend(inputs(&path, &name, depth + 1)?);
            continue;
        }
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        if ending.is_some_and(|ending| INPUTS.contains(&ending.as_str())) {
            names.push(name);
        }
        if names.len() > MAX_SAMPLES {
            return Err(wrong(folder, format!("more than {MAX_SAMPLES} samples")));
        }
    }
    Ok(names)
}

/// What is in a folder, by name, but for what is hidden.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(wrong(&path, "its name is not UTF-8"));
        };
        if !name.starts_with('.') {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
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
        set.samples().iter().map(|sample| sample.name.as_str()).collect()
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
        let cases: [(&[&str], Kind, &str); 6] = [
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
}
