use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{MAX_APP_NAME_PART_BYTES, MAX_BLOB_NAME_BYTES};
use crate::text::excerpt;
use crate::{Error, Result};

/// An app's name, `publisher/name`.
///
/// Each part is lower-case letters, digits and hyphens, begins and ends with a letter or digit, and has at most
/// [`MAX_APP_NAME_PART_BYTES`] bytes: safe as a file name, a registry path and a DNS label, one spelling each.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AppName {
    full: String,
    slash: usize,
}

impl AppName {
    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The part before the slash; the trust policy decides by it.
    #[must_use]
    pub fn publisher(&self) -> &str {
        self.full.get(..self.slash).unwrap_or_default()
    }

    /// The part after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.full.get(self.slash + 1..).unwrap_or_default()
    }
}

impl FromStr for AppName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason| Error::InvalidName { what: "app name", name: excerpt(text), reason };
        let slash = text.find('/').ok_or_else(|| refuse("it must be publisher/name"))?;
        let (publisher, name) = text.split_at(slash);
        check_name_part(publisher).map_err(refuse)?;
        check_name_part(name.get(1..).unwrap_or_default()).map_err(refuse)?;
        Ok(Self { full: text.into(), slash })
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.full)
    }
}

impl Serialize for AppName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.full)
    }
}

impl<'de> Deserialize<'de> for AppName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Checks the name of a publisher.
pub(crate) fn check_publisher(name: &str) -> Result<()> {
    check_name_part(name).map_err(|reason| Error::InvalidName {
        what: "publisher",
        name: excerpt(name),
        reason,
    })
}

/// Checks one part of an app name, such as a publisher.
pub(crate) fn check_name_part(part: &str) -> Result<(), &'static str> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    match part.as_bytes() {
        [] => Err("a part is empty"),
        bytes if bytes.len() > MAX_APP_NAME_PART_BYTES => Err("a part has more than 63 bytes"),
        bytes if !bytes.iter().all(|&c| inner(c)) => Err("only a-z, 0-9 and - are allowed, and one /"),
        [b'-', ..] | [.., b'-'] => Err("a part begins or ends with -"),
        _ if is_device_of_windows(part) => Err("Windows has a device of this name"),
        _ => Ok(()),
    }
}

/// Whether Windows opens a device where a file has this name, with whatever ending.
fn is_device_of_windows(name: &str) -> bool {
    let numbered =
        |stem| name.strip_prefix(stem).is_some_and(|digit| matches!(digit.as_bytes(), [b'0'..=b'9']));
    matches!(name, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// Checks a blob's name: segments of ASCII letters, digits, `.`, `_` and `-`, separated by `/`.
///
/// A name that passes is a safe relative path: not absolute, no `.` or `..`, no empty segment, none that
/// begins with `.` or `-` or ends with `.`.
///
/// # Errors
/// [`Error::InvalidName`] with the rule that is broken.
pub fn check_blob_name(name: &str) -> Result<()> {
    let refuse = |reason| Err(Error::InvalidName { what: "blob name", name: excerpt(name), reason });
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-' | b'/');
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > MAX_BLOB_NAME_BYTES {
        return refuse("it has more than 255 bytes");
    }
    if !name.bytes().all(allowed) {
        return refuse("only A-Z, a-z, 0-9, '.', '_', '-' and '/' are allowed");
    }
    for segment in name.split('/') {
        match segment.as_bytes() {
            [] => return refuse("a segment between slashes is empty"),
            [b'.' | b'-', ..] => return refuse("a segment begins with '.' or '-'"),
            [.., b'.'] => return refuse("a segment ends with '.'"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_or_look_like_others() {
        let hostile = [
            "../etc/x",
            "..",
            "a/..",
            "/a",
            "a//b",
            "a/b/c",
            "a\\b/c",
            "Acme/tagger",
            "acme/Tagger",
            "con/tagger",
            "acme/nul",
            "aux/a",
            "com1/a",
            "lpt9/a",
            "acme/prn",
            "acme./a",
            "acme /a",
            "a%2fb/c",
            "асme/tagger",
            "acme/tаgger",
            "acme\u{200b}/tagger",
            "ａcme/tagger",
            "acmé/tagger",
            "acme/tagger\0",
            "acme/tagger\n",
            "acme_x/tagger",
            ".acme/tagger",
            "~/tagger",
        ];
        for name in hostile {
            assert_eq!(name.parse::<AppName>().unwrap_err().code(), "TM0140", "{name:?}");
        }
        for part in ["a".repeat(64), "a".repeat(100_000)] {
            format!("{part}/a").parse::<AppName>().unwrap_err();
            format!("a/{part}").parse::<AppName>().unwrap_err();
        }
        for name in ["console/com", "com10/lpt", "nul1/a", "xn--a/b"] {
            name.parse::<AppName>().unwrap();
        }
    }

    #[test]
    fn app_names() {
        let name: AppName = "acme-2/tagger".parse().unwrap();
        assert_eq!((name.publisher(), name.name(), name.as_str()), ("acme-2", "tagger", "acme-2/tagger"));
        let longest = format!("{0}/{0}", "a".repeat(63));
        assert!(longest.parse::<AppName>().is_ok());
        let bad = [
            "",
            "/",
            "acme",
            "acme/",
            "/tagger",
            "Acme/tagger",
            "acme/tag/ger",
            "a b/c",
            "-a/b",
            "a/b-",
            "a/../b",
        ];
        for text in bad.into_iter().map(String::from).chain([format!("a/{}", "b".repeat(64)), "ä/b".into()])
        {
            assert!(matches!(text.parse::<AppName>(), Err(Error::InvalidName { .. })), "{text}");
        }
    }

    #[test]
    fn blob_names() {
        for name in ["a", "graph", "golden/0/input.npy", "A_b-c.d", &"x".repeat(255)] {
            check_blob_name(name).unwrap();
        }
        let bad = [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            ".a",
            "a.",
            "-a",
            "a\\b",
            "c:a",
            "a b",
            "a\0",
            "ä",
            &"x".repeat(256),
        ];
        for name in bad {
            assert!(matches!(check_blob_name(name), Err(Error::InvalidName { .. })), "{name:?}");
        }
    }
}
