//! Look-up of bytes that others read too.

use tilemark_kernels::TABLE;

use super::walk::Walk;
use super::{Arg, Kernel, Launch, Needs, Site, Suits};
use crate::error::Error;
use crate::opencl::launch::ProgramKey;
use crate::plan::stored_table;

pub(super) const KERNELS: &[Kernel] =
    &[Kernel { name: "table/opencl", needs: Needs::Nothing, suits: Suits::Any, build }];

fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let step = site.step;
    let pack = || site.opened.constants(&stored_table(step.graph, step.node)?);
    let table = step.packed("table/opencl", pack)?;
    let walk = Walk::equal(&[&site.inputs[0], site.output]);
    let args =
        vec![Arg::Arena, Arg::Constants(table), walk.size(), walk.at(0), Arg::Int(walk.step(0)), walk.at(1)];
    let (global, local) = walk.grid();
    let program = ProgramKey::new(TABLE, "");
    Ok(Some(vec![Launch { program, entry: "table_run", args, global, local }]))
}
