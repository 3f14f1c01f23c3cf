//! What an app's bundle holds and under which names.

use tilemark_bundle::{Bundle, codec};
use tilemark_model::graph::Dim;
use tilemark_model::{Graph, Port, Tensor, shape};
use tilemark_pipeline::{Interface, Resources, Spec, TensorInfo};

use crate::error::Error;

/// The graph, encoded by [`codec`].
pub(crate) const GRAPH: &str = "graph";
/// Bytes of the graph's constants.
pub(crate) const WEIGHTS: &str = "weights";
/// The pipeline's [`Spec`] as JSON.
pub(crate) const PIPELINE: &str = "pipeline.json";
/// Files that the pipeline refers to.
pub(crate) const RESOURCES: &str = "resources/";
/// Golden vectors: `golden/0/record` and, beside it, its input.
pub(crate) const GOLDEN: &str = "golden/";

/// The largest pipeline description read: far above what its stages can say.
const MAX_PIPELINE_BYTES: usize = 1 << 20;

pub(crate) fn encode_pipeline(spec: &Spec) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(spec).map_err(|source| Error::Contents { what: PIPELINE, reason: source.to_string() })
}

pub(crate) fn read_graph(bundle: &Bundle) -> Result<Graph, Error> {
    let graph: Graph = codec::decode(bundle.blob(GRAPH)?)?;
    Ok(graph.with_weights(bundle.shared_blob(WEIGHTS)?)?)
}

pub(crate) fn read_pipeline(bundle: &Bundle) -> Result<Spec, Error> {
    let invalid = |reason: String| Error::Contents { what: PIPELINE, reason };
    let bytes = bundle.blob(PIPELINE)?;
    if bytes.len() > MAX_PIPELINE_BYTES {
        return Err(invalid(format!("{} bytes, at most {MAX_PIPELINE_BYTES} are read", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))
}

pub(crate) fn read_resources(bundle: &Bundle) -> Resources {
    let resource =
        |(name, bytes): (&str, &[u8])| Some((name.strip_prefix(RESOURCES)?.to_owned(), bytes.to_vec()));
    bundle.blobs().filter_map(resource).collect()
}

/// A graph's outputs as the model declares them, dequantized where the graph holds integers: what post-processing and
/// callers get.
pub(crate) fn declared(graph: &Graph, outputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    let each = graph.outputs.iter().zip(outputs);
    each.map(|(port, tensor)| Ok(graph.declared(port, tensor)?)).collect()
}

/// The ends of a graph as a pipeline sees them.
pub(crate) fn interface(graph: &Graph) -> Result<Interface, Error> {
    let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
    // What a model declares of an output is a hint that may be missing; another size of the dynamic axes shows which
    // axes of an output follow them.
    let other = shape::infer(graph, &shape::declared(graph, 2)).ok();
    let info = |port: &Port, shape: Vec<Option<usize>>| {
        let value = graph.value(port.value);
        TensorInfo { name: port.name.clone(), shape, dtype: value.dtype, quant: value.quant }
    };
    let declared = |dim: &Dim| match dim {
        Dim::Fixed(n) => Some(*n),
        Dim::Dynamic(_) => None,
    };
    let input = |port: &Port| info(port, port.shape.iter().map(declared).collect());
    let output = |port: &Port| {
        if shapes.is_late(port.value) {
            return info(port, vec![None; port.shape.len()]);
        }
        let inferred = shapes.of(port.value);
        let other = other.as_ref().map(|shapes| shapes.of(port.value));
        let agrees = port.shape.len() == inferred.len();
        let axis = |(i, &n): (usize, &usize)| {
            let follows = other.is_some_and(|other| other.get(i) != Some(&n));
            let dynamic = agrees && matches!(port.shape[i], Dim::Dynamic(_));
            (!follows && !dynamic).then_some(n)
        };
        info(port, inferred.iter().enumerate().map(axis).collect())
    };
    Ok(Interface {
        inputs: graph.inputs.iter().map(input).collect(),
        outputs: graph.outputs.iter().map(output).collect(),
    })
}
