//! `manifest.csv`: a heading, then one sample a line. Fields may be quoted as RFC 4180 says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Classes, Kind, MAX_TEXT_BYTES, Sample, Truth, check_count, check_name, read_manifest, wrong};
use crate::error::Error;

/// Fields of a line: a file that is no table at all has more.
const MAX_FIELDS: usize = 1000;

/// Reads a manifest: the column `file`, and `label`, `text`, `text_file` or `target`; other columns are not looked at.
pub(super) fn read(path: &Path, kind: Kind, classes: &Classes) -> Result<Vec<Sample>, Error> {
    let text = String::from_utf8(read_manifest(path)?).map_err(|_| wrong(path, "it is not UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut records = Records { rest: text, line: 1 };
    let heading = records.next().ok_or_else(|| wrong(path, "it is empty, a heading is expected"))?;
    let heading: Vec<String> = heading.1.map_err(|reason| wrong(path, format!("line 1: {reason}")))?;
    if let Some(twice) = (1..heading.len()).find(|at| heading[..*at].contains(&heading[*at])) {
        return Err(wrong(
            path,
            format!("line 1: the column `{}` is there twice", heading[twice].escape_default()),
        ));
    }
    let column = |names: &[&str]| heading.iter().position(|name| names.contains(&name.trim()));
    let (names, wanted): (&[&str], &str) = match kind {
        Kind::Class => (&["label", "class"], "`label`"),
        Kind::Text => (&["text", "text_file"], "`text` or `text_file`"),
        Kind::Picture => (&["target", "mask"], "`target` or `mask`"),
        Kind::Things => return Err(wrong(path, "boxes are expected, which a COCO file (.json) has")),
    };
    let (Some(file), Some(truth)) = (column(&["file"]), column(names)) else {
        let found = heading.join(", ");
        return Err(wrong(path, format!("line 1: columns `file` and {wanted} are expected, found {found}")));
    };
    let in_files = heading[truth].trim() == "text_file";
    let (mut samples, mut labels) = (Vec::new(), BTreeMap::new());
    for (line, fields) in records {
        let at = |reason: String| wrong(path, format!("line {line}: {reason}"));
        let name = |name: &str| check_name(name).map_err(at);
        let fields = fields.map_err(at)?;
        let (Some(file), Some(truth)) = (fields.get(file), fields.get(truth)) else {
            return Err(at(format!("{} fields, the heading has {}", fields.len(), heading.len())));
        };
        let truth = match kind {
            Kind::Class => {
                let unknown = || at(format!("`{truth}` is no class of the app: {}", classes.some()));
                let class = classes.find(truth).ok_or_else(unknown)?;
                // As many samples have one label, and it is in memory once.
                let label = labels.entry(truth.clone()).or_insert_with(|| Arc::from(truth.as_str()));
                Truth::Class(class, Arc::clone(label))
            }
            Kind::Text if in_files => Truth::TextFile(name(truth)?),
            Kind::Text => Truth::Text(truth.as_str().into()),
            Kind::Picture | Kind::Things => Truth::Picture(name(truth)?),
        };
        samples.push(Sample { name: name(file)?, truth });
        check_count(path, samples.len())?;
    }
    Ok(samples)
}

/// All lines of a file that holds something else than samples.
pub(super) fn table(path: &Path) -> Result<Vec<(usize, Vec<String>)>, Error> {
    let text = String::from_utf8(read_manifest(path)?).map_err(|_| wrong(path, "it is not UTF-8 text"))?;
    let records = Records { rest: text.strip_prefix('\u{feff}').unwrap_or(&text), line: 1 };
    let line = |(line, fields): (usize, Result<Vec<String>, String>)| match fields {
        Ok(fields) => Ok((line, fields)),
        Err(reason) => Err(wrong(path, format!("line {line}: {reason}"))),
    };
    records.map(line).collect()
}

/// Lines of a file as fields, each with its number; blank lines are left out.
struct Records<'t> {
    rest: &'t str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = (usize, Result<Vec<String>, String>);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = self.rest.strip_prefix('\n').or_else(|| self.rest.strip_prefix("\r\n")) {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        let fields = self.record();
        if fields.is_err() {
            self.rest = "";
        }
        Some((line, fields))
    }
}

impl<'t> Records<'t> {
    fn record(&mut self) -> Result<Vec<String>, String> {
        let mut fields = Vec::new();
        loop {
            let field = match self.rest.strip_prefix('"') {
                Some(rest) => self.quoted(rest)?,
                None => {
                    let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
                    let (field, rest) = self.rest.split_at(end);
                    self.rest = rest;
                    field.strip_suffix('\r').unwrap_or(field).to_owned()
                }
            };
            if field.len() > MAX_TEXT_BYTES || fields.len() == MAX_FIELDS {
                return Err(format!(
                    "a field of more than {MAX_TEXT_BYTES} bytes, or more than {MAX_FIELDS} fields"
                ));
            }
            fields.push(field);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            let end = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            match end {
                Some(rest) => (self.rest, self.line) = (rest, self.line + 1),
                None if self.rest.is_empty() => {}
                None => return Err("text after a closing quote, a comma is expected".to_owned()),
            }
            return Ok(fields);
        }
    }

    /// A field from behind its opening quote to its closing one.
    fn quoted(&mut self, mut rest: &'t str) -> Result<String, String> {
        let mut field = String::new();
        loop {
            let end = rest.find('"').ok_or("a quote is not closed")?;
            let (part, after) = rest.split_at(end);
            self.line += part.matches('\n').count();
            if field.len() + part.len() > MAX_TEXT_BYTES {
                return Err(format!("a quoted field of more than {MAX_TEXT_BYTES} bytes"));
            }
            field.push_str(part);
            match after.strip_prefix("\"\"") {
                Some(after) => {
                    field.push('"');
                    rest = after;
                }
                None => {
                    self.rest = after.strip_prefix('"').unwrap_or(after);
                    return Ok(field);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, kind: Kind) -> Result<Vec<Sample>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.csv");
        std::fs::write(&path, text).unwrap();
        let classes = Classes::new(["cat", "dog"].map(str::to_owned).to_vec());
        read(&path, kind, &classes).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_may_be_quoted_and_lines_end_in_any_way() {
        let text = "\u{feff}id,file,text\r\n1,a.png,\"one, \"\"two\"\"\nthree\"\r\n\n2,b/c.png,plain";
        let samples = read_text(text, Kind::Text).unwrap();
        let texts: Vec<_> = samples.iter().map(|sample| (&*sample.name, &sample.truth)).collect();
        let expected = [
            ("a.png", &Truth::Text("one, \"two\"\nthree".into())),
            ("b/c.png", &Truth::Text("plain".into())),
        ];
        assert_eq!(texts, expected);
        let classes = read_text("label,file\nDog,x.png\n0,y.png\n", Kind::Class).unwrap();
        assert_eq!(classes[0].truth, Truth::Class(1, "Dog".into()));
        assert_eq!(classes[1].truth, Truth::Class(0, "0".into()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let cases = [
            ("", Kind::Class, "a heading is expected"),
            ("file,name\n", Kind::Class, "columns `file` and `label` are expected, found file, name"),
            ("file,label\na.png,bird\n", Kind::Class, "line 2: `bird` is no class of the app: cat, dog"),
            ("file,label\na.png,cat\n\nb.png\n", Kind::Class, "line 4: 1 fields, the heading has 2"),
            ("file,text\na.png,\"open\n", Kind::Text, "line 2: a quote is not closed"),
            ("file,text\na.png,\"x\"y\n", Kind::Text, "line 2: text after a closing quote"),
            ("file,label\n../a.png,cat\n", Kind::Class, "line 2: `../a.png` is no file below its folder"),
            ("file,label\na/../../b.png,cat\n", Kind::Class, "is no file below its folder"),
            ("file,label\n.,cat\n", Kind::Class, "`.` is no file below its folder"),
            (
                "file,text_file\na.png,../b.txt\n",
                Kind::Text,
                "line 2: `../b.txt` is no file below its folder",
            ),
            ("file,label,file\n", Kind::Class, "line 1: the column `file` is there twice"),
            ("file,label\n/etc/x,cat\n", Kind::Class, "`/etc/x` is no file below its folder"),
        ];
        for (text, kind, expected) in cases {
            let error = read_text(text, kind).unwrap_err();
            assert!(error.contains(expected), "{error}, expected {expected}");
        }
    }

    #[test]
    fn lines_without_an_end_are_refused() {
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        for text in [
            format!("file,text\na.png,{long}\n"),
            format!("file,text\na.png,\"{long}\"\n"),
            format!("file,text\na.png,\"{}\"\n", "\"\"".repeat(MAX_TEXT_BYTES + 1)),
            format!("file,text\na.png{}\n", ",".repeat(MAX_FIELDS)),
        ] {
            let error = read_text(&text, Kind::Text).unwrap_err();
            assert!(error.contains("line 2: a ") && error.contains("more than"), "{error}");
        }
    }

    #[test]
    fn one_file_has_one_spelling() {
        let samples = read_text("file,label\n ./b//c.png ,cat\n", Kind::Class).unwrap();
        assert_eq!(&*samples[0].name, "b/c.png");
    }
}
