//! AMX: tile registers and their instructions, as Intel's manual has them (Software Developer's Manual, volume 2, with the
//! architecture's checks of tile shapes). Whatever is wrong with a shape ends the process: there it would have been an exception.

use std::cell::UnsafeCell;

use super::{Instruction, Operand, check, fail};

/// Room for a tile: 16 rows of 64 bytes.
type Tile = [[u8; 64]; 16];

/// A thread's tile registers.
struct Registers {
    is_configured: bool,
    rows: [usize; 8],
    row_bytes: [usize; 8],
    tiles: [Tile; 8],
}

thread_local! {
    // Constant and without a destructor, so that a signal handler may touch it.
    static REGISTERS: UnsafeCell<Registers> = const {
        UnsafeCell::new(Registers { is_configured: false, rows: [0; 8], row_bytes: [0; 8], tiles: [[[0; 64]; 16]; 8] })
    };
}

/// Does what a tile instruction does.
///
/// # Safety
/// What the instruction reads is readable and what it writes is writable.
pub(super) unsafe fn execute(instruction: &Instruction) {
    const NONE: u8 = 0;
    const X66: u8 = 1;
    const XF3: u8 = 2;
    const XF2: u8 = 3;
    let Instruction { opcode, prefix, reg, vvvv, ref operand, .. } = *instruction;
    check(!instruction.is_wide && reg < 8, "no tile register");
    // SAFETY: the caller's duty; nothing else of this thread has the registers while its handler runs.
    REGISTERS.with(|registers| unsafe {
        let registers = &mut *registers.get();
        match (opcode, prefix, operand) {
            (0x49, NONE, &Operand::Memory { address, index }) => {
                registers.configure(&*(address.wrapping_add(index) as *const [u8; 64]));
            }
            (0x49, NONE, Operand::Register(0)) => registers.configure(&[0; 64]),
            (0x49, XF2, Operand::Register(0)) => {
                registers.check(reg);
                registers.tiles[reg] = [[0; 64]; 16];
            }
            (0x4b, XF2 | X66, &Operand::Memory { address, index }) => registers.load(reg, address, index),
            (0x4b, XF3, &Operand::Memory { address, index }) => registers.store(reg, address, index),
            (0x5e, X66, &Operand::Register(left)) => registers.multiply(reg, left, vvvv),
            _ => fail("an instruction that is not emulated"),
        }
    });
}

impl Registers {
    fn configure(&mut self, bytes: &[u8; 64]) {
        check(bytes[0] <= 1, "palette above 1");
        self.is_configured = bytes[0] == 1;
        self.tiles = [[[0; 64]; 16]; 8];
        (self.rows, self.row_bytes) = ([0; 8], [0; 8]);
        if !self.is_configured {
            return;
        }
        check(bytes[1] == 0, "a start row");
        check(bytes[2..16].iter().all(|&byte| byte == 0), "reserved bytes that are not zero");
        for tile in 0..8 {
            let row_bytes = usize::from(u16::from_le_bytes([bytes[16 + 2 * tile], bytes[17 + 2 * tile]]));
            let rows = usize::from(bytes[48 + tile]);
            check(row_bytes <= 64 && rows <= 16, "a tile beyond 16 rows of 64 bytes");
            check((row_bytes == 0) == (rows == 0), "a tile with rows or columns only");
            (self.rows[tile], self.row_bytes[tile]) = (rows, row_bytes);
        }
        check(bytes[32..48].iter().chain(&bytes[56..]).all(|&byte| byte == 0), "tiles that do not exist");
    }

    fn check(&self, tile: usize) {
        check(self.is_configured && tile < 8 && self.rows[tile] > 0, "a tile that is not configured");
    }

    unsafe fn load(&mut self, tile: usize, address: usize, stride: usize) {
        self.check(tile);
        self.tiles[tile] = [[0; 64]; 16];
        for row in 0..self.rows[tile] {
            let from = address.wrapping_add(row.wrapping_mul(stride)) as *const u8;
            let to = self.tiles[tile][row].as_mut_ptr();
            // SAFETY: the caller's duty.
            unsafe { std::ptr::copy_nonoverlapping(from, to, self.row_bytes[tile]) };
        }
    }

    unsafe fn store(&self, tile: usize, address: usize, stride: usize) {
        self.check(tile);
        for row in 0..self.rows[tile] {
            let to = address.wrapping_add(row.wrapping_mul(stride)) as *mut u8;
            // SAFETY: the caller's duty.
            unsafe {
                std::ptr::copy_nonoverlapping(self.tiles[tile][row].as_ptr(), to, self.row_bytes[tile])
            };
        }
    }

    /// TDPBUSD: `sums += left * right`, unsigned times signed bytes, four products to a lane.
    fn multiply(&mut self, sums: usize, left: usize, right: usize) {
        [sums, left, right].iter().for_each(|&tile| self.check(tile));
        check(sums != left && sums != right && left != right, "one tile in two places");
        check(self.rows[sums] == self.rows[left], "sums and left operand have different rows");
        check(self.row_bytes[sums] == self.row_bytes[right], "sums and right operand have different columns");
        check(self.row_bytes[left] == 4 * self.rows[right], "the operands do not fit");
        check(self.row_bytes[sums].is_multiple_of(4), "a part of a lane");
        for row in 0..self.rows[sums] {
            for lane in 0..self.row_bytes[sums] / 4 {
                let mut sum = i32::from_le_bytes(self.lane(sums, row, lane));
                for k in 0..self.rows[right] {
                    let (a, b) = (self.lane(left, row, k), self.lane(right, k, lane));
                    for (a, b) in a.into_iter().zip(b) {
                        sum = sum.wrapping_add(i32::from(a) * i32::from(b.cast_signed()));
                    }
                }
                self.tiles[sums][row][4 * lane..4 * lane + 4].copy_from_slice(&sum.to_le_bytes());
            }
        }
    }

    fn lane(&self, tile: usize, row: usize, lane: usize) -> [u8; 4] {
        let row = &self.tiles[tile][row];
        [row[4 * lane], row[4 * lane + 1], row[4 * lane + 2], row[4 * lane + 3]]
    }
}
