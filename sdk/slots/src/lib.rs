//! Named places where one process puts tensors and others find them: a model of one app feeds a model of another.
//!
//! A ring is a folder of the user's runtime directory. It has a **contract** (type, shape, quantization, version), which both
//! ends check before the first tensor, and a few **slots**, each a file mapped into every process. One **producer** fills a
//! slot and publishes it; any number of **consumers** read it where it lies.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! use std::time::Duration;
//! use tilemark_model::{DType, Tensor};
//! use tilemark_slots::{Consumer, Contract, Producer};
//!
//! let contract = Contract::new(1, DType::F32, [1, 2]);
//! let mut producer = Producer::open(folder.path(), "boxes", &contract, 4)?;
//! let mut consumer = Consumer::open(folder.path(), "boxes", &contract)?;
//! producer.publish(Tensor::f32([1, 2], vec![0.5, 2.0])?.view())?;
//! let reading = consumer.next(Duration::from_secs(1))?.ok_or("nothing came")?;
//! assert_eq!(reading.view()?.to_tensor()?.as_f32()?, [0.5, 2.0]);
//! # Ok(())
//! # }
//! ```
//!
//! # Why nothing is torn
//!
//! A slot is written under an exclusive lock of its file and read under a shared one (`flock`), taken without waiting: a slot
//! that is being read is not written, the producer takes another. The system gives locks back when a process dies, so neither
//! end can hang the other. A slot's sequence number is 0 while it is written and told again afterwards; a slot that its writer
//! left half done keeps 0 and is never read.
//!
//! # Who may touch it
//!
//! Folders are made for their owner alone. Whoever runs as the same user can write into the memory, or cut its files short
//! under a reader, as it could do to the process itself: that is not defended against.

mod consumer;
mod contract;
mod error;
mod mapped;
mod producer;
mod ring;

pub use consumer::{Consumer, Reading};
pub use contract::Contract;
pub use error::{CODES, Error};
pub use producer::{Producer, Writing};
pub use ring::{MAX_PAYLOAD, MAX_SLOTS, runtime_folder};
