//! AVX-VNNI: VPDPBUSD with VEX encoding, on the vector registers as the kernel saved them.
//!
//! Their lower halves are in the area of FXSAVE, the upper ones in XSAVE's second component, behind its header (Software
//! Developer's Manual, volume 1, chapter 13, standard format).

use super::{Instruction, Operand, check};

/// VPDPBUSD's.
pub(super) const OPCODE: u8 = 0x50;

/// Where things lie in what the kernel saved.
const LOWER_HALVES: usize = 160;
const STATES: usize = 512;
const UPPER_HALVES: usize = 576;
/// The bit of a component in [`STATES`]: not in its initial state.
const UPPER: u64 = 1 << 2;

/// Does `sums += left * right`, unsigned times signed bytes, four products to a lane.
///
/// # Safety
/// `saved` is an XSAVE area with AVX state, and what the instruction reads is readable.
pub(super) unsafe fn execute(instruction: &Instruction, saved: *mut u8) {
    const X66: u8 = 1;
    let Instruction { prefix, is_wide, reg, vvvv, ref operand, .. } = *instruction;
    check(prefix == X66, "an instruction that is not emulated");
    // SAFETY: the caller's duty.
    let mut file = unsafe { Registers::of(saved) };
    let right = match *operand {
        Operand::Register(number) => file.get(number),
        Operand::Memory { address, index } => {
            let from = address.wrapping_add(index) as *const u8;
            let mut bytes = [0; 32];
            // SAFETY: as above.
            unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), if is_wide { 32 } else { 16 }) };
            bytes
        }
    };
    let (mut sums, left) = (file.get(reg), file.get(vvvv));
    for lane in (0..32).step_by(4) {
        let products = left[lane..lane + 4].iter().zip(&right[lane..lane + 4]);
        let four: i32 = products.map(|(&a, &b)| i32::from(a) * i32::from(b.cast_signed())).sum();
        let place = &mut sums[lane..lane + 4];
        let sum = i32::from_le_bytes([place[0], place[1], place[2], place[3]]);
        place.copy_from_slice(&sum.wrapping_add(four).to_le_bytes());
    }
    if !is_wide {
        sums[16..].fill(0); // what VEX does to the rest of a register
    }
    file.set(reg, sums);
}

/// The sixteen vector registers of 256 bits, as saved.
struct Registers {
    saved: *mut u8,
}

impl Registers {
    /// Makes both halves of all registers valid: what is in its initial state was not saved, and is zero.
    ///
    /// # Safety
    /// `saved` is an XSAVE area with AVX state, of nobody else.
    unsafe fn of(saved: *mut u8) -> Self {
        // SAFETY: the caller's duty.
        unsafe {
            let states = saved.add(STATES).cast::<u64>();
            if states.read_unaligned() & UPPER == 0 {
                saved.add(UPPER_HALVES).write_bytes(0, 16 * 16);
                states.write_unaligned(states.read_unaligned() | UPPER);
            }
        }
        Self { saved }
    }

    fn get(&self, number: usize) -> [u8; 32] {
        let mut bytes = [0; 32];
        // SAFETY: there are sixteen registers of two halves, and decoding gives no number beyond.
        unsafe {
            let [lower, upper] = self.halves(number);
            std::ptr::copy_nonoverlapping(lower, bytes.as_mut_ptr(), 16);
            std::ptr::copy_nonoverlapping(upper, bytes.as_mut_ptr().add(16), 16);
        }
        bytes
    }

    fn set(&mut self, number: usize, bytes: [u8; 32]) {
        // SAFETY: as above.
        unsafe {
            let [lower, upper] = self.halves(number);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), lower, 16);
            std::ptr::copy_nonoverlapping(bytes.as_ptr().add(16), upper, 16);
        }
    }

    unsafe fn halves(&self, number: usize) -> [*mut u8; 2] {
        // SAFETY: the caller's duty: the area holds this register.
        unsafe { [self.saved.add(LOWER_HALVES + 16 * number), self.saved.add(UPPER_HALVES + 16 * number)] }
    }
}
