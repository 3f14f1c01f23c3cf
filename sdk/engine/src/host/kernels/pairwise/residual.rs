//! An addition that became the last part of another step: applied to a tile's finished bytes while they are in cache. The
//! intermediate bytes are computed and rounded as before; they only never leave the tile.

use tilemark_model::{Graph, Node, Op};

use super::portable::Combination;
use crate::error::Error;
use crate::host::CpuLevel;
use crate::host::kernels::Work;
use crate::host::memory::{Inputs, Tile};

/// A step with an addition behind it. The last of its inputs is the other operand, of the output's shape.
pub(crate) struct Residual {
    work: Box<dyn Work>,
    sum: Combination,
    /// Whether the step's own result is the addition's second operand.
    is_second: bool,
}

impl Residual {
    /// Whether the addition `node` can be such a part at `level`. At the scalar level its look-ups would cost more than
    /// they save.
    pub(crate) fn applies(graph: &Graph, node: &Node, level: CpuLevel) -> bool {
        matches!(node.op, Op::Add(_)) && matches!(Combination::new(graph, node, None, level), Ok(Some(_)))
    }

    /// `work` with the addition `node` behind it, and then `table`.
    ///
    /// # Errors
    /// [`Error::Internal`] if it does not [apply](Residual::applies).
    pub(crate) fn new(
        work: Box<dyn Work>,
        graph: &Graph,
        [node, table]: [Option<&Node>; 2],
        is_second: bool,
        level: CpuLevel,
    ) -> Result<Self, Error> {
        let inconsistent = || Error::internal("an addition", "cannot be a part of another step");
        let node = node.ok_or_else(inconsistent)?;
        let sum = Combination::new(graph, node, table, level)?.ok_or_else(inconsistent)?;
        Ok(Self { work, sum, is_second })
    }

    fn add(&self, y: &mut [u8], other: &[u8]) {
        self.sum.in_place(y, other, self.is_second);
    }
}

impl Work for Residual {
    fn scratch_bytes(&self) -> usize {
        self.work.scratch_bytes()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        self.work.run(inputs, tile, scratch)?;
        let other = inputs.view(inputs.len() - 1);
        let region = tile.region().clone();
        let (columns, channels) = (tile.grid().columns, region.channels.len());
        if channels < tile.grid().channels || !other.layout.has_rows() {
            for (image, row) in region.clone().lines() {
                for column in 0..columns {
                    let first = other.layout.offset(image, row, column) + region.channels.start;
                    self.add(tile.pixel(image, row, column), &other.bytes[first..first + channels]);
                }
            }
            return Ok(());
        }
        for image in region.images.clone() {
            if let (Some(y), Some(other)) = (tile.rows(image), other.rows(image, &region.rows)) {
                self.add(y, other);
                continue;
            }
            for row in region.rows.clone() {
                self.add(tile.row(image, row), other.row(image, row));
            }
        }
        Ok(())
    }
}
