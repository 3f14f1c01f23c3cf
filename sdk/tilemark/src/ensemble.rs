//! Several apps on one input: each signed by its own publisher, verified and licensed by itself, their results combined by a rule.
//!
//! Detections are put together by every rule, best first.

use tilemark_pipeline::{Detection, Label, Rule};

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
        let labels = self.rule.labels(&labels, &weights);
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

/// What is no number is below all, and 0 and -0 are equal.
fn rank(score: f32) -> f32 {
    if score.is_nan() { f32::NEG_INFINITY } else { score + 0.0 }
}
