//! What an app's bundle holds and under which names.

use std::borrow::Cow;
use std::sync::Arc;

use tilemark_bundle::{Bundle, codec};
use tilemark_model::graph::Dim;
use tilemark_model::{Graph, Port, Tensor, shape};
use tilemark_pipeline::{Interface, Interfaces, ONLY_MODEL, Resources, Spec, TensorInfo};

use crate::error::Error;

/// The graph, encoded by [`codec`]; of an app of steps, `graph/NAME` for each model.
pub(crate) const GRAPH: &str = "graph";
/// Bytes of the graph's constants, named likewise.
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

/// One model of an app.
#[derive(Debug)]
pub(crate) struct AppModel {
    pub(crate) name: String,
    pub(crate) graph: Arc<Graph>,
}

/// The names of an app's models, in the order in which its steps first use them.
pub(crate) fn model_names(spec: &Spec) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = Vec::new();
    for name in spec.normalized()?.into_iter().filter_map(|step| step.model) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name of a model's blob: an app without steps has one model, whose blobs need no name of their own.
pub(crate) fn blob_of(kind: &'static str, model: &str) -> Cow<'static, str> {
    if model == ONLY_MODEL { kind.into() } else { format!("{kind}/{model}").into() }
}

pub(crate) fn read_models(bundle: &Bundle, spec: &Spec) -> Result<Vec<AppModel>, Error> {
    let model = |name: String| {
        let graph: Graph = codec::decode(bundle.blob(&blob_of(GRAPH, &name))?)?;
        let graph = Arc::new(graph.with_weights(bundle.shared_blob(&blob_of(WEIGHTS, &name))?)?);
        Ok(AppModel { name, graph })
    };
    model_names(spec)?.into_iter().map(model).collect()
}

/// The ends of all of them.
pub(crate) fn interfaces(models: &[AppModel]) -> Result<Interfaces, Error> {
    models.iter().map(|model| Ok((model.name.clone(), interface(&model.graph)?))).collect()
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
