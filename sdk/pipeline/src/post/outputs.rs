//! A model's outputs: found by name, checked, and as real numbers.

use std::borrow::Cow;

use tilemark_model::numerics::dequantize;
use tilemark_model::{DType, Data, Quant, Tensor};

use super::{Checks, Stage, State};
use crate::error::{Error, Result};
use crate::interface::{Interface, TensorInfo, names};
use crate::place::Place;

/// Which output a stage reads.
#[derive(Debug)]
pub(super) struct Reads {
    pub(super) at: String,
    index: usize,
}

impl Reads {
    /// The output of this name, or the only one. It must hold real numbers.
    pub(super) fn new(checks: &Checks, name: Option<&str>) -> Result<Self> {
        let (at, outputs) = (checks.at.clone(), &checks.interface.outputs);
        let index = match (name, outputs.len()) {
            (None, 1) => 0,
            (None, _) => return Err(Error::ScoreOutputs { at, found: names(outputs) }),
            (Some(name), _) => outputs.iter().position(|output| output.name == name).ok_or_else(|| {
                Error::UnknownOutput { at: at.clone(), name: name.to_owned(), expected: names(outputs) }
            })?,
        };
        let info = &outputs[index];
        if info.dtype != DType::F32 && info.quant.is_none() {
            return Err(Error::ScoreType { at, output: info.name.clone(), dtype: info.dtype });
        }
        Ok(Self { at, index })
    }

    /// What the model declares of it.
    pub(super) fn info<'a>(&self, interface: &'a Interface) -> Result<&'a TensorInfo> {
        let found = interface.outputs.len();
        interface.outputs.get(self.index).ok_or(Error::OutputCount { expected: self.index + 1, found })
    }

    /// Its shape and its elements as real numbers.
    pub(super) fn real<'a>(
        &self,
        interface: &Interface,
        outputs: &'a [Tensor],
    ) -> Result<(&'a [usize], Cow<'a, [f32]>)> {
        let info = self.info(interface)?;
        let tensor = self.tensor(outputs)?;
        let values = match (dequantized(info, tensor)?, tensor.data()) {
            (Some(real), _) => match real.into_data() {
                Data::F32(values) => Cow::Owned(values),
                other => return Err(self.plain(info, &other)),
            },
            (None, Data::F32(values)) => Cow::Borrowed(values.as_slice()),
            (None, other) => return Err(self.plain(info, other)),
        };
        Ok((tensor.shape(), values))
    }

    pub(super) fn tensor<'a>(&self, outputs: &'a [Tensor]) -> Result<&'a Tensor> {
        let found = outputs.len();
        outputs.get(self.index).ok_or(Error::OutputCount { expected: self.index + 1, found })
    }

    /// Puts other elements of the same shape in its place.
    pub(super) fn replace(&self, outputs: &mut [Tensor], values: Vec<f32>) -> Result<()> {
        let made = Tensor::f32(self.tensor(outputs)?.shape(), values)?;
        outputs[self.index] = made; // `tensor` has found it
        Ok(())
    }

    /// The error for a shape that a stage cannot read.
    pub(super) fn shape(&self, interface: &Interface, shape: String, expected: impl Into<String>) -> Error {
        let output = self.info(interface).map(|info| info.name.clone()).unwrap_or_default();
        Error::OutputShape { at: self.at.clone(), output, shape, expected: expected.into() }
    }

    fn plain(&self, info: &TensorInfo, data: &Data) -> Error {
        Error::ScoreType { at: self.at.clone(), output: info.name.clone(), dtype: data.dtype() }
    }
}

/// Every quantized output becomes f32.
#[derive(Debug)]
pub(super) struct Dequantize;

impl Stage for Dequantize {
    fn run(&self, state: &mut State, interface: &Interface, _place: Option<&Place>) -> Result<()> {
        for (info, tensor) in interface.outputs.iter().zip(&mut state.outputs) {
            if let Some(real) = dequantized(info, tensor)? {
                *tensor = real;
            }
        }
        Ok(())
    }
}

/// The real numbers behind quantized integers; `None` where there is nothing to do.
fn dequantized(info: &TensorInfo, tensor: &Tensor) -> Result<Option<Tensor>> {
    let Some(quant) = info.quant else { return Ok(None) };
    let real = |q: i32, quant: Quant| dequantize(q, quant);
    let values: Vec<f32> = match tensor.data() {
        Data::U8(values) => values.iter().map(|&q| real(q.into(), quant)).collect(),
        Data::I8(values) => values.iter().map(|&q| real(q.into(), quant)).collect(),
        Data::I32(values) => values.iter().map(|&q| real(q, quant)).collect(),
        Data::I64(_) | Data::F32(_) | Data::Coded(_) => return Ok(None),
    };
    Ok(Some(Tensor::f32(tensor.shape(), values)?))
}

/// An output is as declared, or already real numbers.
pub(super) fn check_output(info: &TensorInfo, tensor: &Tensor) -> Result<()> {
    let type_fits = tensor.dtype() == info.dtype || (tensor.dtype() == DType::F32 && info.quant.is_some());
    if type_fits && info.fits(tensor.shape()) {
        return Ok(());
    }
    Err(Error::OutputMismatch {
        name: info.name.clone(),
        expected: format!("{} {}", info.dtype, info.shape_text()),
        found: format!("{} {:?}", tensor.dtype(), tensor.shape()),
    })
}
