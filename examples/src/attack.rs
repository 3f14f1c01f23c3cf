//! The stage on which attacks are played: a vendor, what it delivered, and victims who open what an attacker hands them.

use std::fmt;
use std::ops::Range;
use std::process::{ExitCode, Termination};
use std::sync::OnceLock;

use tilemark::{App, Bundle, Error, FactKind, Home, SigningKey, Trust, Untrusted, Vault};
use tilemark_bundle::{AppIdentity, BundleWriter, Envelope, PayloadType, sha256};

use crate::Delivery;

/// Bytes of a bundle's header; `docs/bundle-format.md` has its fields.
const HEADER_BYTES: usize = 64;
/// Blobs begin at multiples of this.
const PAGE: usize = 4096;

/// A genuine bundle and everything that anybody can know about it; and the vendor's key, which attackers have not got.
#[derive(Debug)]
pub struct Scene {
    delivery: Delivery,
    bundle: Bundle,
}

impl Scene {
    /// The delivered tagger, packed once per process.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it cannot be packed.
    pub fn tagger() -> Result<&'static Self, Breach> {
        static SCENE: OnceLock<Result<Scene, String>> = OnceLock::new();
        let scene = SCENE.get_or_init(|| Self::set().map_err(|error| error.to_string()));
        scene.as_ref().map_err(|reason| Breach::Stage(reason.clone()))
    }

    fn set() -> Result<Self, Error> {
        let delivery = Delivery::tagger()?;
        let bundle = Untrusted::from_path(delivery.bundle())?.verify(&delivery.trust());
        Ok(Self { bundle: bundle.map_err(tilemark_bundle::Error::from)?, delivery })
    }

    /// The genuine file.
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        self.bundle.as_bytes().to_vec()
    }

    /// The vendor's key.
    #[must_use]
    pub fn vendor(&self) -> &SigningKey {
        self.delivery.key()
    }

    /// Who publishes what.
    #[must_use]
    pub fn identity(&self) -> AppIdentity {
        self.bundle.manifest().app.clone()
    }

    /// The bytes of a blob.
    ///
    /// # Errors
    /// [`Breach::Stage`] if there is none of this name.
    pub fn blob(&self, name: &str) -> Result<&[u8], Breach> {
        Ok(self.bundle.blob(name)?)
    }

    /// Where in the file a blob lies.
    ///
    /// # Errors
    /// [`Breach::Stage`] if there is none of this name.
    pub fn place(&self, name: &str) -> Result<Range<usize>, Breach> {
        let (file, blob) = (self.bundle.as_bytes(), self.blob(name)?);
        let mut pages = (0..file.len()).step_by(PAGE).map(|start| start..start + blob.len());
        let place = pages.find(|place| file.get(place.clone()) == Some(blob));
        place.ok_or_else(|| Breach::Stage(format!("{name} is not in the file")))
    }

    /// The same blobs under another identity, each changed by `change`, signed by `key`.
    ///
    /// # Errors
    /// [`Breach::Stage`] if the result is no possible bundle.
    pub fn repacked(
        &self,
        identity: AppIdentity,
        key: &SigningKey,
        change: impl Fn(&str, &mut Vec<u8>),
    ) -> Result<Vec<u8>, Breach> {
        let writer = BundleWriter::new(identity).limits(self.bundle.manifest().limits);
        let writer = self.bundle.blobs().fold(writer, |writer, (name, bytes)| {
            let mut bytes = bytes.to_vec();
            change(name, &mut bytes);
            writer.blob(name, bytes)
        });
        Ok(writer.sign(&[key])?)
    }

    /// The same blobs, encrypted with a vault and signed: an app that needs a grant.
    ///
    /// # Errors
    /// [`Breach::Stage`] if the result is no possible bundle.
    pub fn encrypted(
        &self,
        identity: AppIdentity,
        vault: &Vault,
        key: &SigningKey,
    ) -> Result<Vec<u8>, Breach> {
        let writer = BundleWriter::new(identity).limits(self.bundle.manifest().limits);
        let writer = self.bundle.blobs().fold(writer, |writer, (name, bytes)| writer.blob(name, bytes));
        Ok(writer.encrypt(vault, &[key.public().id()]).sign(&[key])?)
    }

    /// The JSON of the genuine envelope.
    #[must_use]
    pub fn envelope(&self) -> String {
        Self::envelope_of(self.bundle.as_bytes())
    }

    /// The signed manifest.
    ///
    /// # Errors
    /// [`Breach::Stage`] never, for a genuine bundle.
    pub fn manifest(&self) -> Result<String, Breach> {
        Self::manifest_of(self.bundle.as_bytes())
    }

    /// A file of any envelope and the genuine blobs, with a header that fits: anybody can write one.
    #[must_use]
    pub fn file_with_envelope(&self, envelope: &str) -> Vec<u8> {
        Self::with_envelope(self.bundle.as_bytes(), envelope)
    }

    fn envelope_of(file: &[u8]) -> String {
        let after_header = file.get(HEADER_BYTES..).unwrap_or_default();
        let end = after_header.iter().position(|byte| *byte == 0).unwrap_or(after_header.len());
        String::from_utf8_lossy(&after_header[..end]).into_owned()
    }

    /// The signed manifest of any file.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it is no bundle.
    pub fn manifest_of(file: &[u8]) -> Result<String, Breach> {
        let envelope = Envelope::parse(Self::envelope_of(file).as_bytes(), PayloadType::MANIFEST)?;
        Ok(String::from_utf8_lossy(envelope.payload()).into_owned())
    }

    /// A file of any envelope and the blobs of another file.
    #[must_use]
    pub fn with_envelope(file: &[u8], envelope: &str) -> Vec<u8> {
        let start = (HEADER_BYTES + Self::envelope_of(file).len()).next_multiple_of(PAGE);
        let blobs = file.get(start..).unwrap_or_default();
        let total = (HEADER_BYTES + envelope.len()).next_multiple_of(PAGE) + blobs.len();
        let mut file = b"TILEMARK\x01\0\0\0\0\0\0\0".to_vec();
        file.extend((envelope.len() as u64).to_le_bytes());
        file.extend((total as u64).to_le_bytes());
        file.extend(sha256(envelope.as_bytes()).as_bytes());
        file.extend(envelope.as_bytes());
        file.resize(total - blobs.len(), 0);
        file.extend(blobs);
        file
    }

    /// A file in which one blob was changed, with its length and hash in the manifest made to fit, signed by `key`.
    ///
    /// # Errors
    /// [`Breach::Stage`] if it has no such blob.
    pub fn resealed(
        file: &[u8],
        blob: &str,
        key: &SigningKey,
        change: impl Fn(&mut Vec<u8>),
    ) -> Result<Vec<u8>, Breach> {
        let bundle = Untrusted::from_bytes(file.to_vec())?.verify(&Trust::key(key.public().clone()));
        let bundle = bundle.map_err(tilemark_bundle::Error::from)?;
        let (mut manifest, mut blobs) = (Self::manifest_of(file)?, Vec::new());
        let mut at = (HEADER_BYTES + Self::envelope_of(file).len()).next_multiple_of(PAGE);
        for entry in &bundle.manifest().blobs {
            let size = usize::try_from(entry.size).unwrap_or(usize::MAX);
            let mut bytes = file.get(at..at + size).unwrap_or_default().to_vec();
            at = (at + size).next_multiple_of(PAGE);
            if entry.name == blob {
                change(&mut bytes);
                let (old, new) = (entry.sha256.to_string(), sha256(&bytes).to_string());
                let (old_size, new_size) = (format!("\"size\":{size},\"sha256\":\"{new}"), bytes.len());
                let new_size = format!("\"size\":{new_size},\"sha256\":\"{new}");
                manifest = manifest.replacen(&old, &new, 1).replacen(&old_size, &new_size, 1);
            }
            blobs.resize(blobs.len().next_multiple_of(PAGE), 0);
            blobs.extend(bytes);
        }
        let envelope = Envelope::seal(PayloadType::MANIFEST, manifest.into_bytes(), &[key])?.to_json();
        let envelope = String::from_utf8_lossy(&envelope).into_owned();
        let mut out = Self::with_envelope(file, &envelope);
        out.truncate((HEADER_BYTES + envelope.len()).next_multiple_of(PAGE));
        out.extend(blobs);
        let total = (out.len() as u64).to_le_bytes();
        out[24..32].copy_from_slice(&total);
        Ok(out)
    }

    /// Somebody who trusts the vendor's key and has opened nothing yet.
    ///
    /// # Errors
    /// [`Breach::Stage`] if there is no room for a home.
    pub fn victim(&self) -> Result<Victim, Breach> {
        Victim::new(self.delivery.trust())
    }
}

/// An integrator's machine: a policy, and a memory of what it accepted.
#[derive(Debug)]
pub struct Victim {
    trust: Trust,
    folder: tempfile::TempDir,
}

impl Victim {
    /// A machine with this policy.
    ///
    /// # Errors
    /// [`Breach::Stage`] if there is no room for a home.
    pub fn new(trust: Trust) -> Result<Self, Breach> {
        let folder = tempfile::tempdir().map_err(|error| Breach::Stage(error.to_string()))?;
        Ok(Self { trust, folder })
    }

    /// Opens a file as any integrator does.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn open(&self, file: &[u8]) -> Result<App, Error> {
        let path = self.folder.path().join("app.tmk");
        std::fs::write(&path, file).map_err(|source| Error::Io { path: path.clone(), source })?;
        tilemark::open_with(path, &self.trust, &self.home())
    }

    fn home(&self) -> Home {
        Home::at(self.folder.path().join("home"))
    }

    /// Takes in that a key is followed by another.
    ///
    /// # Errors
    /// Why not.
    pub fn follow(&self, lineage: &[u8]) -> Result<(), Error> {
        self.home().lineages().install(lineage, &self.trust).map(|_| ())
    }

    /// Takes in an attacker's lineage, which must be refused with this code.
    ///
    /// # Errors
    /// [`Breach::Accepted`] if it is not, [`Breach::Otherwise`] if for another reason.
    pub fn must_not_follow(&self, lineage: &[u8], code: &'static str) -> Result<Refusal, Breach> {
        match self.follow(lineage) {
            Ok(()) => Err(Breach::Accepted),
            Err(error) => Refusal::expect(code, &error, None),
        }
    }

    /// Takes in a revocation list.
    ///
    /// # Errors
    /// Why not.
    pub fn take_list(&self, list: &[u8]) -> Result<(), Error> {
        let trust = self.home().lineages().apply(&self.trust)?;
        self.home().revocations().install(list, &trust).map(|_| ())
    }

    /// Opens an attacker's file, which must be refused with this code.
    ///
    /// # Errors
    /// [`Breach::Accepted`] if the attack works, [`Breach::Otherwise`] if something else stops it.
    pub fn must_refuse(&self, file: &[u8], code: &'static str) -> Result<Refusal, Breach> {
        let Err(error) = self.open(file) else { return Err(Breach::Accepted) };
        Refusal::expect(code, &error, failed(&error))
    }
}

/// An attack that failed, as it should.
#[derive(Debug)]
pub struct Refusal {
    /// The error's code.
    pub code: &'static str,
    /// What the victim reads.
    pub message: String,
    /// And what it is told to do.
    pub hint: String,
    /// The fact of the verdict that did not hold.
    pub fact: Option<FactKind>,
}

impl Refusal {
    /// The refusal, if it is for what is wrong.
    ///
    /// # Errors
    /// [`Breach::Otherwise`] if it is not.
    pub fn expect(code: &'static str, error: &Error, fact: Option<FactKind>) -> Result<Self, Breach> {
        if error.code() != code {
            return Err(Breach::Otherwise {
                expected: code,
                found: error.code(),
                message: error.to_string(),
            });
        }
        Ok(Self { code, message: error.to_string(), hint: error.hint(), fact })
    }
}

/// The fact that an error's verdict ends with.
pub(crate) fn failed(error: &Error) -> Option<FactKind> {
    let fact = error.verdict()?.facts().iter().rfind(|fact| !fact.holds)?;
    Some(fact.fact)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: error[{}]: {}\n  hint: {}", self.code, self.message, self.hint)
    }
}

impl Termination for Refusal {
    #[allow(clippy::print_stdout, reason = "an example's result is what it prints")]
    fn report(self) -> ExitCode {
        println!("{self}");
        ExitCode::SUCCESS
    }
}

/// An attack that did not end as it should.
#[derive(Debug)]
pub enum Breach {
    /// The victim opened the attacker's file: a defect of tilemark.
    Accepted,
    /// It was refused, but not for what is wrong with it.
    Otherwise {
        /// The code that names the attack.
        expected: &'static str,
        /// The code that came.
        found: &'static str,
        /// Its message.
        message: String,
    },
    /// The attack could not be played at all.
    Stage(String),
}

impl From<tilemark_bundle::Error> for Breach {
    fn from(error: tilemark_bundle::Error) -> Self {
        Self::Stage(error.to_string())
    }
}

impl From<Error> for Breach {
    fn from(error: Error) -> Self {
        Self::Stage(error.to_string())
    }
}
