//! The catalogue as a static web site.

use serde_json::json;
use tilemark_store::Site;

use super::open;
use crate::args::store::Site as Args;
use crate::failure::Result;
use crate::text;

pub(super) fn run(args: &Args) -> Result<()> {
    let site = Site::new(&args.title, args.address.as_deref())?;
    let store = open(&args.of.named)?;
    // Of what is fresh: a site of what a mirror does not have any more would say that it was withdrawn.
    let view = store.refresh()?;
    let spinner = text::spinner("writing");
    let made = view.write_site(&args.folder, &site, &mut |apps| {
        spinner.set_message(text::plural(apps, "app"));
    });
    spinner.finish_and_clear();
    let made = made?;
    let freshness = view.freshness().describe();
    if args.of.json {
        text::json(&json!({ "folder": args.folder, "snapshot": view.version(), "apps": made.apps,
            "withdrawn": made.withdrawn, "written": made.written, "unchanged": made.unchanged,
            "refused": made.refused.len(), "freshness": freshness }))?;
    } else {
        let (apps, files) = (text::plural(made.apps, "app"), text::plural(made.written, "file"));
        text::line(format_args!("site    {}", args.folder.join("index.html").display()))?;
        text::line(format_args!(
            "apps    {apps} on offer, {} no longer; {files} written, {} as they were",
            made.withdrawn, made.unchanged
        ))?;
        text::line(format_args!("store   {freshness}"))?;
    }
    let mut refused = made.refused.into_iter();
    let Some((first, error)) = refused.next() else { return Ok(()) };
    for (what, error) in refused {
        text::note(format_args!("left out   {what}: {error}"));
    }
    text::note(format_args!("left out   {first}, for the error below; all else is there"));
    Err(error.into())
}
