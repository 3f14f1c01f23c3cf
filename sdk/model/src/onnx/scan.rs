//! A look at a file's fields before it is decoded. Two bytes of a hostile file can stand for a structure of some hundred
//! in memory, so what decoding would allocate is counted first.

use crate::error::Error;
use crate::limits::{MAX_ONNX_FIELDS, MAX_ONNX_MESSAGES, MAX_ONNX_PACKED_BYTES};

/// What a field of length-delimited wire type holds, as far as decoding will look at it.
#[derive(Clone, Copy)]
enum Kind {
    /// A message of one of [`SCHEMA`]'s rows.
    Message(usize),
    /// Packed variable-length integers.
    Packed,
    /// Text or bytes, as large in memory as in the file.
    Plain,
}

const MODEL: usize = 0;
const GRAPH: usize = 1;
const NODE: usize = 2;
const ATTRIBUTE: usize = 3;
const TENSOR: usize = 4;
/// Ports, types, shapes, operator sets: messages that hold few fields each, all of them counted.
const OTHER: usize = 5;

/// For each message the fields that are no plain bytes.
const SCHEMA: [&[(u64, Kind)]; 6] = [
    &[(7, Kind::Message(GRAPH)), (8, Kind::Message(OTHER))],
    &[
        (1, Kind::Message(NODE)),
        (5, Kind::Message(TENSOR)),
        (11, Kind::Message(OTHER)),
        (12, Kind::Message(OTHER)),
    ],
    &[(5, Kind::Message(ATTRIBUTE))],
    &[(5, Kind::Message(TENSOR)), (8, Kind::Packed)],
    &[(1, Kind::Packed), (5, Kind::Packed), (7, Kind::Packed), (11, Kind::Packed)],
    &[],
];

/// Counts what decoding `bytes` would make.
///
/// # Errors
/// [`Error::LimitExceeded`] for too much of it, [`Error::NotOnnx`] where the bytes are no fields.
pub(super) fn scan(bytes: &[u8]) -> Result<(), Error> {
    let mut counts = Counts::default();
    counts.message(bytes, MODEL)
}

#[derive(Default)]
struct Counts {
    messages: usize,
    fields: usize,
    packed: usize,
}

impl Counts {
    /// Recursion ends: [`SCHEMA`] has no cycle.
    fn message(&mut self, bytes: &[u8], kind: usize) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            self.fields += 1;
            limit("fields", self.fields, MAX_ONNX_FIELDS)?;
            match key & 7 {
                0 => drop(varint(&mut rest)?),
                1 => drop(take(&mut rest, 8)?),
                5 => drop(take(&mut rest, 4)?),
                2 => {
                    let length = usize::try_from(varint(&mut rest)?).map_err(|_| cut_short())?;
                    let body = take(&mut rest, length)?;
                    self.delimited(body, key >> 3, kind)?;
                }
                other => return Err(not_onnx(&format!("a field of wire type {other}"))),
            }
        }
        Ok(())
    }

    fn delimited(&mut self, body: &[u8], field: u64, kind: usize) -> Result<(), Error> {
        self.messages += 1;
        limit("messages and strings", self.messages, MAX_ONNX_MESSAGES)?;
        let found =
            SCHEMA[kind].iter().find(|(number, _)| *number == field).map_or(Kind::Plain, |entry| entry.1);
        match found {
            // A port's own messages (type, shape, axes) are not told apart: any bytes that read as fields count, and
            // ports are small.
            Kind::Message(OTHER) => self.nested(body, 8),
            Kind::Message(kind) => self.message(body, kind),
            Kind::Packed => {
                self.packed += body.len();
                limit("bytes of packed integers", self.packed, MAX_ONNX_PACKED_BYTES)
            }
            Kind::Plain => Ok(()),
        }
    }

    /// Counts every field below a message of unknown fields as if it were a message where it can be one.
    fn nested(&mut self, bytes: &[u8], depth: usize) -> Result<(), Error> {
        let mut rest = bytes;
        while depth > 0 && !rest.is_empty() {
            let Ok(key) = varint(&mut rest) else { return Ok(()) };
            let body = match key & 7 {
                0 => varint(&mut rest).map(|_| &[][..]),
                1 => take(&mut rest, 8).map(|_| &[][..]),
                5 => take(&mut rest, 4).map(|_| &[][..]),
                2 => {
                    varint(&mut rest).and_then(|n| take(&mut rest, usize::try_from(n).unwrap_or(usize::MAX)))
                }
                _ => return Ok(()),
            };
            let Ok(body) = body else { return Ok(()) };
            self.messages += 1;
            limit("messages and strings", self.messages, MAX_ONNX_MESSAGES)?;
            self.nested(body, depth - 1)?;
        }
        Ok(())
    }
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), Error> {
    if found > limit {
        return Err(Error::LimitExceeded { what, found: found as u64, limit: limit as u64 });
    }
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Result<&'a [u8], Error> {
    let (head, tail) = rest.split_at_checked(n).ok_or_else(cut_short)?;
    *rest = tail;
    Ok(head)
}

/// A base-128 integer of at most ten bytes.
fn varint(rest: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let &byte = take(rest, 1)?.first().ok_or_else(cut_short)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(not_onnx("a number of more than ten bytes"))
}

fn cut_short() -> Error {
    not_onnx("it ends inside a field: it may be cut short")
}

fn not_onnx(reason: &str) -> Error {
    Error::NotOnnx { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_and_fields_fit() {
        assert_eq!(varint(&mut &[0xac, 0x02][..]).unwrap(), 300);
        assert!(varint(&mut &[0x80; 11][..]).is_err());
        assert!(scan(&[0x3a, 0x05, 0x00]).is_err(), "a graph of 5 bytes of which 1 is there");
        assert!(scan(&[]).is_ok());
    }

    /// Empty nodes are two bytes in the file and hundreds in memory.
    #[test]
    fn many_small_messages_are_refused_before_they_are_made() {
        let nodes = [0x0a, 0x00].repeat(MAX_ONNX_MESSAGES + 1);
        let mut file = vec![0x3a];
        let mut length = nodes.len();
        while length >= 0x80 {
            file.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        file.push(length as u8);
        file.extend(nodes);
        assert!(matches!(scan(&file), Err(Error::LimitExceeded { what: "messages and strings", .. })));
    }
}
