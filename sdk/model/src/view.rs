//! Tensors whose elements lie in somebody else's memory.

use crate::error::Error;
use crate::tensor::{DType, Data, Tensor, element_count};

/// A borrowed tensor: a shape and its elements in row-major order, as in [`Tensor`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorView<'a> {
    shape: &'a [usize],
    data: DataView<'a>,
}

/// The elements of a borrowed tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DataView<'a> {
    /// Unsigned bytes.
    U8(&'a [u8]),
    /// Signed bytes.
    I8(&'a [i8]),
    /// 32-bit integers.
    I32(&'a [i32]),
    /// 64-bit integers.
    I64(&'a [i64]),
    /// 32-bit floats.
    F32(&'a [f32]),
    /// Elements of any type in a tensor that owns them.
    Owned(&'a Data),
}

impl<'a> TensorView<'a> {
    /// A tensor of `shape` in memory that is aligned for its elements and holds them as this machine does.
    ///
    /// # Errors
    /// [`Error::ElementCount`] if `bytes` are not exactly the shape's elements; [`Error::DTypeMismatch`] for a type without
    /// arithmetic, or for memory that is not aligned for the type.
    pub fn of_bytes(dtype: DType, shape: &'a [usize], bytes: &'a [u8]) -> Result<Self, Error> {
        let expected = element_count(shape)?;
        let found = bytes.len() / dtype.size().max(1);
        if expected.checked_mul(dtype.size()) != Some(bytes.len()) {
            return Err(Error::ElementCount { shape: shape.to_vec(), expected, found });
        }
        let unaligned = |_| Error::DTypeMismatch {
            what: "memory".into(),
            expected: "bytes aligned for the elements".into(),
            found: dtype,
        };
        let data = match dtype {
            DType::U8 => DataView::U8(bytes),
            DType::I8 => DataView::I8(bytemuck::cast_slice(bytes)),
            DType::I32 => DataView::I32(bytemuck::try_cast_slice(bytes).map_err(unaligned)?),
            DType::I64 => DataView::I64(bytemuck::try_cast_slice(bytes).map_err(unaligned)?),
            DType::F32 => DataView::F32(bytemuck::try_cast_slice(bytes).map_err(unaligned)?),
            found => {
                let expected = "u8, i8, i32, i64 or f32".into();
                return Err(Error::DTypeMismatch { what: "borrowed tensor".into(), expected, found });
            }
        };
        Ok(Self { shape, data })
    }

    /// The shape, outermost axis first; empty for a scalar.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The elements.
    pub fn data(&self) -> DataView<'a> {
        self.data
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            DataView::U8(_) => DType::U8,
            DataView::I8(_) => DType::I8,
            DataView::I32(_) => DType::I32,
            DataView::I64(_) => DType::I64,
            DataView::F32(_) => DType::F32,
            DataView::Owned(data) => data.dtype(),
        }
    }

    /// The elements as this machine holds them; `None` for a type without arithmetic.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self.data {
            DataView::U8(v) => Some(v),
            DataView::I8(v) => Some(bytemuck::cast_slice(v)),
            DataView::I32(v) => Some(bytemuck::cast_slice(v)),
            DataView::I64(v) => Some(bytemuck::cast_slice(v)),
            DataView::F32(v) => Some(bytemuck::cast_slice(v)),
            DataView::Owned(_) => None,
        }
    }

    /// Part `index` of as many as there are of `shape` one after another: an image of a batch. `None` beyond the last one, and for a
    /// type without arithmetic.
    pub fn part<'s>(&self, index: usize, shape: &'s [usize]) -> Option<TensorView<'s>>
    where
        'a: 's,
    {
        fn cut<T>(elements: &[T], index: usize, count: usize) -> Option<&[T]> {
            let start = index.checked_mul(count)?;
            elements.get(start..start.checked_add(count)?)
        }
        let count = element_count(shape).ok()?;
        let data = match self.data {
            DataView::U8(v) => DataView::U8(cut(v, index, count)?),
            DataView::I8(v) => DataView::I8(cut(v, index, count)?),
            DataView::I32(v) => DataView::I32(cut(v, index, count)?),
            DataView::I64(v) => DataView::I64(cut(v, index, count)?),
            DataView::F32(v) => DataView::F32(cut(v, index, count)?),
            DataView::Owned(_) => return None,
        };
        Some(TensorView { shape, data })
    }

    /// A copy that owns its elements.
    ///
    /// # Errors
    /// None for a view that exists: those of [`Tensor::new`].
    pub fn to_tensor(&self) -> Result<Tensor, Error> {
        let data = match self.data {
            DataView::U8(v) => Data::U8(v.to_vec()),
            DataView::I8(v) => Data::I8(v.to_vec()),
            DataView::I32(v) => Data::I32(v.to_vec()),
            DataView::I64(v) => Data::I64(v.to_vec()),
            DataView::F32(v) => Data::F32(v.to_vec()),
            DataView::Owned(data) => data.clone(),
        };
        Tensor::new(self.shape, data)
    }
}

impl Tensor {
    /// This tensor, borrowed.
    pub fn view(&self) -> TensorView<'_> {
        let data = match self.data() {
            Data::U8(v) => DataView::U8(v),
            Data::I8(v) => DataView::I8(v),
            Data::I32(v) => DataView::I32(v),
            Data::I64(v) => DataView::I64(v),
            Data::F32(v) => DataView::F32(v),
            data @ Data::Coded(_) => DataView::Owned(data),
        };
        TensorView { shape: self.shape(), data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_what_it_was_made_of() {
        let data = [
            Data::U8(vec![1, 2, 3, 4]),
            Data::I8(vec![-1, 2, -3, 4]),
            Data::I32(vec![1, -2, 3, 4]),
            Data::I64(vec![1, 2, -3, 4]),
            Data::F32(vec![0.5, -0.0, 1e30, 4.0]),
        ];
        for tensor in data.map(|data| Tensor::new([2, 2], data).unwrap()) {
            let view = tensor.view();
            assert_eq!((view.shape(), view.dtype()), (&[2, 2][..], tensor.dtype()));
            assert_eq!(view.to_tensor().unwrap(), tensor);
            assert_eq!(TensorView::of_bytes(view.dtype(), &[2, 2], view.bytes().unwrap()).unwrap(), view);
        }
        let truths = Tensor::bools([2], [true, false]).unwrap();
        assert_eq!(truths.view().to_tensor().unwrap(), truths);
    }

    #[test]
    fn memory_must_fit_the_shape_and_the_type() {
        let words = [0x3f80_0000u32, 0x4000_0000];
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        let view = TensorView::of_bytes(DType::F32, &[2], bytes).unwrap();
        assert_eq!(view.to_tensor().unwrap(), Tensor::f32([2], vec![1.0, 2.0]).unwrap());
        let code =
            |dtype, shape: &[usize], bytes| TensorView::of_bytes(dtype, shape, bytes).unwrap_err().code();
        assert_eq!(code(DType::F32, &[3], bytes), "TM0213");
        assert_eq!(code(DType::F32, &[1], &bytes[1..5]), "TM0212");
        assert_eq!(code(DType::F64, &[1], bytes), "TM0212");
        assert_eq!(code(DType::U8, &[usize::MAX, 3], bytes), "TM0214");
    }
}
