//! This device's key: made once, kept in `device/identity.json` of the home.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tilemark_bundle::{DeviceKey, DeviceSecret, Digest, Strength, durable, hex, json};

use super::refusal::Unlicensed;
use crate::error::Error;

/// Keeps a device's secret, so that only this device gets it back.
pub trait Keeper: fmt::Debug {
    /// How it is written in `identity.json`, such as `file`; [`keeper`] reads it.
    fn name(&self) -> String;

    /// How hard it is to get the secret on another machine.
    fn strength(&self) -> Strength;

    /// What to write down of a secret.
    ///
    /// # Errors
    /// [`Error::Keeper`].
    fn seal(&self, secret: &DeviceSecret) -> Result<Vec<u8>, Error>;

    /// The secret, from what was written down.
    ///
    /// # Errors
    /// [`Error::Keeper`].
    fn unseal(&self, sealed: &[u8]) -> Result<DeviceSecret, Error>;
}

/// The keeper of this name: `file`, which is no more than file permissions, and where built in those that need hardware.
///
/// # Errors
/// [`Error::Keeper`] for one that is not known.
pub fn keeper(name: &str) -> Result<Box<dyn Keeper>, Error> {
    let (kind, place) = name.split_once(':').unwrap_or((name, ""));
    match (kind, place) {
        ("file", "") => Ok(Box::new(File)),
        #[cfg(unix)]
        ("tpm", place) => Ok(Box::new(super::tpm::Tpm::at(place))),
        #[cfg(feature = "pkcs11")]
        ("pkcs11", module) if !module.is_empty() => Ok(Box::new(super::pkcs11::Token::at(module))),
        _ => Err(Error::Keeper {
            name: tilemark_bundle::text::excerpt(name),
            reason:
                "not known to this build; expected file, tpm, tpm:PATH, or pkcs11:MODULE (feature `pkcs11`)"
                    .into(),
        }),
    }
}

/// The secret as it is, in a file that its owner alone can read.
#[derive(Debug)]
struct File;

impl Keeper for File {
    fn name(&self) -> String {
        "file".into()
    }

    fn strength(&self) -> Strength {
        Strength::Software
    }

    fn seal(&self, secret: &DeviceSecret) -> Result<Vec<u8>, Error> {
        Ok(secret.expose().to_vec())
    }

    fn unseal(&self, sealed: &[u8]) -> Result<DeviceSecret, Error> {
        let wrong = || Error::Keeper { name: self.name(), reason: format!("{} bytes", sealed.len()) };
        DeviceSecret::from_slice(sealed).ok_or_else(wrong)
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct Identity {
    dir: PathBuf,
}

#[derive(Deserialize, Serialize)]
struct IdentityJson {
    schema: u64,
    /// Who keeps the secret.
    keeper: String,
    /// What it wrote down, in hexadecimal.
    sealed: String,
    /// The device's id, to notice a secret that is another's.
    device: Digest,
    /// Whether a grant was installed: from then on there is a witness.
    witnessed: bool,
}

const SCHEMA: u64 = 1;
/// Sealed secrets of TPMs have some hundred bytes.
const MAX_IDENTITY_BYTES: usize = 64 << 10;

impl Identity {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The key, if there is one, and whether a witness must exist.
    pub(super) fn load(&self) -> Result<Option<(DeviceKey, bool)>, Error> {
        let Some(json) = self.read()? else { return Ok(None) };
        let damaged = |reason: String| self.damaged(reason);
        let keeper = keeper(&json.keeper)?;
        let sealed =
            hex::decode(&json.sealed).ok_or_else(|| damaged("\"sealed\" is not hexadecimal".into()))?;
        let key = DeviceKey::from_secret(&keeper.unseal(&sealed)?, keeper.strength())?;
        if key.id().digest() != json.device {
            return Err(damaged(format!("it holds the key of {}, and says {}", key.id(), json.device)));
        }
        Ok(Some((key, json.witnessed)))
    }

    /// The key; a new one that `keeper` keeps if there is none yet.
    pub(super) fn load_or_create(&self, keeper: &dyn Keeper) -> Result<DeviceKey, Error> {
        if let Some((key, _)) = self.load()? {
            return Ok(key);
        }
        durable::make_private_dir(&self.dir)?;
        let _lock = durable::lock(&self.dir)?;
        if let Some((key, _)) = self.load()? {
            return Ok(key); // another process made it meanwhile
        }
        let secret = DeviceSecret::generate()?;
        let key = DeviceKey::from_secret(&secret, keeper.strength())?;
        let sealed = hex::encode(&keeper.seal(&secret)?);
        let device = key.id().digest();
        self.write(&IdentityJson {
            schema: SCHEMA,
            keeper: keeper.name(),
            sealed,
            device,
            witnessed: false,
        })?;
        Ok(key)
    }

    /// From now on a missing witness is noticed.
    pub(super) fn set_witnessed(&self) -> Result<(), Error> {
        match self.read()? {
            Some(json) if !json.witnessed => self.write(&IdentityJson { witnessed: true, ..json }),
            _ => Ok(()),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("identity.json")
    }

    fn read(&self) -> Result<Option<IdentityJson>, Error> {
        let path = self.path();
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| Error::Io { path: path.clone(), source })?,
        };
        self.check_private()?;
        let json: IdentityJson = json::from_slice("device identity", &bytes, MAX_IDENTITY_BYTES)
            .map_err(|error| self.damaged(error.to_string()))?;
        if json.schema != SCHEMA {
            return Err(self.damaged(format!("schema {}, this SDK reads {SCHEMA}", json.schema)));
        }
        Ok(Some(json))
    }

    fn write(&self, json: &IdentityJson) -> Result<(), Error> {
        let text = serde_json::to_vec(json).map_err(|error| self.damaged(error.to_string()))?;
        Ok(durable::replace(&self.path(), &text, true, &|_| ())?)
    }

    #[cfg(unix)]
    fn check_private(&self) -> Result<(), Error> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path();
        let mode =
            std::fs::metadata(&path).map_err(|source| Error::Io { path, source })?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(self.damaged(format!("others can read it (mode {:o}); make it 600", mode & 0o777)));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn check_private(&self) -> Result<(), Error> {
        Ok(())
    }

    fn damaged(&self, reason: String) -> Error {
        Unlicensed::StateDamaged { path: self.path(), reason }.into()
    }
}
