//! A descriptor: one tile, in 128 bytes. The table in `rtl/README.md` is the definition.

use crate::config::Config;

/// Bytes of a descriptor.
pub const DESCRIPTOR_BYTES: usize = 128;

/// What a tile computes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Op {
    /// Products of words of channels.
    #[default]
    Conv = 1,
    /// The same for up to 4 channels, several pixels at once.
    Quad = 2,
    /// Products of windows of one channel.
    Depthwise = 3,
    /// The largest tap.
    Max = 4,
    /// The sum of two tensors.
    Add = 5,
    /// Writes the counters.
    Stamp = 6,
}

/// The fields of a descriptor. Coordinates and extents are `[rows, columns]`; addresses and pitches are in bytes, bases in
/// words. What is left out is zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Descriptor {
    /// What it computes.
    pub op: Op,
    /// The host's.
    pub tag: u32,
    /// Loads the input.
    pub load_input: bool,
    /// Loads parameters.
    pub load_params: bool,
    /// Loads a table.
    pub load_table: bool,
    /// Sums start from the bias.
    pub first: bool,
    /// Sums become results.
    pub last: bool,
    /// Results are looked up.
    pub table: bool,
    /// The input is u8.
    pub x_unsigned: bool,
    /// The result, before a table, is u8.
    pub y_unsigned: bool,
    /// The input is what earlier tiles write.
    pub fence: bool,
    /// How many tiles before this one can be unfinished when its loading starts.
    pub slack: u8,
    /// Slots of parameters and of the table.
    pub slots: [u8; 2],
    /// The input's first word, and bytes between planes and rows.
    pub x: u32,
    /// Bytes between planes.
    pub x_plane: u32,
    /// Bytes between rows.
    pub x_row: u32,
    /// Rows and columns of the input.
    pub x_extent: [u16; 2],
    /// Planes to load, and where to.
    pub x_load: [u16; 2],
    /// In-bank words between rows of banks, and between planes.
    pub x_pitch: [u16; 2],
    /// Constants.
    pub constants: u32,
    /// Where weights are loaded to, and how many words.
    pub w_load: [u16; 2],
    /// The result's first word.
    pub y: u32,
    /// Bytes between its rows.
    pub y_row: u32,
    /// Its rows and columns.
    pub y_extent: [u16; 2],
    /// Steps of the kernel.
    pub kernel: [u8; 2],
    /// Strides.
    pub strides: [u8; 2],
    /// Pixels between steps of the kernel.
    pub pitch: [u8; 2],
    /// Planes to compute with.
    pub planes: u16,
    /// Place of the first step of the first result.
    pub origin: [i16; 2],
    /// Padding, zero point, lowest and highest result: signed bytes.
    pub pad: i8,
    /// The zero point of the result.
    pub zero: i8,
    /// The bounds of the result.
    pub bounds: [i8; 2],
    /// Bases of activations and of weights to compute with.
    pub bases: [u16; 2],
    /// The factor of an addition's first operand.
    pub scale: f32,
    /// First pixel of the kept sums.
    pub sums: u16,
}

impl Descriptor {
    /// The bytes that the engine reads.
    #[must_use]
    pub fn encode(&self) -> [u8; DESCRIPTOR_BYTES] {
        let flags = [
            self.load_input,
            self.load_params,
            self.load_table,
            self.w_load[1] != 0,
            self.first,
            self.last,
            self.table,
            self.x_unsigned,
            self.y_unsigned,
            self.fence,
        ];
        let flags = flags.iter().enumerate().fold(0, |bits, (i, &flag)| bits | u32::from(flag) << (16 + i));
        let halves = |[low, high]: [u16; 2]| u32::from(low) | u32::from(high) << 16;
        let bytes = |bytes: [u8; 4]| u32::from_le_bytes(bytes);
        let signed = |bytes: [i8; 4]| u32::from_le_bytes(bytes.map(i8::cast_unsigned));
        let mut words = [0u32; 32];
        words[..21].copy_from_slice(&[
            u32::from(self.op as u8) | 0x54 << 8 | flags,
            self.tag,
            bytes([self.slack, self.slots[0], self.slots[1], 0]),
            self.x,
            self.x_plane,
            self.x_row,
            halves(self.x_extent),
            halves(self.x_load),
            halves(self.x_pitch),
            self.constants,
            halves(self.w_load),
            self.y,
            self.y_row,
            halves(self.y_extent),
            bytes([self.kernel[0], self.kernel[1], self.strides[0], self.strides[1]]),
            bytes([self.pitch[0], self.pitch[1], 0, 0]) | u32::from(self.planes) << 16,
            halves(self.origin.map(i16::cast_unsigned)),
            signed([self.pad, self.zero, self.bounds[0], self.bounds[1]]),
            halves(self.bases),
            self.scale.to_bits(),
            u32::from(self.sums),
        ]);
        seal(&mut words);
        let mut encoded = [0; DESCRIPTOR_BYTES];
        for (to, word) in encoded.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        encoded
    }
}

/// Bytes that an encoded descriptor's tile reads of an engine's memory and writes there, the descriptor included.
#[must_use]
pub fn traffic(tile: &[u8; DESCRIPTOR_BYTES], config: &Config) -> u64 {
    let word =
        |i: usize| u32::from_le_bytes([tile[4 * i], tile[4 * i + 1], tile[4 * i + 2], tile[4 * i + 3]]);
    let [low, high] = [|word: u32| u64::from(word & 0xffff), |word: u32| u64::from(word >> 16)];
    let (flag, lanes) = (|bit: u32| u64::from(word(0) >> bit & 1), config.lanes as u64);
    let input = flag(16) * low(word(6)) * high(word(6)) * low(word(7)) * lanes;
    let constants = flag(17) * 8 * lanes + flag(18) * 1024 + flag(19) * high(word(10)) * lanes * lanes;
    let result = flag(21) * low(word(13)) * high(word(13)) * lanes;
    DESCRIPTOR_BYTES as u64 + input + constants + result
}

/// Makes the last word what lets all have the sum zero.
fn seal(words: &mut [u32; 32]) {
    words[31] = 0;
    words[31] = words.iter().fold(0u32, |sum, &word| sum.wrapping_add(word)).wrapping_neg();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_moves_its_input_constants_and_result() {
        let tile = Descriptor {
            load_input: true,
            load_params: true,
            last: true,
            x_extent: [3, 5],
            x_load: [2, 0],
            w_load: [0, 9],
            y_extent: [1, 4],
            ..Descriptor::default()
        };
        let config = Config::LANES_16;
        assert_eq!(traffic(&tile.encode(), &config), 128 + 3 * 5 * 2 * 16 + 128 + 9 * 256 + 4 * 16);
        let alone = Descriptor { x_extent: [3, 5], y_extent: [1, 4], ..Descriptor::default() };
        assert_eq!(traffic(&alone.encode(), &config), 128);
    }

    #[test]
    fn fields_lie_where_the_manual_says() {
        let tile = Descriptor {
            op: Op::Add,
            load_table: true,
            fence: true,
            slots: [3, 1],
            planes: 2,
            origin: [-1, -2],
            pad: -128,
            bounds: [-5, 7],
            w_load: [4, 9],
            ..Descriptor::default()
        };
        let bytes = tile.encode();
        let word = |i: usize| u32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap());
        assert_eq!(word(0), 5 | 0x54 << 8 | 1 << 18 | 1 << 19 | 1 << 25);
        assert_eq!(word(2), 0x0001_0300);
        assert_eq!(word(10), 9 << 16 | 4);
        assert_eq!(word(15), 2 << 16);
        assert_eq!(word(16), 0xfffe_ffff);
        assert_eq!(word(17), 0x07fb_0080);
        assert_eq!((0..32).fold(0, |sum: u32, i| sum.wrapping_add(word(i))), 0);
    }
}
