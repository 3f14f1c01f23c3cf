//! Between a caller's tensors and the arena: quantized where the model folds that into its input, channels last, with
//! the halo around, all in one pass.

use tilemark_model::{DType, DataView, Graph, Port, TensorView};

use super::kernels::quantize::Quantizer;
use super::vectorize::{Loop, Vectorizer};
use crate::error::Error;
use crate::plan::{Grid, Halo, Layout, Order, Slot};

/// Columns of a line that are interleaved at once.
const CHUNK: usize = 256;
/// Channels that are interleaved at once.
const GROUP: usize = 4;

/// Stores a caller's tensor in the bytes of its slot: what [`Graph::accept`] makes of it, in the slot's layout.
///
/// # Errors
/// [`Error::Model`] if the port takes no tensor of this type.
pub(crate) fn store(
    graph: &Graph,
    port: &Port,
    tensor: TensorView<'_>,
    slot: &Slot,
    bytes: &mut [u8],
    vectorizer: Vectorizer,
) -> Result<(), Error> {
    let layout = &slot.layout;
    let is_quantized = graph.value(port.value).quant.is_some() && layout.dtype.range().is_some();
    if tensor.shape() != layout.shape {
        return Err(Error::internal("a tensor", "does not have the planned shape"));
    }
    if layout.halo != Halo::default() {
        bytes.fill(slot.fill);
    }
    match (tensor.data(), layout.dtype) {
        (DataView::U8(from), DType::U8) => scatter(layout, bytes, vectorizer, copy(from)),
        (DataView::I8(from), DType::I8) => {
            scatter(layout, bytes, vectorizer, |first, to| {
                let from = &from[first..first + to.len()];
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from.cast_unsigned() ^ 0x80);
            });
        }
        (DataView::F32(from), _) if is_quantized && port.dtype == DType::F32 => {
            let quantizer = Quantizer::new(graph, port.value, vectorizer)?;
            scatter(layout, bytes, vectorizer, |first, to| {
                quantizer.line(&from[first..first + to.len()], to)
            });
        }
        (DataView::F32(from), DType::F32) => {
            scatter(layout, bytemuck::cast_slice_mut(bytes), vectorizer, copy::<f32>(from));
        }
        (_, dtype) if dtype == tensor.dtype() => layout.store(&tensor.to_tensor()?, bytes, slot.fill)?,
        _ => layout.store(&graph.accept(port, tensor.to_tensor()?)?, bytes, slot.fill)?,
    }
    Ok(())
}

fn copy<T: Copy>(from: &[T]) -> impl Fn(usize, &mut [T]) {
    |first, to| to.copy_from_slice(&from[first..first + to.len()])
}

/// Writes elements to their places: `read` gives as many as fit, from one of this number in row-major order.
fn scatter<T: Copy + Default>(
    layout: &Layout,
    buffer: &mut [T],
    vectorizer: Vectorizer,
    read: impl Fn(usize, &mut [T]),
) {
    let Grid { images, rows, columns, channels } = layout.grid;
    let count = images * rows * columns * channels;
    if layout.is_plain() || count == 0 {
        return read(0, &mut buffer[..count]);
    }
    let mut lines = [[T::default(); CHUNK]; GROUP];
    for (image, row) in (0..images).flat_map(|image| (0..rows).map(move |row| (image, row))) {
        let at = layout.offset(image, row, 0) / size_of::<T>();
        let pixels = &mut buffer[at..at + columns * channels];
        if layout.order == Order::Own {
            read((image * rows + row) * pixels.len(), pixels);
            continue;
        }
        let line = |channel: usize| ((image * channels + channel) * rows + row) * columns;
        for (i, pixels) in pixels.chunks_mut(CHUNK * channels).enumerate() {
            let count = pixels.len() / channels;
            for first in (0..channels).step_by(GROUP) {
                let group = GROUP.min(channels - first);
                for (channel, to) in (first..).zip(&mut lines[..group]) {
                    read(line(channel) + i * CHUNK, &mut to[..count]);
                }
                vectorizer.run(Interleave { lines: &lines, first, group, channels, pixels });
            }
        }
    }
}

/// Some channels' lines into pixels.
struct Interleave<'a, T> {
    lines: &'a [[T; CHUNK]; GROUP],
    first: usize,
    group: usize,
    channels: usize,
    pixels: &'a mut [T],
}

impl<T: Copy> Loop for Interleave<'_, T> {
    #[inline(always)]
    fn run(self) {
        let [a, b, c, d] = self.lines;
        match (self.channels, self.group) {
            (3, _) => {
                let pixels = self.pixels.as_chunks_mut::<3>().0;
                for (((pixel, &a), &b), &c) in pixels.iter_mut().zip(a).zip(b).zip(c) {
                    *pixel = [a, b, c];
                }
            }
            (4, _) => {
                let pixels = self.pixels.as_chunks_mut::<4>().0;
                for ((((pixel, &a), &b), &c), &d) in pixels.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    *pixel = [a, b, c, d];
                }
            }
            (channels, group) => {
                for (channel, line) in (self.first..).zip(&self.lines[..group]) {
                    let pixels = self.pixels.chunks_exact_mut(channels);
                    pixels.zip(line).for_each(|(pixel, &element)| pixel[channel] = element);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tilemark_model::graph::{Dim, Draft};
    use tilemark_model::{Quant, Tensor};

    use super::*;
    use crate::host::CpuLevel;

    fn graph(dtype: DType, zero_point: i32, shape: &[usize]) -> Graph {
        let mut draft = Draft::default();
        let quant = dtype.range().map(|_| Quant { scale: 0.37, zero_point });
        let value = draft.activation("x", dtype, quant);
        let dims = shape.iter().map(|&n| Dim::Fixed(n)).collect();
        let port = Port { name: "x".into(), value, dtype: DType::F32, shape: dims };
        draft.inputs.push(port.clone());
        draft.outputs.push(port);
        draft.freeze().unwrap()
    }

    fn bytes(words: &mut [u64], count: usize) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(words)[..count]
    }

    /// Every type that a port takes, through every form of the interleaving, equals accepting and storing.
    #[test]
    fn one_pass_equals_accepting_and_then_storing() {
        let halo = Halo { top: 1, left: 2, bottom: 3, right: 1 };
        let shapes = [
            &[1, 1, 5, 7][..],
            &[2, 3, 2, 300],
            &[1, 4, 3, 33],
            &[1, 7, 2, 5],
            &[1, 9, 1, 1],
            &[1, 0, 3, 3],
            &[6, 4],
            &[3],
        ];
        let types = [(DType::U8, 17), (DType::I8, -3), (DType::F32, 0)];
        let cases = shapes.iter().flat_map(|&shape| types.map(|t| (shape, t)));
        let orders = [Order::ChannelsLast, Order::Own];
        for ((shape, (dtype, zero)), order) in cases.flat_map(|case| orders.map(|order| (case, order))) {
            let graph = graph(dtype, zero, shape);
            let port = &graph.inputs[0];
            let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.185, 0.555, -0.0, 1e30, -1e30];
            let real = |i: usize| special.get(i).copied().unwrap_or((i * 37 % 311) as f32 * 0.5 - 77.0);
            let reals = Tensor::f32(shape, (0..shape.iter().product()).map(real).collect()).unwrap();
            let accepted = graph.accept(port, reals.clone()).unwrap();
            let layout = Layout::new(shape, dtype, if shape.len() == 4 { halo } else { Halo::default() })
                .in_order(order);
            let slot = Slot { offset: 0, bytes: layout.bytes().unwrap(), layout, fill: 200 };
            let buffer = |fill: u64| vec![fill; slot.bytes.div_ceil(8)]; // aligned for f32
            let mut expected = buffer(1);
            slot.layout.store(&accepted, bytes(&mut expected, slot.bytes), slot.fill).unwrap();
            for level in CpuLevel::ALL.into_iter().filter(|level| level.is_supported()) {
                for tensor in [&reals, &accepted] {
                    let mut found = buffer(2);
                    let to = bytes(&mut found, slot.bytes);
                    store(&graph, port, tensor.view(), &slot, to, Vectorizer::new(level)).unwrap();
                    assert!(
                        to == bytes(&mut expected, slot.bytes),
                        "{shape:?} {dtype} from {} at {level}",
                        tensor.dtype()
                    );
                }
            }
        }
    }
}
