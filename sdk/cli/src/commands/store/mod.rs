//! The store: operators and publishers write it, integrators find, install and update apps.

mod escrow;
mod find;
mod operator;
mod publish;
mod registry;
mod site;

use std::path::PathBuf;

use serde_json::json;
use tilemark::{Home, Manifest};
use tilemark_store::{AppName, Copied, Countersigners, Installation, Installed, Outcome, Store, View};

use crate::args::store::{Add, Copy, Install, Named, Require, Store as Command, Update};
use crate::failure::{Failure, Result};
use crate::{files, text};

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Init(args) => operator::init(args),
        Command::Invite(args) => operator::invite(args),
        Command::Revoke(args) => operator::revoke(args),
        Command::Refresh(args) => operator::refresh(args),
        Command::Renew(args) => operator::renew(args),
        Command::Countersign(args) => operator::countersign(args),
        Command::Publish(args) => publish::run(args),
        Command::Push(args) => registry::push(args),
        Command::Pull(args) => registry::pull(args),
        Command::Add(args) => add(args),
        Command::Require(args) => require(args),
        Command::Search(args) => find::search(args),
        Command::Info(args) => find::info(args),
        Command::FindSubstitute(args) => find::substitute(args),
        Command::Install(args) => install(args),
        Command::Update(args) => update(args),
        Command::Mirror(args) => copy(args, false),
        Command::Stick(args) => copy(args, true),
        Command::Site(args) => site::run(args),
        Command::Escrow(command) => escrow::run(command),
        Command::List(args) => list(args.json),
        Command::Remove(args) => {
            installation()?.remove(&args.app)?;
            text::line(format_args!("removed  {}", args.app))
        }
    }
}

/// Where a store's state is, which must stay, and its cache, which may go.
fn folders(Named { store: name }: &Named) -> Result<[PathBuf; 2]> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return Err(Failure::usage(
            format!("--store {name}: no name for a store"),
            "use letters, digits, - and _",
        ));
    }
    let home = Home::from_env()?;
    Ok([home.path().join("stores").join(name), home.path().join("cache").join("stores").join(name)])
}

fn open(named: &Named) -> Result<Store> {
    let [state, cache] = folders(named)?;
    if !state.exists() {
        let hint = "`tilemark store add ADDRESS --root FILE` begins to trust one";
        return Err(Failure::usage(format!("no store has the name {:?} here", named.store), hint));
    }
    Ok(Store::open(&state, &cache)?)
}

fn installation() -> Result<Installation> {
    let home = Home::from_env()?;
    Ok(Installation::new(home.path().join("apps"), home.floors()?))
}

fn add(args: &Add) -> Result<()> {
    let [state, cache] = folders(&args.named)?;
    // A folder's path means another one in another folder.
    let absolute = |address: &String| match address.contains("://") {
        true => Ok(address.clone()),
        false => match std::path::absolute(address) {
            Ok(path) if path.is_dir() => Ok(path.display().to_string()),
            // As it was typed: it may have been meant for a web address.
            Ok(_) => Ok(address.clone()),
            Err(source) => Err(Failure::File { path: address.into(), source }),
        },
    };
    let addresses = args.addresses.iter().map(absolute).collect::<Result<Vec<_>>>()?;
    let store = match &args.root {
        Some(root) => Store::add(&state, &cache, &files::read(root)?, &addresses)?,
        None => open(&args.named)?.with_mirrors(&addresses)?,
    };
    text::line(format_args!(
        "added  {}, {}",
        args.named.store,
        text::plural(store.addresses().len(), "mirror")
    ))?;
    text::line(format_args!("root   {}", store.id()?))
}

/// First what comes, then what is here: whoever is killed in between types it again.
fn require(args: &Require) -> Result<()> {
    let store = open(&args.named)?;
    let keys = args.countersigner.iter().map(|path| operator::public(path)).collect::<Result<Vec<_>>>()?;
    let countersigners = match args.none {
        true => None,
        false => Some(Countersigners::new(keys, args.threshold)?),
    };
    store.require(countersigners.as_ref())?;
    let count = installation()?.require(&store, countersigners.as_ref())?;
    let here = text::plural(count, "publisher");
    text::line(match countersigners {
        Some(asked) => format!(
            "required  {} of {} of store {}, also for what is here of {here}",
            text::plural(usize::try_from(asked.threshold()).unwrap_or(usize::MAX), "signature"),
            text::plural(args.countersigner.len(), "key"),
            args.named.store
        ),
        None => format!("required  the publishers' signatures alone, also for what is here of {here}"),
    })
}

/// Copies a store; a drive is read again, and gets the root beside it, to begin with where nobody has one.
fn copy(args: &Copy, drive: bool) -> Result<()> {
    let store = open(&args.of.named)?;
    let view = store.refresh()?;
    let spinner = text::spinner("copying");
    let mut told = |done: &Copied| {
        spinner.set_message(format!("{}, {}", text::plural(done.files, "file"), text::bytes(done.fetched)));
    };
    let copied = match drive {
        true => view.copy_and_read_again(&args.folder, &mut told),
        false => view.copy_to(&args.folder, &mut told),
    };
    spinner.finish_and_clear();
    let done = copied?;
    if args.of.json {
        text::json(&json!({ "files": done.files, "fetched": done.fetched, "reused": done.reused,
            "refused": done.refused.len(), "freshness": view.freshness().describe() }))?;
    } else {
        let (fetched, reused) = (text::bytes(done.fetched), text::bytes(done.reused));
        text::line(format_args!(
            "copied  {}; {fetched} written, {reused} there already",
            text::plural(done.files, "file")
        ))?;
        text::line(format_args!("store   {}", view.freshness().describe()))?;
    }
    let mut refused = done.refused.into_iter();
    let first = refused.next();
    for (what, error) in refused {
        text::note(format_args!("left out   {what}: {error}"));
    }
    match first {
        None => Ok(()),
        Some((what, error)) => {
            text::note(format_args!("left out   {what}, for the error below; all else is copied"));
            Err(error.into())
        }
    }
}

/// The store as it is now, or as it is known where nobody can be reached. How old that is goes to stderr.
fn look(store: &Store, offline: bool) -> Result<View<'_>> {
    let view = if offline { store.offline()? } else { store.look()? };
    if view.freshness().stale.is_some() {
        text::note(format_args!("store  {}", view.freshness().describe()));
    }
    Ok(view)
}

fn install(args: &Install) -> Result<()> {
    let store = open(&args.of.named)?;
    let view = store.refresh()?;
    let done = install_one(&view, &args.app, args.release, &args.target)?;
    report(&[done], args.of.json)
}

fn update(args: &Update) -> Result<()> {
    let installed: Vec<AppName> =
        installation()?.list()?.into_iter().map(|installed| installed.app).collect();
    let apps = if args.apps.is_empty() { &installed } else { &args.apps };
    if let Some(app) = apps.iter().find(|app| !installed.contains(app)) {
        return Err(Failure::usage(
            format!("{app} is not installed"),
            format!("`tilemark store install {app}`"),
        ));
    }
    let store = open(&args.of.named)?;
    let view = store.refresh()?;
    let (mut done, mut failed) = (Vec::new(), None);
    for app in apps {
        match install_one(&view, app, None, &args.target) {
            Ok(outcome) => done.push(outcome),
            // Of another store, or not offered any more: it stays as it is, unless it was asked for by name.
            Err(Failure::Store(error)) if args.apps.is_empty() && STAYS.contains(&error.code()) => {
                text::note(format_args!("{app}: {error}; it stays"));
            }
            // One publisher's fault is not the others'.
            Err(failure) => {
                text::note(format_args!("{app}: {failure}; it stays"));
                failed = failed.or(Some(failure));
            }
        }
    }
    report(&done, args.of.json)?;
    failed.map_or(Ok(()), Err)
}

/// What an update of everything passes over: not in this store, or from another one.
const STAYS: [&str; 2] = ["TM0820", "TM0826"];

fn install_one(view: &View<'_>, app: &AppName, release: Option<u64>, target: &str) -> Result<Outcome> {
    let offer = view.offer(app, release)?;
    let bar = text::progress(0, app.to_string());
    let fits = |manifest: &Manifest| match manifest.targets.iter().any(|shipped| shipped == target) {
        true => Ok(()),
        false => Err(format!("it ships {}, and nothing for {target}", manifest.targets.join(", "))),
    };
    let done = installation()?.install(view, &offer, fits, &mut |bytes, of| {
        bar.set_length(of);
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    Ok(done?)
}

fn report(done: &[Outcome], as_json: bool) -> Result<()> {
    if as_json {
        let one = |done: &Outcome| {
            let Installed { app, path, release, .. } = &done.installed;
            let (version, trust) = (&done.version, path.with_file_name("trust.json"));
            json!({ "app": app, "version": version, "release": release, "path": path, "trust": trust,
                "unchanged": done.unchanged, "fetched": done.fetched, "reused": done.reused })
        };
        return text::json(&done.iter().map(one).collect::<Vec<_>>());
    }
    for done in done {
        let Installed { app, path, release, .. } = &done.installed;
        let what = if done.unchanged { "current  " } else { "installed" };
        let (fetched, reused) = (text::bytes(done.fetched), text::bytes(done.reused));
        text::line(format_args!(
            "{what}  {app} {}, release {release}; {fetched} fetched, {reused} here already",
            done.version
        ))?;
        text::line(format_args!("bundle     {}", path.display()))?;
        text::line(format_args!("trust      {}", path.with_file_name("trust.json").display()))?;
    }
    Ok(())
}

fn list(as_json: bool) -> Result<()> {
    let installed = installation()?.list()?;
    if as_json {
        let one = |app: &Installed| json!({ "app": app.app, "release": app.release, "path": app.path });
        return text::json(&installed.iter().map(one).collect::<Vec<_>>());
    }
    let row = |app: &Installed| {
        [app.app.to_string(), format!("release {}", app.release), app.path.display().to_string()]
    };
    text::table(&installed.iter().map(row).collect::<Vec<_>>(), &[])
}
