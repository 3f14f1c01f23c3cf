//! Transposed convolution in f32 with constant weights. The products that meet in one output are added to the bias one by
//! one: channel, then the kernel's taps in order.

#[cfg(target_arch = "x86_64")]
mod direct;
mod portable;

use tilemark_model::Op;
use tilemark_model::graph::FloatOp;
use tilemark_model::reference::{Meetings, transposed_taps};

use super::Kernel;
use crate::error::Error;
use crate::host::CpuLevel;
use crate::host::vectorize::Vectorizer;
use crate::plan::Lowering;

pub(crate) const KERNELS: &[Kernel] = &[
    Kernel {
        name: "conv_transpose/scalar",
        operation: "conv_transpose",
        level: CpuLevel::Scalar,
        build: |step| portable::build(step, Vectorizer::new(CpuLevel::Scalar)),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "conv_transpose/avx2",
        operation: "conv_transpose",
        level: CpuLevel::Avx2,
        build: |step| direct::build(step, &direct::AVX2),
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "conv_transpose/avx512vnni",
        operation: "conv_transpose",
        level: CpuLevel::Avx512Vnni,
        build: |step| direct::build(step, &direct::AVX512),
    },
    #[cfg(target_arch = "aarch64")]
    Kernel {
        name: "conv_transpose/neon",
        operation: "conv_transpose",
        level: CpuLevel::Neon,
        build: |step| portable::build(step, Vectorizer::new(CpuLevel::Neon)),
    },
];

/// Outputs of one row that the same columns of the kernel reach, in neighbouring columns of the input.
struct Run {
    /// The outputs' columns.
    outputs: Vec<usize>,
    /// Columns of the kernel, and of the input for the first output.
    taps: Vec<(usize, usize)>,
}

/// For every output row the kernel's and the input's rows that meet there, and the runs of any row.
fn meetings(step: &Lowering<'_>) -> Result<(Meetings, Vec<Run>), Error> {
    let inconsistent = || Error::internal(&step.node.name, "planned as a transposed convolution");
    let Op::Float(FloatOp::ConvTranspose(conv)) = &step.node.op else { return Err(inconsistent()) };
    let grid = step.inputs[0].grid;
    let taps = transposed_taps(conv, &[grid.rows, grid.columns]).ok_or_else(inconsistent)?;
    let [rows, columns]: [Meetings; 2] = taps.try_into().map_err(|_| inconsistent())?;
    Ok((rows, runs(&columns)))
}

/// Cuts a row of outputs into runs.
fn runs(columns: &Meetings) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (output, taps) in columns.iter().enumerate() {
        let continues = |run: &Run| {
            let n = run.outputs.len();
            run.taps.len() == taps.len()
                && run.taps.iter().zip(taps).all(|(a, b)| a.0 == b.0 && a.1 + n == b.1)
        };
        // Of each phase of the stride the last run may go on.
        match runs.iter_mut().find(|run| continues(run)) {
            Some(run) => run.outputs.push(output),
            None => runs.push(Run { outputs: vec![output], taps: taps.clone() }),
        }
    }
    runs
}

/// Groups of the step's node.
fn groups(step: &Lowering<'_>) -> usize {
    match &step.node.op {
        Op::Float(FloatOp::ConvTranspose(conv)) => conv.groups,
        _ => 1,
    }
}
