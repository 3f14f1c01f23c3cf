//! Making apps: from a description and its files to a signed bundle.
//!
//! Packing is reproducible: the same description, files and Ed25519 key give the same bytes.

mod description;
mod draft;
mod lint;
mod result;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tilemark_bundle::{
    AppIdentity, BundleWriter, Ceilings, KeyId, Origin, PublicKey, SigningKey, Trust, Untrusted, Vault, codec,
};
use tilemark_model::import::Imported;
use tilemark_model::numerics::narrow::{Number, collect};
use tilemark_model::{DType, Data, Graph, Tensor, shape};
use tilemark_pipeline::{Image, Pipeline, Sound};

use crate::contents::{self, AppModel, GRAPH, PIPELINE, RESOURCES, WEIGHTS};
use crate::error::Error;
use crate::golden;
use crate::input::Input;
use crate::statistics::{STATISTICS, Statistics};

use self::draft::{Draft, Sample};

pub use description::{AppSection, Description, GoldenSection, ModelSection, StatisticsSection};
pub use lint::{Finding, Severity, check};

/// An app ready to be signed: everything was read, imported, checked, and its golden vectors recorded.
#[derive(Debug)]
pub struct Package {
    identity: AppIdentity,
    origin: Option<Origin>,
    ceilings: Ceilings,
    /// The models by name, as the steps use them; at least one.
    models: Vec<(String, Imported)>,
    blobs: Vec<(String, Vec<u8>)>,
    vectors: usize,
    synthetic_golden: bool,
    /// Beside the host.
    targets: Vec<String>,
    /// What is found of samples, joins and targets while it is built.
    noted: Vec<Finding>,
}

impl Package {
    /// Builds the app that an `app.toml` describes; its paths are relative to the file.
    ///
    /// ```no_run
    /// use tilemark::SigningKey;
    /// use tilemark::pack::Package;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let package = Package::from_description("tagger/app.toml")?;
    /// std::fs::write("tagger.tmk", package.sign(&[&SigningKey::from_file("vendor.key")?])?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Description`], [`Error::Model`], [`Error::Pipeline`], [`Error::GoldenResult`] or [`Error::Io`]: the first thing
    /// that a vendor must mend; [`check`] tells all.
    pub fn from_description(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::build(Draft::read(path.as_ref())?).map_err(first)
    }

    /// Builds an app of a model alone: raw tensors in and out.
    ///
    /// # Errors
    /// [`Error::Bundle`] for an impossible name or version, [`Error::Model`] if the model cannot be imported.
    pub fn from_model(model: &[u8], identity: AppIdentity) -> Result<Self, Error> {
        Self::build(Draft::of_model(model, identity)).map_err(first)
    }

    /// Records the golden vectors and puts the blobs together.
    ///
    /// # Errors
    /// Everything that is wrong, at least one thing.
    fn build(draft: Draft) -> Result<Self, Vec<Error>> {
        let Draft {
            errors,
            identity: Some(identity),
            origin,
            models,
            spec,
            resources,
            golden,
            targets,
            counted,
        } = draft
        else {
            return Err(draft.errors);
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let one = |error: Error| vec![error];
        let graphs = |(name, imported): &(String, Imported)| {
            let (name, graph) = (name.clone(), Arc::new(imported.graph.clone()));
            AppModel { name, graph }
        };
        let graphs: Vec<AppModel> = models.iter().map(graphs).collect();
        let mut blobs = graph_blobs(&graphs).map_err(one)?;
        blobs.push((PIPELINE.to_owned(), contents::encode_pipeline(&spec).map_err(one)?));
        let files = resources.iter().cloned().collect();
        let interfaces = contents::interfaces(&graphs).map_err(one)?;
        let pipeline = Pipeline::new(spec, interfaces, &files).map_err(|error| vec![error.into()])?;
        blobs.extend(resources.into_iter().map(|(name, bytes)| (format!("{RESOURCES}{name}"), bytes)));
        blobs.extend(statistics(&pipeline, &counted).map_err(one)?);
        let synthetic_golden = golden.is_empty();
        let golden = match synthetic_golden {
            true => vec![synthetic_sample(&graphs[0].graph, &pipeline).map_err(one)?],
            false => golden,
        };
        blobs.extend(record(&golden, &graphs, &pipeline)?);
        let ceilings = ceilings(&graphs).map_err(one)?;
        let noted = lint::of_parts(&golden, &graphs, &pipeline, &targets).map_err(one)?;
        blobs.extend(targets.blobs);
        let (vectors, targets) = (golden.len(), targets.names);
        Ok(Self { identity, origin, ceilings, vectors, synthetic_golden, models, blobs, targets, noted })
    }

    /// The imported models by name, and what the passes did to each.
    pub fn models(&self) -> impl ExactSizeIterator<Item = (&str, &Imported)> {
        self.models.iter().map(|(name, imported)| (name.as_str(), imported))
    }

    /// How many golden vectors were recorded.
    pub fn golden_vectors(&self) -> usize {
        self.vectors
    }

    /// Signs the app; the result is the bundle file.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is beyond a bundle's limits.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, Error> {
        Ok(self.writer().sign(keys)?)
    }

    /// Signs the app with its blobs encrypted, and registers it in the vault, so that grants for it can be issued. Grants by
    /// the keys that sign it will open it, and by those of `issuers`.
    ///
    /// # Errors
    /// [`Error::Bundle`] if it is beyond a bundle's limits, or the vault cannot be written.
    pub fn sign_encrypted(
        &self,
        keys: &[&SigningKey],
        vault: &Vault,
        issuers: &[KeyId],
    ) -> Result<Vec<u8>, Error> {
        let signers: Vec<PublicKey> = keys.iter().map(|key| key.public().clone()).collect();
        let ids = signers.iter().map(PublicKey::id);
        let issuers: Vec<KeyId> = ids.clone().chain(issuers.iter().copied()).collect();
        let bytes = self.writer().encrypt(vault, &issuers).sign(keys)?;
        // Verified as an integrator would: what is registered is what is in the file.
        let known = signers.iter().fold(Trust::builder(), |trust, key| trust.key(key.clone()));
        let trust = known.any_publisher(&ids.collect::<Vec<_>>(), 1).build()?;
        let bundle = Untrusted::from_bytes(bytes)?.verify(&trust).map_err(Error::refused)?;
        vault.register(&bundle)?;
        Ok(bundle.as_bytes().to_vec())
    }

    fn writer(&self) -> BundleWriter<'_> {
        let writer = BundleWriter::new(self.identity.clone()).target("host").limits(self.ceilings);
        let writer = match &self.origin {
            Some(origin) => writer.origin(origin.clone()),
            None => writer,
        };
        let writer = self.targets.iter().fold(writer, |writer, target| writer.target(target));
        self.blobs.iter().fold(writer, |writer, (name, bytes)| writer.blob(name, bytes.as_slice()))
    }
}

/// The error to tell where only one can be told.
fn first(errors: Vec<Error>) -> Error {
    let none = || Error::Contents { what: "app", reason: "something is wrong with it".to_owned() };
    errors.into_iter().next().unwrap_or_else(none)
}

fn graph_blobs(graphs: &[AppModel]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut blobs = Vec::new();
    for AppModel { name, graph } in graphs {
        blobs.push((contents::blob_of(GRAPH, name).into_owned(), codec::encode(&**graph)?));
        blobs.push((contents::blob_of(WEIGHTS, name).into_owned(), graph.weights().to_vec()));
    }
    Ok(blobs)
}

/// The golden vectors' blobs. Each sample is run, also after one that cannot be, or gives another result than is declared.
fn record(
    golden: &[Sample],
    graphs: &[AppModel],
    pipeline: &Pipeline,
) -> Result<Vec<(String, Vec<u8>)>, Vec<Error>> {
    let (mut blobs, mut errors) = (Vec::new(), Vec::new());
    for (index, sample) in golden.iter().enumerate() {
        let recorded = golden::record(index, &sample.input, graphs, pipeline);
        match recorded.and_then(|(made, outcome)| result::check(sample, &outcome).map(|()| made)) {
            Ok(made) => blobs.extend(made),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(blobs) } else { Err(errors) }
}

/// The blob of the inputs that the vendor counts; none where there are none.
fn statistics(pipeline: &Pipeline, files: &[PathBuf]) -> Result<Option<(String, Vec<u8>)>, Error> {
    if files.is_empty() {
        return Ok(None);
    }
    let counted = Statistics::of(pipeline, files.iter().map(Input::file))?;
    Ok(Some((STATISTICS.to_owned(), counted.to_json()?)))
}

/// What the models need for one run of each: their exact work, and an amount of memory that any plan keeps within.
fn ceilings(models: &[AppModel]) -> Result<Ceilings, Error> {
    let mut ceilings = Ceilings { max_arena_bytes: 0, max_macs: 0 };
    for AppModel { graph, .. } in models {
        let shapes = shape::infer(graph, &shape::declared(graph, 1))?;
        let bytes = |id: tilemark_model::ValueId| {
            (shapes.of(id).iter().product::<usize>() * graph.value(id).dtype.size()) as u64
        };
        let activations: u64 = graph.inputs.iter().map(|port| bytes(port.value)).sum::<u64>()
            + graph.nodes.iter().map(|node| bytes(node.output)).sum::<u64>();
        // Twice everything: room for halos and alignment even in a plan that reuses no memory.
        ceilings.max_arena_bytes += 2 * activations + (1 << 20);
        ceilings.max_macs += graph.nodes.iter().map(|node| shape::macs(node, &shapes)).sum::<u64>();
    }
    Ok(ceilings)
}

/// A golden input made by rule.
fn synthetic_sample(graph: &Graph, pipeline: &Pipeline) -> Result<Sample, Error> {
    Ok(Sample { name: "made by rule".to_owned(), input: synthetic_input(graph, pipeline)?, result: None })
}

/// An input made by rule, for apps that bring no golden input of their own: every byte value, scrambled by a linear
/// congruential sequence.
fn synthetic_input(graph: &Graph, pipeline: &Pipeline) -> Result<Input, Error> {
    let mut state = 1u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    if pipeline.takes_image() {
        let (width, height) = (96, 64);
        let pixels = (0..width * height * 3).map(|_| byte()).collect();
        return Ok(Input::pixels(Image::from_rgb(width, height, pixels)?));
    }
    if let Some(sound) = &pipeline.spec().input.sound {
        let samples = (0..sound.rate / 4).map(|_| (f32::from(byte()) - 127.5) / 128.0).collect();
        return Ok(Input::samples(Sound::from_samples(sound.rate, samples)?));
    }
    let shapes = shape::declared(graph, 1);
    graph.inputs.iter().zip(shapes).try_fold(Input::tensors(), |input, (port, shape)| {
        let bytes: Vec<u8> = (0..shape.iter().product::<usize>()).map(|_| byte()).collect();
        let data = match graph.value(port.value).dtype {
            DType::U8 => Data::U8(bytes),
            DType::I8 => Data::I8(bytes.into_iter().map(u8::cast_signed).collect()),
            DType::I32 => Data::I32(bytes.into_iter().map(i32::from).collect()),
            DType::I64 => Data::I64(bytes.into_iter().map(i64::from).collect()),
            DType::F32 => Data::F32(bytes.into_iter().map(|b| (f32::from(b) - 127.0) / 128.0).collect()),
            other => collect(other, bytes.len(), true, &|i: usize| Number::Int((bytes[i] & 1).into()))?,
        };
        Ok(input.tensor(&port.name, Tensor::new(shape, data)?))
    })
}
