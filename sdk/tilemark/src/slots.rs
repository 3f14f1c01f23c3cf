//! Models of different processes, chained: one puts its outputs into a ring of slots in shared memory, another reads them where
//! they lie. `docs/slots.md` tells more.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tilemark::slots::{Consumer, runtime_folder};
//! use tilemark::{Device, Trust};
//!
//! let app = tilemark::open("sorter.tmk", &Trust::from_file("vendor.pub")?)?;
//! let folder = runtime_folder().ok_or("no runtime directory")?;
//! let mut features = Consumer::open(&folder, "features", &app.input_contract("features", 1)?)?;
//! let mut session = app.session(Device::best())?;
//! while let Some(reading) = features.next(Duration::from_secs(10))? {
//!     let outputs = session.run_views(&[reading.view()?])?;
//!     println!("{:?}", outputs[0].as_f32()?);
//! }
//! # Ok(())
//! # }
//! ```

use tilemark_model::{Graph, Port, shape};
pub use tilemark_slots::{
    Consumer, Contract, Error, MAX_PAYLOAD, MAX_SLOTS, Producer, Reading, Writing, runtime_folder,
};

use crate::app::App;
use crate::error::Error as AppError;

impl App {
    /// What a ring must hold to feed an input of the first step's model: the declared type, dynamic axes 1. `version` is what
    /// the two apps agreed on.
    ///
    /// # Errors
    /// [`AppError::Contents`] if the model has no such input.
    pub fn input_contract(&self, input: &str, version: u32) -> Result<Contract, AppError> {
        let graph = self.graph();
        let shapes = shape::declared(graph, 1);
        let named = graph.inputs.iter().zip(shapes).find(|(port, _)| port.name == input);
        let (port, shape) = named.ok_or_else(|| none("input", input, &graph.inputs))?;
        Ok(Contract::new(version, port.dtype, shape))
    }

    /// What a ring must hold to take an output of the first step's model, likewise.
    ///
    /// # Errors
    /// [`AppError::Contents`] if the model has no such output, or one whose shape depends on values.
    pub fn output_contract(&self, output: &str, version: u32) -> Result<Contract, AppError> {
        let graph: &Graph = self.graph();
        let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
        let named = graph.outputs.iter().find(|port| port.name == output);
        let port = named.ok_or_else(|| none("output", output, &graph.outputs))?;
        if shapes.is_late(port.value) {
            let reason = format!("the shape of `{output}` depends on values");
            return Err(AppError::Contents { what: "output", reason });
        }
        Ok(Contract::new(version, port.dtype, shapes.of(port.value)))
    }
}

fn none(what: &'static str, name: &str, ports: &[Port]) -> AppError {
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    AppError::Contents { what, reason: format!("there is no `{name}`, but {}", names.join(", ")) }
}
