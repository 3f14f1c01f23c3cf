//! The stable code of every error, and what to do about it.

use super::Error;

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
    ("TM0315", "another kind of input was given than the app takes"),
    ("TM0316", "the WAV file is damaged, cut short, or of an unsupported variant"),
    ("TM0317", "the sound has too many samples or frames"),
    ("TM0318", "the sound's rate is out of range"),
    ("TM0319", "the bytes are no WAV file"),
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
    ("TM0342", "a picture cannot be written"),
    ("TM0350", "a tensor could not be made"),
    ("TM0360", "a step's name is not plain, or another step has it"),
    ("TM0361", "a step refers to a value or a model that does not exist"),
    ("TM0362", "a stage or a step gets another kind of value than it takes"),
    ("TM0363", "what a step makes does not fit the model of the next"),
    ("TM0364", "a stage names an output that the model does not have"),
    ("TM0365", "an output has not the shape that a stage reads"),
    ("TM0366", "a pipeline of several steps was used as one of a single model"),
];

impl Error {
    /// The stable code, for scripts and for `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnImage { .. } => "TM0301",
            Self::EncodedTooLarge { .. } => "TM0302",
            Self::ImageTooLarge { .. } | Self::TooManyTiles { .. } => "TM0303",
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
            Self::InputKind { .. } => "TM0315",
            Self::Wav { .. } => "TM0316",
            Self::SoundTooLong { .. } | Self::TooManyFrames { .. } => "TM0317",
            Self::SampleRate { .. } => "TM0318",
            Self::NotASound { .. } => "TM0319",
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
            Self::PictureSamples { .. } => "TM0342",
            Self::Tensor(_) => "TM0350",
            Self::StepName { .. } => "TM0360",
            Self::UnknownName { .. } => "TM0361",
            Self::ValueKind { .. } => "TM0362",
            Self::Join { .. } => "TM0363",
            Self::UnknownOutput { .. } => "TM0364",
            Self::OutputShape { .. } => "TM0365",
            Self::SeveralSteps { .. } => "TM0366",
            Self::Step { source, .. } => source.code(),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAnImage { .. } => "give a JPEG, PNG, BMP or WebP file; convert other formats first",
            Self::EncodedTooLarge { .. } => "save the picture smaller, or as JPEG, PNG or WebP",
            Self::ImageTooLarge { .. } | Self::TooManyTiles { .. } => {
                "scale the picture down first, or declare a smaller size"
            }
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
            Self::InputKind { .. } => "give what the app takes; `tilemark inspect` says what that is",
            Self::NotASound { .. } | Self::Wav { .. } => {
                "give a complete WAV file; convert other formats first"
            }
            Self::SoundTooLong { .. } | Self::TooManyFrames { .. } => "give a shorter sound, or parts of it",
            Self::SampleRate { .. } => "give a sound at an ordinary rate, such as 16,000 or 48,000 a second",
            Self::Step { source, .. } => source.hint(),
            Self::OutputCount { .. } | Self::OutputMismatch { .. } | Self::Tensor(_) => {
                "the app does not fit its own model: pack it again, and report this if it stays"
            }
            _ => self.vendors_hint(),
        }
    }

    /// What to do about an app that cannot be made.
    fn vendors_hint(&self) -> &'static str {
        match self {
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
            Self::PictureSamples { .. } => {
                "give rows from top to bottom, one or three bytes a pixel, no gaps"
            }
            Self::StepName { .. } => "use small letters, digits and _, and a name of its own for each step",
            Self::UnknownName { .. } => {
                "a step sees the input, the steps above it, and the models declared under [models.NAME]"
            }
            Self::ValueKind { .. } => "docs/pipeline.md says what each stage takes and makes",
            Self::Join { .. } => "change the stages between them, or export the models with ends that fit",
            Self::UnknownOutput { .. } => "`tilemark inspect MODEL.onnx` lists the model's outputs",
            Self::OutputShape { .. } => "use the stage for models of this kind; docs/pipeline.md lists all",
            Self::SeveralSteps { .. } => "run the whole app instead of its model",
            _ => "correct the app; docs/pipeline.md lists every stage and what it takes",
        }
    }

    /// Whether what the user brought is at fault (a picture, a tensor) rather than the app or the engine.
    pub fn is_input(&self) -> bool {
        self.code() < "TM0320"
    }

    /// Whether what an integrator set is at fault.
    pub fn is_setting(&self) -> bool {
        match self {
            Self::Step { source, .. } => source.is_setting(),
            _ => matches!(self, Self::UnknownParameter { .. } | Self::ParameterValue { .. }),
        }
    }

    /// The file that the pipeline refers to and that was not given, if that is what is wrong.
    pub fn missing_file(&self) -> Option<&str> {
        match self {
            Self::MissingFile { name } => Some(name),
            Self::Step { source, .. } => source.missing_file(),
            _ => None,
        }
    }

    /// The same error, said of one of several steps.
    pub(crate) fn in_step(self, step: &str) -> Self {
        Self::Step { step: step.to_owned(), source: Box::new(self) }
    }
}
