//! Tables of places: where results take their elements from. As `movement.cl` has them: for each line (image and row), then for
//! each column, then for each channel of the result, what it adds to the offset in the input.

use std::sync::Arc;

use super::{Arg, Site, int};
use crate::error::Error;
use crate::host::kernels::movement::Places;
use crate::plan::Layout;

/// Most entries of a step's table. Images have thousands; lines of single bytes would have one each.
pub(super) const MOST_PLACES: usize = 1 << 20;

/// A table.
pub(super) struct Table {
    entries: Vec<i32>,
    /// Whether the elements of neighbouring channels lie side by side.
    pub(super) is_run: bool,
}

impl Table {
    /// The table of a result whose places along each of its shape's axes add this. A place without an element is -1.
    pub(super) fn new(of_axes: &[Places], result: &Layout) -> Self {
        let mut axes: Vec<Places> =
            result.memory_axes().into_iter().map(|axis| of_axes[axis].clone()).collect();
        let channels = axes.pop().unwrap_or_else(|| vec![Some(0)]);
        let columns = if result.shape.len() == 4 { axes.pop() } else { None };
        let columns = columns.unwrap_or_else(|| vec![Some(0)]);
        let lines = axes.iter().fold(vec![Some(0)], |outer, inner| together(&outer, inner));
        let is_run =
            channels.iter().enumerate().all(|(i, &place)| place == channels[0].map(|first| first + i));
        let is_run = is_run && channels[0].is_some();
        let entries = lines.iter().chain(&columns).chain(&channels);
        Self { entries: entries.map(|place| place.map_or(-1, int)).collect(), is_run }
    }

    /// Whether every place has an element.
    pub(super) fn is_complete(&self) -> bool {
        !self.entries.contains(&-1)
    }

    /// The table on the device.
    pub(super) fn arg(&self, site: &Site<'_>) -> Result<Arg, Error> {
        numbers(site, &self.entries)
    }
}

/// Numbers as constants on the device.
pub(super) fn numbers<T: bytemuck::NoUninit>(site: &Site<'_>, numbers: &[T]) -> Result<Arg, Error> {
    Ok(Arg::Constants(Arc::new(site.opened.constants(bytemuck::cast_slice(numbers))?)))
}

/// Whether a result of this shape has a table of bearable size.
pub(super) fn fits(shape: &[usize]) -> bool {
    let entries = match shape {
        // Channels may come last in memory or in the shape.
        &[images, channels, rows, columns] => {
            images.saturating_mul(rows.max(channels)).saturating_add(columns.max(channels))
        }
        [lines @ .., channels] => lines.iter().product::<usize>().saturating_add(*channels),
        [] => 1,
    };
    entries <= MOST_PLACES
}

/// Two axes as one.
fn together(outer: &Places, inner: &Places) -> Places {
    let of_outer =
        |&at: &Option<usize>| inner.iter().map(move |place| at.zip(*place).map(|(at, place)| at + place));
    outer.iter().flat_map(of_outer).collect()
}
