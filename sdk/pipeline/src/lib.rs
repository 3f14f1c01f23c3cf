//! Declared pre- and post-processing: from a picture's bytes to the model's input, from its outputs to labels.
//!
//! A [`Spec`] is what a vendor writes in `app.toml`. [`Pipeline::new`] checks it against the model's [`Interface`];
//! what it accepts can fail later only because of the picture or the tensor that a user brings. Every step is
//! integer arithmetic, or f32 in one fixed order, so that the result is bit-equal on every host
//! (`docs/pipeline.md` holds the definitions).
//!
//! ```
//! use tilemark_model::{DType, Tensor};
//! use tilemark_pipeline::{Image, Interface, Pipeline, Resources, Spec, TensorInfo};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spec: Spec = toml::from_str(
//!     r#"
//!     input.image = { channels = "rgb" }
//!     [[pre]]
//!     resize = { width = 8, height = 8, mode = "bilinear", fit = "crop" }
//!     [[pre]]
//!     normalize = { mean = [127, 127, 127], std = [128, 128, 128] }
//!     [[post]]
//!     softmax = {}
//!     [[post]]
//!     top_k = { k = 1, labels = "labels.txt" }
//!     "#,
//! )?;
//! let port = |name: &str, shape: &[usize]| TensorInfo {
//!     name: name.into(),
//!     shape: shape.iter().copied().map(Some).collect(),
//!     dtype: DType::F32,
//!     quant: None,
//! };
//! let interface = Interface { inputs: vec![port("x", &[1, 3, 8, 8])], outputs: vec![port("y", &[1, 2])] };
//! let labels = Resources::from_iter([("labels.txt".to_owned(), b"cat\ndog\n".to_vec())]);
//! let pipeline = Pipeline::new(spec, interface, &labels)?;
//!
//! let picture = Image::from_rgb(20, 10, vec![200; 600])?;
//! let inputs = pipeline.pre_image(&picture)?;
//! assert_eq!(inputs[0].shape(), [1, 3, 8, 8]);
//!
//! let outcome = pipeline.post(vec![Tensor::f32([1, 2], vec![0.5, 3.5])?])?;
//! assert_eq!(outcome.labels()[0].name, "dog");
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod combine;
mod error;
mod faults;
mod image;
mod interface;
mod labels;
pub mod limits;
mod lint;
pub mod npy;
mod outcome;
mod parameters;
mod pipeline;
mod place;
mod post;
mod pre;
mod rectangle;
mod run;
mod sound;
mod spec;
mod step;
mod table;
mod value;

pub use combine::Rule;
pub use error::{CODES, Error, Result};
pub use image::Image;
pub use interface::{Interface, TensorInfo};
pub use lint::{Requantized, Saturation};
pub use outcome::{Label, Outcome};
pub use parameters::{Parameter, Reference, Region, Settable, Value};
pub use pipeline::{Interfaces, Pipeline, Resources};
pub use place::Place;
pub use post::Memory;
pub use run::{Done, Given, Prepared, StageTime, Times};
pub use sound::Sound;
pub use spec::{
    Align, Anchors, Channels, Combine, Crop, Ctc, Dequantize, Fit, Frames, Grid, ImageInput, ImageOutput,
    InputSpec, Layout, Level, LogMel, Mask, Mode, Nms, NmsKind, Normalize, ONLY_MODEL, Peaks, Pitch, Points,
    PostStage, PreStage, RegionOf, Regions, Resize, Sigmoid, Smooth, Softmax, SoundInput, Spec, Standardize,
    StepSpec, Threshold, Tiles, TopK, Turn,
};
pub use value::{Detection, FoundRegion, Line, Picture, Quad};
