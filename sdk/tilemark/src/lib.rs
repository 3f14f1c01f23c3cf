//! Open a signed app, verify it, run it.
//!
//! ```no_run
//! use tilemark::{Device, Input, Trust};
//!
//! # fn main() -> Result<(), tilemark::Error> {
//! let trust = Trust::from_file("vendor.pub")?;
//! let app = tilemark::open("tagger.tmk", &trust)?; // refuses before parsing anything unsigned
//! let mut session = app.session(Device::best())?; // plan compiled, kernels chosen
//! let output = session.run(Input::image("street.jpg")?)?;
//! for label in output.labels() {
//!     println!("{:5.1}% {}", 100.0 * label.score, label.name);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An [`App`] exists only behind a verified bundle, and a [`Session`] only behind an app: what was not checked cannot
//! be run by accident. One app serves many sessions on many threads; they share its weights.
//!
//! Vendors make bundles with [`pack`]; `golden` replay ([`App::replay`]) proves that a device gives the recorded bits.

#![forbid(unsafe_code)]

/// The Rust in the quickstart is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/quickstart.md")]
pub mod quickstart {}

mod app;
mod batch;
mod choice;
mod contents;
mod contract;
mod devices;
mod documents;
mod ensemble;
mod error;
pub mod eval;
mod fleet;
mod golden;
mod home;
mod html;
mod input;
mod kept;
pub mod license;
mod lineages;
mod output;
pub mod pack;
pub mod quantize;
mod revocations;
mod session;
pub mod slots;
mod statistics;
mod stream;
mod targets;
mod tuning;

pub use app::{App, CompiledApp, open, open_with, verify_with};
pub use choice::Choice;
pub use devices::{DeviceCache, DeviceCacheState};
pub use ensemble::{Combined, Ensemble, IfMissing, Member};
pub use error::{CODES, Error, ErrorKind};
pub use fleet::Fleet;
pub use golden::{Divergence, Replay};
pub use home::Home;
pub use input::Input;
pub use lineages::Lineages;
pub use output::{Milliseconds, Output};
pub use revocations::RevocationLists;
pub use session::Session;
pub use stream::{Flow, Flowed, FrameResult, Pressure};
pub use targets::{TargetFit, TargetsSection};
pub use tuning::{TuningCache, TuningState};

pub use tilemark_bundle::calendar::DAY;
pub use tilemark_bundle::{
    Algorithm, AppContract, AppPort, AppTarget, Bundle, DeviceId, DeviceKey, Digest, Envelope, Fact,
    FactKind, Grant, GrantClass, Hasher, KeyId, LedgerEntry, Lineage, Manifest, Offer, OutputLevel, Permit,
    PublicKey, Reason, Refused, ReleaseFloor, Releases, Revocations, RevokedBundle, RevokedGrant, RevokedKey,
    Role, SignedGrant, SignedLineage, SignedRevocations, SigningKey, Statement, Strength, Trust, Untrusted,
    Usage, Vault, Verdict,
};
pub use tilemark_bundle::{
    Ancestor, AncestorKind, Error as BundleError, Origin, OriginKind, PartLicenses, escrow, ml_bom, oms,
    sha256, text,
};
pub use tilemark_engine::{
    Basis, CpuLevel, Device, DeviceKind, EngineInfo, Error as EngineError, Facts, KernelInfo, Plan, StepInfo,
    Survey, Tuning, all_kernels, known_answer, peak_macs_per_second, survey,
};
pub use tilemark_model::{DType, Data, DataView, Graph, Quant, Tensor, TensorView};
pub use tilemark_pipeline::{
    Detection, FoundRegion, Image, Label, Line, Outcome, Parameter, Picture, Quad, Region as PictureRegion,
    Rule, Sound, StageTime, Value as ParameterValue, npy,
};

/// Importing and examining models, for tools.
pub mod model {
    pub use tilemark_model::import::{Imported, SUPPORTED, import_traced};
    pub use tilemark_model::passes::{Applied, PASSES};
    pub use tilemark_model::{Op, Port, Shapes, Value, ValueId, explain, graph, shape};
}
