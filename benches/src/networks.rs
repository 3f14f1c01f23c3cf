//! The layers that the networks of the benchmarks are made of, each geometry once.

use crate::layer::Layer;

/// Convolutions as side, channels, outputs, kernel, stride.
const CONVOLUTIONS: &[[usize; 5]] = &[
    // ResNet-50
    [224, 3, 64, 7, 2],
    [56, 64, 64, 1, 1],
    [56, 64, 64, 3, 1],
    [56, 64, 256, 1, 1],
    [56, 256, 64, 1, 1],
    [56, 128, 128, 3, 2],
    [28, 128, 128, 3, 1],
    [28, 128, 512, 1, 1],
    [28, 512, 128, 1, 1],
    [28, 512, 1024, 1, 2],
    [14, 256, 256, 3, 1],
    [14, 256, 1024, 1, 1],
    [14, 1024, 256, 1, 1],
    [7, 512, 512, 3, 1],
    [7, 512, 2048, 1, 1],
    [7, 2048, 512, 1, 1],
    // MobileNetV2
    [224, 3, 32, 3, 2],
    [112, 32, 16, 1, 1],
    [112, 16, 96, 1, 1],
    [56, 96, 24, 1, 1],
    [56, 24, 144, 1, 1],
    [56, 144, 24, 1, 1],
    [28, 32, 192, 1, 1],
    [28, 192, 32, 1, 1],
    [14, 64, 384, 1, 1],
    [14, 384, 64, 1, 1],
    [14, 96, 576, 1, 1],
    [14, 576, 96, 1, 1],
    [7, 160, 960, 1, 1],
    [7, 960, 160, 1, 1],
    [7, 320, 1280, 1, 1],
    // EfficientNet-Lite0
    [28, 40, 240, 1, 1],
    [28, 240, 40, 1, 1],
    [14, 80, 480, 1, 1],
    [14, 112, 672, 1, 1],
    [14, 672, 112, 1, 1],
    [7, 192, 1152, 1, 1],
    [7, 1152, 192, 1, 1],
];

/// Depthwise convolutions as side, channels, kernel, stride.
const DEPTHWISE: &[[usize; 4]] = &[
    // MobileNetV2
    [112, 32, 3, 1],
    [112, 96, 3, 2],
    [56, 144, 3, 1],
    [56, 144, 3, 2],
    [28, 192, 3, 1],
    [28, 192, 3, 2],
    [14, 384, 3, 1],
    [14, 576, 3, 1],
    [14, 576, 3, 2],
    [7, 960, 3, 1],
    // EfficientNet-Lite0
    [56, 144, 5, 2],
    [28, 240, 5, 1],
    [14, 480, 5, 1],
    [14, 672, 5, 1],
    [14, 672, 5, 2],
    [7, 1152, 5, 1],
    // Few channels, as in networks for faces and people
    [128, 16, 3, 1],
    [64, 24, 5, 1],
    [32, 48, 5, 1],
];

/// Fully connected layers as rows, products, outputs.
const FULLY_CONNECTED: &[[usize; 3]] = &[[1, 1280, 1000], [1, 2048, 1000], [8, 1280, 1000], [64, 512, 512]];

/// Pointwise convolutions and fully connected layers: matrix products without a window.
#[must_use]
pub fn products() -> Vec<Layer> {
    let pointwise = convolutions().filter(|(kernel, _)| *kernel == 1).map(|(_, layer)| layer);
    let connected =
        FULLY_CONNECTED.iter().map(|&[rows, depth, outputs]| Layer::FullyConnected { rows, depth, outputs });
    pointwise.chain(connected).collect()
}

/// Convolutions with a window over all channels.
#[must_use]
pub fn dense() -> Vec<Layer> {
    convolutions().filter(|(kernel, _)| *kernel > 1).map(|(_, layer)| layer).collect()
}

/// Depthwise convolutions.
#[must_use]
pub fn depthwise() -> Vec<Layer> {
    let layer =
        |&[side, channels, kernel, stride]: &[usize; 4]| Layer::depthwise(side, channels, kernel, stride);
    DEPTHWISE.iter().map(layer).collect()
}

fn convolutions() -> impl Iterator<Item = (usize, Layer)> {
    CONVOLUTIONS.iter().map(|&[side, channels, outputs, kernel, stride]| {
        (kernel, Layer::conv(side, channels, outputs, kernel, stride))
    })
}
