//! libFuzzer around the functions of `tilemark_testkit::fuzz`, which hold all there is to a target.

pub use libfuzzer_sys;
pub use tilemark_testkit::fuzz::Target;

/// A fuzz target: runs the testkit's target of this name, and lets it change inputs in the terms of their format
/// every other time.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            ($crate::named($name).run)(bytes);
        });
        $crate::libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate($crate::named($name), data, size, max_size, seed)
        });
    };
}

/// The target called `name`.
///
/// # Panics
/// If there is none.
pub fn named(name: &str) -> Target {
    Target::named(name).expect("the testkit has a target of this name")
}

/// Puts another input made from the first `size` bytes of `data` in their place; returns its size.
pub fn mutate(target: Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mutated = target.mutate(&data[..size], seed.into());
    if seed % 2 == 0 || mutated.is_empty() || mutated.len() > max_size {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    data[..mutated.len()].copy_from_slice(&mutated);
    mutated.len()
}
