//! Labels of several models, or of several apps, as one list.
//!
//! Labels are the same if they have the same name. Sums are f64 in the order of the lists, so the result is the same everywhere.

use serde::{Deserialize, Serialize};

use crate::outcome::Label;
use crate::post::best_first;

/// How labels become one list.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The best label of each list gets its weight; the score is the share of all weights.
    Vote,
    /// The mean of the scores, weighted; a label that a list does not have counts 0 there.
    Mean,
    /// The highest score in any list, whatever its weight.
    Max,
    /// All labels of all lists, one after the other.
    Concat,
}

impl Rule {
    /// The lists, which have these weights, as one: best first, equal scores in the order in which they were first given; as they
    /// come with [`Rule::Concat`].
    pub fn labels(self, lists: &[&[Label]], weights: &[f64]) -> Vec<Label> {
        if self == Self::Concat {
            return lists.iter().flat_map(|list| list.to_vec()).collect();
        }
        let total: f64 = weights.iter().sum();
        let mut found: Vec<(Label, f64)> = Vec::new();
        for (list, weight) in lists.iter().zip(weights) {
            let counted = if self == Self::Vote { &list[..list.len().min(1)] } else { list };
            for label in counted {
                let score = match self {
                    Self::Vote => weight / total,
                    Self::Mean => weight / total * f64::from(label.score),
                    Self::Max | Self::Concat => f64::from(label.score),
                };
                match found.iter_mut().find(|(known, _)| known.name == label.name) {
                    Some((_, best)) if self == Self::Max => *best = best.max(score),
                    Some((_, sum)) => *sum += score,
                    None => found.push((label.clone(), score)),
                }
            }
        }
        let mut labels: Vec<Label> =
            found.into_iter().map(|(label, score)| Label { score: score as f32, ..label }).collect();
        labels.sort_by(|a, b| best_first(a.score, b.score)); // stable
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(labels: &[(&str, f32)]) -> Vec<Label> {
        let label = |(index, (name, score)): (usize, &(&str, f32))| Label {
            name: (*name).into(),
            index,
            score: *score,
        };
        labels.iter().enumerate().map(label).collect()
    }

    fn of(rule: Rule) -> Vec<(String, f32)> {
        let lists = [list(&[("cat", 0.75), ("dog", 0.25)]), list(&[("dog", 0.5), ("fox", 0.5)]), list(&[])];
        let lists: Vec<&[Label]> = lists.iter().map(Vec::as_slice).collect();
        rule.labels(&lists, &[2.0, 1.0, 1.0]).into_iter().map(|label| (label.name, label.score)).collect()
    }

    fn text(labels: &[(&str, f32)]) -> Vec<(String, f32)> {
        labels.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect()
    }

    #[test]
    fn each_rule_by_hand() {
        assert_eq!(of(Rule::Vote), text(&[("cat", 0.5), ("dog", 0.25)]));
        assert_eq!(of(Rule::Mean), text(&[("cat", 0.375), ("dog", 0.25), ("fox", 0.125)]));
        assert_eq!(of(Rule::Max), text(&[("cat", 0.75), ("dog", 0.5), ("fox", 0.5)]));
        assert_eq!(of(Rule::Concat), text(&[("cat", 0.75), ("dog", 0.25), ("dog", 0.5), ("fox", 0.5)]));
        assert!(Rule::Mean.labels(&[], &[]).is_empty());
    }

    #[test]
    fn what_is_no_number_is_last() {
        let lists = [list(&[("cat", f32::NAN), ("dog", 0.25)])];
        assert_eq!(Rule::Mean.labels(&[&lists[0]], &[1.0])[0].name, "dog");
    }
}
