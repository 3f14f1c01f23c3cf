//! Error rates of written text: edits over the length of what is really written, as `jiwer` counts them.

use serde::{Deserialize, Serialize};

/// Most symbols of a text; two of these take a tenth of a second.
pub const MAX_SYMBOLS: usize = 10_000;

/// Edits of one text, by character and by word.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Edits {
    /// Characters put in, left out or exchanged.
    pub characters: u64,
    /// Characters that are really there.
    pub of_characters: u64,
    /// Words put in, left out or exchanged.
    pub words: u64,
    /// Words that are really there.
    pub of_words: u64,
}

impl Edits {
    /// What makes `found` of `truth`; nothing if one of them is longer than [`MAX_SYMBOLS`]. Space around a text does not
    /// count; words are what is between spaces.
    #[must_use]
    pub fn between(truth: &str, found: &str) -> Option<Self> {
        let [truth, found] = [truth, found].map(str::trim);
        let [true_words, found_words] = [truth, found].map(words);
        let [true_characters, found_characters] =
            [truth, found].map(|text| text.chars().take(MAX_SYMBOLS + 1).collect::<Vec<_>>());
        if true_characters.len().max(found_characters.len()) > MAX_SYMBOLS {
            return None;
        }
        Some(Self {
            characters: distance(&true_characters, &found_characters),
            of_characters: true_characters.len() as u64,
            words: distance(&true_words, &found_words),
            of_words: true_words.len() as u64,
        })
    }
}

impl std::ops::AddAssign for Edits {
    fn add_assign(&mut self, other: Self) {
        self.characters += other.characters;
        self.of_characters += other.of_characters;
        self.words += other.words;
        self.of_words += other.of_words;
    }
}

/// What is between spaces; other white space separates where there are two of it in a row.
fn words(text: &str) -> Vec<String> {
    let mut joined = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_whitespace() && characters.peek().is_some_and(|next| next.is_whitespace()) {
            while characters.next_if(|next| next.is_whitespace()).is_some() {}
            joined.push(' ');
        } else {
            joined.push(character);
        }
    }
    joined.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Levenshtein's distance (1965), row by row.
fn distance<T: PartialEq>(truth: &[T], found: &[T]) -> u64 {
    let mut row: Vec<u64> = (0..=found.len() as u64).collect();
    for (line, symbol) in truth.iter().enumerate() {
        let mut diagonal = line as u64;
        let mut left = diagonal + 1;
        for (other, above) in found.iter().zip(&mut row[1..]) {
            let exchanged = diagonal + u64::from(symbol != other);
            diagonal = *above;
            left = exchanged.min(*above + 1).min(left + 1);
            *above = left;
        }
        row[0] = line as u64 + 1;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let edits = Edits::between(" the cat  sat ", "the hat sat down").unwrap();
        assert_eq!((edits.words, edits.of_words), (2, 3));
        assert_eq!(edits.of_characters, 12);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!((distance(b"", b"abc"), distance(b"abc", b""), distance(b"", b"")), (3, 3, 0));
        assert_eq!(words("a\tb c\n d"), ["a\tb", "c", "d"]);
    }

    #[test]
    fn a_text_beyond_the_limit_is_not_compared() {
        let long = "x".repeat(MAX_SYMBOLS + 1);
        assert!(Edits::between(&long, "x").is_none() && Edits::between("x", &long).is_none());
        assert!(Edits::between(&long[1..], "x").is_some());
    }
}
