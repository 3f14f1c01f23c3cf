//! A board's design, over its serial line: registers, memory, and a convolution.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};

use tilemark_bitstreams::Config;
use tilemark_model::DType;

use super::build::{Builder, ConvSpec, Fill};
use super::lower::{explicit, prepared};
use super::simulator::{CONSTANTS, spawn};

/// Where `cargo xtask fpga` says that the simulator of the board is.
const SIMULATOR: &str = "TILEMARK_BOARD_SIM";

struct Board {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Board {
    /// Sends bytes, and takes as many as are expected.
    fn exchange(&mut self, bytes: &[u8], expected: usize) -> Vec<u8> {
        let sizes = [bytes.len() as u32, expected as u32].map(u32::to_le_bytes).concat();
        self.to.write_all(&sizes).and_then(|()| self.to.write_all(bytes)).expect("the simulator lives");
        let mut got = [0; 4];
        self.from.read_exact(&mut got).expect("the simulator answers");
        let mut answer = vec![0; u32::from_le_bytes(got) as usize];
        self.from.read_exact(&mut answer).expect("the simulator answers");
        assert_eq!(answer.len(), expected, "bytes came back");
        answer
    }

    fn register(&mut self, offset: u32) -> u32 {
        u32::from_le_bytes(self.exchange(&[b'r', (offset / 4) as u8], 4).try_into().unwrap())
    }

    fn set(&mut self, offset: u32, value: u32) {
        self.exchange(&[&[b'w', (offset / 4) as u8][..], &value.to_le_bytes()].concat(), 0);
    }

    fn frame(order: u8, address: u32, words: usize) -> Vec<u8> {
        [&[order][..], &address.to_le_bytes(), &(words as u16).to_le_bytes()].concat()
    }

    fn write(&mut self, lanes: usize, address: u32, bytes: &[u8]) {
        let frame = Self::frame(b'W', address, bytes.len() / lanes);
        self.exchange(&[&frame, bytes].concat(), 0);
    }

    fn read(&mut self, lanes: usize, address: u32, length: usize) -> Vec<u8> {
        self.exchange(&Self::frame(b'R', address, length / lanes), length)
    }
}

#[test]
fn a_board_computes_over_its_serial_line() {
    let Some((child, to, from)) = spawn(SIMULATOR) else { return };
    let mut board = Board { child, to, from };
    let config = Config::read(|offset| board.register(offset)).unwrap();
    let mut builder = Builder::new(3);
    let x = builder.input(&[1, 7, 6, 5], DType::U8, Fill::Any);
    let window = explicit([3, 2], [1, 2], [1, 1], [1, 0, 1, 1]);
    let spec = ConvSpec { outputs: 9, groups: 1, window, fill: Fill::Any, dtype: DType::I8 };
    let y = builder.conv(&x, &spec);
    let y = builder.table(&y);
    // The board's memory is small: addresses wrap, and tensors, constants and list do not meet.
    let prepared = prepared(&builder.finish("a convolution", &[&y]), config).unwrap();
    assert!(prepared.program.constants.len() + prepared.program.list.len() < 24 << 10);
    for (tensor, bytes) in &prepared.inputs {
        board.write(config.lanes, tensor.address, bytes);
        assert_eq!(&board.read(config.lanes, tensor.address, bytes.len()), bytes);
    }
    let list = CONSTANTS + prepared.program.constants.len().next_multiple_of(128) as u32;
    board.write(config.lanes, CONSTANTS, &prepared.program.constants);
    board.write(config.lanes, list, &prepared.program.list);
    board.set(0x30, list);
    board.set(0x34, prepared.program.tiles);
    board.set(0x20, 1);
    let ended = (0..1000).any(|_| board.register(0x24) & 1 == 0);
    assert!(ended, "the engine does not end");
    assert_eq!((board.register(0x24), board.register(0x28)), (2, 0));
    for (tensor, wanted) in &prepared.outputs {
        let got = board.read(config.lanes, tensor.address, tensor.bytes(&config));
        assert_eq!(&tensor.unpack(&config, &got), wanted);
    }
    drop(board.to);
    assert!(board.child.wait().unwrap().success());
}
