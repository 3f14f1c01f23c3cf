//! A bundle as an OCI image: a config and layers after CNCF's ModelPack, one blob of the bundle a layer, and before them the
//! envelope, which says what the file is made of. All of it follows from the bundle, so the same bundle is the same image.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tilemark_bundle::{BlobEntry, Bundle, Digest, Head, limits::MAX_BLOBS, sha256};

use crate::error::{Error, Result};

/// OCI's own.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// ModelPack's.
const MODEL: &str = "application/vnd.cncf.model.manifest.v1+json";
const CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
const WEIGHTS: &str = "application/vnd.cncf.model.weight.v1.raw";
const WEIGHT_CONFIG: &str = "application/vnd.cncf.model.weight.config.v1.raw";
const DATASET: &str = "application/vnd.cncf.model.dataset.v1.raw";
const CODE: &str = "application/vnd.cncf.model.code.v1.raw";
const FILE_PATH: &str = "org.cncf.model.filepath";

/// A DSSE envelope, whatever is in it.
pub(crate) const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

/// A layer that is encrypted is none of ModelPack's kinds yet.
const ENCRYPTED: &str = "application/vnd.tilemark.encrypted.v1";

/// What refers to an image: the signatures on its bundle, and evaluations of it.
pub(crate) const SIGNATURE: &str = "application/vnd.tilemark.signature.v1";
pub(crate) const REPORT: &str = "application/vnd.tilemark.report.v1";

/// The config of what has none.
pub(crate) const NOTHING: &[u8] = b"{}";

/// A blob of a registry, or a manifest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// OCI's image manifest; what is not looked at here is read over.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Image {
    schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// OCI's image index: of manifests, among them those that refer to one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    schema_version: u64,
    media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// A document and its digest.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: Digest,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, sha256: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: written(&sha256),
            size,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    pub(crate) fn of(media_type: &str, sealed: &Sealed) -> Self {
        Self::new(media_type, sealed.sha256, sealed.bytes.len() as u64)
    }

    /// The SHA-256; registries may have other digests, bundles have not.
    pub(crate) fn sha256(&self) -> Result<Digest, String> {
        let hex = self.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
        hex.ok_or_else(|| {
            format!("the digest {:?} is no SHA-256", tilemark_bundle::text::excerpt(&self.digest))
        })
    }

    fn is(&self, sha256: &Digest, size: u64) -> bool {
        self.digest == written(sha256) && self.size == size
    }
}

/// A digest as registries write it.
pub(crate) fn written(sha256: &Digest) -> String {
    format!("sha256:{sha256}")
}

/// Where a registry has a blob.
pub(crate) fn blob_path(sha256: &Digest) -> String {
    format!("blobs/{}", written(sha256))
}

impl Sealed {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { sha256: sha256(&bytes), bytes }
    }

    pub(crate) fn json(value: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::invalid("image", error.to_string()))?;
        Ok(Self::new(bytes))
    }
}

impl Index {
    pub(crate) fn new(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: INDEX.to_owned(), manifests }
    }
}

impl Image {
    /// The image of a bundle, and its config.
    pub(crate) fn of(bundle: &Bundle, envelope: &Sealed) -> Result<(Self, Sealed)> {
        let manifest = bundle.manifest();
        let layers: Vec<Descriptor> =
            std::iter::once(envelope_layer(envelope)).chain(with_bytes(&manifest.blobs).map(layer)).collect();
        let (app, digests) = (&manifest.app, layers.iter().map(|layer| &layer.digest));
        let config = Sealed::json(&json!({
            "descriptor": { "vendor": app.name.publisher(), "name": app.name.name(), "version": app.version,
                "description": app.description, "revision": bundle.identity(), "licenses": [app.license] },
            "config": { "format": "tilemark" },
            "modelfs": { "type": "layers", "diffIds": digests.collect::<Vec<_>>() },
        }))?;
        let annotations = [
            ("org.opencontainers.image.title", app.name.to_string()),
            ("org.opencontainers.image.version", app.version.to_string()),
            ("org.opencontainers.image.licenses", app.license.clone()),
        ];
        let image = Self {
            annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
            layers,
            ..Self::new(MODEL, Descriptor::of(CONFIG, &config))
        };
        Ok((image, config))
    }

    /// What refers to an image: one envelope.
    pub(crate) fn referring(kind: &str, envelope: &Sealed, subject: Descriptor) -> Self {
        let nothing = Descriptor::of(EMPTY, &Sealed::new(NOTHING.to_vec()));
        Self {
            layers: vec![Descriptor::of(ENVELOPE, envelope)],
            subject: Some(subject),
            ..Self::new(kind, nothing)
        }
    }

    fn new(kind: &str, config: Descriptor) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            artifact_type: Some(kind.to_owned()),
            config,
            layers: Vec::new(),
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads one whose digest was checked; whoever wrote it is not known.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let image: Self = serde_json::from_slice(bytes)
            .map_err(|error| tilemark_bundle::text::excerpt(&error.to_string()))?;
        let found = image.media_type.as_deref().unwrap_or(MANIFEST);
        match (image.schema_version, found == MANIFEST) {
            (2, true) => Ok(image),
            (2, false) => Err(differs("its manifest", found, MANIFEST)),
            (version, _) => Err(format!("its manifest has the schema version {version}, expected 2")),
        }
    }

    /// Where the envelope of its bundle is.
    pub(crate) fn envelope(&self) -> Result<&Descriptor, String> {
        if self.config.media_type != CONFIG {
            return Err(differs("its config", &self.config.media_type, CONFIG));
        }
        if self.layers.len() > MAX_BLOBS + 1 {
            return Err(format!(
                "it has {} layers, at most {} are expected",
                self.layers.len(),
                MAX_BLOBS + 1
            ));
        }
        let first = self.layers.first().ok_or("it has no layers")?;
        if first.media_type == ENVELOPE {
            Ok(first)
        } else {
            Err(differs("its first layer", &first.media_type, ENVELOPE))
        }
    }

    /// The envelope of what refers to `subject`; `None` if that is of another kind.
    pub(crate) fn refers(&self, kind: &str, subject: &Digest) -> Result<Option<&Descriptor>, String> {
        let found = self.subject.as_ref().map(|subject| subject.digest.as_str());
        if found != Some(&written(subject)) {
            let found = tilemark_bundle::text::excerpt(found.unwrap_or("nothing"));
            return Err(format!("it refers to {found:?}, expected {}", written(subject)));
        }
        match (self.artifact_type.as_deref() == Some(kind), self.layers.as_slice()) {
            (false, _) => Ok(None),
            (true, [layer]) if layer.media_type == ENVELOPE => Ok(Some(layer)),
            (true, layers) => Err(format!("one layer of {ENVELOPE} is expected, found {}", layers.len())),
        }
    }

    /// Whether its layers are the bundle's blobs: what is fetched is what the signed manifest says.
    pub(crate) fn check(&self, head: &Head) -> Result<(), String> {
        let blobs: Vec<_> = with_bytes(&head.manifest().blobs).collect();
        let layers = self.layers.get(1..).unwrap_or_default();
        if layers.len() != blobs.len() {
            return Err(format!("it has {} layers for {} blobs of the bundle", layers.len(), blobs.len()));
        }
        match layers.iter().zip(blobs).find(|(layer, blob)| !layer.is(&blob.sha256, blob.size)) {
            None => Ok(()),
            Some((_, blob)) => Err(format!("no layer is the bundle's blob {}", blob.name)),
        }
    }
}

fn differs(what: &str, found: &str, expected: &str) -> String {
    format!("{what} is of the type {:?}, expected {expected}", tilemark_bundle::text::excerpt(found))
}

/// The blobs that are layers, each content once: of no bytes there is nothing to send.
fn with_bytes(blobs: &[BlobEntry]) -> impl Iterator<Item = &BlobEntry> {
    let mut seen = BTreeSet::new();
    blobs.iter().filter(move |blob| blob.size > 0 && seen.insert(blob.sha256))
}

fn envelope_layer(envelope: &Sealed) -> Descriptor {
    let annotations = BTreeMap::from([(FILE_PATH.to_owned(), "manifest.dsse.json".to_owned())]);
    Descriptor { annotations, ..Descriptor::of(ENVELOPE, envelope) }
}

fn layer(blob: &BlobEntry) -> Descriptor {
    let kind = match blob.name.split('/').next().unwrap_or_default() {
        _ if blob.plain.is_some() => ENCRYPTED,
        "weights" => WEIGHTS,
        "golden" => DATASET,
        "bitstreams" | "kernels" => CODE,
        _ => WEIGHT_CONFIG,
    };
    let annotations = BTreeMap::from([(FILE_PATH.to_owned(), blob.name.clone())]);
    Descriptor { annotations, ..Descriptor::new(kind, blob.sha256, blob.size) }
}
