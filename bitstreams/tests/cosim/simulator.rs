//! The verilated engine as a child process (`sim/pipe.cpp`).

use std::io::{BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tilemark_bitstreams::{Config, Program};

/// Where `cargo xtask fpga` says that the simulator is.
const SIMULATOR: &str = "TILEMARK_ENGINE_SIM";

/// The address of constants; the list comes behind them, tensors at [`TENSORS`].
pub(crate) const CONSTANTS: u32 = 0x1000;
/// The address of the first tensor.
pub(crate) const TENSORS: u32 = 0x0200_0000;
const MEMORY: u64 = 0x0400_0000;

/// How external memory behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Clocks until an answer.
    pub(crate) latency: u32,
    /// Of 256 clocks, in how many reads and writes are taken and answers are given.
    pub(crate) taken: [u32; 3],
    pub(crate) seed: u64,
}

impl Timing {
    pub(crate) const IDEAL: Self = Self { latency: 8, taken: [256; 3], seed: 0 };
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ran {
    pub(crate) error: u32,
    pub(crate) error_index: u32,
    pub(crate) cycles: u32,
    pub(crate) steps: u32,
    pub(crate) waits: [u32; 3],
    pub(crate) words: [u32; 2],
    pub(crate) tiles: u32,
}

pub(crate) struct Simulator {
    child: Child,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
    config: Config,
}

/// The simulator, or `None` with a word why not. `cargo xtask fpga` sets the variable, so that its run cannot skip.
pub(crate) fn simulator() -> Option<Simulator> {
    let (child, to, from) = spawn(SIMULATOR)?;
    let (to, from) = (BufWriter::new(to), BufReader::new(from));
    let mut simulator = Simulator { child, to, from, config: Config::LANES_16 };
    simulator.renew();
    simulator.config = Config::read(|offset| simulator.register(offset)).unwrap();
    Some(simulator)
}

/// The program that a variable names, with its ends; `None` with a word why not.
pub(crate) fn spawn(variable: &str) -> Option<(Child, ChildStdin, ChildStdout)> {
    let Some(path) = std::env::var_os(variable) else {
        eprintln!("skipped: {variable} is not set; `cargo xtask fpga test` builds the simulator and sets it");
        return None;
    };
    let mut child = Command::new(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    Some((child, to, from))
}

impl Simulator {
    pub(crate) const fn config(&self) -> Config {
        self.config
    }

    /// A new engine, with zeroed memory.
    pub(crate) fn renew(&mut self) {
        self.order(b'M', &MEMORY.to_le_bytes());
    }

    fn order(&mut self, letter: u8, operands: &[u8]) {
        self.to.write_all(&[letter]).and_then(|()| self.to.write_all(operands)).expect("the simulator lives");
    }

    fn answer<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.to.flush().and_then(|()| self.from.read_exact(&mut bytes)).expect("the simulator answers");
        bytes
    }

    pub(crate) fn write(&mut self, address: u32, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap();
        self.order(b'W', &[address.to_le_bytes(), length.to_le_bytes()].concat());
        self.to.write_all(bytes).expect("the simulator lives");
    }

    pub(crate) fn read(&mut self, address: u32, length: usize) -> Vec<u8> {
        self.order(b'R', &[address.to_le_bytes(), u32::try_from(length).unwrap().to_le_bytes()].concat());
        let mut bytes = vec![0; length];
        self.to.flush().and_then(|()| self.from.read_exact(&mut bytes)).expect("the simulator answers");
        bytes
    }

    pub(crate) fn register(&mut self, offset: u32) -> u32 {
        self.order(b'r', &offset.to_le_bytes());
        u32::from_le_bytes(self.answer())
    }

    pub(crate) fn set(&mut self, offset: u32, value: u32) {
        self.order(b'w', &[offset.to_le_bytes(), value.to_le_bytes()].concat());
    }

    pub(crate) fn timing(&mut self, timing: Timing) {
        let [reads, writes, answers] = timing.taken;
        let chances = [timing.latency, reads, writes, answers].map(u32::to_le_bytes).concat();
        self.order(b'T', &[chances, timing.seed.to_le_bytes().to_vec()].concat());
    }

    /// Runs at most `max` clocks: whether the engine has ended, and whether it stayed in memory.
    fn run(&mut self, max: u64) -> [bool; 2] {
        self.order(b'G', &max.to_le_bytes());
        let _clocks = u64::from_le_bytes(self.answer());
        let [busy, strayed] = self.answer();
        [busy == 0, strayed == 0]
    }

    /// The same for lists that may name any address: whether the engine has ended.
    pub(crate) fn run_anywhere(&mut self, max: u64) -> bool {
        self.run(max)[0]
    }

    /// Writes a program and runs it. Panics if it does not end within `max` clocks.
    pub(crate) fn execute(&mut self, program: &Program, max: u64) -> Ran {
        self.load(program);
        let [ended, stayed] = self.run(max);
        let ran = self.ran();
        assert!(ended, "the engine does not end: {ran:?}");
        assert!(stayed, "the engine asked for what is not in memory: {ran:?}");
        ran
    }

    /// Writes a program and starts it.
    pub(crate) fn load(&mut self, program: &Program) {
        assert!(program.constants.len() + program.list.len() < (TENSORS - CONSTANTS) as usize);
        let list = CONSTANTS + u32::try_from(program.constants.len().next_multiple_of(128)).unwrap();
        self.write(CONSTANTS, &program.constants);
        self.write(list, &program.list);
        self.set(0x30, list);
        self.set(0x34, program.tiles);
        self.set(0x20, 1);
    }

    fn ran(&mut self) -> Ran {
        let mut at = |offset| self.register(offset);
        Ran {
            error: at(0x28),
            error_index: at(0x2c),
            cycles: at(0x40),
            steps: at(0x44),
            waits: [at(0x48), at(0x4c), at(0x50)],
            words: [at(0x54), at(0x58)],
            tiles: at(0x5c),
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
