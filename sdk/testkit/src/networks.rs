//! Runs the networks that `cargo xtask models` makes, and compares: the engine with the reference interpreter, every
//! value; and the reference with ONNX Runtime, whose results `python/models/oracle.py` writes.
//!
//! With ONNX Runtime the outputs are compared, and each 8-bit tensor on its own: computed from ONNX Runtime's operands
//! rather than from ours, so that a difference is counted at the node that makes it and nowhere after.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tilemark_engine::{Compiled, Device};
use tilemark_model::{Data, Graph, Tensor, import, reference, shape};
use tilemark_pipeline::npy;

/// Whatever stops a comparison before its end.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What was found out about one int8 form of a network.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The network and the form: `garment/qdq-u8s8`.
    pub name: String,
    /// Multiply-accumulates in integers, of all.
    pub integer_share: f64,
    /// Values that the engine shows, each equal to the reference's.
    pub values: usize,
    /// 8-bit tensors that both have, by name.
    pub shared: usize,
    /// Elements of the shared tensors.
    pub elements: usize,
    /// 8-bit tensors that only ONNX Runtime has: here they are inside a table, or the node stayed in f32.
    pub only_theirs: usize,
    /// The shared tensors that differ although their operands are equal.
    pub differences: Vec<Difference>,
    /// The outputs of the network as it runs.
    pub outputs: Outputs,
    /// The outputs, the last nodes of them computed from ONNX Runtime's tensors.
    pub followed: Outputs,
    /// Operators with multiply-accumulates that ONNX Runtime ran in f32.
    pub their_floats: usize,
}

/// One tensor that differs although the operands are equal.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its name.
    pub tensor: String,
    /// The operation that made it here.
    pub op: &'static str,
    /// How many elements it has.
    pub elements: usize,
    /// How many of them differ.
    pub differing: usize,
    /// The largest difference, in steps of the quantizer.
    pub largest: u8,
}

/// How far the outputs agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outputs {
    /// Whether every byte of every output is ONNX Runtime's.
    pub equal: bool,
    /// The largest difference of an element, relative to the largest magnitude of its output.
    pub relative: f64,
}

/// What ONNX Runtime computed.
struct Oracle {
    tensors: BTreeMap<String, Data>,
    outputs: Vec<Tensor>,
    floats: usize,
}

/// A tensor of `tensors.json`.
#[derive(Deserialize)]
struct Listed {
    name: String,
    signed: bool,
    elements: usize,
}

#[derive(Deserialize)]
struct Made {
    floats: usize,
}

/// Compares the form whose file is `model`, with ONNX Runtime's results in the folder `oracle`.
///
/// # Errors
/// A file that is missing or broken, a model that is refused, and any value of the engine that differs from the
/// reference's.
pub fn compare(model: &Path, input: &Tensor, oracle: &Path) -> Result<Comparison, Failure> {
    let graph = import(&std::fs::read(model)?)?;
    let oracle = Oracle::read(oracle, graph.outputs.len())?;
    let (values, outputs) = run(&graph, input)?;
    let mut comparison = Comparison {
        name: name(model),
        integer_share: integer_share(&graph)?,
        values,
        shared: 0,
        elements: 0,
        only_theirs: 0,
        differences: Vec::new(),
        outputs: agreement(&graph, &outputs, &oracle)?,
        followed: Outputs { equal: false, relative: f64::INFINITY },
        their_floats: oracle.floats,
    };
    comparison.follow(&graph, input, &oracle)?;
    Ok(comparison)
}

impl Oracle {
    fn read(folder: &Path, outputs: usize) -> Result<Self, Failure> {
        let listed: Vec<Listed> = json(&folder.join("tensors.json"))?;
        let bytes = std::fs::read(folder.join("tensors.bin"))?;
        let (mut tensors, mut rest) = (BTreeMap::new(), bytes.as_slice());
        for Listed { name, signed, elements } in listed {
            let (bytes, after) = rest.split_at_checked(elements).ok_or("tensors.bin is too short")?;
            rest = after;
            let data = if signed {
                Data::I8(bytes.iter().map(|byte| byte.cast_signed()).collect())
            } else {
                Data::U8(bytes.to_vec())
            };
            tensors.insert(name, data);
        }
        let output = |k| Ok(npy::read(&std::fs::read(folder.join(format!("output-{k}.npy")))?)?);
        let outputs = (0..outputs).map(output).collect::<Result<_, Failure>>()?;
        let Made { floats } = json(&folder.join("made.json"))?;
        Ok(Self { tensors, outputs, floats })
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Runs the network on the reference interpreter and on the engine; returns how many values the latter showed, all
/// equal, and the outputs.
///
/// # Errors
/// A network that does not run on this input, and a value that differs.
pub fn run(graph: &Graph, input: &Tensor) -> Result<(usize, Vec<Tensor>), Failure> {
    let mut values = BTreeMap::new();
    let outputs = reference::run_observed(graph, vec![input.clone()], |id, tensor| {
        values.insert(id.index(), tensor.clone());
    })?;
    let mut session = Compiled::new(graph.clone(), &Device::best())?.session()?;
    let (mut shown, mut differs) = (0, None);
    session.run_observed(std::slice::from_ref(input), |id, tensor| {
        shown += 1;
        if differs.is_none() && values.get(&id.index()).is_none_or(|w| w.to_bytes() != tensor.to_bytes()) {
            differs = Some(graph.value(id).name.clone());
        }
    })?;
    match differs {
        None => Ok((shown, outputs)),
        Some(name) => Err(format!("`{name}` on the engine differs from the reference's").into()),
    }
}

impl Comparison {
    /// Computes node after node, and goes on with ONNX Runtime's tensor wherever it has one.
    fn follow(&mut self, graph: &Graph, input: &Tensor, oracle: &Oracle) -> Result<(), Failure> {
        let shapes = shape::infer(graph, &[input.shape().to_vec()])?;
        let mut values: BTreeMap<usize, Tensor> = BTreeMap::new();
        let port = graph.inputs.first().ok_or("a network without inputs")?;
        values.insert(port.value.index(), graph.accept(port, input.clone())?);
        for node in &graph.nodes {
            for &id in &node.inputs {
                if let Some(constant) = graph.constant(id) {
                    values.entry(id.index()).or_insert(constant);
                }
            }
            let operands: Vec<&Tensor> =
                node.inputs.iter().filter_map(|id| values.get(&id.index())).collect();
            let ours = reference::evaluate(graph, node, &operands, &shapes)?;
            let name = &graph.value(node.output).name;
            let next = match oracle.tensors.get(name) {
                Some(theirs) => self.compare(name, node.op.name(), &ours, theirs)?,
                None => ours,
            };
            values.insert(node.output.index(), next);
        }
        self.only_theirs = oracle.tensors.len() - self.shared;
        let output = |id: usize| values.get(&id).cloned().ok_or("an output that no node writes");
        let outputs: Vec<Tensor> =
            graph.outputs.iter().map(|port| output(port.value.index())).collect::<Result<_, _>>()?;
        self.followed = agreement(graph, &outputs, oracle)?;
        Ok(())
    }

    /// Notes how two tensors differ, and returns ONNX Runtime's.
    fn compare(
        &mut self,
        name: &str,
        op: &'static str,
        ours: &Tensor,
        theirs: &Data,
    ) -> Result<Tensor, Failure> {
        let theirs = Tensor::new(ours.shape(), theirs.clone())?;
        if ours.dtype() != theirs.dtype() {
            return Err(format!("`{name}` is {} here, and there {}", ours.dtype(), theirs.dtype()).into());
        }
        let steps = ours.widened()?.into_iter().zip(theirs.widened()?).map(|(a, b)| a.abs_diff(b));
        let (differing, largest) = steps.fold((0, 0), |(n, max), d| (n + usize::from(d > 0), d.max(max)));
        self.shared += 1;
        self.elements += ours.len();
        if differing > 0 {
            let largest = u8::try_from(largest)?;
            let (tensor, elements) = (name.to_owned(), ours.len());
            self.differences.push(Difference { tensor, op, elements, differing, largest });
        }
        Ok(theirs)
    }
}

fn agreement(graph: &Graph, ours: &[Tensor], oracle: &Oracle) -> Result<Outputs, Failure> {
    let mut found = Outputs { equal: true, relative: 0.0 };
    for ((port, ours), theirs) in graph.outputs.iter().zip(ours).zip(&oracle.outputs) {
        let ours = graph.declared(port, ours)?;
        if ours.shape() != theirs.shape() {
            return Err(
                format!("`{}` is {:?}, expected {:?}", port.name, ours.shape(), theirs.shape()).into()
            );
        }
        found.equal &= ours.to_bytes() == theirs.to_bytes();
        found.relative = found.relative.max(relative(ours.as_f32()?, theirs.as_f32()?));
    }
    Ok(found)
}

/// The largest difference, relative to the largest magnitude of `theirs`; infinite where one is not a number.
fn relative(ours: &[f32], theirs: &[f32]) -> f64 {
    let size = theirs.iter().fold(f64::MIN_POSITIVE, |max, &x| max.max(f64::from(x).abs()));
    let off = ours.iter().zip(theirs).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs() / size);
    off.fold(0.0, |max, x| if x.is_nan() { f64::INFINITY } else { x.max(max) })
}

fn integer_share(graph: &Graph) -> Result<f64, Failure> {
    let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
    let work = |node| shape::macs(node, &shapes) as f64;
    let all: f64 = graph.nodes.iter().map(work).sum();
    let integer: f64 = graph.nodes.iter().filter(|node| !node.op.is_float()).map(work).sum();
    Ok(integer / all.max(1.0))
}

fn name(model: &Path) -> String {
    let folder = model.parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", folder.to_string_lossy(), model.file_stem().unwrap_or_default().to_string_lossy())
}

impl std::fmt::Display for Outputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.equal { f.pad("equal") } else { f.pad(&format!("{:.1e}", self.relative)) }
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:<38}{:>6.2} % integer; engine: {} values equal; 8-bit tensors: {} compared, {} elements, {} only \
             theirs; outputs {}, from their tensors {}; {} products in f32 there",
            self.name,
            100.0 * self.integer_share,
            self.values,
            self.shared,
            self.elements,
            self.only_theirs,
            self.outputs,
            self.followed,
            self.their_floats
        )?;
        for d in &self.differences {
            write!(
                f,
                "\n    {} ({}): {} of {}, by {} at most",
                d.tensor, d.op, d.differing, d.elements, d.largest
            )?;
        }
        Ok(())
    }
}
