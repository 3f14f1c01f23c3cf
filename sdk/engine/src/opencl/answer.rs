//! The known-answer test: what a device must give before anything is computed on it.
//!
//! Rounding to nearest as its driver says; every arithmetic primitive of the kernels against [`tilemark_model::numerics`], bit for
//! bit; copies; the small network of [`crate::known_answer`]. The outcome is kept, so that it costs nothing the second time.

use std::sync::Arc;

use tilemark_model::numerics::{AddCoefficients, requantize};

use super::api::Arg;
use super::launch::{Launch, ProgramKey};
use super::opened::Opened;
use super::store::{self, DeviceStore};
use super::survey::Facts;
use crate::error::Error;
use crate::known_answer;

/// Numbers of an item that the device is given, and that it gives.
const GIVEN: usize = 15;
const ANSWERS: [&str; 10] = [
    "requantization",
    "int to float",
    "float product",
    "quantized addition",
    "fused multiply-add",
    "product and sum, not fused",
    "float to int",
    "rint",
    "wrapping product and sum",
    "order of 64 bits",
];
/// Bytes of the copying test: odd, and more than a page.
const COPIED: usize = 100_003;

/// How a test ended, as it is kept: one byte, and the reason.
const PASSED: u8 = 1;
const FAILED: u8 = 0;

/// Refuses a device that fails the test, by what is kept of it or by testing it now.
///
/// # Errors
/// [`Error::DeviceFails`]; the driver's fault if it refused a call, which may be different next time and is not kept.
pub(super) fn require(opened: &Arc<Opened>) -> Result<(), Error> {
    let store = if opened.engine().is_none() { opened.store() } else { None }; // bitstreams are tested every time
    if let Some(outcome) = store.and_then(|store| kept(opened.facts(), store)) {
        return outcome;
    }
    let mut outcome = test(opened);
    if outcome.is_err() && opened.forget_binaries() {
        outcome = test(opened); // a driver may take a binary from a cache and then not be up to it
    }
    match (store, &outcome) {
        (Some(store), Ok(())) => keep(opened.facts(), store, None),
        (Some(store), Err(Error::DeviceFails { reason, .. })) => keep(opened.facts(), store, Some(reason)),
        _ => {}
    }
    outcome
}

/// What is kept of an earlier test.
pub(super) fn kept(facts: &Facts, store: &dyn DeviceStore) -> Option<Result<(), Error>> {
    match store.load(&store::answers(facts))?.split_first()? {
        (&PASSED, []) => Some(Ok(())),
        (&FAILED, reason) => Some(Err(fails(facts, String::from_utf8(reason.to_vec()).ok()?))),
        _ => None,
    }
}

/// Keeps the outcome: passed, or failed for a reason.
pub(super) fn keep(facts: &Facts, store: &dyn DeviceStore, reason: Option<&str>) {
    let bytes = match reason {
        None => vec![PASSED],
        Some(reason) => [&[FAILED], reason.as_bytes()].concat(),
    };
    store.save(&store::answers(facts), &bytes);
}

fn fails(facts: &Facts, reason: String) -> Error {
    Error::DeviceFails { device: facts.id(), reason }
}

fn test(opened: &Arc<Opened>) -> Result<(), Error> {
    let facts = opened.facts();
    if !facts.rounds_to_nearest {
        return Err(fails(facts, "it does not round floats to nearest".to_owned()));
    }
    copies(opened)?;
    if opened.engine().is_none() {
        arithmetic(opened)?;
    }
    match known_answer::on_device(opened)? {
        None => Ok(()),
        Some(tensor) => Err(fails(facts, format!("it computes `{tensor}` of the test network wrongly"))),
    }
}

/// Bytes go to the device and come back, at even and odd places.
#[allow(unsafe_code, reason = "copies may end after their calls")]
fn copies(opened: &Opened) -> Result<(), Error> {
    let fault = |fault| opened.fault(fault);
    let (queue, buffer) = (opened.queue(false)?, opened.buffer(COPIED)?);
    let whole: Vec<u8> = known_answer::bytes(COPIED).collect();
    let patch: Vec<u8> = whole.iter().take(COPIED / 3).map(|byte| !byte).collect();
    let place = 1001..1001 + patch.len();
    let mut found = vec![0; COPIED - 1];
    // SAFETY: `whole` and `patch` stay as they are to the end of this function, and it ends behind `finish` alone.
    let written =
        unsafe { queue.write(&buffer, 0, &whole).and_then(|_| queue.write(&buffer, place.start, &patch)) };
    let read = written.and_then(|_| queue.read(&buffer, 1, &mut found));
    queue.finish().and(read.map(drop)).map_err(fault)?;
    let mut expected = whole;
    expected[place].copy_from_slice(&patch);
    if found == expected[1..] {
        return Ok(());
    }
    Err(fails(opened.facts(), "it does not copy bytes as they are".to_owned()))
}

fn arithmetic(opened: &Arc<Opened>) -> Result<(), Error> {
    let fault = |fault| opened.fault(fault);
    let items = items();
    let given: Vec<u8> = items.iter().flat_map(Item::given).flat_map(i32::to_ne_bytes).collect();
    let bytes = items.len() * ANSWERS.len() * size_of::<i32>();
    let (queue, answers) = (opened.queue(false)?, opened.buffer(bytes)?);
    let launch = Launch {
        program: ProgramKey::new(tilemark_kernels::ANSWER, ""),
        entry: "answer_arithmetic",
        args: vec![Arg::Arena, Arg::Constants(Arc::new(opened.constants(&given)?))],
        global: [items.len(), 1, 1],
        local: None,
    };
    let kernel = opened.kernel(&launch, &answers)?;
    queue.launch(&kernel, launch.global, launch.local).map_err(fault)?.wait().map_err(fault)?;
    let mut found = vec![0; bytes];
    queue.read(&answers, 0, &mut found).map_err(fault)?;
    let (found, _) = found.as_chunks::<4>();
    let expected = items.iter().flat_map(Item::answers);
    for (at, (found, expected)) in
        found.iter().map(|bytes| i32::from_ne_bytes(*bytes)).zip(expected).enumerate()
    {
        if found != expected {
            let (item, what) = (&items[at / ANSWERS.len()], ANSWERS[at % ANSWERS.len()]);
            let wrong = format!("its {what} is wrong: {found:#x} instead of {expected:#x} for {item:?}");
            return Err(fails(opened.facts(), wrong));
        }
    }
    Ok(())
}

/// Operands of every primitive.
#[derive(Debug)]
struct Item {
    sum: i32,
    multiplier: f32,
    lo: i32,
    hi: i32,
    zero_point: i32,
    a: i32,
    b: i32,
    add: AddCoefficients,
    x: f32,
    y: f32,
    z: f32,
    i: i32,
    j: i32,
}

impl Item {
    fn given(&self) -> [i32; GIVEN] {
        let bits = |x: f32| x.to_bits().cast_signed();
        let AddCoefficients { ra, rb, c } = self.add;
        let Self { sum, multiplier, lo, hi, zero_point, a, b, x, y, z, i, j, .. } = *self;
        [
            sum,
            bits(multiplier),
            lo,
            hi,
            zero_point,
            a,
            b,
            bits(ra),
            bits(rb),
            bits(c),
            bits(x),
            bits(y),
            bits(z),
            i,
            j,
        ]
    }

    fn answers(&self) -> [i32; ANSWERS.len()] {
        let bits = |x: f32| x.to_bits().cast_signed();
        let Self { sum, multiplier, lo, hi, zero_point, a, b, x, y, z, i, j, .. } = *self;
        let wide =
            |high: i32, low: i32| u64::from(high.cast_unsigned()) << 32 | u64::from(low.cast_unsigned());
        [
            requantize(sum, multiplier, zero_point, lo, hi),
            bits(sum as f32),
            bits(sum as f32 * multiplier),
            self.add.add(a, b, lo, hi),
            bits(x.mul_add(y, z)),
            bits(x * y + z),
            x.round_ties_even() as i32,
            bits(x.round_ties_even()),
            i.wrapping_mul(j).wrapping_add(sum),
            wide(i, j).max(wide(i, sum)).max(wide(j, i)) as i32, // its low half
        ]
    }
}

/// Ties, extremes, and what lies between representable floats; then operands without a pattern.
fn items() -> Vec<Item> {
    const SUMS: [i32; 14] = [
        0,
        1,
        -1,
        3,
        -3,
        5,
        16_777_215,
        16_777_217,
        -16_777_217,
        16_777_219,
        33_554_435,
        2_147_483_583,
        i32::MAX,
        i32::MIN,
    ];
    const MULTIPLIERS: [f32; 8] = [0.5, 0.25, 1.0, 1.5, 0.1, 7.63e-6, 1e9, 2.328_306_4e-10];
    const RANGES: [(i32, i32, i32); 4] = [(0, 255, 0), (0, 255, 127), (-128, 127, -3), (-127, 6, 5)];
    let mut random = known_answer::bytes(usize::MAX);
    let mut word = || i32::from_ne_bytes(std::array::from_fn(|_| random.next().unwrap_or_default()));
    let mut items = Vec::new();
    for at in 0..1024 {
        let sum = if at < 448 { SUMS[at % 14] } else { word() >> (at % 31) };
        let multiplier = if at < 448 { MULTIPLIERS[at / 14 % 8] } else { ratio(word()) };
        let (lo, hi, zero_point) = RANGES[at / 112 % 4];
        // Halves and their neighbours for rounding, then anything below 2^24.
        let x = if at % 2 == 0 { (word() >> 20) as f32 * 0.5 } else { (word() >> 8) as f32 * ratio(word()) };
        let add = AddCoefficients { ra: ratio(word()), rb: ratio(word()), c: (word() >> 23) as f32 * 0.5 };
        let (a, b) = (word() & 255, word() & 255);
        let (y, z) = (ratio(word()), (word() >> 12) as f32 * ratio(word()));
        items.push(Item { sum, multiplier, lo, hi, zero_point, a, b, add, x, y, z, i: word(), j: word() });
    }
    items
}

/// Some positive float up to 2 with a full mantissa; a power of two, or one and a half of it, for every fourth word.
fn ratio(word: i32) -> f32 {
    let exponent = 127 - (word.cast_unsigned() >> 24) % 16;
    let mantissa = if word & 3 == 0 {
        word.cast_unsigned() << 18 & 0x0040_0000
    } else {
        word.cast_unsigned() & 0x007f_ffff
    };
    f32::from_bits(exponent << 23 | mantissa)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operands_tell_a_fused_multiply_add_from_two_roundings_and_ties_from_others() {
        let items = items();
        let count = |holds: fn(&Item) -> bool| items.iter().filter(|item| holds(item)).count();
        assert!(count(|item| item.x.mul_add(item.y, item.z) != item.x * item.y + item.z) > 50);
        assert!(count(|item| item.x.fract().abs() == 0.5) > 100, "ties");
        assert!(count(|item| item.sum as f32 as i64 != i64::from(item.sum)) > 100, "sums that are no float");
        let tie = |item: &Item| (item.sum as f32 * item.multiplier).fract().abs() == 0.5;
        assert!(count(tie) > 20, "ties of sums");
        let fused = |item: &Item| {
            let y = f64::from(item.sum) * f64::from(item.multiplier);
            y.abs() < 1e6
                && y.round_ties_even() as i32 != (item.sum as f32 * item.multiplier).round_ties_even() as i32
        };
        assert!(count(fused) > 0, "a product in more precision rounds otherwise");
        assert!(
            items.iter().all(|item| item.add.largest() < 1e6 && item.x.abs() < 1e9 && item.x.is_finite())
        );
    }
}
