//! A policy in code: who may sign whose apps, how many of them must, and which key is no longer good.
//!
//! The same can be written as a JSON file for `--trust` and `Trust::from_file`; docs/trust.md has an example.
//!
//! ```sh
//! cargo run --release -p tilemark-examples --example custom_trust
//! ```
#![allow(clippy::print_stdout, reason = "an example's result is what it prints")]

use tilemark::{Algorithm, Error, Refused, SigningKey, Trust, Untrusted};
use tilemark_bundle::{AppIdentity, BundleWriter};

pub(crate) fn main() -> Result<(), Error> {
    let [release, build, stolen, other] = [
        SigningKey::generate(Algorithm::Ed25519)?,
        SigningKey::generate(Algorithm::EcdsaP256)?, // a hardware module without Ed25519
        SigningKey::generate(Algorithm::Ed25519)?,
        SigningKey::generate(Algorithm::Ed25519)?,
    ];
    let id = |key: &SigningKey| key.public().id();
    let keys = [&release, &build, &stolen, &other];
    let trust = keys
        .into_iter()
        .fold(Trust::builder(), |builder, key| builder.key(key.public().clone()))
        // Two of acme's three keys must sign; the other publisher has one key.
        .publisher("acme", &[id(&release), id(&build), id(&stolen)], 2)
        .publisher("other", &[id(&other)], 1)
        .revoke_key(id(&stolen), "laptop stolen")
        .build()?;

    show("acme/app by the release and the build key", "acme/app", &[&release, &build], &trust)?;
    show("acme/app by the release key alone", "acme/app", &[&release], &trust)?;
    show("acme/app by the release and the stolen key", "acme/app", &[&release, &stolen], &trust)?;
    show("acme/app by the stolen key alone", "acme/app", &[&stolen], &trust)?;
    show("other/app by the other publisher", "other/app", &[&other], &trust)?;
    show("acme/app by the other publisher", "acme/app", &[&other], &trust)?;
    show("third/app by acme's two keys", "third/app", &[&release, &build], &trust)
}

/// Signs a bundle, verifies it under the policy and prints what came of it.
fn show(what: &str, name: &str, keys: &[&SigningKey], trust: &Trust) -> Result<(), Error> {
    let app = AppIdentity::new(name, "1.0.0", 1, "MIT", "An app of one blob")?;
    let file = BundleWriter::new(app).blob("data", &b"anything"[..]).sign(keys)?;
    match verify(file, trust) {
        Ok(facts) => println!("accepted        {what} ({facts} facts hold)"),
        Err(refused) => println!("refused {} {what}: {refused}", refused.error().code()),
    }
    Ok(())
}

fn verify(file: Vec<u8>, trust: &Trust) -> Result<usize, Refused> {
    let bundle = Untrusted::from_bytes(file)?.verify(trust)?;
    Ok(bundle.verdict().facts().iter().filter(|fact| fact.holds).count())
}
