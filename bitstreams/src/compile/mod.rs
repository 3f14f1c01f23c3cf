//! Layers cut into tiles: the documented rule, in software.
//!
//! A tile computes some rows and columns of one block of output channels. Its input, with all planes, fits half of the activation
//! memory, so that the next input is loaded while this one is computed with; it is loaded once and used for every output
//! block. Weights of one output block take at most half of the weight memory. What has more steps than that a pixel is cut into
//! parts of planes or kernel rows, between which sums stay on chip. Of the regions that fit, that is taken for which the least is
//! loaded.

mod conv;
mod elementwise;
mod pool;
mod region;
mod run;

use thiserror::Error;

use crate::config::Config;
use crate::descriptor::{Descriptor, Op};
use crate::memory::Tensor;

pub use conv::Conv;
pub use elementwise::{Add, Table};
pub use pool::{AveragePool, MaxPool, MeanMultiplier};

/// Why an engine cannot run a layer. The layer runs elsewhere.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Refused {
    /// A part that this engine was built without.
    #[error("the engine was built without {0}")]
    Feature(&'static str),
    /// A number that a descriptor cannot hold.
    #[error("{what} is {found}, the limit is {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: usize,
        /// How large it may be.
        limit: usize,
    },
    /// Not even one pixel's part of the layer fits on the chip.
    #[error("one row of one plane of the window does not fit the engine's {0}")]
    TooLarge(&'static str),
    /// Operands that do not belong together.
    #[error("{0}")]
    Mismatch(&'static str),
    /// An addition whose sums the engine cannot form exactly.
    #[error("the addition's scales are outside what the engine adds exactly: {0}")]
    Scales(&'static str),
}

/// A sliding window, `[down, across]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Steps between outputs.
    pub strides: [usize; 2],
    /// Steps between taps.
    pub dilations: [usize; 2],
    /// Rows above and columns left of the image.
    pub before: [usize; 2],
}

impl Window {
    /// A window of one pixel.
    pub const PIXEL: Self = Self { kernel: [1, 1], strides: [1, 1], dilations: [1, 1], before: [0, 0] };
}

/// How a layer's sums become bytes. Zero points and bounds are those of the tensors, in `0..=255` or `-128..=127`.
#[derive(Clone, Copy, Debug)]
pub struct Requant<'a> {
    /// Whether the input is u8.
    pub x_unsigned: bool,
    /// The input's zero point.
    pub x_zero: i32,
    /// Whether the output is u8.
    pub y_unsigned: bool,
    /// The output's zero point.
    pub y_zero: i32,
    /// Smallest and largest output, before the table.
    pub bounds: [i32; 2],
    /// A function of the output byte, as the byte that each byte becomes.
    pub table: Option<&'a [u8; 256]>,
}

impl Requant<'_> {
    fn signed(value: i32, unsigned: bool) -> i8 {
        let value = if unsigned { value - 128 } else { value };
        value.clamp(-128, 127) as i8
    }

    /// The input's zero point as the array sees it: what padding is, and what biases take off.
    fn pad(&self) -> i8 {
        Self::signed(self.x_zero, self.x_unsigned)
    }

    fn apply(&self, tile: &mut Descriptor) {
        tile.x_unsigned = self.x_unsigned;
        tile.y_unsigned = self.y_unsigned;
        tile.pad = self.pad();
        tile.zero = Self::signed(self.y_zero, self.y_unsigned);
        tile.bounds = self.bounds.map(|bound| Self::signed(bound, self.y_unsigned));
        tile.table = self.table.is_some();
    }
}

/// A command list and the constants that it refers to.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Constants, to be written at the address that the compiler was given.
    pub constants: Vec<u8>,
    /// Descriptors, one behind the other.
    pub list: Vec<u8>,
    /// Number of descriptors.
    pub tiles: u32,
}

/// Makes a command list, layer by layer.
///
/// A layer's output must not overlap its inputs. Layers run in the order given; each may read what those before wrote.
#[derive(Debug)]
pub struct Compiler {
    config: Config,
    base: u32,
    program: Program,
    tag: u32,
    /// Whether the next input that is loaded may still be on its way to memory.
    fence: bool,
    /// The halves and slots that the next load goes to.
    next: Turns,
    /// Whether constants and list are of use to nobody.
    judges: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    activations: u16,
    weights: u16,
    params: u8,
    table: u8,
}

/// Where a tile's constants are, and what of them it loads.
#[derive(Clone, Copy, Debug, Default)]
struct Constants {
    address: u32,
    params: bool,
    table: bool,
    weights: u16,
}

impl Compiler {
    /// For an engine, with constants at `base`, a multiple of 16.
    #[must_use]
    pub fn new(config: Config, base: u32) -> Self {
        let (program, next) = (Program::default(), Turns::default());
        Self { config, base, program, tag: 0, fence: true, next, judges: false }
    }

    /// That only says whether an engine can run a layer: no weights are packed, and its list is of no use.
    #[must_use]
    pub fn judge(config: Config) -> Self {
        Self { judges: true, ..Self::new(config, 0) }
    }

    /// The engine it compiles for.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The number that the next layer's tiles carry; each layer has the next.
    #[must_use]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// Descriptors so far.
    #[must_use]
    pub const fn tiles(&self) -> u32 {
        self.program.tiles
    }

    /// Writes the counters to `address`, 16 bytes, when all before it is done: cycles, steps, words read, words written.
    pub fn stamp(&mut self, address: u32) {
        self.push(&Descriptor {
            op: Op::Stamp,
            tag: self.tag,
            y: address,
            slack: 1,
            ..Descriptor::default()
        });
    }

    /// The list.
    #[must_use]
    pub fn finish(self) -> Program {
        self.program
    }

    fn push(&mut self, tile: &Descriptor) {
        self.program.list.extend(tile.encode());
        self.program.tiles += 1;
    }

    /// Ends a layer: the next one reads what this one writes. If it was refused, nothing of it stays in the list.
    fn layer(&mut self, tiles: impl FnOnce(&mut Self) -> Result<(), Refused>) -> Result<(), Refused> {
        let kept = (self.program.constants.len(), self.program.list.len(), self.program.tiles, self.next);
        self.fence = true;
        let done = tiles(self);
        if done.is_err() {
            self.program.constants.truncate(kept.0);
            self.program.list.truncate(kept.1);
            (self.program.tiles, self.next) = (kept.2, kept.3);
        } else {
            self.tag += 1;
        }
        done
    }

    /// Appends constants; their address.
    fn constant(&mut self, bytes: &[u8]) -> Result<u32, Refused> {
        let at = self.program.constants.len();
        self.program.constants.extend(bytes);
        self.program.constants.resize(self.program.constants.len().next_multiple_of(16), 0);
        let limit = (u32::MAX - self.base) as usize;
        if self.program.constants.len() > limit {
            let found = self.program.constants.len();
            return Err(Refused::Limit { what: "the size of all constants", found, limit });
        }
        Ok(self.base + at as u32)
    }

    /// Says in a tile what it loads of its constants, and where that goes. Returns nothing; what is not loaded is what was
    /// loaded last.
    fn load_constants(&mut self, tile: &mut Descriptor, constants: Constants) {
        tile.constants = constants.address;
        tile.load_params = constants.params;
        tile.load_table = constants.table;
        if constants.params {
            self.next.params = (self.next.params + 1) % 4;
        }
        if constants.table {
            self.next.table ^= 1;
        }
        if constants.weights != 0 {
            let half = (self.config.weights / 2) as u16;
            self.next.weights = half - self.next.weights;
            tile.w_load = [self.next.weights, constants.weights];
        }
        tile.slots = [self.next.params, self.next.table];
        tile.bases[1] = self.next.weights;
    }

    /// The same for the input: `planes` of them, each `extent`, from the address of the first word.
    fn load_input(&mut self, tile: &mut Descriptor, load: bool, x: &Tensor, address: usize, planes: usize) {
        if load {
            let half = (self.config.bank_words() / 2) as u16;
            self.next.activations = half - self.next.activations;
            tile.fence = std::mem::take(&mut self.fence);
        }
        let [rows, cols] = tile.x_extent.map(usize::from);
        let pitch = region::bank_pitch(&self.config, [rows, cols]);
        tile.load_input = load;
        tile.x = address as u32;
        tile.x_plane = x.plane_bytes(&self.config) as u32;
        tile.x_load = [planes as u16, self.next.activations];
        tile.x_pitch = pitch.map(|words| words as u16);
        tile.bases[0] = self.next.activations;
    }
}

/// `8 lanes` bytes of parameters.
fn params(config: &Config, of: impl Fn(usize) -> (i32, f32)) -> Vec<u8> {
    let all: Vec<_> = (0..config.lanes).map(of).collect();
    let biases = all.iter().flat_map(|(bias, _)| bias.to_le_bytes());
    biases.chain(all.iter().flat_map(|(_, multiplier)| multiplier.to_le_bytes())).collect()
}

/// 1024 bytes of a table of bytes.
fn byte_table(table: &[u8; 256]) -> Vec<u8> {
    table.iter().flat_map(|&byte| u32::from(byte).to_le_bytes()).collect()
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), Refused> {
    if found > limit { Err(Refused::Limit { what, found, limit }) } else { Ok(()) }
}
