//! An app's class names, and what data calls them.

use std::collections::BTreeMap;

/// The names of an app's classes, by number.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Classes {
    names: Vec<String>,
    known: BTreeMap<String, Option<u32>>,
    /// What data calls them instead, whatever they are called themselves.
    aliases: Option<BTreeMap<String, u32>>,
    /// Every name is one, of no number that means anything.
    any: bool,
}

impl Classes {
    /// The names in the order of the model's output.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let mut known = BTreeMap::new();
        for (number, name) in (0u32..).zip(&names) {
            // What two classes are called names neither.
            known.entry(plain(name)).and_modify(|number| *number = None).or_insert(Some(number));
        }
        Self { names, known, aliases: None, any: false }
    }

    /// Those of no app: whatever data calls a class is one.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// The class that data calls so: its name whatever case and separators are, or its number.
    #[must_use]
    pub fn find(&self, called: &str) -> Option<u32> {
        if self.any {
            return Some(0);
        }
        if let Some(aliases) = &self.aliases {
            // A number is one of the names then: it would be another app's.
            return aliases.get(&plain(called)).or_else(|| aliases.get(called.trim())).copied();
        }
        if let Some(found) = self.known.get(&plain(called)) {
            return *found;
        }
        let number: u32 = called.trim().parse().ok()?;
        (self.names.is_empty() || (number as usize) < self.names.len()).then_some(number)
    }

    /// The class of this name alone, as the app itself calls it.
    #[must_use]
    pub fn find_name(&self, name: &str) -> Option<u32> {
        self.known.get(&plain(name)).copied().flatten()
    }

    /// The same classes, which data calls by these names, and by no other.
    #[must_use]
    pub fn called(self, names: &BTreeMap<String, u32>) -> Self {
        let aliases = names.iter().map(|(called, number)| (plain(called), *number)).collect();
        Self { aliases: Some(aliases), ..self }
    }

    /// All names, by number.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What class `number` is called; its number where it has no name.
    #[must_use]
    pub fn name(&self, number: u32) -> String {
        let name = self.names.get(number as usize).filter(|name| !name.is_empty());
        name.cloned().unwrap_or_else(|| number.to_string())
    }

    /// The same, and its number too where another class has the same name: people must not take one for the other.
    #[must_use]
    pub fn told(&self, number: u32) -> String {
        let name = self.name(number);
        let one = self.known.get(&plain(&name)).is_none_or(|known| known.is_some());
        if one { name } else { format!("{name} (class {number})") }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Some of the names, for messages.
    #[must_use]
    pub fn some(&self) -> String {
        let shown: Vec<&str> = self.names.iter().take(12).map(String::as_str).collect();
        let more = if self.names.len() > shown.len() { ", …" } else { "" };
        shown.join(", ") + more
    }
}

/// Lower case, and one space for whatever separates words: `T-shirt`, `t_shirt` and `T shirt` are one.
fn plain(name: &str) -> String {
    let spaced: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .flat_map(char::to_lowercase)
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whatever_case_and_separators() {
        let names = ["T-shirt", "ankle boot", "Käse", "twice", "Twice"].map(str::to_owned);
        let classes = Classes::new(names.to_vec());
        for (called, number) in [("t_shirt", 0), ("Ankle-Boot", 1), ("KÄSE", 2), ("4", 4), (" 3 ", 3)] {
            assert_eq!(classes.find(called), Some(number), "{called}");
        }
        for called in ["boot", "twice", "5", "-1", ""] {
            assert_eq!(classes.find(called), None, "{called}");
        }
        assert_eq!((classes.name(1), classes.name(9)), ("ankle boot".to_owned(), "9".to_owned()));
        assert_eq!(
            [1, 3, 4, 9].map(|number| classes.told(number)),
            ["ankle boot", "twice (class 3)", "Twice (class 4)", "9"]
        );
    }
}
