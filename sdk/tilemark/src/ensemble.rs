//! Several apps on one input: each signed by its own publisher, verified and licensed by itself, their results combined by a rule.
//!
//! Labels are the same if they have the same name. Sums are f64 in the order of the members, so the result is the same everywhere.

use tilemark_pipeline::{Detection, Label};

use crate::error::Error;
use crate::input::Input;
use crate::output::Output;
use crate::session::Session;

/// One app of an ensemble.
#[derive(Debug)]
pub struct Member {
    /// What it is called in results and errors.
    pub name: String,
    /// The app on a device; or why there is none, as its bundle is not there, not trusted, or not granted.
    pub session: Result<Session, Error>,
    /// How much it counts; above 0.
    pub weight: f64,
}

/// How labels become one list. Detections are put together by every rule, best first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// The best label of each member gets its weight; the score is the share of all weights.
    Vote,
    /// The mean of the scores, weighted; a label that a member does not give counts 0 there.
    Mean,
    /// The highest score of any member, whatever its weight.
    Max,
    /// All labels of all members, one after the other.
    Concat,
}

/// What happens where a member is missing, or fails on an input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IfMissing {
    /// There is no result.
    Fail,
    /// The others count alone, if there are so many.
    Skip {
        /// Members that must give a result.
        least: usize,
    },
}

/// Apps that answer together.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Member>,
    rule: Rule,
    if_missing: IfMissing,
}

/// What an ensemble gives.
#[derive(Debug)]
pub struct Combined {
    /// Labels by the rule; best first, equal scores in the order in which they were first given.
    pub labels: Vec<Label>,
    /// Detections of all members, best first.
    pub detections: Vec<Detection>,
    /// What each member gave, by its name.
    pub outputs: Vec<(String, Output)>,
    /// Who gave nothing on this input, and why.
    pub missing: Vec<(String, String)>,
}

impl Ensemble {
    /// Members in the order in which they count.
    ///
    /// # Errors
    /// [`Error::Ensemble`] if there is no member, or a weight is no number above 0; that of a member that is missing, where none
    /// may be.
    pub fn new(members: Vec<Member>, rule: Rule, if_missing: IfMissing) -> Result<Self, Error> {
        if members.is_empty() {
            return Err(Error::Ensemble { reason: "it has no members".to_owned() });
        }
        if let Some(Member { name, weight, .. }) =
            members.iter().find(|member| !(member.weight.is_finite() && member.weight > 0.0))
        {
            let reason = format!("member {name} has weight {weight}, a number above 0 was expected");
            return Err(Error::Ensemble { reason });
        }
        let there = members.iter().filter(|member| member.session.is_ok()).count();
        match if_missing {
            IfMissing::Fail => match members.iter().position(|member| member.session.is_err()) {
                Some(missing) => match members.into_iter().nth(missing).map(|member| member.session) {
                    Some(Err(error)) => Err(error),
                    _ => Err(Error::Ensemble { reason: "a member is missing".to_owned() }),
                },
                None => Ok(Self { members, rule, if_missing }),
            },
            IfMissing::Skip { least } => {
                enough(there, least)?;
                Ok(Self { members, rule, if_missing })
            }
        }
    }

    /// Runs every member on one input.
    ///
    /// # Errors
    /// That of the first member that fails, where none may be missing; [`Error::Ensemble`] if too few give a result.
    pub fn run(&mut self, input: &Input) -> Result<Combined, Error> {
        let (mut outputs, mut missing, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for Member { name, session, weight } in &mut self.members {
            let ran = match session {
                Ok(session) => session.run(input.clone()),
                Err(error) => {
                    missing.push((name.clone(), error.to_string()));
                    continue;
                }
            };
            match ran {
                Ok(output) => {
                    weights.push(*weight);
                    outputs.push((name.clone(), output));
                }
                Err(error) if self.if_missing == IfMissing::Fail => return Err(error),
                Err(error) => missing.push((name.clone(), error.to_string())),
            }
        }
        if let IfMissing::Skip { least } = self.if_missing {
            enough(outputs.len(), least)?;
        }
        let labels: Vec<&[Label]> = outputs.iter().map(|(_, output)| output.labels()).collect();
        let labels = combined(self.rule, &labels, &weights);
        let mut detections: Vec<Detection> =
            outputs.iter().flat_map(|(_, output)| output.detections().to_vec()).collect();
        detections.sort_by(|a, b| rank(b.score).total_cmp(&rank(a.score)));
        Ok(Combined { labels, detections, outputs, missing })
    }
}

fn enough(found: usize, least: usize) -> Result<(), Error> {
    let least = least.max(1);
    if found >= least {
        return Ok(());
    }
    let reason = format!("{found} of its members give a result, at least {least} must");
    Err(Error::Ensemble { reason })
}

/// The lists of all members, which have these weights, as one.
fn combined(rule: Rule, lists: &[&[Label]], weights: &[f64]) -> Vec<Label> {
    if rule == Rule::Concat {
        return lists.iter().flat_map(|list| list.to_vec()).collect();
    }
    let total: f64 = weights.iter().sum();
    let mut found: Vec<(Label, f64)> = Vec::new();
    for (list, weight) in lists.iter().zip(weights) {
        let counted = if rule == Rule::Vote { &list[..list.len().min(1)] } else { list };
        for label in counted {
            let score = f64::from(label.score);
            let known = found.iter().position(|(known, _)| known.name == label.name);
            match (rule, known) {
                (Rule::Max, Some(i)) => found[i].1 = found[i].1.max(score),
                (Rule::Max, None) => found.push((label.clone(), score)),
                (_, known) => {
                    let share = weight / total * if rule == Rule::Vote { 1.0 } else { score };
                    match known {
                        Some(i) => found[i].1 += share,
                        None => found.push((label.clone(), share)),
                    }
                }
            }
        }
    }
    let mut labels: Vec<Label> =
        found.into_iter().map(|(label, score)| Label { score: score as f32, ..label }).collect();
    labels.sort_by(|a, b| rank(b.score).total_cmp(&rank(a.score))); // stable
    labels
}

/// What is no number is below all, and 0 and -0 are equal.
fn rank(score: f32) -> f32 {
    if score.is_nan() { f32::NEG_INFINITY } else { score + 0.0 }
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
        combined(rule, &lists, &[2.0, 1.0, 1.0]).into_iter().map(|label| (label.name, label.score)).collect()
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
        assert!(combined(Rule::Mean, &[], &[]).is_empty());
    }

    #[test]
    fn what_is_no_number_is_last() {
        let lists = [list(&[("cat", f32::NAN), ("dog", 0.25)])];
        let found = combined(Rule::Mean, &[&lists[0]], &[1.0]);
        assert_eq!(found[0].name, "dog");
    }
}
