//! What a ring's tensors are.

use serde::{Deserialize, Serialize};
use tilemark_model::tensor::element_count;
use tilemark_model::{DType, Quant, TensorView};

use crate::error::Error;

/// The type of a ring's tensors, and what they mean. Both ends name it; it is compared before anything is exchanged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Raised by whoever changes what the numbers mean.
    pub version: u32,
    /// Element type.
    pub dtype: DType,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// What integers stand for.
    pub quant: Option<Quant>,
}

impl Contract {
    /// Tensors of this type and shape, without quantization.
    pub fn new(version: u32, dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self { version, dtype, shape: shape.into(), quant: None }
    }

    /// The same with integers that stand for real numbers.
    #[must_use]
    pub fn with_quant(self, quant: Quant) -> Self {
        Self { quant: Some(quant), ..self }
    }

    /// Bytes of one tensor.
    ///
    /// # Errors
    /// [`Error::Unusable`] for a type without arithmetic, or a tensor that is too large.
    pub fn bytes(&self) -> Result<usize, Error> {
        let unusable = |reason: String| Error::Unusable { reason };
        let plain = [DType::U8, DType::I8, DType::I32, DType::I64, DType::F32];
        if !plain.contains(&self.dtype) {
            return Err(unusable(format!("elements of {} cannot be shared", self.dtype)));
        }
        let count = element_count(&self.shape).map_err(|error| unusable(error.to_string()))?;
        count.checked_mul(self.dtype.size()).ok_or_else(|| unusable("a tensor that is too large".into()))
    }

    /// Whether a tensor is one of these.
    ///
    /// # Errors
    /// [`Error::Contract`] if it has another type or shape.
    pub fn check(&self, ring: &str, tensor: &TensorView<'_>) -> Result<(), Error> {
        if (tensor.dtype(), tensor.shape()) == (self.dtype, &self.shape) {
            return Ok(());
        }
        let found = Self { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), ..self.clone() };
        Err(Error::Contract { ring: ring.into(), found: found.to_string(), expected: self.to_string() })
    }
}

impl std::fmt::Display for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {} of {}{:?}", self.version, self.dtype, self.shape)?;
        match self.quant {
            Some(Quant { scale, zero_point }) => write!(f, " with scale {scale} and zero point {zero_point}"),
            None => Ok(()),
        }
    }
}
