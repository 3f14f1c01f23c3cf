//! Normalization and quantization folded into one 256-entry table per channel.

use tilemark_model::numerics::quantize;
use tilemark_model::{DType, Data};

use crate::error::{Error, Result};
use crate::image::Raster;
use crate::interface::TensorInfo;
use crate::spec::{Layout, Normalize};

/// What the model gets for each pixel value of each channel, in the order of the model's channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Table {
    U8(Vec<[u8; 256]>),
    I8(Vec<[i8; 256]>),
    F32(Vec<[f32; 256]>),
}

impl Table {
    /// The table for `input`: `quantize((p / divide - mean[c]) / std[c])`, or that value where the input is f32.
    /// Without a `normalize` the value is `p`.
    pub(crate) fn new(normalize: Option<&Normalize>, channels: usize, input: &TensorInfo) -> Result<Self> {
        let value = |c: usize, p: u8| normalize.map_or(f32::from(p), |n| n.value(c, p));
        match (input.dtype, input.checked_quant()?) {
            (DType::F32, None) => Ok(Self::F32(table(channels, value))),
            (DType::U8, Some(q)) => {
                Ok(Self::U8(table(channels, |c, p| quantize(value(c, p), q, DType::U8) as u8)))
            }
            (DType::I8, Some(q)) => {
                Ok(Self::I8(table(channels, |c, p| quantize(value(c, p), q, DType::I8) as i8)))
            }
            (DType::U8, None) if normalize.is_none() => Ok(Self::U8(table(channels, |_, p| p))),
            (DType::U8, None) => Err(image_type(input, "no normalize stage")),
            _ => Err(image_type(input, "f32, u8, or quantized i8")),
        }
    }

    /// Which pixel values of each channel stand for numbers that a quantized `input` cannot hold: they become its least or its
    /// largest one. None for an input of floats.
    pub(crate) fn beyond(
        normalize: Option<&Normalize>,
        channels: usize,
        input: &TensorInfo,
    ) -> Result<Vec<[bool; 256]>> {
        let (Some(quant), Some((least, most))) = (input.checked_quant()?, input.dtype.range()) else {
            return Ok(vec![[false; 256]; channels]);
        };
        let value = |c: usize, p: u8| normalize.map_or(f32::from(p), |n| n.value(c, p));
        Ok(table(channels, |c, p| {
            let q = f64::from((value(c, p) / quant.scale).round_ties_even()) + f64::from(quant.zero_point);
            q < f64::from(least) || q > f64::from(most)
        }))
    }

    /// The tensor elements of `picture`, which has as many channels as the table; `reversed` for blue first.
    pub(crate) fn apply(&self, picture: &Raster, layout: Layout, reversed: bool) -> Data {
        match self {
            Self::U8(tables) => Data::U8(fill(tables, picture, layout, reversed)),
            Self::I8(tables) => Data::I8(fill(tables, picture, layout, reversed)),
            Self::F32(tables) => Data::F32(fill(tables, picture, layout, reversed)),
        }
    }
}

impl Normalize {
    /// `(p / divide - mean[c]) / std[c]`: three f32 operations, each rounded.
    fn value(&self, channel: usize, pixel: u8) -> f32 {
        // One number stands for every channel. The lengths were checked when the pipeline was made.
        let of = |values: &[f32]| values[if values.len() == 1 { 0 } else { channel }];
        (f32::from(pixel) / self.divide - of(&self.mean)) / of(&self.std)
    }
}

fn image_type(input: &TensorInfo, expected: &'static str) -> Error {
    Error::ImageType { name: input.name.clone(), dtype: input.dtype, expected }
}

fn table<T: Copy + Default>(channels: usize, value: impl Fn(usize, u8) -> T) -> Vec<[T; 256]> {
    (0..channels)
        .map(|c| {
            let mut entries = [T::default(); 256];
            for (p, entry) in (0..=255).zip(&mut entries) {
                *entry = value(c, p);
            }
            entries
        })
        .collect()
}

fn fill<T: Copy + Default>(tables: &[[T; 256]], picture: &Raster, layout: Layout, reversed: bool) -> Vec<T> {
    let channels = picture.channels;
    let mut elements = vec![T::default(); picture.samples.len()];
    for (c, table) in tables.iter().enumerate() {
        let source = if reversed { channels - 1 - c } else { c };
        let values = picture.samples.iter().skip(source).step_by(channels).map(|&p| table[usize::from(p)]);
        let plane = picture.width * picture.height;
        match layout {
            Layout::Nchw => elements.iter_mut().skip(c * plane).zip(values).for_each(|(e, v)| *e = v),
            Layout::Nhwc => {
                elements.iter_mut().skip(c).step_by(channels).zip(values).for_each(|(e, v)| *e = v)
            }
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilemark_model::Quant;

    fn input(dtype: DType, quant: Option<Quant>) -> TensorInfo {
        TensorInfo { name: "x".into(), shape: vec![Some(1), Some(3), Some(2), Some(1)], dtype, quant }
    }

    fn normalize() -> Normalize {
        Normalize { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225], divide: 255.0 }
    }

    #[test]
    fn a_table_equals_quantizing_the_normalized_floats() {
        let floats = Table::new(Some(&normalize()), 3, &input(DType::F32, None)).unwrap();
        let Table::F32(floats) = floats else { panic!("{floats:?}") };
        for (scale, zero_point) in [(0.018_658_2, 114), (1.0 / 128.0, 127), (0.5, 0), (1e-3, 255), (3.7, 1)] {
            let u8_quant = Quant { scale, zero_point };
            let i8_quant = Quant { scale, zero_point: zero_point - 128 };
            let Table::U8(unsigned) =
                Table::new(Some(&normalize()), 3, &input(DType::U8, Some(u8_quant))).unwrap()
            else {
                panic!()
            };
            let Table::I8(signed) =
                Table::new(Some(&normalize()), 3, &input(DType::I8, Some(i8_quant))).unwrap()
            else {
                panic!()
            };
            for (c, p) in (0..3).flat_map(|c| (0..256).map(move |p| (c, p))) {
                let x = floats[c][p];
                let n = normalize();
                assert_eq!(x.to_bits(), ((p as f32 / 255.0 - n.mean[c]) / n.std[c]).to_bits());
                // QuantizeLinear spelt out: saturate(round_half_even(x / scale) + zero_point).
                let q = f64::from((x / scale).round_ties_even()) + f64::from(zero_point);
                assert_eq!(f64::from(unsigned[c][p]), q.clamp(0.0, 255.0));
                assert_eq!(f64::from(signed[c][p]), (q - 128.0).clamp(-128.0, 127.0));
            }
        }
    }

    #[test]
    fn the_taggers_table_is_known() {
        let n = Normalize { mean: vec![127.0], std: vec![128.0], divide: 1.0 };
        let quant = Quant { scale: 1.0 / 128.0, zero_point: 127 };
        let Table::U8(tables) = Table::new(Some(&n), 3, &input(DType::U8, Some(quant))).unwrap() else {
            panic!()
        };
        assert!(tables.iter().all(|t| (0..=255u8).all(|p| t[usize::from(p)] == p)));
    }

    #[test]
    fn elements_go_where_the_layout_says() {
        let picture = Raster { width: 2, height: 1, channels: 3, samples: vec![1, 2, 3, 4, 5, 6] };
        let table = Table::new(None, 3, &input(DType::U8, None)).unwrap();
        assert_eq!(table.apply(&picture, Layout::Nhwc, false), Data::U8(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(table.apply(&picture, Layout::Nhwc, true), Data::U8(vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(table.apply(&picture, Layout::Nchw, false), Data::U8(vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(table.apply(&picture, Layout::Nchw, true), Data::U8(vec![3, 6, 2, 5, 1, 4]));
    }

    #[test]
    fn types_that_cannot_hold_pixels_are_refused() {
        for (dtype, quant) in [(DType::I32, None), (DType::I64, None), (DType::I8, None)] {
            assert!(matches!(Table::new(None, 3, &input(dtype, quant)), Err(Error::ImageType { .. })));
        }
        assert!(matches!(
            Table::new(Some(&normalize()), 3, &input(DType::U8, None)),
            Err(Error::ImageType { .. })
        ));
        for (scale, zero_point) in
            [(0.0, 0), (-1.0, 0), (f32::NAN, 0), (f32::INFINITY, 0), (1.0, 256), (1.0, -1)]
        {
            let input = input(DType::U8, Some(Quant { scale, zero_point }));
            assert!(
                matches!(Table::new(None, 3, &input), Err(Error::Quantization { .. })),
                "{scale} {zero_point}"
            );
        }
    }
}
