//! Two apps that call the same classes by other names: which name of one is which of the other.

use std::collections::BTreeMap;
use std::path::Path;

use super::data::{Classes, read_table, wrong};
use crate::app::App;
use crate::error::Error;

/// What the second app calls the classes of the first, checked: every name is known, and no two classes of one are one of the other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mapping {
    /// The first app's names and numbers, and the second's numbers.
    called: BTreeMap<String, u32>,
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

    /// The mapping of those who give none: a class is the one of the same name, whatever its number is. `None` where both apps have the same
    /// classes, or one has no list of them.
    #[must_use]
    pub fn by_name(first: &App, second: &App) -> Option<Self> {
        let [first, second] = [first, second].map(|app| Classes::new(app.pipeline().class_names()));
        let told = first.count() > 0 && second.count() > 0 && first.names() != second.names();
        told.then(|| {
            Self::of_pairs(&first, |number, name| match first.find_name(name) {
                Some(own) if own == number => second.find_name(name),
                _ => None,
            })
        })
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
        let to = |number: u32, name: &str| pairs.get(&number).copied().or_else(|| second.find_name(name));
        let mut taken = BTreeMap::new();
        for (number, name) in (0u32..).zip(first.names()) {
            let Some(to) = to(number, name) else { continue };
            if let Some(before) = taken.insert(to, name) {
                let to = second.name(to);
                return Err(wrong(
                    path,
                    format!("`{before}` and `{name}` of the first app are both `{to}` of the second"),
                ));
            }
        }
        Ok(Self::of_pairs(first, to))
    }

    /// Data has the first app's names, or its numbers; a name that looks like a number is a name.
    fn of_pairs(first: &Classes, to: impl Fn(u32, &str) -> Option<u32>) -> Self {
        let mut called = BTreeMap::new();
        for (number, name) in (0u32..).zip(first.names()) {
            let Some(to) = to(number, name) else { continue };
            for spelt in [name.clone(), number.to_string()] {
                if first.find(&spelt) == Some(number) {
                    called.insert(spelt, to);
                }
            }
        }
        Self { called }
    }

    /// The second app's classes, as data calls them that is labelled for the first.
    pub(super) fn apply(&self, second: Classes) -> Classes {
        second.called(&self.called)
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
        // Number 3 of the first is a hat, which the second has not; the second's number 3 is something else.
        assert_eq!((classes.find("3"), classes.find("Hemd")), (None, None));
    }

    #[test]
    fn digits_are_names_before_they_are_numbers() {
        let digits = |order: [&str; 3]| Classes::new(order.map(str::to_owned).to_vec());
        let (first, second) = (digits(["1", "2", "0"]), digits(["0", "1", "2"]));
        let map = Mapping::of_pairs(&first, |_, name| second.find_name(name));
        let classes = map.apply(second);
        assert_eq!(["0", "1", "2"].map(|name| classes.find(name)), [Some(0), Some(1), Some(2)]);
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
