//! Look-up of bytes that others read too.

use std::sync::Arc;

use tilemark_kernels::TABLE;

use super::{Arg, Kernel, Launch, Needs, Site, Suits, every_element, place, size};
use crate::error::Error;
use crate::opencl::launch::ProgramKey;
use crate::plan::stored_table;

pub(super) const KERNELS: &[Kernel] =
    &[Kernel { name: "table/opencl", needs: Needs::Nothing, suits: Suits::Any, build }];

fn build(site: &Site<'_>) -> Result<Option<Vec<Launch>>, Error> {
    let step = site.step;
    let pack = || site.opened.constants(&stored_table(step.graph, step.node)?);
    let tables = step.packed("table/opencl", pack)?;
    let args = vec![
        Arg::Arena,
        Arg::Constants(Arc::clone(&tables)),
        place(&site.inputs[0]),
        size(site.output),
        place(site.output),
    ];
    let program = ProgramKey::new(TABLE, "");
    let (global, local) = every_element(site.output);
    Ok(Some(vec![Launch { program, entry: "table_plain", args, global, local }]))
}
