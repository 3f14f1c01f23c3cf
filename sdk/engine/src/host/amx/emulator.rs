//! The tile instructions in software, for tests on CPUs without them: they raise SIGILL there, and its handler does
//! what Intel's manual says that they do (Software Developer's Manual, volume 2, and the architecture's checks of
//! tile shapes). It proves bits, never speed.
//!
//! Only in builds with the feature `emulate-amx`. Whatever is wrong with an instruction or a shape ends the process:
//! there it would have been an exception too.
#![allow(
    unsafe_code,
    reason = "reads and writes the registers and memory of the instruction that was interrupted"
)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

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

/// Handles SIGILL from now on.
pub(super) fn install() {
    // SAFETY: the action is whole and the handler has the signature that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handle as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()), 0);
    }
}

extern "C" fn handle(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the interrupted thread's context, whose instruction pointer is at readable code.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let code = registers[libc::REG_RIP as usize] as *const u8;
        let instruction = Instruction::decode(code, registers).unwrap_or_else(|| fail("no tile instruction"));
        REGISTERS.with(|tiles| instruction.execute(&mut *tiles.get()));
        registers[libc::REG_RIP as usize] += instruction.length as i64;
    }
}

/// Ends the process, in a way that is allowed in a signal handler.
fn fail(why: &str) -> ! {
    let message = "SIGILL in the AMX emulator: ";
    // SAFETY: both are whole buffers.
    unsafe {
        for part in [message, why, "\n"] {
            libc::write(2, part.as_ptr().cast(), part.len());
        }
        libc::abort()
    }
}

fn check(holds: bool, why: &str) {
    if !holds {
        fail(why);
    }
}

/// A decoded instruction; `memory` has its address and `index` the value of its index register, scaled.
struct Instruction {
    length: usize,
    opcode: u8,
    prefix: u8,
    /// ModRM's register and VEX.vvvv.
    reg: usize,
    vvvv: usize,
    operand: Operand,
}

enum Operand {
    Register(usize),
    Memory { address: usize, index: usize },
}

/// The order of general registers in encodings.
const GENERAL: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl Instruction {
    /// A VEX-encoded instruction of opcode map 0F38.
    ///
    /// # Safety
    /// `code` is readable for a whole instruction.
    unsafe fn decode(code: *const u8, registers: &[i64]) -> Option<Self> {
        // SAFETY: the caller's duty.
        let byte = |i: usize| unsafe { code.add(i).read() };
        let general = |i: usize| registers[GENERAL[i] as usize] as usize;
        let (first, second) = (byte(1), byte(2));
        if byte(0) != 0xc4 || first & 0x1f != 2 || second & 0x84 != 0 {
            return None; // not map 0F38, or W or L set
        }
        let extend = |bit: u8| if first & bit == 0 { 8 } else { 0 };
        let (opcode, modrm) = (byte(3), byte(4));
        let (mode, rm) = (modrm >> 6, usize::from(modrm & 7));
        let reg = usize::from(modrm >> 3 & 7);
        let vvvv = usize::from(!second >> 3 & 15);
        let prefix = second & 3;
        let instruction = |length, operand| Some(Self { length, opcode, prefix, reg, vvvv, operand });
        if mode == 3 {
            return instruction(5, Operand::Register(rm));
        }
        let (mut at, mut address, mut index) = (5, 0usize, 0usize);
        let mut wide = mode == 2;
        if rm == 4 {
            let sib = byte(5);
            at = 6;
            let (i, base) = (usize::from(sib >> 3 & 7) + extend(0x40), usize::from(sib & 7));
            if i != 4 {
                index = general(i) << (sib >> 6);
            }
            if base == 5 && mode == 0 {
                wide = true;
            } else {
                address = general(base + extend(0x20));
            }
        } else if rm == 5 && mode == 0 {
            return None; // relative to the instruction pointer: the compiler never chose it
        } else {
            address = general(rm + extend(0x20));
        }
        if wide {
            let displacement = i32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]);
            (address, at) = (address.wrapping_add_signed(displacement as isize), at + 4);
        } else if mode == 1 {
            (address, at) = (address.wrapping_add_signed(byte(at).cast_signed().into()), at + 1);
        }
        instruction(at, Operand::Memory { address, index })
    }

    /// # Safety
    /// What the instruction reads is readable and what it writes is writable.
    unsafe fn execute(&self, registers: &mut Registers) {
        const NONE: u8 = 0;
        const X66: u8 = 1;
        const XF3: u8 = 2;
        const XF2: u8 = 3;
        // SAFETY: the caller's duty.
        unsafe {
            match (self.opcode, self.prefix, &self.operand) {
                (0x49, NONE, &Operand::Memory { address, index }) => {
                    registers.configure(&*(address.wrapping_add(index) as *const [u8; 64]));
                }
                (0x49, NONE, Operand::Register(0)) => registers.configure(&[0; 64]),
                (0x49, XF2, Operand::Register(0)) => {
                    registers.check(self.reg);
                    registers.tiles[self.reg] = [[0; 64]; 16];
                }
                (0x4b, XF2 | X66, &Operand::Memory { address, index }) => {
                    registers.load(self.reg, address, index)
                }
                (0x4b, XF3, &Operand::Memory { address, index }) => registers.store(self.reg, address, index),
                (0x5e, X66, &Operand::Register(left)) => registers.multiply(self.reg, left, self.vvvv),
                _ => fail("an instruction that is not emulated"),
            }
        }
    }
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
