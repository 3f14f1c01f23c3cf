//! Steps on an OpenCL device.

use tilemark_model::Graph;

use super::lower::Lower;
use crate::error::Error;
use crate::opencl::Launch;
use crate::opencl::kernels::{Kernel, Site, SumPart};

impl<'a> Lower<'a> {
    /// The variant that is forced, or else the one that suits the device best.
    pub(super) fn on_device(
        &self,
        kernels: &'static [Kernel],
        site: &Site<'_>,
    ) -> Result<(&'static Kernel, Vec<Launch>), Error> {
        let forced = |kernel: &&Kernel| Some(kernel.variant()) == self.source.picker.variant;
        let mut ranked: Vec<_> = kernels.iter().collect();
        ranked.sort_by_key(|kernel| kernel.rank(site.opened)); // stable: of equals the one registered first
        for kernel in kernels.iter().find(forced).into_iter().chain(ranked) {
            if kernel.fits(site.opened)
                && let Some(launches) = (kernel.build)(site)?
            {
                return Ok((kernel, launches));
            }
        }
        Err(Error::internal(&site.step.node.name, "has no kernel on this device"))
    }

    pub(super) fn sum_part(&self, index: usize) -> Option<SumPart<'a>> {
        let graph: &'a Graph = self.source.graph;
        let sum = self.fusion.sum_of[index]?;
        let table = self.fusion.table_of[sum.node].map(|table| &graph.nodes[table]);
        Some(SumPart { node: &graph.nodes[sum.node], table, is_second: sum.is_second })
    }
}
