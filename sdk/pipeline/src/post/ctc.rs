//! Text from scores of symbols, column by column: greedy decoding of Connectionist Temporal Classification (Graves et al.,
//! 2006). The best symbol of each column; repeated ones once; blanks, which are class 0, dropped.

use super::outputs::Reads;
use super::scores::best_first;
use super::{Checks, Stage, State};
use crate::error::{Error, Result};
use crate::interface::Interface;
use crate::labels::Labels;
use crate::place::Place;
use crate::spec;
use crate::value::Made;

#[derive(Debug)]
pub(super) struct Ctc {
    reads: Reads,
    file: String,
    symbols: Labels,
    space: bool,
}

impl Ctc {
    pub(super) fn new(stage: &spec::Ctc, checks: &Checks) -> Result<Self> {
        let reads = Reads::new(checks, None)?;
        let symbols = checks.lines(&stage.symbols)?;
        let ctc = Self { reads, file: stage.symbols.clone(), symbols, space: stage.space };
        let info = ctc.reads.info(checks.interface)?;
        match info.shape.as_slice() {
            [None | Some(1), _, None] => {}
            [None | Some(1), _, Some(classes)] => ctc.check_classes(checks.interface, *classes)?,
            _ => return Err(ctc.wrong_shape(checks.interface, info.shape_text())),
        }
        Ok(ctc)
    }

    /// A blank, the symbols, and perhaps a space.
    fn check_classes(&self, interface: &Interface, classes: usize) -> Result<()> {
        let labels = 1 + self.symbols.len() + usize::from(self.space);
        if labels == classes {
            return Ok(());
        }
        let (file, output) = (self.file.clone(), self.reads.info(interface)?.name.clone());
        Err(Error::LabelCount { file, labels, output, classes })
    }

    fn wrong_shape(&self, interface: &Interface, shape: String) -> Error {
        self.reads.shape(interface, shape, "[1, columns, classes]")
    }

    fn symbol(&self, class: usize) -> &str {
        match class.checked_sub(1) {
            Some(index) if index < self.symbols.len() => self.symbols.name(index),
            Some(_) => " ",
            None => "",
        }
    }
}

impl Stage for Ctc {
    fn run(&self, state: &mut State, interface: &Interface, _place: Option<&Place>) -> Result<()> {
        let (shape, scores) = self.reads.real(interface, &state.outputs)?;
        let &[1, _, classes] = shape else {
            return Err(self.wrong_shape(interface, format!("{shape:?}")));
        };
        self.check_classes(interface, classes)?;
        let read = decode(&scores, classes);
        let text: String = read.iter().map(|&(class, _)| self.symbol(class)).collect();
        let sum = read.iter().fold(0.0, |sum, (_, score)| sum + score);
        state.made = Some(Made::Text((!text.is_empty()).then(|| (text, sum / read.len() as f32))));
        Ok(())
    }
}

/// The classes read and their scores, in order. Of equal scores the first class is the best; NaN is below all.
fn decode(scores: &[f32], classes: usize) -> Vec<(usize, f32)> {
    let (mut read, mut last) = (Vec::new(), 0);
    for column in scores.chunks_exact(classes) {
        let order = |a: &usize, b: &usize| best_first(column[*a], column[*b]).then(a.cmp(b));
        let best = (0..classes).min_by(order).unwrap_or(0);
        if best != 0 && best != last {
            read.push((best, column[best]));
        }
        last = best;
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_once_and_blanks_part_them() {
        // Columns whose best classes are 0 1 1 0 1 2 2 0.
        let best = [0, 1, 1, 0, 1, 2, 2, 0];
        let scores: Vec<f32> =
            best.iter().flat_map(|&b| (0..3).map(move |c| if c == b { 0.5 } else { 0.25 })).collect();
        assert_eq!(decode(&scores, 3), [(1, 0.5), (1, 0.5), (2, 0.5)]);
        assert!(decode(&[], 3).is_empty());
        assert!(decode(&[f32::NAN; 6], 3).is_empty());
        assert_eq!(decode(&[f32::NAN, 0.1, 0.1], 3), [(1, 0.1)]);
    }
}
