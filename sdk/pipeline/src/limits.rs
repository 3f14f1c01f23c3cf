//! Limits on what a picture, a tensor file or a pipeline may ask for. Each bounds memory or time that a hostile
//! file could otherwise claim.

/// Largest encoded picture read, in bytes: a 64-megapixel photo as an uncompressed bitmap fits.
pub const MAX_ENCODED_BYTES: usize = 256 << 20;
/// Longest side of a picture, decoded or made by a stage, in pixels.
pub const MAX_IMAGE_SIDE: u32 = 16_384;
/// Most pixels of a picture, decoded or made by a stage: 192 MiB as RGB.
pub const MAX_IMAGE_PIXELS: u64 = 64 << 20;
/// Bytes that a decoder may allocate, and as many for what it decodes to: 16-bit RGBA of the largest picture.
pub const MAX_DECODE_BYTES: u64 = MAX_IMAGE_PIXELS * 8;
/// Most scans of a progressive JPEG; encoders write about ten, and each costs a pass over the picture.
pub const MAX_JPEG_SCANS: usize = 64;
/// Most stages on either side of the model.
pub const MAX_STAGES: usize = 16;
/// Largest labels file, in bytes.
pub const MAX_LABELS_BYTES: usize = 4 << 20;
/// Longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 1024;
/// Most labels that `top_k` may return.
pub const MAX_TOP_K: u32 = 1000;
/// Longest name of a file that a pipeline refers to, in bytes.
pub const MAX_FILE_NAME_BYTES: usize = 255;
/// Largest output, in elements, that is repeated under `values` in a result.
pub const MAX_RESULT_VALUES: usize = 1024;
/// Longest `.npy` header, in bytes; numpy writes about 120.
pub const MAX_NPY_HEADER_BYTES: usize = 4096;
/// Most axes of a tensor read from a file.
pub const MAX_NPY_RANK: usize = 8;
/// Most bytes of elements in a `.npy` file.
pub const MAX_NPY_BYTES: usize = 1 << 30;
/// Most samples of a decoded sound, in all: half an hour at 16 kHz, 128 MiB.
pub const MAX_SOUND_SAMPLES: u64 = 32 << 20;
/// Lowest rate of a sound, in samples a second.
pub const MIN_SAMPLE_RATE: u32 = 1_000;
/// Highest rate of a sound, in samples a second.
pub const MAX_SAMPLE_RATE: u32 = 384_000;
/// Most frames of a sound, each of which runs the model: ten minutes at ten milliseconds.
pub const MAX_FRAMES: usize = 60_000;
/// Most steps of an app.
pub const MAX_STEPS: usize = 32;
/// Most tiles of a picture, each of which runs the model.
pub const MAX_TILES: usize = 1024;
/// Most windows of a sound's spectrum, each of which is a Fourier transform.
pub const MAX_WINDOWS: usize = 1 << 20;
/// Most boxes, regions or lines that a stage may return, and so most crops of a step.
pub const MAX_FOUND: u32 = 1000;
/// Longest side of a crop, in pixels: larger boxes and regions are sampled at fewer points. Bounds what crops cost.
pub const MAX_CROP_SIDE: usize = 1024;
/// Longest name of a step, in bytes.
pub const MAX_STEP_NAME_BYTES: usize = 64;
/// Most parameters of a pipeline.
pub const MAX_PARAMETERS: usize = 64;
/// Longest name of a parameter, in bytes.
pub const MAX_PARAMETER_NAME_BYTES: usize = 63;
/// Longest description of a parameter, in bytes; of a value that is shown in an error, in characters.
pub const MAX_PARAMETER_TEXT_BYTES: usize = 1024;
/// Most words that a parameter is chosen from.
pub const MAX_CHOICES: usize = 64;
