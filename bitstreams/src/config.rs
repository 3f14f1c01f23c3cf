//! What an engine was built with.

use std::fmt;

use serde::Deserialize;

/// The first register.
pub const ID: u32 = 0x4543_4d54;
/// The interface that this crate writes for: major version in the upper half. A driver refuses another major one.
pub const ABI: u32 = 0x0001_0000;

/// An engine's parameters, as its registers give them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Input lanes, output lanes and bytes of a word of memory: 4, 8 or 16.
    pub lanes: usize,
    /// Results requantized a clock.
    pub results: usize,
    /// Banks of activations, down and across: powers of two.
    pub banks: [usize; 2],
    /// Words of activations in all banks.
    pub activations: usize,
    /// Words of weights, each of `lanes * lanes` bytes.
    pub weights: usize,
    /// Pixels whose sums can be kept between tiles.
    pub sums: usize,
    /// Whether there is ADD.
    pub adds: bool,
    /// Whether there is QUAD.
    pub quads: bool,
}

/// Registers that do not describe an engine of this interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotThisEngine {
    /// What the first register said.
    pub id: u32,
    /// What the second one said.
    pub abi: u32,
}

impl fmt::Display for NotThisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, abi } = self;
        write!(
            f,
            "the device has the id {id:#010x} and the ABI {abi:#010x}; expected {ID:#010x} and {ABI:#010x}"
        )
    }
}

impl std::error::Error for NotThisEngine {}

impl Config {
    /// The engine of 16 x 16 lanes, which is simulated; no board here has it.
    pub const LANES_16: Self = Self {
        lanes: 16,
        results: 8,
        banks: [2, 4],
        activations: 8192,
        weights: 512,
        sums: 256,
        adds: true,
        quads: true,
    };

    /// Reads the configuration through a function that reads the register at an offset in bytes.
    ///
    /// # Errors
    /// [`NotThisEngine`] if id or major version differ.
    pub fn read(mut register: impl FnMut(u32) -> u32) -> Result<Self, NotThisEngine> {
        let (id, abi) = (register(0x00), register(0x04));
        if id != ID || abi >> 16 != ABI >> 16 {
            return Err(NotThisEngine { id, abi });
        }
        let built = register(0x08);
        let part = |shift: u32, bits: u32| ((built >> shift) & ((1 << bits) - 1)) as usize;
        Ok(Self {
            lanes: part(0, 8),
            results: part(8, 8),
            banks: [1 << part(16, 4), 1 << part(20, 4)],
            activations: register(0x0c) as usize,
            weights: register(0x10) as usize,
            sums: register(0x14) as usize,
            adds: part(24, 1) == 1,
            quads: part(25, 1) == 1,
        })
    }

    /// Products a clock: of every lane with every input, or in the compact engine, which gives less than a result a clock, of one lane.
    #[must_use]
    pub const fn peak(&self) -> usize {
        if self.results == 0 { self.lanes } else { self.lanes * self.lanes }
    }

    /// Words in each bank of activations.
    #[must_use]
    pub const fn bank_words(&self) -> usize {
        self.activations / (self.banks[0] * self.banks[1])
    }

    /// Whole blocks of `lanes` channels.
    #[must_use]
    pub const fn blocks(&self, channels: usize) -> usize {
        channels.div_ceil(self.lanes)
    }
}
