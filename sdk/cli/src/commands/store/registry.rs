//! Bundles in registries of containers.

use std::path::PathBuf;

use serde_json::json;
use tilemark::{BundleError, Home, Refused, Untrusted, sha256};
use tilemark_store::Report;
use tilemark_store::oci::{self, Credentials, Reference, Registry};

use crate::args::store::{Access, Pull, Push};
use crate::failure::{Failure, Result};
use crate::{files, text};

pub(super) fn push(args: &Push) -> Result<()> {
    let sdk = |error: BundleError| Failure::from(tilemark::Error::from(error));
    let trust = files::trust(args.trust.as_deref())?;
    let file = Untrusted::from_path(&args.bundle).map_err(sdk)?;
    let bundle = file.verify(&trust).map_err(Refused::into_error).map_err(sdk)?;
    let report = |path: &PathBuf| Ok(Report::new(&files::read(path)?)?);
    let reports = args.report.iter().map(report).collect::<Result<Vec<_>>>()?;
    let bar = text::progress(0, args.image.to_string());
    let done = registry(&args.image, &args.access)?.push(&bundle, &reports, &mut |bytes, of| {
        bar.set_length(of);
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    let done = done?;
    let image = by_digest(&args.image, &done.image.to_string());
    if args.json {
        return text::json(&json!({ "image": image, "digest": format!("sha256:{}", done.image),
            "sent": done.sent, "shared": done.shared }));
    }
    let (sent, shared) = (text::bytes(done.sent), text::bytes(done.shared));
    text::line(format_args!("pushed  {}; {sent} sent, {shared} there already", args.image))?;
    text::line(format_args!("image   {image}"))
}

pub(super) fn pull(args: &Pull) -> Result<()> {
    files::may_replace(&args.output)?;
    let trust = files::trust(args.trust.as_deref())?;
    let home = Home::from_env()?;
    let parts = home.path().join("cache/oci/parts");
    let registry = registry(&args.image, &args.access)?;
    let bar = text::progress(0, args.image.to_string());
    let done = registry.pull(&trust, &home.floors()?, &args.output, &parts, &mut |bytes, of| {
        bar.set_length(of);
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    let done = done?;
    let mut reports = Vec::new();
    if let Some(folder) = &args.reports {
        std::fs::create_dir_all(folder).map_err(|source| Failure::File { path: folder.clone(), source })?;
        let attached = registry.reports(done.image, done.identity)?;
        for (digest, error) in &attached.refused {
            text::note(format_args!("{digest} refers to the image and is left out: {error}"));
        }
        for report in attached.reports {
            let path = folder.join(format!("{}.json", sha256(report.envelope.as_bytes())));
            files::write(&path, report.envelope.as_bytes())?;
            reports.push(path);
        }
    }
    print(args, &done, &reports)
}

fn print(args: &Pull, done: &oci::Pulled, reports: &[PathBuf]) -> Result<()> {
    let (app, image) = (&done.app, by_digest(&args.image, &done.image.to_string()));
    if args.json {
        return text::json(&json!({ "app": app.name, "version": app.version, "release": app.release,
            "path": args.output, "image": image, "digest": format!("sha256:{}", done.image),
            "fetched": done.fetched, "reused": done.reused, "reports": reports }));
    }
    let (fetched, reused) = (text::bytes(done.fetched), text::bytes(done.reused));
    text::line(format_args!(
        "pulled  {} {}, release {}; {fetched} fetched, {reused} here already",
        app.name, app.version, app.release
    ))?;
    text::line(format_args!("image   {image}"))?;
    text::line(format_args!("bundle  {}", args.output.display()))?;
    reports.iter().try_for_each(|report| text::line(format_args!("report  {}", report.display())))
}

/// The image by what cannot move.
fn by_digest(image: &Reference, digest: &str) -> String {
    format!("{}/{}@sha256:{digest}", image.registry, image.name)
}

fn registry(image: &Reference, access: &Access) -> Result<Registry> {
    let credentials = match access.auth_file.clone() {
        Some(file) if !file.exists() => {
            let source = std::io::ErrorKind::NotFound.into();
            return Err(Failure::File { path: file, source });
        }
        Some(file) => Credentials::from_docker(&file, &image.registry)?,
        // Where nobody is to read along, a password that nobody asked for stays at home.
        None if access.insecure_http => None,
        None => match dockers_file() {
            Some(file) => Credentials::from_docker(&file, &image.registry)?,
            None => None,
        },
    };
    let (token_host, plain_http) = (access.token_host.clone(), access.insecure_http);
    Ok(Registry::new(image.clone(), oci::Access { credentials, token_host, plain_http })?)
}

/// Where `docker login` keeps who we are.
fn dockers_file() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}
