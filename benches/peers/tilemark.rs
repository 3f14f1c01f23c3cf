//! Tilemark as a worker of `compare.py`: `peer MODEL.onnx INPUT.npy BATCH THREADS`.
//!
//! Says `ready LEVEL` once it can run; then, for each line with a number of calls, answers with the nanoseconds of each.

use std::io::{BufRead, Write};
use std::time::Instant;

use tilemark_engine::{Compiled, Device};
use tilemark_model::{Data, Tensor, import};
use tilemark_pipeline::npy;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, batch, threads] = arguments.as_slice() else {
        return Err("usage: peer MODEL.onnx INPUT.npy BATCH THREADS".into());
    };
    let input = repeated(&npy::read(&std::fs::read(input)?)?, batch.parse()?)?;
    let device = Device::host().with_threads(threads.parse()?)?;
    let compiled = Compiled::new(import(&std::fs::read(model)?)?, &device)?;
    let mut session = compiled.session()?;
    session.run(std::slice::from_ref(&input))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {}", compiled.level())?;
    for line in std::io::stdin().lock().lines() {
        let mut took = Vec::new();
        for _ in 0..line?.trim().parse::<usize>()? {
            let start = Instant::now();
            std::hint::black_box(session.run(std::slice::from_ref(&input))?);
            took.push(start.elapsed().as_nanos().to_string());
        }
        writeln!(out, "{}", took.join(" "))?;
        out.flush()?;
    }
    Ok(())
}

/// The one image of `tensor`, `batch` times.
fn repeated(tensor: &Tensor, batch: usize) -> Result<Tensor, Failure> {
    let mut shape = tensor.shape().to_vec();
    *shape.first_mut().ok_or("an input without a batch axis")? = batch;
    Ok(Tensor::new(shape, Data::F32(tensor.as_f32()?.repeat(batch)))?)
}
