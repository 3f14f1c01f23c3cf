//! The labels file: UTF-8 text, one label a line, in the order of the classes.

use crate::error::{Error, Result};
use crate::limits::{MAX_LABEL_BYTES, MAX_LABELS_BYTES};

/// The names of a model's classes.
#[derive(Debug)]
pub(crate) struct Labels(Vec<String>);

impl Labels {
    /// Reads a labels file. A byte order mark, carriage returns and one final line end are accepted; a blank line
    /// is a class without a name.
    pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let wrong = |message: String| Error::Labels { file: file.to_owned(), message };
        if bytes.len() > MAX_LABELS_BYTES {
            return Err(wrong(format!("{} bytes found, at most {MAX_LABELS_BYTES} expected", bytes.len())));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|e| wrong(format!("not UTF-8 after byte {}, UTF-8 text expected", e.valid_up_to())))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut names = Vec::new();
        for (i, line) in text.lines().enumerate() {
            if line.len() > MAX_LABEL_BYTES {
                let found = line.len();
                return Err(wrong(format!(
                    "line {} has {found} bytes, at most {MAX_LABEL_BYTES} expected",
                    i + 1
                )));
            }
            // They end up on terminals and in logs.
            if line.chars().any(char::is_control) {
                return Err(wrong(format!("line {} has a control character, plain text expected", i + 1)));
            }
            names.push(line.to_owned());
        }
        if names.is_empty() {
            return Err(wrong("no line found, one per class expected".to_owned()));
        }
        Ok(Self(names))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_names(self) -> Vec<String> {
        self.0
    }

    /// The name of class `index`; empty beyond the last.
    pub(crate) fn name(&self, index: usize) -> &str {
        self.0.get(index).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_labels() {
        let labels = Labels::parse("l", "\u{feff}cat\r\ndog\n\nK\u{e4}se\n".as_bytes()).unwrap();
        assert_eq!(labels.0, ["cat", "dog", "", "Käse"]);
        assert_eq!((labels.name(1), labels.name(9)), ("dog", ""));
    }

    #[test]
    fn malformed_files_are_refused() {
        let long = vec![b'x'; MAX_LABEL_BYTES + 1];
        let large = vec![b'\n'; MAX_LABELS_BYTES + 1];
        let cases: [(&[u8], &str); 5] = [
            (b"", "no line"),
            (b"cat\xff", "not UTF-8 after byte 3"),
            (b"cat\n\x1b[31mdog", "line 2 has a control character"),
            (&long, "line 1 has 1025 bytes"),
            (&large, "4194305 bytes"),
        ];
        for (bytes, expected) in cases {
            let Err(Error::Labels { message, .. }) = Labels::parse("l", bytes) else { panic!("{expected}") };
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
