//! Several inputs as one batch, and back. The batch is the first axis of every input and output.

use tilemark_model::graph::Dim;
use tilemark_model::{Coded, Data, Graph, Tensor, shape};

use crate::error::Error;

/// Whether every input leaves the size of its first axis to the caller, and every output follows it: the rows of one whose
/// shape depends on values belong to no input in particular.
pub(crate) fn is_dynamic(graph: &Graph) -> bool {
    let dynamic = graph.inputs.iter().all(|port| matches!(port.shape.first(), Some(Dim::Dynamic(_))));
    dynamic && shape::infer(graph, &shape::declared(graph, 1)).is_ok_and(|shapes| !shapes.has_late())
}

/// Whether all runs have inputs of the same shapes and types. Only then does a batch divide evenly among them.
pub(crate) fn is_uniform(runs: &[Vec<Tensor>]) -> bool {
    let form = |run: &[Tensor]| -> Vec<_> { run.iter().map(|t| (t.shape().to_vec(), t.dtype())).collect() };
    runs.windows(2).all(|pair| form(&pair[0]) == form(&pair[1]))
}

/// Joins the inputs of several runs, port by port.
pub(crate) fn stack(runs: Vec<Vec<Tensor>>) -> Result<Vec<Tensor>, Error> {
    let mut runs = runs.into_iter();
    let mut stacked = runs.next().unwrap_or_default();
    for run in runs {
        stacked =
            stacked.into_iter().zip(run).map(|(all, one)| append(all, one)).collect::<Result<_, _>>()?;
    }
    Ok(stacked)
}

fn append(all: Tensor, one: Tensor) -> Result<Tensor, Error> {
    let mut shape = all.shape().to_vec();
    let fits = shape.len() == one.shape().len() && shape.get(1..) == one.shape().get(1..);
    if !fits || all.dtype() != one.dtype() {
        let reason = format!("inputs of shapes {shape:?} and {:?} cannot share a batch", one.shape());
        return Err(Error::Contents { what: "batch", reason });
    }
    shape[0] += one.shape()[0];
    let data = match (all.into_data(), one.into_data()) {
        (Data::U8(a), Data::U8(b)) => Data::U8([a, b].concat()),
        (Data::I8(a), Data::I8(b)) => Data::I8([a, b].concat()),
        (Data::I32(a), Data::I32(b)) => Data::I32([a, b].concat()),
        (Data::I64(a), Data::I64(b)) => Data::I64([a, b].concat()),
        (Data::F32(a), Data::F32(b)) => Data::F32([a, b].concat()),
        (Data::Coded(a), Data::Coded(b)) => {
            Data::Coded(Coded::new(a.dtype(), [a.bytes(), b.bytes()].concat())?)
        }
        (a, _) => a, // types were compared above
    };
    Ok(Tensor::new(shape, data)?)
}

/// Shares the outputs of a batch out among `count` runs.
pub(crate) fn split(outputs: &[Tensor], count: usize) -> Result<Vec<Vec<Tensor>>, Error> {
    (0..count).map(|i| outputs.iter().map(|output| part(output, i, count)).collect()).collect()
}

fn part(output: &Tensor, i: usize, count: usize) -> Result<Tensor, Error> {
    let mut shape = output.shape().to_vec();
    match shape.first_mut() {
        Some(batch) if *batch % count == 0 => *batch /= count,
        _ => {
            let reason = format!("an output of shape {shape:?} does not divide among {count} inputs");
            return Err(Error::Contents { what: "batch", reason });
        }
    }
    let len = output.len() / count;
    let at = i * len..(i + 1) * len;
    let data = match output.data() {
        Data::U8(v) => Data::U8(v[at].to_vec()),
        Data::I8(v) => Data::I8(v[at].to_vec()),
        Data::I32(v) => Data::I32(v[at].to_vec()),
        Data::I64(v) => Data::I64(v[at].to_vec()),
        Data::F32(v) => Data::F32(v[at].to_vec()),
        Data::Coded(v) => {
            let size = v.dtype().size();
            Data::Coded(Coded::new(v.dtype(), v.bytes()[at.start * size..at.end * size].to_vec())?)
        }
    };
    Ok(Tensor::new(shape, data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stacked_splits_again() {
        let runs: Vec<Vec<Tensor>> =
            (0..3u8).map(|i| vec![Tensor::u8([1, 2], vec![i, i + 10]).unwrap()]).collect();
        let stacked = stack(runs.clone()).unwrap();
        assert_eq!(stacked[0].shape(), [3, 2]);
        assert_eq!(split(&stacked, 3).unwrap(), runs);
    }

    #[test]
    fn runs_of_several_rows_are_one_form_only_if_they_have_the_same_number() {
        let of = |rows| vec![Tensor::u8([rows, 2], vec![0; 2 * rows]).unwrap()];
        assert!(is_uniform(&[of(2), of(2)]) && is_uniform(&[of(1)]) && is_uniform(&[]));
        assert!(!is_uniform(&[of(3), of(1)]));
        let float = vec![Tensor::f32([2, 2], vec![0.0; 4]).unwrap()];
        assert!(!is_uniform(&[of(2), float]));
    }

    #[test]
    fn shapes_that_differ_cannot_share_a_batch() {
        let of = |shape: [usize; 2]| vec![Tensor::u8(shape, vec![0; shape[0] * shape[1]]).unwrap()];
        assert!(stack(vec![of([1, 2]), of([1, 3])]).is_err());
        assert!(split(&of([3, 1]), 2).is_err());
    }
}
