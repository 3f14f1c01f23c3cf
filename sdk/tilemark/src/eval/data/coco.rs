//! COCO's object detection file: `images`, `annotations` with boxes, `categories`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tilemark_bundle::sha256;

use super::{Classes, Kind, Sample, Truth, check_count, check_name, merkle, read_manifest, wrong};
use crate::error::Error;
use crate::eval::metric::detect::Thing;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

/// Reads a file; images in the order of their ids, as `pycocotools` takes them. Where the app has no list of its classes, they are
/// the file's categories.
pub(super) fn read(path: &Path, kind: Kind, classes: &Classes) -> Result<(Vec<Sample>, Classes), Error> {
    if kind != Kind::Things {
        return Err(wrong(path, "this metric is not of boxes: a folder or a manifest.csv is expected"));
    }
    let file: File = serde_json::from_slice(&read_manifest(path)?)
        .map_err(|error| wrong(path, format!("not COCO's object detection form: {error}")))?;
    let classes = match classes.count() {
        0 => Classes::new(file.categories.iter().map(|category| category.name.clone()).collect()),
        _ => classes.clone(),
    };
    let mut numbers = BTreeMap::new();
    for category in &file.categories {
        let number = classes.find(&category.name).ok_or_else(|| {
            wrong(path, format!("the app finds no `{}`, only {}", category.name, classes.some()))
        })?;
        if numbers.insert(category.id, (number, category.name.as_str())).is_some() {
            return Err(wrong(path, format!("category {} is there twice", category.id)));
        }
    }
    let mut images: BTreeMap<u64, Labelled> = BTreeMap::new();
    check_count(path, file.images.len())?;
    for image in file.images {
        let at = |reason| wrong(path, format!("image {}: {reason}", image.id));
        let name = check_name(&image.file_name).map_err(at)?;
        if images.insert(image.id, Labelled { name, things: Vec::new(), said: Vec::new() }).is_some() {
            return Err(wrong(path, format!("image {} is there twice", image.id)));
        }
    }
    for (at, annotation) in file.annotations.iter().enumerate() {
        let lacks = |what: &str, id: u64| wrong(path, format!("annotation {at}: there is no {what} {id}"));
        let (class, name) =
            *numbers.get(&annotation.category_id).ok_or_else(|| lacks("category", annotation.category_id))?;
        let image = images.get_mut(&annotation.image_id);
        let image = image.ok_or_else(|| lacks("image", annotation.image_id))?;
        let frame = annotation.bbox;
        if !frame.iter().all(|side| side.is_finite()) || frame[2] < 0.0 || frame[3] < 0.0 {
            return Err(wrong(
                path,
                format!("annotation {at}: {frame:?} is no box [left, top, width, height]"),
            ));
        }
        image.add(Thing { class, frame, crowd: annotation.iscrowd != 0 }, name);
    }
    Ok((images.into_values().map(Labelled::sample).collect(), classes))
}

/// An image and what is on it.
struct Labelled {
    name: Box<str>,
    things: Vec<Thing>,
    /// The same by the file's names, which are the same for every app.
    said: Vec<u8>,
}

impl Labelled {
    fn add(&mut self, thing: Thing, category: &str) {
        merkle::field(&mut self.said, category.as_bytes());
        self.said.extend(thing.frame.iter().flat_map(|side| side.to_le_bytes()));
        self.said.push(thing.crowd.into());
        self.things.push(thing);
    }

    fn sample(self) -> Sample {
        Sample { name: self.name, truth: Truth::Things(Box::new((self.things, sha256(&self.said)))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Sample>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coco.json");
        std::fs::write(&path, text).unwrap();
        let classes = Classes::new(vec!["cat".into(), "dog".into()]);
        read(&path, Kind::Things, &classes).map(|(samples, _)| samples).map_err(|error| error.to_string())
    }

    #[test]
    fn boxes_belong_to_their_images() {
        let text = r#"{"info": {}, "images": [{"id": 9, "file_name": "b.png", "width": 5}, {"id": 2, "file_name": "a.png"}],
            "annotations": [{"id": 1, "image_id": 9, "category_id": 7, "bbox": [1, 2, 3.5, 4], "area": 14, "iscrowd": 1}],
            "categories": [{"id": 7, "name": "Dog"}]}"#;
        let samples = read_text(text).unwrap();
        let none = Truth::Things(Box::new((vec![], sha256(b""))));
        assert_eq!(samples[0], Sample { name: "a.png".into(), truth: none });
        let thing = Thing { class: 1, frame: [1.0, 2.0, 3.5, 4.0], crowd: true };
        let Truth::Things(things) = &samples[1].truth else { panic!("boxes") };
        assert_eq!((&*samples[1].name, things.0.as_slice()), ("b.png", &[thing][..]));
        // The same labels for an app with its classes in another order.
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("coco.json"), text).unwrap();
        let other = Classes::new(vec!["dog".into(), "cat".into()]);
        let (other, _) = read(&folder.path().join("coco.json"), Kind::Things, &other).unwrap();
        let said = |sample: &Sample| match &sample.truth {
            Truth::Things(things) => things.1,
            other => panic!("boxes, not {other:?}"),
        };
        assert_ne!(other[1].truth, samples[1].truth);
        assert_eq!(said(&other[1]), said(&samples[1]));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let file = |images: &str, annotations: &str, categories: &str| {
            format!(
                r#"{{"images": [{images}], "annotations": [{annotations}], "categories": [{categories}]}}"#
            )
        };
        let (image, dog) = (r#"{"id": 1, "file_name": "a.png"}"#, r#"{"id": 7, "name": "dog"}"#);
        let cases = [
            ("{}".to_owned(), "missing field `images`"),
            (file(image, "", r#"{"id": 1, "name": "bird"}"#), "the app finds no `bird`, only cat, dog"),
            (file(&format!("{image},{image}"), "", dog), "image 1 is there twice"),
            (
                file(image, r#"{"image_id": 3, "category_id": 7, "bbox": [0,0,1,1]}"#, dog),
                "there is no image 3",
            ),
            (
                file(image, r#"{"image_id": 1, "category_id": 3, "bbox": [0,0,1,1]}"#, dog),
                "there is no category 3",
            ),
            (file(image, r#"{"image_id": 1, "category_id": 7, "bbox": [0,0,-1,1]}"#, dog), "is no box"),
            (file(image, r#"{"image_id": 1, "category_id": 7, "bbox": [0,0,1,1e999]}"#, dog), "out of range"),
            (file(image, r#"{"image_id": 1, "category_id": 7, "bbox": [NaN,0,1,1]}"#, dog), "not COCO's"),
            (file(image, r#"{"image_id": 1, "category_id": 7, "bbox": [0,0,1]}"#, dog), "not COCO's"),
            (file(image, r#"{"image_id": -1, "category_id": 7, "bbox": [0,0,1,1]}"#, dog), "not COCO's"),
            (
                file(r#"{"id": 1, "file_name": "../a.png"}"#, "", dog),
                "image 1: `../a.png` is no file below its folder",
            ),
        ];
        for (text, expected) in cases {
            let error = read_text(&text).unwrap_err();
            assert!(error.contains(expected), "{error}, expected {expected}");
        }
    }
}
