//! The OpenCL sources of the operations, as text. What each entry point expects: `kernels/README.md`.

/// An OpenCL program: what stands in front of every one, and the file of an operation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Source {
    /// The file's name without `.cl`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Views, requantization and epilogues: goes in front of every other file.
pub const PRELUDE: &str = include_str!("../prelude.cl");

macro_rules! sources {
    ($($(#[$doc:meta])* $constant:ident = $name:literal $(after $shared:literal)?;)*) => {
        $($(#[$doc])* pub const $constant: Source = Source {
            name: $name,
            text: concat!($(include_str!(concat!("../", $shared, ".cl")),)? include_str!(concat!("../", $name, ".cl"))),
        };)*

        /// Every program.
        pub const ALL: &[Source] = &[$($constant),*];
    };
}

sources! {
    /// The known-answer test.
    ANSWER = "answer";
    /// Convolutions of any geometry.
    CONV = "conv" after "window";
    /// Convolutions by NVIDIA's tensor cores.
    CONV_MMA = "conv_mma" after "window";
    /// Convolutions for graphics processors.
    CONV_TILES = "conv_tiles" after "window";
    /// Convolutions with one filter per channel.
    DEPTHWISE = "depthwise" after "window";
    /// Fully connected layers.
    FULLY_CONNECTED = "fully_connected";
    /// Products of two activations.
    MATMUL = "matmul";
    /// Sums and products of two activations.
    PAIRWISE = "pairwise";
    /// Indices of the largest or smallest.
    ARG_EXTREME = "arg_extreme";
    /// Means of windows.
    AVERAGE_POOL = "average_pool";
    /// Largest bytes of windows.
    MAX_POOL = "max_pool";
    /// Means over any axes.
    REDUCE = "reduce";
    /// The first in order.
    TOP_K = "top_k";
    /// Joining.
    CONCAT = "concat";
    /// Movements by tables of places.
    MOVEMENT = "movement";
    /// Look-up of bytes.
    TABLE = "table";
}
