//! Additions and tables: layers of single elements, for which a tensor is a line of words.

use super::{Compiler, Constants, MaxPool, Refused, Requant, Window, within};
use crate::descriptor::{Descriptor, Op};
use crate::memory::Tensor;

/// Columns of the tiles of an addition.
const COLUMNS: usize = 64;

/// A sum of two tensors of one shape: `clamp(rint(fma(a, ra, terms[b])))`.
#[derive(Clone, Copy, Debug)]
pub struct Add<'a> {
    /// The first operand.
    pub a: Tensor,
    /// The second operand.
    pub b: Tensor,
    /// The output.
    pub y: Tensor,
    /// `a_scale / y_scale`.
    pub ra: f32,
    /// `fma(b, rb, c)` for every byte `b`, by its bit pattern.
    pub terms: &'a [f32; 256],
    /// Whether the bytes of a are u8.
    pub a_unsigned: bool,
    /// Whether the bytes of y are u8.
    pub y_unsigned: bool,
    /// Smallest and largest output.
    pub bounds: [i32; 2],
}

/// A function of every byte.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The input.
    pub x: Tensor,
    /// The output.
    pub y: Tensor,
    /// What each byte becomes.
    pub table: &'a [u8; 256],
}

impl Compiler {
    /// Appends a table alone.
    ///
    /// # Errors
    /// [`Refused`]; the list is then as it was.
    pub fn table(&mut self, table: &Table) -> Result<(), Refused> {
        let Table { x, y, table } = *table;
        self.max_pool(&MaxPool { x, y, window: Window::PIXEL, unsigned: true, table: Some(table) })
    }

    /// Appends an addition.
    ///
    /// # Errors
    /// [`Refused`]; the list is then as it was.
    pub fn add(&mut self, add: &Add) -> Result<(), Refused> {
        if !self.config.adds {
            return Err(Refused::Feature("additions"));
        }
        if [add.b, add.y].iter().any(|t| (t.channels, t.extent) != (add.a.channels, add.a.extent)) {
            return Err(Refused::Mismatch("the operands of an addition have other shapes"));
        }
        let limit = 16384.0;
        if !(1.0 / 65536.0..64.0).contains(&add.ra) || 255.0 * add.ra >= limit {
            return Err(Refused::Scales("the first operand's scale over the output's"));
        }
        if add.terms.iter().any(|term| term.abs().partial_cmp(&limit) != Some(std::cmp::Ordering::Less)) {
            return Err(Refused::Scales("the second operand's share"));
        }
        let lanes = self.config.lanes;
        let words = add.a.bytes(&self.config) / lanes;
        within("an operand", words, 1 << 24)?;
        let half = self.config.bank_words() / 2;
        let row = COLUMNS.div_ceil(self.config.banks[1]);
        let most_rows = half / 2 / row * self.config.banks[0];
        if most_rows == 0 {
            return Err(Refused::TooLarge("activations"));
        }
        self.layer(|compiler| {
            let terms: Vec<u8> = add.terms.iter().flat_map(|term| term.to_le_bytes()).collect();
            let mut constants =
                Constants { address: compiler.constant(&terms)?, table: true, ..Constants::default() };
            let mut at = 0;
            while at < words {
                let left = words - at;
                let extent =
                    if left >= COLUMNS { [(left / COLUMNS).min(most_rows), COLUMNS] } else { [1, left] };
                compiler.add_tile(add, at * lanes, extent, std::mem::take(&mut constants));
                at += extent[0] * extent[1];
            }
            Ok(())
        })
    }

    fn add_tile(&mut self, add: &Add, offset: usize, extent: [usize; 2], constants: Constants) {
        let lanes = self.config.lanes;
        let mut tile = Descriptor {
            op: Op::Add,
            tag: self.tag,
            slack: 1,
            first: true,
            last: true,
            x_extent: extent.map(|n| n as u16),
            y_extent: extent.map(|n| n as u16),
            y: add.y.address + offset as u32,
            y_row: (extent[1] * lanes) as u32,
            kernel: [1, 1],
            strides: [1, 1],
            pitch: [1, 1],
            planes: 2,
            scale: add.ra,
            ..Descriptor::default()
        };
        let requant = Requant {
            x_unsigned: add.a_unsigned,
            x_zero: 0,
            y_unsigned: add.y_unsigned,
            y_zero: 0, // the terms have it
            bounds: add.bounds,
            table: None,
        };
        requant.apply(&mut tile);
        self.load_input(&mut tile, true, &add.a, add.a.address as usize + offset, 2);
        tile.x_row = (extent[1] * lanes) as u32;
        tile.x_plane = add.b.address.wrapping_sub(add.a.address);
        self.load_constants(&mut tile, constants);
        self.push(&tile);
    }
}
