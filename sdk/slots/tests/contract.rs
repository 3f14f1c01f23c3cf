//! What both ends agree on, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use tilemark_model::{DType, Data, Quant, Tensor};
use tilemark_slots::{Consumer, Contract, Error, Producer};

const NOW: Duration = Duration::ZERO;

fn scores() -> Contract {
    Contract::new(1, DType::F32, [1, 3])
}

fn tensor(first: f32) -> Tensor {
    Tensor::f32([1, 3], vec![first, 2.0, 3.0]).unwrap()
}

#[test]
fn tensors_come_in_order_and_a_reading_keeps_its_slot() {
    let folder = tempfile::tempdir().unwrap();
    let mut producer = Producer::open(folder.path(), "scores", &scores(), 3).unwrap();
    let mut consumer = Consumer::open(folder.path(), "scores", &scores()).unwrap();
    assert!(consumer.next(NOW).unwrap().is_none());
    for i in 1..=2 {
        assert_eq!(producer.publish(tensor(i as f32).view()).unwrap(), Some(i));
    }
    let reading = consumer.next(NOW).unwrap().unwrap();
    assert_eq!((reading.sequence(), reading.view().unwrap().to_tensor().unwrap()), (1, tensor(1.0)));
    // One slot is read, one is the newest: only one of the three can be written, again and again.
    for i in 3..=9 {
        assert_eq!(producer.publish(tensor(i as f32).view()).unwrap(), Some(i));
    }
    assert_eq!(reading.view().unwrap().to_tensor().unwrap(), tensor(1.0));
    drop(reading);
    let reading = consumer.next(NOW).unwrap().unwrap();
    assert_eq!(reading.view().unwrap().to_tensor().unwrap(), tensor(8.0));
    drop(reading);
    assert_eq!(consumer.next(NOW).unwrap().unwrap().sequence(), 9);
    assert_eq!(consumer.missed(), 6);
    assert!(consumer.newest().unwrap().is_none());
    producer.publish(tensor(10.0).view()).unwrap();
    producer.publish(tensor(11.0).view()).unwrap();
    assert_eq!(consumer.newest().unwrap().unwrap().sequence(), 11);
    assert_eq!(consumer.missed(), 7);
}

#[test]
fn readers_hold_a_producer_up_and_what_is_not_committed_is_never_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut producer = Producer::open(folder.path(), "a", &scores(), 2).unwrap();
    let mut consumer = Consumer::open(folder.path(), "a", &scores()).unwrap();
    producer.publish(tensor(1.0).view()).unwrap();
    let reading = consumer.next(NOW).unwrap().unwrap();
    assert_eq!(producer.publish(tensor(2.0).view()).unwrap(), Some(2));
    assert_eq!(producer.publish(tensor(3.0).view()).unwrap(), None, "one is read, one is the newest");
    drop(reading);
    producer.begin().unwrap().unwrap().bytes_mut().fill(0xff);
    let reading = consumer.next(NOW).unwrap().unwrap();
    assert_eq!(reading.view().unwrap().to_tensor().unwrap(), tensor(2.0));
    drop(reading);
    assert!(consumer.next(NOW).unwrap().is_none());
    // The next producer goes on counting.
    drop(producer);
    let mut producer = Producer::open(folder.path(), "a", &scores(), 2).unwrap();
    assert_eq!(producer.publish(tensor(4.0).view()).unwrap(), Some(3));
    assert_eq!(consumer.next(NOW).unwrap().unwrap().sequence(), 3);
}

#[test]
fn both_ends_must_mean_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Contract::new(1, DType::U8, [4]).with_quant(Quant { scale: 0.5, zero_point: 128 });
    let mut producer = Producer::open(folder.path(), "bytes", &bytes, 2).unwrap();
    let others = [
        Contract { version: 2, ..bytes.clone() },
        Contract { dtype: DType::I8, ..bytes.clone() },
        Contract { shape: vec![2, 2], ..bytes.clone() },
        Contract { quant: None, ..bytes.clone() },
        bytes.clone().with_quant(Quant { scale: 0.25, zero_point: 128 }),
    ];
    for other in others {
        let error = Consumer::open(folder.path(), "bytes", &other).unwrap_err();
        assert_eq!(error.code(), "TM0703", "{other}");
        assert!(
            error.to_string().contains("version 1 of u8[4] with scale 0.5 and zero point 128"),
            "{error}"
        );
    }
    let wrong = Tensor::new([4], Data::I8(vec![0; 4])).unwrap();
    assert_eq!(producer.publish(wrong.view()).unwrap_err().code(), "TM0703");
    assert_eq!(Producer::open(folder.path(), "bytes", &bytes, 2).unwrap_err().code(), "TM0705");
    // Another contract: who has the old one is told.
    let mut consumer = Consumer::open(folder.path(), "bytes", &bytes).unwrap();
    drop(producer);
    let _producer = Producer::open(folder.path(), "bytes", &scores(), 2).unwrap();
    assert_eq!(consumer.next(NOW).unwrap_err().code(), "TM0706");
    assert_eq!(Consumer::open(folder.path(), "bytes", &bytes).unwrap_err().code(), "TM0703");
    assert!(Consumer::open(folder.path(), "bytes", &scores()).is_ok());
}

#[test]
fn what_is_no_ring_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| Consumer::open(folder.path(), name, &scores()).unwrap_err();
    for name in ["", ".", "..", "../a", "a/b", "A", &"a".repeat(65)] {
        assert_eq!(open(name).code(), "TM0701", "{name}");
    }
    assert_eq!(open("none").code(), "TM0704");
    let make = |contract: &Contract, slots| {
        Producer::open(folder.path(), "b", contract, slots).map(drop).unwrap_err().code()
    };
    assert_eq!(make(&scores(), 1), "TM0702");
    assert_eq!(make(&scores(), 65), "TM0702");
    assert_eq!(make(&Contract::new(1, DType::F64, [1]), 2), "TM0702");
    assert_eq!(make(&Contract::new(1, DType::F32, [usize::MAX, 2]), 2), "TM0702");
    assert_eq!(make(&Contract::new(1, DType::F32, [1 << 30]), 2), "TM0702");
}

/// Files that were cut, overwritten or removed: an error, and a producer that begins anew.
#[test]
fn damaged_files_are_refused_and_made_anew() {
    let damages: [(&str, &[u8]); 7] = [
        ("contract.json", b""),
        ("contract.json", b"{\"slots\":2}"),
        ("contract.json", b"{\"slots\":99999999,\"contract\":{\"version\":1,\"dtype\":\"f32\",\"shape\":[1,3],\"quant\":null}}"),
        ("contract.json", b"{\"slots\":2,\"contract\":{\"version\":1,\"dtype\":\"f32\",\"shape\":[1,3,4611686018427387904],\"quant\":null}}"),
        ("head", b"short"),
        ("head", &[0xfe; 64]),
        ("1.slot", b""),
    ];
    for (file, bytes) in damages {
        let folder = tempfile::tempdir().unwrap();
        let mut producer = Producer::open(folder.path(), "c", &scores(), 2).unwrap();
        producer.publish(tensor(1.0).view()).unwrap();
        drop(producer);
        std::fs::write(folder.path().join("c").join(file), bytes).unwrap();
        let read = Consumer::open(folder.path(), "c", &scores())
            .and_then(|mut consumer| consumer.next(NOW).map(|reading| reading.is_some()));
        let error = read.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{file}: {error}");
        std::fs::remove_dir_all(folder.path().join("c")).unwrap();
        assert!(Producer::open(folder.path(), "c", &scores(), 2).is_ok());
    }
}

#[cfg(unix)]
#[test]
fn folders_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let _producer = Producer::open(&folder.path().join("deep/er"), "d", &scores(), 2).unwrap();
    let mode = |path: &str| folder.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("deep"), mode("deep/er/d")), (0o700, 0o700));
}
