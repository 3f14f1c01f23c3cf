//! Making apps: from a description and its files to a signed bundle.
//!
//! Packing is reproducible: the same description, files and Ed25519 key give the same bytes.

mod description;
mod lint;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tilemark_bundle::{
    AppIdentity, BundleWriter, Ceilings, KeyId, PublicKey, SigningKey, Trust, Untrusted, Vault, codec,
};
use tilemark_model::import::{Imported, import_traced};
use tilemark_model::numerics::narrow::{Number, collect};
use tilemark_model::{DType, Data, Graph, Tensor, shape};
use tilemark_pipeline::{Image, ONLY_MODEL, Pipeline, Sound, Spec};

use crate::contents::{self, AppModel, GRAPH, PIPELINE, RESOURCES, WEIGHTS};
use crate::error::Error;
use crate::golden;
use crate::input::Input;
use crate::targets;

pub use description::{AppSection, Description, GoldenSection, ModelSection};
pub use lint::{Finding, Severity};

/// The largest model or resource read while packing: what a bundle can hold is smaller still.
const MAX_FILE_BYTES: u64 = 1 << 31;

/// An app ready to be signed: everything was read, imported, checked, and its golden vectors recorded.
#[derive(Debug)]
pub struct Package {
    identity: AppIdentity,
    ceilings: Ceilings,
    /// The models by name, as the steps use them; at least one.
    models: Vec<(String, Imported)>,
    blobs: Vec<(String, Vec<u8>)>,
    vectors: usize,
    synthetic_golden: bool,
    /// Beside the host.
    targets: Vec<String>,
}

impl Package {
    /// Builds the app that an `app.toml` describes; its paths are relative to the file.
    ///
    /// # Errors
    /// [`Error::Description`], [`Error::Model`], [`Error::Pipeline`] or [`Error::Io`]: the first thing that a vendor
    /// must mend.
    pub fn from_description(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let description = Description::read(path)?;
        let vectors = description.golden.inputs.len();
        if vectors > golden::MAX_VECTORS {
            let reason = format!("{vectors} golden inputs, the limit is {}", golden::MAX_VECTORS);
            return Err(Error::Description { path: path.to_owned(), reason });
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let files = Files { folder: folder.to_owned() };
        let identity = description.app.identity()?;
        let spec = description.pipeline();
        let models = description.models_of(&spec, path)?;
        let models = models.into_iter().map(|(name, section)| Ok((name, files.read(&section.file)?)));
        let models = models.collect::<Result<Vec<_>, Error>>()?;
        let resources = spec.resources()?.into_iter().map(|name| Ok((name.to_owned(), files.read(name)?)));
        let resources = resources.collect::<Result<Vec<_>, Error>>()?;
        let golden = description.golden.inputs.iter().map(|name| files.golden_input(name, &spec));
        let golden = golden.collect::<Result<_, _>>()?;
        let targets = targets::pack(&description.targets, |name| files.read(name))?;
        let mut package = Self::build(identity, models, spec, resources, golden)?;
        package.blobs.extend(targets.blobs);
        Ok(Self { targets: targets.names, ..package })
    }

    /// Builds an app of a model alone: raw tensors in and out.
    ///
    /// # Errors
    /// [`Error::Bundle`] for an impossible name or version, [`Error::Model`] if the model cannot be imported.
    pub fn from_model(model: &[u8], identity: AppIdentity) -> Result<Self, Error> {
        let models = vec![(ONLY_MODEL.to_owned(), model.to_vec())];
        Self::build(identity, models, Spec::default(), Vec::new(), Vec::new())
    }

    fn build(
        identity: AppIdentity,
        models: Vec<(String, Vec<u8>)>,
        spec: Spec,
        resources: Vec<(String, Vec<u8>)>,
        golden: Vec<Input>,
    ) -> Result<Self, Error> {
        let models = models.into_iter().map(|(name, bytes)| Ok((name, import_traced(&bytes)?)));
        let models = models.collect::<Result<Vec<(String, Imported)>, Error>>()?;
        let graphs = |(name, imported): &(String, Imported)| {
            let (name, graph) = (name.clone(), Arc::new(imported.graph.clone()));
            AppModel { name, graph }
        };
        let graphs: Vec<AppModel> = models.iter().map(graphs).collect();
        let pipeline_json = contents::encode_pipeline(&spec)?;
        let files = resources.iter().cloned().collect();
        let pipeline = Pipeline::new(spec, contents::interfaces(&graphs)?, &files)?;
        let mut blobs = Vec::new();
        for AppModel { name, graph } in &graphs {
            blobs.push((contents::blob_of(GRAPH, name).into_owned(), codec::encode(&**graph)?));
            blobs.push((contents::blob_of(WEIGHTS, name).into_owned(), graph.weights().to_vec()));
        }
        blobs.push((PIPELINE.to_owned(), pipeline_json));
        blobs.extend(resources.into_iter().map(|(name, bytes)| (format!("{RESOURCES}{name}"), bytes)));
        let synthetic_golden = golden.is_empty();
        let golden =
            if synthetic_golden { vec![synthetic_input(&graphs[0].graph, &pipeline)?] } else { golden };
        for (index, input) in golden.iter().enumerate() {
            blobs.extend(golden::record(index, input, &graphs, &pipeline)?);
        }
        let ceilings = ceilings(&graphs)?;
        Ok(Self {
            identity,
            ceilings,
            vectors: golden.len(),
            synthetic_golden,
            models,
            blobs,
            targets: Vec::new(),
        })
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
        let writer = self.targets.iter().fold(writer, |writer, target| writer.target(target));
        self.blobs.iter().fold(writer, |writer, (name, bytes)| writer.blob(name, bytes.as_slice()))
    }
}

/// Files beside `app.toml`.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.folder.join(name);
        let io = |source| Error::Io { path: path.clone(), source };
        let size = std::fs::metadata(&path).map_err(io)?.len();
        if size > MAX_FILE_BYTES {
            let reason = format!("{size} bytes, the limit is {MAX_FILE_BYTES}");
            return Err(Error::Description { path, reason });
        }
        std::fs::read(&path).map_err(io)
    }

    /// A picture or a sound; or for an app of raw tensors an array `input-name=file.npy`.
    fn golden_input(&self, name: &str, spec: &Spec) -> Result<Input, Error> {
        if spec.takes_image() {
            return Input::image_bytes(&self.read(name)?);
        }
        if spec.takes_sound() {
            return Input::sound_bytes(&self.read(name)?);
        }
        let path = || self.folder.join(name);
        let reason = "a golden input of a model without pictures is written input=file.npy".to_owned();
        let (input, file) =
            name.split_once('=').ok_or_else(|| Error::Description { path: path(), reason })?;
        Input::tensors().npy(input, self.folder.join(file))
    }
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
            other => collect(other, bytes.len(), true, |i| Number::Int((bytes[i] & 1).into()))?,
        };
        Ok(input.tensor(&port.name, Tensor::new(shape, data)?))
    })
}
