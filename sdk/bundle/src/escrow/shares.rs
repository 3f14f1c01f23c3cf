//! Secret sharing: A. Shamir, "How to share a secret", Communications of the ACM 22 (11), 1979, byte by byte over GF(2^8) with the
//! polynomial of AES (FIPS 197, section 4.2). Nothing here branches on a secret or looks one up in a table.

use zeroize::Zeroizing;

use crate::limits::MAX_TRUSTEES;
use crate::manifest::invalid;
use crate::{Error, Result, cipher};

/// A secret, or a share of one.
pub(super) type Value = Zeroizing<[u8; 32]>;

/// Shares of a secret for the trustees 1 to `count`; `threshold` of them give it back.
pub(super) fn split(secret: &[u8; 32], count: usize, threshold: u64) -> Result<Vec<Value>> {
    if count > MAX_TRUSTEES {
        return Err(Error::TooMany { what: "trustees", found: count, max: MAX_TRUSTEES });
    }
    if threshold == 0 || threshold > count as u64 {
        let expected = "at least 1, and no more than there are trustees";
        return Err(invalid("threshold", &format!("{threshold} of {count}"), expected));
    }
    let random = (1..threshold).map(|_| cipher::random()).collect::<Result<Vec<_>>>()?;
    Ok((1..=count).map(|x| evaluate(secret, &random, x as u8)).collect())
}

/// `secret + c1 x + c2 x^2 + …` for each byte, by Horner's rule. At most 64 trustees: `x` is a byte.
pub(super) fn evaluate(secret: &[u8; 32], coefficients: &[Value], x: u8) -> Value {
    let mut value = Zeroizing::new([0; 32]);
    for coefficient in coefficients.iter().rev().map(|coefficient| &**coefficient).chain([secret]) {
        for (byte, add) in value.iter_mut().zip(coefficient) {
            *byte = multiply(*byte, x) ^ add;
        }
    }
    value
}

/// The polynomial of these shares at 0. They are of different trustees, from 1.
pub(super) fn combine(shares: &[(u64, &[u8; 32])]) -> Result<Value> {
    let place = |trustee: u64| {
        let place = u8::try_from(trustee).ok().filter(|place| *place > 0);
        place.ok_or_else(|| invalid("trustee", &trustee.to_string(), "a number from 1 to 255"))
    };
    let mut secret = Zeroizing::new([0; 32]);
    for (trustee, share) in shares {
        let at = place(*trustee)?;
        let mut weight = 1;
        for (other, _) in shares.iter().filter(|(other, _)| other != trustee) {
            let other = place(*other)?;
            weight = multiply(weight, multiply(other, inverse(other ^ at)));
        }
        for (byte, share) in secret.iter_mut().zip(share.iter()) {
            *byte ^= multiply(*share, weight);
        }
    }
    Ok(secret)
}

/// A product in GF(2^8), in the same steps whatever the factors are.
pub(super) fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & 0u8.wrapping_sub((b >> bit) & 1);
        a = (a << 1) ^ (0x1b & 0u8.wrapping_sub(a >> 7));
    }
    product
}

/// `a^254`, which is `1 / a`; 0 for 0.
pub(super) fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + … + 128.
    let (mut power, mut product) = (a, 1);
    for _ in 0..7 {
        power = multiply(power, power);
        product = multiply(product, power);
    }
    product
}
