//! What can be wrong with a pipeline, a picture or a tensor file.

mod codes;

use tilemark_model::DType;

pub use codes::CODES;

/// Result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a pipeline, a picture or a tensor was refused.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // What a user brings.
    /// The bytes start like none of the formats that are read.
    #[error("not a picture: found bytes {found}, expected the start of a JPEG, PNG, BMP or WebP file")]
    NotAnImage {
        /// The first bytes, in hexadecimal.
        found: String,
    },
    /// More encoded bytes than are read.
    #[error("the encoded picture has {bytes} bytes, the limit is {limit}")]
    EncodedTooLarge {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A picture, as its header declares it or as a stage would make it, is beyond the limits.
    #[error("{what} is {width} x {height} pixels, the limit is {max_side} on a side and {max_pixels} in all")]
    ImageTooLarge {
        /// "the picture", or the stage.
        what: String,
        /// Pixels across.
        width: u64,
        /// Pixels down.
        height: u64,
        /// Limit of either side.
        max_side: u32,
        /// Limit of the product.
        max_pixels: u64,
    },
    /// A decoder refused the bytes: cut short, damaged, or a variant that it does not read.
    #[error("the {format} picture cannot be decoded: {message}")]
    Decode {
        /// JPEG, PNG, BMP or WebP.
        format: &'static str,
        /// What the decoder found.
        message: String,
    },
    /// A picture has no pixels, or not three bytes for each.
    #[error(
        "a picture of {width} x {height} RGB pixels needs {expected} bytes (and at least one), found {found}"
    )]
    PixelCount {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes needed.
        expected: u64,
        /// Bytes found.
        found: usize,
    },
    /// A crop stage got a picture smaller than what it cuts out.
    #[error(
        "pre[{stage}].crop cuts out {crop_width} x {crop_height} pixels, the picture there is {width} x {height}"
    )]
    TooSmallToCrop {
        /// Position in `pre`.
        stage: usize,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Pixels across, wanted.
        crop_width: u32,
        /// Pixels down, wanted.
        crop_height: u32,
    },
    /// A picture has more tiles than models are run for.
    #[error("the picture has {found} tiles, the limit is {limit}")]
    TooManyTiles {
        /// Tiles found.
        found: usize,
        /// Tiles allowed.
        limit: usize,
    },
    /// A `.npy` file is malformed.
    #[error("not a readable .npy file: {message}")]
    Npy {
        /// What was found and expected.
        message: String,
    },
    /// A `.npy` file holds elements of a type that no tensor has.
    #[error("the .npy file holds elements of type {found:?}, expected one of u1, i1, i4, i8, f2, f4")]
    NpyType {
        /// numpy's type string.
        found: String,
    },
    /// A `.npy` file's header asks for more or fewer bytes than follow, or for more than the limit.
    #[error(
        "the .npy header declares shape {shape:?}, {expected} bytes (the limit is {limit}); {found} follow"
    )]
    NpyLength {
        /// Shape declared.
        shape: Vec<usize>,
        /// Bytes declared; saturated where the product overflows.
        expected: usize,
        /// Bytes found.
        found: usize,
        /// Most bytes read.
        limit: usize,
    },
    /// A tensor was given for an input that the model does not have.
    #[error("the model has no input {name:?}; it has {expected:?}")]
    UnknownInput {
        /// Name given.
        name: String,
        /// Names of the model.
        expected: Vec<String>,
    },
    /// No tensor was given for an input.
    #[error("no tensor for the model's input {name:?}")]
    MissingInput {
        /// Name of the input.
        name: String,
    },
    /// An input tensor has another shape than the model takes.
    #[error("input {name:?} has shape {found:?}, expected {expected}")]
    InputShape {
        /// Name of the input.
        name: String,
        /// The model's shape, `?` where any size fits.
        expected: String,
        /// Shape given.
        found: Vec<usize>,
    },
    /// An input tensor has another element type than the model takes.
    #[error("input {name:?} holds {found}, expected {expected}")]
    InputType {
        /// Name of the input.
        name: String,
        /// Types that fit.
        expected: String,
        /// Type given.
        found: DType,
    },
    /// A picture was given to a pipeline of raw tensors.
    #[error("this app declares no picture input; it takes the tensors {inputs:?}")]
    TakesTensors {
        /// Names of the model's inputs.
        inputs: Vec<String>,
    },
    /// Something else than a picture or a sound, which is what the app takes, was given.
    #[error("this app takes {expected}, found {found}")]
    InputKind {
        /// What was given.
        found: &'static str,
        /// What the app takes.
        expected: &'static str,
    },
    /// The bytes do not start like a WAV file.
    #[error("not a sound: found bytes {found}, expected the start of a WAV file")]
    NotASound {
        /// The first bytes, in hexadecimal.
        found: String,
    },
    /// A WAV file is damaged, or written in a way that is not read.
    #[error("the WAV file cannot be decoded: {message}")]
    Wav {
        /// What was found and expected.
        message: String,
    },
    /// A sound has more samples than are taken.
    #[error("the sound has {samples} samples, {seconds} seconds, the limit is {limit} samples")]
    SoundTooLong {
        /// Its length in seconds.
        seconds: u64,
        /// Samples found.
        samples: u64,
        /// Samples allowed.
        limit: u64,
    },
    /// A sound has a rate that is not taken.
    #[error("the sound has {rate} samples a second, {least} to {most} are taken")]
    SampleRate {
        /// Rate found.
        rate: u32,
        /// Lowest rate.
        least: u32,
        /// Highest rate.
        most: u32,
    },
    /// A sound has more frames than models are run for.
    #[error("the sound has {found} frames, the limit is {limit}")]
    TooManyFrames {
        /// Frames found.
        found: usize,
        /// Frames allowed.
        limit: usize,
    },

    // What a vendor declares.
    /// A file name is not a plain relative path inside the app.
    #[error("{at} names the file {name:?}: {why}")]
    FileName {
        /// Where in the description.
        at: String,
        /// Name found.
        name: String,
        /// Rule broken.
        why: &'static str,
    },
    /// A file that the pipeline refers to was not given.
    #[error("the pipeline refers to {name:?}, which is not in the app")]
    MissingFile {
        /// Name of the file.
        name: String,
    },
    /// A field holds a value outside its range.
    #[error("{at} is {found}, expected {expected}")]
    Value {
        /// Where in the description, such as `pre[0].resize.width`.
        at: String,
        /// Value found.
        found: String,
        /// Values allowed.
        expected: String,
    },
    /// A stage stands where it has no meaning.
    #[error("{at} cannot stand there: {why}")]
    StageOrder {
        /// Which stage.
        at: String,
        /// Rule broken.
        why: &'static str,
    },
    /// More stages than the limit.
    #[error("{list} has {found} stages, the limit is {limit}")]
    TooManyStages {
        /// `pre` or `post`.
        list: &'static str,
        /// Stages found.
        found: usize,
        /// Stages allowed.
        limit: usize,
    },
    /// A picture goes into a model that has not exactly one input.
    #[error("a picture input needs a model with one input, this one has {found:?}")]
    ImageInputs {
        /// Names of the model's inputs.
        found: Vec<String>,
    },
    /// The model's input is no batch of pictures with the declared number of channels.
    #[error(
        "input {name:?} has shape {shape}, expected batch 1 or any, {channels} channel(s), height and width"
    )]
    ImageShape {
        /// Name of the input.
        name: String,
        /// Shape of the model's input.
        shape: String,
        /// Channels that the pipeline declares.
        channels: usize,
    },
    /// The shape does not say which axis holds the channels.
    #[error("input {name:?} has shape {shape}: {channels} channel(s) could be axis 1 or axis 3")]
    AmbiguousLayout {
        /// Name of the input.
        name: String,
        /// Shape of the model's input.
        shape: String,
        /// Channels that the pipeline declares.
        channels: usize,
    },
    /// The stages make pictures of another size than the model takes.
    #[error("the pre stages make {made} pixels, input {name:?} takes {expected} (width x height)")]
    ImageSize {
        /// Name of the input.
        name: String,
        /// Size that the stages make.
        made: String,
        /// Size that the model takes.
        expected: String,
    },
    /// A picture cannot be written in the input's element type.
    #[error("input {name:?} holds {dtype} without quantization, pixels need {expected}")]
    ImageType {
        /// Name of the input.
        name: String,
        /// Type of the model's input.
        dtype: DType,
        /// What would fit.
        expected: &'static str,
    },
    /// A quantization's scale or zero point is out of range.
    #[error(
        "tensor {name:?} has scale {scale} and zero point {zero_point}, which its type {dtype} cannot have"
    )]
    Quantization {
        /// Name of the input or output.
        name: String,
        /// Scale found.
        scale: f32,
        /// Zero point found.
        zero_point: i32,
        /// Element type.
        dtype: DType,
    },
    /// A labels file is malformed.
    #[error("labels file {file:?}: {message}")]
    Labels {
        /// Name of the file.
        file: String,
        /// What was found and expected.
        message: String,
    },
    /// A labels file has another number of lines than the model has classes.
    #[error("labels file {file:?} has {labels} labels, output {output:?} has {classes} classes")]
    LabelCount {
        /// Name of the file.
        file: String,
        /// Labels found.
        labels: usize,
        /// Name of the output.
        output: String,
        /// Classes of the model.
        classes: usize,
    },
    /// A stage that reads class scores needs a model with one output.
    #[error("{at} needs a model with one output, this one has {found:?}")]
    ScoreOutputs {
        /// Which stage.
        at: String,
        /// Names of the model's outputs.
        found: Vec<String>,
    },
    /// A stage that reads class scores got another shape.
    #[error("{at} needs one score per class, output {output:?} has shape {shape}")]
    ScoreShape {
        /// Which stage.
        at: String,
        /// Name of the output.
        output: String,
        /// Shape of the output.
        shape: String,
    },
    /// A stage that reads real numbers got integers without quantization.
    #[error("{at} needs f32 or quantized values, output {output:?} holds plain {dtype}")]
    ScoreType {
        /// Which stage.
        at: String,
        /// Name of the output.
        output: String,
        /// Type of the output.
        dtype: DType,
    },
    /// A step has a name that is not plain, or that another step has.
    #[error("{at} is named {name:?}: {why}")]
    StepName {
        /// Which of the steps.
        at: String,
        /// Name found.
        name: String,
        /// Rule broken.
        why: &'static str,
    },
    /// A step refers to a value or a model that does not exist.
    #[error("{at} refers to {name:?}, expected one of {expected:?}")]
    UnknownName {
        /// Where in the step.
        at: &'static str,
        /// Name found.
        name: String,
        /// Names that exist there.
        expected: Vec<String>,
    },
    /// A stage or a step gets another kind of value than it takes.
    #[error("{at} takes {expected}, and gets {found}")]
    ValueKind {
        /// Which stage or field.
        at: String,
        /// Kind that reaches it.
        found: String,
        /// Kinds that it takes.
        expected: &'static str,
    },
    /// What one step makes does not fit the model of the next.
    #[error("{from} makes {found}, input {input:?} takes {expected}")]
    Join {
        /// The step before.
        from: String,
        /// Type and shape that it makes.
        found: String,
        /// The model and its input.
        input: String,
        /// Type and shape that it takes.
        expected: String,
    },
    /// A stage names an output that the model does not have.
    #[error("{at} names output {name:?}, the model has {expected:?}")]
    UnknownOutput {
        /// Where.
        at: String,
        /// Name found.
        name: String,
        /// Names of the model's outputs.
        expected: Vec<String>,
    },
    /// An output has not the shape that a stage reads.
    #[error("{at} reads {expected}, output {output:?} has shape {shape}")]
    OutputShape {
        /// Which stage.
        at: String,
        /// Name of the output.
        output: String,
        /// Shape of the output.
        shape: String,
        /// Shape that it reads.
        expected: String,
    },
    /// A pipeline of several steps was asked for what only one of a single step and model has.
    #[error("the pipeline has {steps} steps: it has no single model input or output")]
    SeveralSteps {
        /// How many.
        steps: usize,
    },
    /// Something is wrong in one of several steps; code and hint are its own.
    #[error("in step {step}: {source}")]
    Step {
        /// Name of the step.
        step: String,
        /// What is wrong.
        source: Box<Error>,
    },
    /// A parameter's declaration means nothing, or does not fit the stage that takes it.
    #[error("parameter {name:?}: {why}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Something was set that the app does not let be set.
    #[error("the app has no parameter {name:?}; {known}")]
    UnknownParameter {
        /// The name given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A parameter was set to something out of its range.
    #[error("parameter {name:?} cannot be {found:?}, expected {expected}")]
    ParameterValue {
        /// Its name.
        name: String,
        /// The value given.
        found: String,
        /// What it may be.
        expected: String,
    },

    // What the engine returns.
    /// The model returned another number of tensors than it declares.
    #[error("the model returned {found} tensors, it declares {expected} outputs")]
    OutputCount {
        /// Outputs declared.
        expected: usize,
        /// Tensors returned.
        found: usize,
    },
    /// The model returned a tensor of another type or shape than it declares.
    #[error("output {name:?} is {found}, declared as {expected}")]
    OutputMismatch {
        /// Name of the output.
        name: String,
        /// Declared.
        expected: String,
        /// Returned.
        found: String,
    },
    /// A picture cannot be written.
    #[error("a picture of {width} x {height} pixels with {channels} channel(s) cannot be written: {message}")]
    PictureSamples {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Channels.
        channels: u32,
        /// What was found.
        message: String,
    },
    /// A tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] tilemark_model::Error),
}
