//! What can be wrong with a pipeline, a picture or a tensor file.

use tilemark_model::DType;

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
    /// A tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] tilemark_model::Error),
}

/// Every code of this crate with a one-line summary, in order.
pub const CODES: &[(&str, &str)] = &[
    ("TM0301", "the bytes are no JPEG, PNG, BMP or WebP picture"),
    ("TM0302", "the encoded picture has too many bytes"),
    ("TM0303", "the picture has too many pixels"),
    ("TM0304", "the picture is damaged, cut short, or of an unsupported variant"),
    ("TM0305", "width, height and number of bytes of a picture disagree"),
    ("TM0306", "the picture is smaller than what is cut out of it"),
    ("TM0307", "the .npy file is malformed"),
    ("TM0308", "the .npy file holds an unsupported element type"),
    ("TM0309", "the .npy file's length disagrees with its header, or exceeds the limit"),
    ("TM0310", "a tensor was given for an input that the model does not have"),
    ("TM0311", "a model input got no tensor"),
    ("TM0312", "an input tensor has the wrong shape"),
    ("TM0313", "an input tensor has the wrong element type"),
    ("TM0314", "a picture was given to an app that takes tensors"),
    ("TM0320", "a file name in the pipeline is not a plain relative path"),
    ("TM0321", "a file that the pipeline refers to is missing"),
    ("TM0322", "a field of a stage is out of range"),
    ("TM0323", "a stage stands where it has no meaning"),
    ("TM0324", "too many stages"),
    ("TM0325", "a picture input needs a model with one input"),
    ("TM0326", "the model's input has not the shape of a picture with these channels"),
    ("TM0327", "the model's input shape does not tell NCHW from NHWC"),
    ("TM0328", "the stages make pictures of another size than the model takes"),
    ("TM0329", "the model's input type cannot hold pixels"),
    ("TM0330", "a quantization is out of range"),
    ("TM0331", "the labels file is malformed"),
    ("TM0332", "the number of labels is not the number of classes"),
    ("TM0333", "a score stage needs a model with one output"),
    ("TM0334", "a score stage needs one score per class"),
    ("TM0335", "a score stage needs f32 or quantized values"),
    ("TM0336", "a parameter's declaration is wrong"),
    ("TM0337", "the app has no parameter of that name"),
    ("TM0338", "a parameter is set out of its range"),
    ("TM0340", "the model returned another number of tensors than declared"),
    ("TM0341", "the model returned another tensor than declared"),
    ("TM0350", "a tensor could not be made"),
];

impl Error {
    /// The stable code, for scripts and for `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnImage { .. } => "TM0301",
            Self::EncodedTooLarge { .. } => "TM0302",
            Self::ImageTooLarge { .. } => "TM0303",
            Self::Decode { .. } => "TM0304",
            Self::PixelCount { .. } => "TM0305",
            Self::TooSmallToCrop { .. } => "TM0306",
            Self::Npy { .. } => "TM0307",
            Self::NpyType { .. } => "TM0308",
            Self::NpyLength { .. } => "TM0309",
            Self::UnknownInput { .. } => "TM0310",
            Self::MissingInput { .. } => "TM0311",
            Self::InputShape { .. } => "TM0312",
            Self::InputType { .. } => "TM0313",
            Self::TakesTensors { .. } => "TM0314",
            Self::FileName { .. } => "TM0320",
            Self::MissingFile { .. } => "TM0321",
            Self::Value { .. } => "TM0322",
            Self::StageOrder { .. } => "TM0323",
            Self::TooManyStages { .. } => "TM0324",
            Self::ImageInputs { .. } => "TM0325",
            Self::ImageShape { .. } => "TM0326",
            Self::AmbiguousLayout { .. } => "TM0327",
            Self::ImageSize { .. } => "TM0328",
            Self::ImageType { .. } => "TM0329",
            Self::Quantization { .. } => "TM0330",
            Self::Labels { .. } => "TM0331",
            Self::LabelCount { .. } => "TM0332",
            Self::ScoreOutputs { .. } => "TM0333",
            Self::ScoreShape { .. } => "TM0334",
            Self::ScoreType { .. } => "TM0335",
            Self::Parameter { .. } => "TM0336",
            Self::UnknownParameter { .. } => "TM0337",
            Self::ParameterValue { .. } => "TM0338",
            Self::OutputCount { .. } => "TM0340",
            Self::OutputMismatch { .. } => "TM0341",
            Self::Tensor(_) => "TM0350",
        }
    }

    /// Whether what the user brought is at fault (a picture, a tensor) rather than the app or the engine.
    pub fn is_input(&self) -> bool {
        self.code() < "TM0320"
    }

    /// Whether what an integrator set is at fault.
    pub fn is_setting(&self) -> bool {
        matches!(self, Self::UnknownParameter { .. } | Self::ParameterValue { .. })
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAnImage { .. } => "give a JPEG, PNG, BMP or WebP file; convert other formats first",
            Self::EncodedTooLarge { .. } => "save the picture smaller, or as JPEG, PNG or WebP",
            Self::ImageTooLarge { .. } => "scale the picture down first, or declare a smaller size",
            Self::Decode { .. } => {
                "check that the file is complete; save it again as baseline JPEG or 8-bit PNG"
            }
            Self::PixelCount { .. } => {
                "give rows from top to bottom, three bytes (red, green, blue) a pixel, no gaps"
            }
            Self::TooSmallToCrop { .. } => "give a larger picture; a vendor can put a resize before the crop",
            Self::Npy { .. } | Self::NpyType { .. } => {
                "write the array with numpy.save, without pickled objects"
            }
            Self::NpyLength { .. } => "check that the file is complete and was written by numpy.save",
            Self::UnknownInput { .. } | Self::MissingInput { .. } => {
                "give one tensor per input, by the names that `tilemark inspect` prints"
            }
            Self::InputShape { .. } => {
                "reshape the array; the batch axis counts, add one of size 1 if it is missing"
            }
            Self::InputType { .. } => "convert the array (numpy: a.astype(...)) before it is saved",
            Self::TakesTensors { .. } => "give tensors: --tensor NAME=FILE.npy",
            Self::FileName { .. } => "use a relative path inside the app's folder, such as labels.txt",
            Self::MissingFile { .. } => "put the file beside app.toml, or correct its name there",
            Self::Value { .. }
            | Self::StageOrder { .. }
            | Self::TooManyStages { .. }
            | Self::Parameter { .. } => "correct app.toml; docs/pipeline.md lists every stage and its fields",
            Self::UnknownParameter { .. } | Self::ParameterValue { .. } => {
                "`tilemark inspect APP.TMK --trust KEY` lists what may be set, and to what"
            }
            Self::ImageInputs { .. } => "leave [input] out, and the app takes raw tensors",
            Self::ImageShape { .. } => "set channels to what the model takes: rgb or bgr for 3, gray for 1",
            Self::AmbiguousLayout { .. } => "add layout = \"nchw\" or \"nhwc\" to image in [input]",
            Self::ImageSize { .. } => "set width and height of the last resize or crop to the model's size",
            Self::ImageType { .. } => {
                "leave normalize out for plain u8 inputs; export the model with f32 inputs"
            }
            Self::Quantization { .. } => "export the model again; scales are positive and finite",
            Self::Labels { .. } => "write UTF-8 text, one label a line, in the order of the classes",
            Self::LabelCount { .. } => "give one line per class, in the order of the model's output",
            Self::ScoreOutputs { .. } | Self::ScoreShape { .. } | Self::ScoreType { .. } => {
                "leave softmax and top_k out, and the app returns raw tensors"
            }
            Self::OutputCount { .. } | Self::OutputMismatch { .. } | Self::Tensor(_) => {
                "the app does not fit its own model: pack it again, and report this if it stays"
            }
        }
    }
}
