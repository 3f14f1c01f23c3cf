//! ECDSA P-256 signatures in one spelling each: strict DER with the smaller of the two valid `s`.
//!
//! For every valid signature (r, s) the pair (r, n - s) is valid too, and DER has loose encodings. Without a rule,
//! anybody could change bytes of a signed file that still verifies.

/// The order n of the P-256 group, big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// r and s, each 32 bytes big-endian, one after the other.
pub(crate) type Fixed = [u8; 64];

/// The canonical DER of a signature: the smaller `s`, shortest integers.
pub(crate) fn to_der(fixed: &Fixed) -> Vec<u8> {
    let (r, s) = split(fixed);
    let mirrored = order_minus(&s);
    let integers = [der_integer(&r), der_integer(if mirrored < s { &mirrored } else { &s })].concat();
    [vec![0x30, short_length(&integers)], integers].concat()
}

/// Reads DER in shortest form, whichever `s` it has; `None` for anything else.
pub(crate) fn from_der(der: &[u8]) -> Option<Fixed> {
    let [0x30, length, body @ ..] = der else { return None };
    if usize::from(*length) != body.len() {
        return None;
    }
    let (r, rest) = read_integer(body)?;
    let (s, rest) = read_integer(rest)?;
    let mut fixed = [0; 64];
    fixed[..32].copy_from_slice(&r);
    fixed[32..].copy_from_slice(&s);
    rest.is_empty().then_some(fixed)
}

fn split(fixed: &Fixed) -> ([u8; 32], [u8; 32]) {
    let (mut r, mut s) = ([0; 32], [0; 32]);
    r.copy_from_slice(&fixed[..32]);
    s.copy_from_slice(&fixed[32..]);
    (r, s)
}

/// n - s, for s <= n; a larger `s` is no signature and wraps to something that `ring` refuses.
fn order_minus(s: &[u8; 32]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut borrow = false;
    for ((out, n), s) in out.iter_mut().zip(ORDER).zip(s).rev() {
        let (value, under) = n.overflowing_sub(*s);
        let (value, under_again) = value.overflowing_sub(u8::from(borrow));
        *out = value;
        borrow = under || under_again;
    }
    out
}

fn der_integer(value: &[u8; 32]) -> Vec<u8> {
    let significant: Vec<u8> = value.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut content = match significant.first() {
        None | Some(0x80..) => vec![0], // zero, or a byte that would read as a minus sign
        Some(_) => vec![],
    };
    content.extend(significant);
    [vec![0x02, short_length(&content)], content].concat()
}

fn read_integer(bytes: &[u8]) -> Option<([u8; 32], &[u8])> {
    let [0x02, length, rest @ ..] = bytes else { return None };
    let (content, rest) = rest.split_at_checked(usize::from(*length))?;
    let significant = match content {
        [0, significant @ ..] if significant.first() >= Some(&0x80) => significant,
        [0x01..=0x7f, ..] => content,
        _ => return None, // empty, zero, negative or padded
    };
    let mut out = [0; 32];
    out.get_mut(32usize.checked_sub(significant.len())?..)?.copy_from_slice(significant);
    Some((out, rest))
}

fn short_length(content: &[u8]) -> u8 {
    // Two integers of 33 bytes at most make 70: always DER's short form.
    u8::try_from(content.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(r: &[u8], s: &[u8]) -> Fixed {
        let mut out = [0; 64];
        out[32 - r.len()..32].copy_from_slice(r);
        out[64 - s.len()..].copy_from_slice(s);
        out
    }

    #[test]
    fn round_trips_and_picks_the_smaller_s() {
        for (r, s) in [(&[1u8][..], &[1u8][..]), (&[0x80], &[0xff, 0]), (&[0xff; 32], &[0x7f; 31])] {
            assert_eq!(from_der(&to_der(&fixed(r, s))).unwrap(), fixed(r, s));
        }
        let high = order_minus(&split(&fixed(&[], &[5])).1);
        assert_eq!(from_der(&to_der(&fixed(&[9], &high))).unwrap(), fixed(&[9], &[5]));
        assert_eq!(order_minus(&ORDER), [0; 32]);
    }

    #[test]
    fn loose_encodings_are_refused() {
        assert!(from_der(&[0x30, 6, 2, 1, 1, 2, 1, 1]).is_some());
        let bad: [&[u8]; 10] = [
            &[],
            &[0x31, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 7, 2, 1, 1, 2, 1, 1],       // length too long
            &[0x30, 6, 2, 1, 1, 2, 1, 1, 0],    // trailing byte outside
            &[0x30, 7, 2, 1, 1, 2, 1, 1, 0],    // trailing byte inside
            &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1], // long form
            &[0x30, 7, 2, 2, 0, 1, 2, 1, 1],    // padded
            &[0x30, 6, 2, 1, 0x80, 2, 1, 1],    // negative
            &[0x30, 6, 2, 1, 0, 2, 1, 1],       // zero
            &[0x30, 5, 2, 0, 2, 1, 1],          // empty
        ];
        for der in bad {
            assert!(from_der(der).is_none(), "{der:02x?}");
        }
        let long = [&[0x30, 38, 2, 33, 1][..], &[0; 32], &[2, 1, 1]].concat();
        assert!(from_der(&long).is_none());
    }
}
