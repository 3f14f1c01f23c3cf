//! The quantized model as ONNX: QuantizeLinear and DequantizeLinear around what is quantized, weights as integers.

use std::collections::HashMap;

use prost::Message;

use super::edit::{Names, add_constant, int, node, set_input};
use super::placement::{Layer, Placement};
use super::prepare::FloatModel;
use super::weights::{QuantizedLayer, quantize_layer};
use crate::error::Error;
use crate::graph::{ValueId, eight_bit};
use crate::numerics;
use crate::onnx::{GraphProto, NodeProto};
use crate::tensor::{DType, Data, Quant, Tensor};

/// What calibration learnt.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// `U8` or `I8`: the type of activations.
    pub dtype: DType,
    /// One for each group of [`Placement`].
    pub quants: Vec<Quant>,
    /// For layers whose bias was corrected, by [`Layer::name`]: the bias to write.
    pub biases: HashMap<String, Vec<f32>>,
}

impl Parameters {
    /// Scale and zero point of a value, if it is quantized.
    pub fn quant(&self, placement: &Placement, value: ValueId) -> Option<Quant> {
        let tensor = placement.tensors.iter().find(|tensor| tensor.value == value)?;
        self.quants.get(tensor.group).copied()
    }

    /// A layer's integer constants.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if the layer or its input is not of this model and placement.
    pub fn layer(
        &self,
        model: &FloatModel,
        placement: &Placement,
        layer: &Layer,
    ) -> Result<QuantizedLayer, Error> {
        let missing = || Error::invalid_graph(&layer.name, "is no layer of this model");
        let weights = model.graph().constant(layer.weights).ok_or_else(missing)?;
        let x = self.quant(placement, layer.input).ok_or_else(missing)?;
        let bias = match (self.biases.get(&layer.name), layer.bias) {
            (Some(bias), _) => bias.clone(),
            (None, Some(id)) => model.graph().constant(id).ok_or_else(missing)?.as_f32()?.to_vec(),
            (None, None) => Vec::new(),
        };
        quantize_layer(&weights, layer.axis, &bias, x.scale)
    }
}

/// Writes the quantized model.
///
/// # Errors
/// [`Error::InvalidGraph`] if placement and parameters are not of this model.
pub fn write(model: &FloatModel, placement: &Placement, parameters: &Parameters) -> Result<Vec<u8>, Error> {
    let mut proto = model.proto().clone();
    let mut graph = proto.graph.take().unwrap_or_default();
    let mut writer = Writer { model, placement, parameters, names: Names::of(&graph) };
    let mut nodes = writer.with_layers(&mut graph)?;
    nodes = writer.with_activations(&mut graph, nodes)?;
    graph.node = nodes;
    let read: std::collections::HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    let outputs: Vec<&String> = graph.output.iter().map(|port| &port.name).collect();
    graph.initializer.retain(|tensor| read.contains(&tensor.name) || outputs.contains(&&tensor.name));
    proto.graph = Some(graph);
    Ok(proto.encode_to_vec())
}

struct Writer<'a> {
    model: &'a FloatModel,
    placement: &'a Placement,
    parameters: &'a Parameters,
    names: Names,
}

impl Writer<'_> {
    fn name(&self, value: ValueId) -> &str {
        &self.model.graph().value(value).name
    }

    /// The nodes, layers reading dequantized integers for weights and bias.
    fn with_layers(&mut self, graph: &mut GraphProto) -> Result<Vec<NodeProto>, Error> {
        let layers: HashMap<String, Layer> =
            self.placement.layers.iter().map(|l| (self.name(l.sum).to_owned(), l.clone())).collect();
        let mut made = Vec::new();
        for mut current in std::mem::take(&mut graph.node) {
            if let Some(layer) = current.output.first().and_then(|output| layers.get(output)) {
                made.extend(self.layer(graph, layer, &mut current)?);
            }
            made.push(current);
        }
        Ok(made)
    }

    fn layer(
        &mut self,
        graph: &mut GraphProto,
        layer: &Layer,
        current: &mut NodeProto,
    ) -> Result<Vec<NodeProto>, Error> {
        let QuantizedLayer { weights, scales, bias } =
            self.parameters.layer(self.model, self.placement, layer)?;
        let x = self.parameters.quant(self.placement, layer.input);
        let x_scale = x.map_or(1.0, |x| x.scale);
        let stem = self.name(layer.sum).to_owned();
        let n = scales.len();
        let units = scales.iter().map(|scale| x_scale * scale).collect();
        let zeros = Tensor::new([n], Data::I8(vec![0; n]))?;
        let mut made =
            vec![self.dequantized(graph, &format!("{stem}_weights"), weights, scales, zeros, layer.axis)?];
        set_input(current, 1, made[0].output[0].clone());
        if !bias.is_empty() {
            let zeros = Tensor::new([n], Data::I32(vec![0; n]))?;
            let bias = Tensor::new([n], Data::I32(bias))?;
            let node = self.dequantized(graph, &format!("{stem}_bias"), bias, units, zeros, 0)?;
            set_input(current, 2, node.output[0].clone());
            made.push(node);
        }
        Ok(made)
    }

    /// DequantizeLinear of a constant with one scale an index of an axis.
    fn dequantized(
        &mut self,
        graph: &mut GraphProto,
        stem: &str,
        ints: Tensor,
        scales: Vec<f32>,
        zeros: Tensor,
        axis: usize,
    ) -> Result<NodeProto, Error> {
        let names = ["quantized", "scale", "zero_point"].map(|what| self.names.free(stem, what));
        let scales = Tensor::f32([scales.len()], scales)?;
        for (name, tensor) in names.iter().zip([&ints, &scales, &zeros]) {
            add_constant(graph, name, tensor);
        }
        let output = self.names.free(stem, "dequantized");
        let axis = int("axis", i64::try_from(axis).unwrap_or(0));
        Ok(node("DequantizeLinear", names.to_vec(), &output, vec![axis]))
    }

    /// The nodes with Quantize and Dequantize after those that write a quantized tensor, and before all for inputs. The
    /// dequantized tensor keeps the tensor's name, so what reads it, outputs of the graph included, is left as it is.
    fn with_activations(
        &mut self,
        graph: &mut GraphProto,
        nodes: Vec<NodeProto>,
    ) -> Result<Vec<NodeProto>, Error> {
        let mut after: HashMap<String, Quant> = HashMap::new();
        let mut made = Vec::with_capacity(3 * nodes.len());
        let mut renamed: HashMap<String, String> = HashMap::new();
        for tensor in &self.placement.tensors {
            let (name, quant) = (self.name(tensor.value).to_owned(), self.parameters.quants[tensor.group]);
            if let Some(constant) = self.model.graph().constant(tensor.value) {
                let dequantized = self.names.free(&name, "dequantized");
                made.push(self.constant(graph, &name, &dequantized, &constant, quant)?);
                renamed.insert(name, dequantized);
            } else if graph.input.iter().any(|port| port.name == name) {
                let dequantized = self.names.free(&name, "dequantized");
                made.extend(self.pair(graph, &name, &name, &dequantized, quant)?);
                renamed.insert(name, dequantized);
            } else {
                after.insert(name, quant);
            }
        }
        for mut current in nodes {
            for input in &mut current.input {
                if let Some(name) = renamed.get(input) {
                    input.clone_from(name);
                }
            }
            let mut pairs = Vec::new();
            for output in &mut current.output {
                if let Some(&quant) = after.get(output) {
                    let name = output.clone();
                    *output = self.names.free(&name, "float");
                    pairs.extend(self.pair(graph, &name, output, &name, quant)?);
                }
            }
            made.push(current);
            made.append(&mut pairs);
        }
        Ok(made)
    }

    /// QuantizeLinear of `x` and DequantizeLinear to `y`.
    fn pair(
        &mut self,
        graph: &mut GraphProto,
        stem: &str,
        x: &str,
        y: &str,
        quant: Quant,
    ) -> Result<[NodeProto; 2], Error> {
        let [scale, zero] = self.parameters_of(graph, stem, quant)?;
        let quantized = self.names.free(stem, "quantized");
        let quantize = vec![x.to_owned(), scale.clone(), zero.clone()];
        Ok([
            node("QuantizeLinear", quantize, &quantized, vec![]),
            node("DequantizeLinear", vec![quantized, scale, zero], y, vec![]),
        ])
    }

    /// A constant operand of an addition or product, as integers.
    fn constant(
        &mut self,
        graph: &mut GraphProto,
        stem: &str,
        y: &str,
        constant: &Tensor,
        quant: Quant,
    ) -> Result<NodeProto, Error> {
        let dtype = self.parameters.dtype;
        let ints = constant.as_f32()?.iter().map(|&x| numerics::quantize(x, quant, dtype));
        let quantized = self.names.free(stem, "quantized");
        add_constant(graph, &quantized, &Tensor::new(constant.shape(), eight_bit(dtype, ints))?);
        let [scale, zero] = self.parameters_of(graph, stem, quant)?;
        Ok(node("DequantizeLinear", vec![quantized, scale, zero], y, vec![]))
    }

    fn parameters_of(
        &mut self,
        graph: &mut GraphProto,
        stem: &str,
        quant: Quant,
    ) -> Result<[String; 2], Error> {
        let names = ["scale", "zero_point"].map(|what| self.names.free(stem, what));
        let zero = eight_bit(self.parameters.dtype, std::iter::once(quant.zero_point));
        add_constant(graph, &names[0], &Tensor::f32([], vec![quant.scale])?);
        add_constant(graph, &names[1], &Tensor::new([], zero)?);
        Ok(names)
    }
}
