//! `.npy` files: what numpy writes is read, what it could not have written is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use tilemark_model::{Data, Tensor};
use tilemark_pipeline::limits::MAX_NPY_HEADER_BYTES;
use tilemark_pipeline::{Error, npy};

/// A file with this header text and these elements, as numpy lays it out.
fn file(header: &str, body: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(body);
    file
}

fn dictionary(descr: &str, fortran: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}   \n")
}

#[test]
fn written_files_read_back_and_have_numpys_layout() {
    let tensors = [
        Tensor::u8([2, 3], vec![0, 1, 2, 253, 254, 255]).unwrap(),
        Tensor::new([3], Data::I8(vec![-128, 0, 127])).unwrap(),
        Tensor::new([1, 1, 2], Data::I32(vec![i32::MIN, i32::MAX])).unwrap(),
        Tensor::new([2], Data::I64(vec![i64::MIN, i64::MAX])).unwrap(),
        Tensor::f32([], vec![-1.5]).unwrap(),
        Tensor::f32([0, 4], vec![]).unwrap(),
    ];
    for tensor in tensors {
        let file = npy::write(&tensor);
        assert_eq!((file.len() - tensor.to_bytes().len()) % 64, 0);
        assert_eq!(npy::read(&file).unwrap(), tensor);
    }
    // numpy.save(f, numpy.array([1, -2], "<i4")), byte for byte.
    let text = format!("{:117}\n", "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }");
    let expected = file(&text, &[1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
    assert_eq!(npy::write(&Tensor::new([2], Data::I32(vec![1, -2])).unwrap()), expected);
}

#[test]
fn both_byte_orders_both_axis_orders_and_halves_are_read() {
    let read =
        |descr: &str, fortran, shape, body: &[u8]| npy::read(&file(&dictionary(descr, fortran, shape), body));
    let big = read(">i4", "False", "(2,)", &[0, 0, 1, 0, 0xff, 0xff, 0xff, 0xfe]).unwrap();
    assert_eq!(big, Tensor::new([2], Data::I32(vec![256, -2])).unwrap());
    let half = read("<f2", "False", "(3,)", &[0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00]).unwrap();
    assert_eq!(half, Tensor::f32([3], vec![1.0, -2.0, 2f32.powi(-24)]).unwrap());
    // Column by column in the file: 0 3, 1 4, 2 5.
    let fortran = read("|u1", "True", "(2, 3)", &[0, 3, 1, 4, 2, 5]).unwrap();
    assert_eq!(fortran, Tensor::u8([2, 3], vec![0, 1, 2, 3, 4, 5]).unwrap());
    let cube: Vec<u8> = (0..24).map(|i| (i % 2) * 12 + (i / 2 % 3) * 4 + i / 6).collect();
    let fortran = read("|u1", "True", "(2, 3, 4)", &cube).unwrap();
    assert_eq!(fortran, Tensor::u8([2, 3, 4], (0..24).collect()).unwrap());
    // Another order of keys, double quotes, version 2.
    let text = "{\"shape\": (1,), \"descr\": \"<f4\", \"fortran_order\": False}";
    let mut v2 = b"\x93NUMPY\x02\x00".to_vec();
    v2.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    v2.extend(text.as_bytes());
    v2.extend(2.5f32.to_le_bytes());
    assert_eq!(npy::read(&v2).unwrap(), Tensor::f32([1], vec![2.5]).unwrap());
}

#[test]
fn headers_that_lie_about_the_length_are_refused_unallocated() {
    for (shape, body) in [
        ("(18446744073709551615, 2)", 0),
        ("(4294967296, 4294967296, 4294967296)", 0),
        ("(1000000000000,)", 16),
        ("(4,)", 3),
        ("(4,)", 5),
        ("()", 0),
        ("(0,)", 1),
    ] {
        let error = npy::read(&file(&dictionary("|u1", "False", shape), &vec![0; body])).unwrap_err();
        assert!(matches!(error, Error::NpyLength { .. }), "{shape}: {error}");
    }
}

#[test]
fn other_element_types_are_named() {
    for descr in ["|b1", "<u2", "<f8", "<c8", "|O", "<U5", "|i4", "=f4", "", "f4", "<f44"] {
        let error = npy::read(&file(&dictionary(descr, "False", "(1,)"), &[0; 8])).unwrap_err();
        assert!(matches!(&error, Error::NpyType { found } if found == descr), "{descr}: {error}");
    }
}

#[test]
fn malformed_headers_are_refused() {
    let nested = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {}", "(".repeat(4000));
    let axes = dictionary("|u1", "False", &format!("({})", "1, ".repeat(9)));
    for header in [
        "",
        "{",
        "{}",
        "[]",
        "{'descr': '|u1', 'fortran_order': False}",
        "{'descr': '|u1', 'shape': (1,)}",
        "{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': [1]}",
        "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|u1, 'fortran_order': False, 'shape': (1,)}",
        &nested,
        &axes,
        &" ".repeat(MAX_NPY_HEADER_BYTES + 1),
    ] {
        let error = npy::read(&file(header, &[0])).unwrap_err();
        assert!(matches!(error, Error::Npy { .. }), "{header:.80}: {error}");
    }
    assert!(matches!(npy::read(b"\x93NUMPY\x04\x00\x00\x00"), Err(Error::Npy { .. })));
    assert!(matches!(npy::read(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), Err(Error::Npy { .. })));
    assert!(matches!(npy::read(b"PK\x03\x04"), Err(Error::Npy { .. })));
}

#[test]
fn every_truncation_is_an_error_and_no_damage_panics() {
    let whole = npy::write(&Tensor::f32([3, 2], vec![1.0; 6]).unwrap());
    for length in 0..whole.len() {
        assert!(npy::read(&whole[..length]).is_err(), "{length}");
    }
    for at in 0..whole.len() {
        for value in [0, b'(', b'9', b'\'', 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            if let Ok(tensor) = npy::read(&damaged) {
                assert!(tensor.to_bytes().len() <= whole.len());
            }
        }
    }
}
