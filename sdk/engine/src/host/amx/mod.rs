//! Intel's tile unit, AMX: whether this process may use it.
//!
//! Tile registers are big (8 KiB), so Linux makes room for them only in processes that ask. The unit is found by CPUID
//! and XCR0 as Intel's manual says (Software Developer's Manual, volume 1, chapter 18), since the standard library's
//! detection of it is not stable yet; nor are the intrinsics, so [`tiles`] is inline assembly.
#![allow(unsafe_code, reason = "CPUID, XGETBV and one system call")]

pub(crate) mod tiles;

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::OnceLock;

/// Why there are no tiles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Obstacle {
    /// The CPU has no int8 tiles.
    Cpu,
    /// The CPU has them, but the operating system does not save them.
    System,
    /// The system's kernel was asked and refused, with this error number.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux is asked"))]
    Denied(i64),
}

impl Obstacle {
    /// In words, after "amx: ".
    pub(crate) fn describe(self) -> String {
        match self {
            Obstacle::Cpu => "this CPU has no int8 tiles".into(),
            Obstacle::System => {
                "this CPU has int8 tiles, but the operating system does not enable them".into()
            }
            Obstacle::Denied(errno) => format!(
                "this CPU has int8 tiles, but the kernel denies them to this process (arch_prctl failed with error {errno})"
            ),
        }
    }
}

/// What stands between this process and the tile unit. The first call asks the kernel for permission, once for the
/// process: threads inherit it.
pub(crate) fn obstacle() -> Option<Obstacle> {
    static OBSTACLE: OnceLock<Option<Obstacle>> = OnceLock::new();
    *OBSTACLE.get_or_init(|| {
        let found = look();
        #[cfg(all(feature = "emulate-cpu", target_os = "linux"))]
        if found.is_some() && crate::emulates() {
            super::emulation::install();
            return None;
        }
        found
    })
}

fn look() -> Option<Obstacle> {
    /// CPUID leaf 7, EDX: AMX-TILE and AMX-INT8.
    const TILES: u32 = 1 << 24 | 1 << 25;
    /// CPUID leaf 1, ECX: the system has enabled XGETBV.
    const OSXSAVE: u32 = 1 << 27;
    /// XCR0: tile configuration and tile data.
    const STATES: u64 = 1 << 17 | 1 << 18;
    if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & TILES != TILES {
        return Some(Obstacle::Cpu);
    }
    // SAFETY: OSXSAVE says that the instruction exists and is enabled.
    if __cpuid(1).ecx & OSXSAVE == 0 || unsafe { enabled_states() } & STATES != STATES {
        return Some(Obstacle::System);
    }
    request()
}

#[target_feature(enable = "xsave")]
fn enabled_states() -> u64 {
    // SAFETY: register 0 always exists.
    unsafe { _xgetbv(0) }
}

/// Asks the kernel to make room for tile data.
#[cfg(target_os = "linux")]
fn request() -> Option<Obstacle> {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: this call changes nothing but what the kernel saves of this process's registers; it clobbers rcx and r11.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack)
        );
    }
    (result != 0).then_some(Obstacle::Denied(-result))
}

/// Other systems have their own ways, none of which has been tried.
#[cfg(not(target_os = "linux"))]
fn request() -> Option<Obstacle> {
    Some(Obstacle::System)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_obstacle_is_found_once_and_says_what_it_is() {
        assert_eq!(obstacle(), obstacle());
        assert!(Obstacle::Denied(28).describe().contains("error 28"));
        assert_ne!(Obstacle::Cpu.describe(), Obstacle::System.describe());
    }
}
