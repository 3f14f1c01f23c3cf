//! The way up that a picture's EXIF data declares: what a camera was held like.

use image::metadata::Orientation;

use super::Raster;

/// The picture as it is meant to be seen. Of the eight orientations four turn rows into columns.
pub(super) fn upright(picture: Raster, orientation: Orientation) -> Raster {
    let (width, height) = (picture.width, picture.height);
    let (right, bottom) = (width - 1, height - 1); // sides are at least 1
    // Where the pixel at column x and row y of the upright picture lies on the stored one.
    let stored: fn([usize; 2], [usize; 2]) -> [usize; 2] = match orientation {
        Orientation::NoTransforms => return picture,
        Orientation::FlipHorizontal => |[x, y], [right, _]| [right - x, y],
        Orientation::Rotate180 => |[x, y], [right, bottom]| [right - x, bottom - y],
        Orientation::FlipVertical => |[x, y], [_, bottom]| [x, bottom - y],
        Orientation::Rotate90FlipH => |[x, y], _| [y, x],
        Orientation::Rotate90 => |[x, y], [_, bottom]| [y, bottom - x],
        Orientation::Rotate270FlipH => |[x, y], [right, bottom]| [right - y, bottom - x],
        Orientation::Rotate270 => |[x, y], [right, _]| [right - y, x],
    };
    let turned = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (across, down) = if turned { (height, width) } else { (width, height) };
    let channels = picture.channels;
    let mut samples = Vec::with_capacity(picture.samples.len());
    for (x, y) in (0..down).flat_map(|y| (0..across).map(move |x| (x, y))) {
        let [column, row] = stored([x, y], [right, bottom]);
        samples.extend_from_slice(&picture.samples[(row * width + column) * channels..][..channels]);
    }
    Raster { width: across, height: down, channels, samples }
}
