//! The steps from a picture to the model's input, checked against the model and ready to run.

use std::borrow::Cow;

use tilemark_model::Tensor;

use crate::error::{Error, Result};
use crate::faults::Faults;
use crate::image::{Raster, centre_crop, check_size, fit, fraction};
use crate::interface::{Interface, TensorInfo, names};
use crate::limits::{MAX_IMAGE_SIDE, MAX_STAGES};
use crate::parameters::{Region, Settings, is_region};
use crate::place::Place;
use crate::run::Clock;
use crate::spec::{Align, Channels, Crop, Fit, ImageInput, Layout, Mode, Normalize, PreStage, Resize};
use crate::table::Table;

/// A picture's way into the model.
#[derive(Debug)]
pub(crate) struct Pre {
    channels: Channels,
    layout: Layout,
    steps: Vec<Step>,
    table: Table,
    normalize: Option<Normalize>,
    input: TensorInfo,
}

/// A stage that changes the picture's size, with its position in `pre`.
#[derive(Debug)]
struct Step {
    at: usize,
    what: Geometry,
}

#[derive(Debug)]
enum Geometry {
    Region(Region),
    Resize(Resize, Mode),
    Crop(Crop),
}

/// What is known of a picture's size before there is one.
#[derive(Clone, Copy)]
enum Size {
    Any,
    AtLeast(u32, u32),
    Exactly(u32, u32),
}

impl Pre {
    /// The declared stages; `None` where tensors go in, `image` being how the model wants a picture's channels, and where
    /// something is wrong, which is noted.
    pub(crate) fn new(
        stages: &[PreStage],
        settings: &Settings,
        image: Option<&ImageInput>,
        interface: &Interface,
        faults: &mut Faults,
    ) -> Option<Self> {
        if stages.len() > MAX_STAGES {
            let many = Error::TooManyStages { list: "pre", found: stages.len(), limit: MAX_STAGES };
            return faults.note(Err(many));
        }
        let Some(image) = image else {
            let needs = |stage| order(0, stage, "it needs a picture: declare image = {} in [input]");
            faults.note(stages.first().map_or(Ok(()), |stage| Err(needs(stage))));
            return None;
        };
        let [input] = interface.inputs.as_slice() else {
            return faults.note(Err(Error::ImageInputs { found: names(&interface.inputs) }));
        };
        let channels = image.channels.count();
        let layout = faults.note(layout(image, input));
        let clean = faults.count();
        let (steps, size, normalize) = check_stages(stages, settings, channels, faults);
        if let Some(layout) = layout.filter(|_| faults.count() == clean) {
            faults.note(check_model_size(input, layout, size));
        }
        let table = faults.note(Table::new(normalize, channels, input))?;
        let (normalize, input) = (normalize.cloned(), input.clone());
        Some(Self { channels: image.channels, layout: layout?, steps, table, normalize, input })
    }

    /// The model's input for one picture, and where that lies on it.
    pub(crate) fn run(&self, picture: &Raster, clock: &mut Clock) -> Result<(Tensor, Place)> {
        let (picture, place) = self.shaped(picture, clock)?;
        let reversed = self.channels == Channels::Bgr;
        let data = clock.time("pre.normalize", || self.table.apply(&picture, self.layout, reversed));
        let (c, h, w) = (picture.channels, picture.height, picture.width);
        let shape = match self.layout {
            Layout::Nchw => [1, c, h, w],
            Layout::Nhwc => [1, h, w, c],
        };
        Ok((Tensor::new(shape, data)?, place))
    }

    /// The share of a picture's samples whose value is beyond what the model's input can hold, after every stage but the
    /// quantization.
    pub(crate) fn saturation(&self, picture: &Raster, clock: &mut Clock) -> Result<f64> {
        let (picture, _) = self.shaped(picture, clock)?;
        let beyond = Table::beyond(self.normalize.as_ref(), picture.channels, &self.input)?;
        let reversed = self.channels == Channels::Bgr;
        let count = |(i, &sample): (usize, &u8)| {
            let channel = i % picture.channels;
            let channel = if reversed { picture.channels - 1 - channel } else { channel };
            beyond[channel][usize::from(sample)]
        };
        let saturated = picture.samples.iter().enumerate().filter(|&sample| count(sample)).count();
        Ok(saturated as f64 / picture.samples.len() as f64)
    }

    /// The picture after the stages that change its size.
    fn shaped<'a>(&self, picture: &'a Raster, clock: &mut Clock) -> Result<(Cow<'a, Raster>, Place)> {
        let gray = self.channels == Channels::Gray;
        let mut made = match gray {
            true => Cow::Owned(clock.time("pre.gray", || picture.to_gray())),
            false => Cow::Borrowed(picture),
        };
        let mut place = Place::whole([picture.width, picture.height]);
        for step in &self.steps {
            let (raster, placed) = clock.time(step.what.name(), || step.run(&made, place))?;
            (made, place) = (Cow::Owned(raster), placed);
        }
        Ok((made, place))
    }

    /// The place of a tensor that was given instead of a picture: a picture of the tensor's size.
    pub(crate) fn place_of(&self, tensor: &Tensor) -> Place {
        self.place_in(|axis| tensor.shape().get(axis).copied())
    }

    /// The same for the size that the model declares.
    pub(crate) fn own_place(&self, inputs: &[TensorInfo]) -> Place {
        self.place_in(|axis| inputs.first().and_then(|input| input.shape.get(axis).copied().flatten()))
    }

    fn place_in(&self, size: impl Fn(usize) -> Option<usize>) -> Place {
        let side = |axis: usize| size(axis).unwrap_or(1);
        match self.layout {
            Layout::Nchw => Place::whole([side(3), side(2)]),
            Layout::Nhwc => Place::whole([side(2), side(1)]),
        }
    }
}

impl Geometry {
    fn name(&self) -> &'static str {
        match self {
            Self::Region(_) => "pre.region",
            Self::Resize(..) => "pre.resize",
            Self::Crop(_) => "pre.crop",
        }
    }
}

impl Step {
    fn run(&self, source: &Raster, place: Place) -> Result<(Raster, Place)> {
        let from = (source.width, source.height);
        match &self.what {
            Geometry::Region(area) => {
                let frame = fraction(from, area);
                let size = [frame.width, frame.height];
                let place = place.then([frame.x, frame.y], size, size, [0, 0], size);
                Ok((source.cropped(frame), place))
            }
            Geometry::Resize(resize, mode) => {
                let placed =
                    fit(resize.fit, resize.align, from, (resize.width as usize, resize.height as usize));
                // Only `shortest` can be too large here: a very long picture. The others have a declared size.
                check_size(&format!("what pre[{}].resize makes", self.at), placed.size.0, placed.size.1)?;
                let (width, height) = (placed.size.0 as usize, placed.size.1 as usize);
                let whole = placed.source.width == from.0 && placed.source.height == from.1;
                let part = (!whole).then(|| source.cropped(placed.source));
                let resized = part.as_ref().unwrap_or(source).resized(width, height, *mode);
                let (canvas, (x, y)) = ((placed.canvas.0 as usize, placed.canvas.1 as usize), placed.corner);
                let frame = placed.source;
                let corner = [frame.x, frame.y];
                let part = [frame.width, frame.height];
                let place = place.then(corner, part, [width, height], [x, y], [canvas.0, canvas.1]);
                if placed.canvas == placed.size {
                    return Ok((resized, place));
                }
                Ok((resized.padded(canvas.0, canvas.1, x, y, resize.pad.unwrap_or_default()), place))
            }
            Geometry::Crop(crop) => {
                let frame =
                    centre_crop(from, (crop.width as usize, crop.height as usize)).ok_or_else(|| {
                        let (width, height) = (from.0 as u32, from.1 as u32); // at most MAX_IMAGE_SIDE
                        let (crop_width, crop_height) = (crop.width, crop.height);
                        Error::TooSmallToCrop { stage: self.at, width, height, crop_width, crop_height }
                    })?;
                let size = [frame.width, frame.height];
                let place = place.then([frame.x, frame.y], size, size, [0, 0], size);
                Ok((source.cropped(frame), place))
            }
        }
    }
}

/// Checks every stage by itself and in its place; the steps, the size they make, and the normalization. What is wrong is noted,
/// and its stage left out.
fn check_stages<'a>(
    stages: &'a [PreStage],
    settings: &Settings,
    channels: usize,
    faults: &mut Faults,
) -> (Vec<Step>, Size, Option<&'a Normalize>) {
    let (mut steps, mut size, mut normalize) = (Vec::new(), Size::Any, None);
    for (at, stage) in stages.iter().enumerate() {
        if normalize.is_some() {
            let last = order(at, stage, "normalize must be the last stage, and there can be one only");
            faults.note::<()>(Err(last));
            continue;
        }
        match stage {
            PreStage::Normalize(n) => {
                normalize = faults.note(check_normalize(at, n, channels)).map(|()| n);
            }
            PreStage::Tiles(_) if at == 0 => {} // the step's business
            PreStage::Tiles(_) => {
                faults.note::<()>(Err(order(at, stage, "tiles must be the first stage")));
            }
            PreStage::Frames(_) | PreStage::LogMel(_) | PreStage::Standardize(_) => {
                let sound = order(at, stage, "it needs a sound: declare sound = { rate = ... } in [input]");
                faults.note::<()>(Err(sound));
            }
            PreStage::Region(_) | PreStage::Resize(_) | PreStage::Crop(_) => {
                if let Some((what, made)) = faults.note(check_geometry(at, stage, settings, size)) {
                    steps.push(Step { at, what });
                    size = made;
                }
            }
        }
    }
    (steps, size, normalize)
}

/// A stage that changes the picture's size, and what it makes of one of `size`.
fn check_geometry(at: usize, stage: &PreStage, settings: &Settings, size: Size) -> Result<(Geometry, Size)> {
    Ok(match stage {
        PreStage::Region(region) => {
            let place = format!("pre[{at}].region.area");
            let area = settings.get(&place, &region.area)?;
            if !is_region(&area) {
                let expected = "left < right and top < bottom, from 0 to 1".to_owned();
                return Err(Error::Value { at: place, found: format!("{area:?}"), expected });
            }
            (Geometry::Region(area), Size::Any)
        }
        PreStage::Resize(resize) => {
            let made = check_resize(at, resize)?;
            let place = format!("pre[{at}].resize.mode");
            settings.extremes(&place, &resize.mode)?;
            (Geometry::Resize(resize.clone(), settings.get(&place, &resize.mode)?), made)
        }
        PreStage::Crop(crop) => (Geometry::Crop(crop.clone()), check_crop(at, crop, size)?),
        _ => {
            return Err(order(at, stage, "it does not change a picture's size"));
        }
    })
}

fn check_resize(at: usize, resize: &Resize) -> Result<Size> {
    check_sides(&format!("pre[{at}].resize"), resize.width, resize.height)?;
    if resize.pad.is_some() && resize.fit != Fit::Letterbox {
        let found = format!("set, with fit {:?}", resize.fit).to_lowercase();
        let expected = "left out, or fit = \"letterbox\"".to_owned();
        return Err(Error::Value { at: format!("pre[{at}].resize.pad"), found, expected });
    }
    if resize.align != Align::Centre && resize.fit != Fit::Letterbox {
        let expected = "left out, or fit = \"letterbox\"".to_owned();
        return Err(Error::Value { at: format!("pre[{at}].resize.align"), found: "start".into(), expected });
    }
    Ok(match resize.fit {
        Fit::Shortest => Size::AtLeast(resize.width, resize.height),
        Fit::Stretch | Fit::Crop | Fit::Letterbox => Size::Exactly(resize.width, resize.height),
    })
}

fn check_crop(at: usize, crop: &Crop, before: Size) -> Result<Size> {
    check_sides(&format!("pre[{at}].crop"), crop.width, crop.height)?;
    // After `shortest` the picture is at least this large on both sides, and may be no larger.
    if let Size::Exactly(width, height) | Size::AtLeast(width, height) = before
        && (crop.width > width || crop.height > height)
    {
        return Err(Error::Value {
            at: format!("pre[{at}].crop"),
            found: format!("{} x {}", crop.width, crop.height),
            expected: format!("at most {width} x {height}, which the stage before makes"),
        });
    }
    Ok(Size::Exactly(crop.width, crop.height))
}

fn check_sides(at: &str, width: u32, height: u32) -> Result<()> {
    for (side, pixels) in [("width", width), ("height", height)] {
        if pixels == 0 || pixels > MAX_IMAGE_SIDE {
            let expected = format!("1 to {MAX_IMAGE_SIDE} pixels");
            return Err(Error::Value { at: format!("{at}.{side}"), found: pixels.to_string(), expected });
        }
    }
    check_size(at, u64::from(width), u64::from(height))
}

fn check_normalize(at: usize, n: &Normalize, channels: usize) -> Result<()> {
    let wrong = |field: &str, found: String, expected: String| {
        Err(Error::Value { at: format!("pre[{at}].normalize.{field}"), found, expected })
    };
    for (field, values) in [("mean", &n.mean), ("std", &n.std)] {
        if values.len() != 1 && values.len() != channels {
            return wrong(
                field,
                format!("{} numbers", values.len()),
                format!("1 or {channels}, one per channel"),
            );
        }
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            return wrong(field, bad.to_string(), "finite numbers".into());
        }
    }
    // Subnormals could be flushed to zero by some processors, which then would divide by it.
    if let Some(bad) = n.std.iter().find(|v| !v.is_normal()) {
        return wrong(
            "std",
            bad.to_string(),
            "numbers that are not 0, nor too small for a normal f32".into(),
        );
    }
    if !n.divide.is_normal() {
        return wrong("divide", n.divide.to_string(), "a finite number that is not 0".into());
    }
    Ok(())
}

fn order(at: usize, stage: &PreStage, why: &'static str) -> Error {
    Error::StageOrder { at: format!("pre[{at}].{}", stage.name()), why }
}

/// Which axis holds the channels: declared, or told by the shape.
fn layout(image: &ImageInput, input: &TensorInfo) -> Result<Layout> {
    let channels = image.channels.count();
    let (name, shape) = (input.name.clone(), input.shape_text());
    let fits = |axis: Option<usize>| axis.is_none_or(|size| size == channels);
    let &[batch, first, _, last] = input.shape.as_slice() else {
        return Err(Error::ImageShape { name, shape, channels });
    };
    let possible = |layout: Layout| match layout {
        Layout::Nchw => fits(first),
        Layout::Nhwc => fits(last),
    };
    let told = |axis: Option<usize>| axis == Some(channels);
    match image.layout {
        _ if batch.is_some_and(|n| n != 1) => Err(Error::ImageShape { name, shape, channels }),
        Some(layout) if possible(layout) => Ok(layout),
        None if told(first) && !told(last) => Ok(Layout::Nchw),
        None if told(last) && !told(first) => Ok(Layout::Nhwc),
        None if possible(Layout::Nchw) || possible(Layout::Nhwc) => {
            Err(Error::AmbiguousLayout { name, shape, channels })
        }
        _ => Err(Error::ImageShape { name, shape, channels }),
    }
}

/// The stages must make what the model takes: known at pack time, not found out on a user's picture.
fn check_model_size(input: &TensorInfo, layout: Layout, size: Size) -> Result<()> {
    let (height, width) = match (layout, input.shape.as_slice()) {
        (Layout::Nchw, [_, _, h, w]) | (Layout::Nhwc, [_, h, w, _]) => (*h, *w),
        _ => (None, None), // `layout` has refused every other rank
    };
    let made = match size {
        Size::Exactly(w, h) => Some((w as usize, h as usize)),
        Size::Any | Size::AtLeast(..) => None,
    };
    let fits = match made {
        Some((w, h)) => width.is_none_or(|want| want == w) && height.is_none_or(|want| want == h),
        None => width.is_none() && height.is_none(),
    };
    if fits {
        return Ok(());
    }
    let text = |side: Option<usize>| side.map_or_else(|| "any".to_owned(), |n| n.to_string());
    Err(Error::ImageSize {
        name: input.name.clone(),
        made: made.map_or_else(|| "pictures of varying".to_owned(), |(w, h)| format!("{w} x {h}")),
        expected: format!("{} x {}", text(width), text(height)),
    })
}
