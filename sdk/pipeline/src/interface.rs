//! What a pipeline needs to know of a model: the names, shapes, types and quantization of its ends.

use std::collections::BTreeMap;

use tilemark_model::numerics::quantize;
use tilemark_model::{DType, Data, Quant, Tensor};

use crate::error::{Error, Result};

/// The inputs and outputs of a model, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// What it takes.
    pub inputs: Vec<TensorInfo>,
    /// What it returns.
    pub outputs: Vec<TensorInfo>,
}

/// One input or output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// The model's name for it.
    pub name: String,
    /// Axes, outermost first; `None` where any size fits.
    pub shape: Vec<Option<usize>>,
    /// The element type that the session takes or returns.
    pub dtype: DType,
    /// How integers stand for real numbers; `None` for f32 and for plain integers.
    pub quant: Option<Quant>,
}

impl Interface {
    /// Puts tensors given by name into the order of the inputs, each checked against what the model takes.
    /// Floats for a quantized input are quantized, exactly as QuantizeLinear does it.
    ///
    /// # Errors
    /// [`Error::UnknownInput`], [`Error::MissingInput`], [`Error::InputShape`], [`Error::InputType`].
    pub fn arrange(&self, mut named: BTreeMap<String, Tensor>) -> Result<Vec<Tensor>> {
        let known = |name: &String| self.inputs.iter().any(|input| input.name == *name);
        if let Some(name) = named.keys().find(|name| !known(name)) {
            return Err(Error::UnknownInput { name: name.clone(), expected: names(&self.inputs) });
        }
        let take = |input: &TensorInfo| {
            let tensor =
                named.remove(&input.name).ok_or_else(|| Error::MissingInput { name: input.name.clone() })?;
            input.admit(tensor)
        };
        self.inputs.iter().map(take).collect()
    }
}

impl TensorInfo {
    /// Whether `shape` fits the declared one.
    pub(crate) fn fits(&self, shape: &[usize]) -> bool {
        self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(want, &is)| want.is_none_or(|w| w == is))
    }

    /// The declared shape in words, `?` where any size fits.
    pub(crate) fn shape_text(&self) -> String {
        let axes: Vec<String> = self
            .shape
            .iter()
            .map(|axis| axis.map_or_else(|| "?".to_owned(), |size| size.to_string()))
            .collect();
        format!("[{}]", axes.join(", "))
    }

    /// The quantization of an integer type, checked; `None` for floats and plain integers.
    pub(crate) fn checked_quant(&self) -> Result<Option<Quant>> {
        let Some(quant) = self.quant else { return Ok(None) };
        let in_range = match self.dtype.range() {
            Some((lo, hi)) => (lo..=hi).contains(&quant.zero_point),
            None => self.dtype == DType::I32 && quant.zero_point == 0,
        };
        if in_range && quant.scale.is_normal() && quant.scale > 0.0 {
            return Ok(Some(quant));
        }
        let Quant { scale, zero_point } = quant;
        Err(Error::Quantization { name: self.name.clone(), scale, zero_point, dtype: self.dtype })
    }

    /// The tensor as the model takes it: floats for a quantized input are quantized.
    pub(crate) fn admit(&self, tensor: Tensor) -> Result<Tensor> {
        if !self.fits(tensor.shape()) {
            let (name, expected) = (self.name.clone(), self.shape_text());
            return Err(Error::InputShape { name, expected, found: tensor.shape().to_vec() });
        }
        if tensor.dtype() == self.dtype {
            return Ok(tensor);
        }
        let (found, shape) = (tensor.dtype(), tensor.shape().to_vec());
        match (self.dtype, self.checked_quant()?, tensor.into_data()) {
            (DType::U8, Some(quant), Data::F32(values)) => {
                let q = values.iter().map(|&x| quantize(x, quant, DType::U8) as u8).collect();
                Ok(Tensor::u8(shape, q)?)
            }
            (DType::I8, Some(quant), Data::F32(values)) => {
                let q = values.iter().map(|&x| quantize(x, quant, DType::I8) as i8).collect();
                Ok(Tensor::new(shape, Data::I8(q))?)
            }
            _ => {
                let or_f32 = if self.quant.is_some() { " or f32" } else { "" };
                Err(Error::InputType {
                    name: self.name.clone(),
                    expected: format!("{}{or_f32}", self.dtype),
                    found,
                })
            }
        }
    }
}

/// The names, for messages.
pub(crate) fn names(ports: &[TensorInfo]) -> Vec<String> {
    ports.iter().map(|port| port.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface() -> Interface {
        let quant = Some(Quant { scale: 0.5, zero_point: 10 });
        let port = |name: &str, dtype, quant| TensorInfo {
            name: name.into(),
            shape: vec![None, Some(2)],
            dtype,
            quant,
        };
        Interface { inputs: vec![port("a", DType::U8, quant), port("b", DType::I64, None)], outputs: vec![] }
    }

    fn arrange(tensors: &[(&str, Tensor)]) -> Result<Vec<Tensor>> {
        interface().arrange(tensors.iter().map(|(name, t)| ((*name).to_owned(), t.clone())).collect())
    }

    #[test]
    fn tensors_come_in_the_models_order_and_floats_are_quantized() {
        let a = Tensor::f32([1, 2], vec![1.25, -9.0]).unwrap();
        let b = Tensor::new([1, 2], Data::I64(vec![5, 6])).unwrap();
        let inputs = arrange(&[("b", b.clone()), ("a", a)]).unwrap();
        assert_eq!(inputs, [Tensor::u8([1, 2], vec![12, 0]).unwrap(), b]);
    }

    #[test]
    fn a_wrong_name_shape_or_type_is_refused() {
        let a = Tensor::u8([1, 2], vec![0; 2]).unwrap();
        let b = Tensor::new([3, 2], Data::I64(vec![0; 6])).unwrap();
        assert!(matches!(arrange(&[("a", a.clone())]), Err(Error::MissingInput { name }) if name == "b"));
        let unknown = arrange(&[("a", a.clone()), ("b", b.clone()), ("c", b.clone())]);
        assert!(matches!(unknown, Err(Error::UnknownInput { name, .. }) if name == "c"));
        let flat = Tensor::u8([2], vec![0; 2]).unwrap();
        assert!(matches!(arrange(&[("a", flat), ("b", b.clone())]), Err(Error::InputShape { .. })));
        let other = arrange(&[("a", b.clone()), ("b", b.clone())]);
        assert!(matches!(other, Err(Error::InputType { found: DType::I64, .. })));
        let float = Tensor::f32([1, 2], vec![0.0; 2]).unwrap();
        assert!(matches!(
            arrange(&[("a", a), ("b", float)]),
            Err(Error::InputType { found: DType::F32, .. })
        ));
    }
}
