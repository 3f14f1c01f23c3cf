//! Instructions that this CPU lacks, in software, for tests of their kernels: they raise SIGILL, and its handler does what Intel's
//! manual says that they do. It proves bits, never speed.
//!
//! Only in builds with the feature `emulate-cpu`, and where `TILEMARK_TEST_EMULATE` is set. An instruction that is not known here ends the process.
#![allow(
    unsafe_code,
    reason = "reads and writes the registers and memory of the instruction that was interrupted"
)]

mod tiles;
mod vnni;

use std::mem::MaybeUninit;
use std::sync::Once;

/// Handles SIGILL from now on.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    // SAFETY: the action is whole and the handler has the signature that SA_SIGINFO asks for.
    INSTALLED.call_once(|| unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handle as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()), 0);
    });
}

extern "C" fn handle(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the interrupted thread's context, whose instruction pointer is at readable code.
    unsafe {
        let context = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext;
        let code = context.gregs[libc::REG_RIP as usize] as *const u8;
        let instruction = Instruction::decode(code, &context.gregs)
            .unwrap_or_else(|| fail("an instruction that is not emulated"));
        match instruction.opcode {
            vnni::OPCODE => vnni::execute(&instruction, context.fpregs.cast()),
            _ => tiles::execute(&instruction),
        }
        context.gregs[libc::REG_RIP as usize] += instruction.length as i64;
    }
}

/// Ends the process, in a way that is allowed in a signal handler.
fn fail(why: &str) -> ! {
    let message = "SIGILL in the emulator of instructions: ";
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
    /// VEX.L: of 256 bits.
    is_wide: bool,
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
        let word = |i: usize| i32::from_le_bytes([byte(i), byte(i + 1), byte(i + 2), byte(i + 3)]) as isize;
        let general = |i: usize| registers[GENERAL[i] as usize] as usize;
        let (first, second) = (byte(1), byte(2));
        if byte(0) != 0xc4 || first & 0x1f != 2 || second & 0x80 != 0 {
            return None; // not map 0F38, or W set
        }
        let extend = |bit: u8| if first & bit == 0 { 8 } else { 0 };
        let (opcode, modrm) = (byte(3), byte(4));
        let (mode, rm) = (modrm >> 6, usize::from(modrm & 7));
        let reg = usize::from(modrm >> 3 & 7) + extend(0x80);
        let (vvvv, prefix) = (usize::from(!second >> 3 & 15), second & 3);
        let is_wide = second & 4 != 0;
        let instruction =
            |length, operand| Some(Self { length, opcode, prefix, is_wide, reg, vvvv, operand });
        if mode == 3 {
            return instruction(5, Operand::Register(rm + extend(0x20)));
        }
        let (mut at, mut address, mut index) = (5, 0usize, 0usize);
        let mut far = mode == 2;
        if rm == 4 {
            let sib = byte(5);
            at = 6;
            let (i, base) = (usize::from(sib >> 3 & 7) + extend(0x40), usize::from(sib & 7));
            if i != 4 {
                index = general(i) << (sib >> 6);
            }
            if base == 5 && mode == 0 {
                far = true;
            } else {
                address = general(base + extend(0x20));
            }
        } else if rm == 5 && mode == 0 {
            // Relative to the next instruction.
            (address, far) = ((code as usize).wrapping_add(9), true);
        } else {
            address = general(rm + extend(0x20));
        }
        if far {
            (address, at) = (address.wrapping_add_signed(word(at)), at + 4);
        } else if mode == 1 {
            (address, at) = (address.wrapping_add_signed(byte(at).cast_signed().into()), at + 1);
        }
        instruction(at, Operand::Memory { address, index })
    }
}
