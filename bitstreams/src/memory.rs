//! How tensors lie in the engine's memory.

use crate::config::Config;

/// A tensor of one image in the engine's memory: blocks of `lanes` channels, each a plane of words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tensor {
    /// Address of its first byte, a multiple of `lanes`.
    pub address: u32,
    /// Channels.
    pub channels: usize,
    /// Rows and columns.
    pub extent: [usize; 2],
}

impl Tensor {
    /// Bytes of a plane.
    #[must_use]
    pub const fn plane_bytes(&self, config: &Config) -> usize {
        self.extent[0] * self.extent[1] * config.lanes
    }

    /// Bytes in all.
    #[must_use]
    pub const fn bytes(&self, config: &Config) -> usize {
        config.blocks(self.channels) * self.plane_bytes(config)
    }

    /// Bytes `[channel, row, column]` as the engine has them; what is in channels that there are not is zero.
    ///
    /// # Panics
    /// If `nchw` does not have the tensor's size.
    #[must_use]
    pub fn pack(&self, config: &Config, nchw: &[u8]) -> Vec<u8> {
        let [rows, cols] = self.extent;
        assert_eq!(nchw.len(), self.channels * rows * cols, "not the bytes of {self:?}");
        let mut packed = vec![0; self.bytes(config)];
        for (channel, plane) in nchw.chunks_exact((rows * cols).max(1)).enumerate() {
            let block = &mut packed[channel / config.lanes * self.plane_bytes(config)..];
            for (word, &byte) in block.chunks_exact_mut(config.lanes).zip(plane) {
                word[channel % config.lanes] = byte;
            }
        }
        packed
    }

    /// The reverse of [`Tensor::pack`].
    ///
    /// # Panics
    /// If `packed` does not have the tensor's size.
    #[must_use]
    pub fn unpack(&self, config: &Config, packed: &[u8]) -> Vec<u8> {
        assert_eq!(packed.len(), self.bytes(config), "not the bytes of {self:?}");
        let pixels = self.extent[0] * self.extent[1];
        let mut nchw = Vec::with_capacity(self.channels * pixels);
        for channel in 0..self.channels {
            let block = &packed[channel / config.lanes * self.plane_bytes(config)..];
            nchw.extend(
                block.chunks_exact(config.lanes).take(pixels).map(|word| word[channel % config.lanes]),
            );
        }
        nchw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_in_blocks() {
        let tensor = Tensor { address: 0, channels: 18, extent: [1, 2] };
        let bytes: Vec<u8> = (0..36).collect();
        let packed = tensor.pack(&Config::LANES_16, &bytes);
        assert_eq!(packed.len(), 64);
        assert_eq!(packed[..3], [0, 2, 4]);
        assert_eq!(packed[16..19], [1, 3, 5]);
        assert_eq!(packed[32..35], [32, 34, 0]);
        assert_eq!(tensor.unpack(&Config::LANES_16, &packed), bytes);
    }
}
