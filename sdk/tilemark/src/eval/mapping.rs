//! Two apps that call the same classes by other names: which name of one is which of the other.

use std::collections::BTreeMap;
use std::path::Path;

use super::data::{Classes, read_table, wrong};
use crate::app::App;
use crate::error::Error;

/// What the second app calls the classes of the first, checked: every name is known, and no two classes of one are one of the other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mapping {
    /// The first app's names and numbers, and the second's names.
    called: BTreeMap<String, String>,
}

impl Mapping {
    /// Reads a CSV file with the columns `first` and `second`. A class that is not in it has the same name in both.
    ///
    /// # Errors
    /// [`Error::Dataset`], which names the line: a name that its app does not know, one that is there twice, two classes of the first that are one
    /// of the second; [`Error::Io`].
    pub fn read(path: &Path, first: &App, second: &App) -> Result<Self, Error> {
        let [first, second] = [first, second].map(|app| Classes::new(app.pipeline().class_names()));
        Self::of(path, &first, &second)
    }

    fn of(path: &Path, first: &Classes, second: &Classes) -> Result<Self, Error> {
        let mut lines = read_table(path)?.into_iter();
        let (_, heading) = lines.next().ok_or_else(|| wrong(path, "it is empty, a heading is expected"))?;
        if heading.iter().map(|name| name.trim()).ne(["first", "second"]) {
            let found = heading.join(", ");
            return Err(wrong(
                path,
                format!("line 1: the columns first and second are expected, found {found}"),
            ));
        }
        let mut pairs = BTreeMap::new();
        for (line, fields) in lines {
            let at = |reason: String| wrong(path, format!("line {line}: {reason}"));
            let [one, other] = fields.as_slice() else {
                return Err(at(format!("{} fields, two are expected", fields.len())));
            };
            let unknown = |name: &String, app: &str, classes: &Classes| {
                at(format!("`{name}` is no class of the {app} app: {}", classes.some()))
            };
            let from = first.find(one).ok_or_else(|| unknown(one, "first", first))?;
            let to = second.find(other).ok_or_else(|| unknown(other, "second", second))?;
            if pairs.insert(from, to).is_some() {
                return Err(at(format!("`{one}` is there twice")));
            }
        }
        Self::complete(path, first, second, &pairs)
    }

    /// With the classes of the same name, which the file need not have.
    fn complete(
        path: &Path,
        first: &Classes,
        second: &Classes,
        pairs: &BTreeMap<u32, u32>,
    ) -> Result<Self, Error> {
        let (mut called, mut taken) = (BTreeMap::new(), BTreeMap::new());
        for (number, name) in (0u32..).zip(first.names()) {
            let Some(to) = pairs.get(&number).copied().or_else(|| second.find_name(name)) else { continue };
            if let Some(before) = taken.insert(to, name) {
                let to = second.name(to);
                return Err(wrong(
                    path,
                    format!("`{before}` and `{name}` of the first app are both `{to}` of the second"),
                ));
            }
            called.insert(name.clone(), second.name(to));
            called.insert(number.to_string(), second.name(to));
        }
        Ok(Self { called })
    }

    /// The second app's classes, as data calls them that is labelled for the first.
    pub(super) fn apply(&self, second: Classes) -> Classes {
        second.also_called(&self.called)
    }

    /// In words, for a journal.
    pub(super) fn words(&self) -> String {
        self.called.iter().map(|(from, to)| format!("{from} is {to}")).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Mapping, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.csv");
        std::fs::write(&path, text).unwrap();
        Mapping::of(&path, &first(), &second()).map_err(|error| error.to_string())
    }

    fn first() -> Classes {
        Classes::new(["boot", "shirt", "bag", "hat"].map(str::to_owned).to_vec())
    }

    fn second() -> Classes {
        Classes::new(["Bag", "Stiefel", "Hemd", "boot"].map(str::to_owned).to_vec())
    }

    #[test]
    fn data_is_read_by_the_first_apps_names_and_numbers() {
        let map = read("first,second\nboot,Stiefel\nshirt,Hemd\n").unwrap();
        let classes = map.apply(second());
        for (called, number) in [("Boot", 1), ("SHIRT", 2), ("bag", 0), ("0", 1), ("2", 0)] {
            assert_eq!(classes.find(called), Some(number), "{called}");
        }
        assert_eq!((classes.find("hat"), classes.find_name("boot")), (None, Some(3)));
    }

    #[test]
    fn what_is_wrong_with_a_mapping_is_named() {
        let cases = [
            ("", "a heading is expected"),
            ("a,b\n", "the columns first and second are expected, found a, b"),
            ("first,second\nboots,Bag\n", "line 2: `boots` is no class of the first app: boot, shirt"),
            ("first,second\nboot,Tasche\n", "line 2: `Tasche` is no class of the second app: Bag, Stiefel"),
            ("first,second\nboot,Stiefel\nboot,Hemd\n", "line 3: `boot` is there twice"),
            ("first,second\nboot,Hemd\nshirt,Hemd\n", "`boot` and `shirt` of the first app are both `Hemd`"),
            ("first,second\nshirt,boot\n", "`boot` and `shirt` of the first app are both `boot`"),
            ("first,second\nboot\n", "line 2: 1 fields, two are expected"),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}, expected {expected}");
        }
    }
}
