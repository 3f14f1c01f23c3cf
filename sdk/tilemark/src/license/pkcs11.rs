//! A PKCS#11 token as keeper: the secret is encrypted with a key that the token made and does not give out.
//!
//! The module is named by its path (`pkcs11:/usr/lib/softhsm/libsofthsm2.so`); it is code of somebody's that runs in this
//! process, so it is never looked for. The PIN comes from `TILEMARK_PIN`.

use std::path::PathBuf;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::{AuthPin, Ulong};
use tilemark_bundle::{DeviceSecret, Strength};

use super::identity::Keeper;
use crate::error::Error;

/// The first token of a module that was set up.
#[derive(Debug)]
pub(super) struct Token {
    module: PathBuf,
}

/// The name of the key in the token.
const LABEL: &[u8] = b"tilemark device";
const IV_BYTES: usize = 12;
const TAG_BITS: Ulong = Ulong::new(128);

impl Token {
    pub(super) fn at(module: &str) -> Self {
        Self { module: module.into() }
    }

    /// Logs in and hands over the session and the token's key, if there is one.
    fn with<T>(
        &self,
        use_it: impl FnOnce(&Session, Option<ObjectHandle>) -> Result<T, cryptoki::error::Error>,
    ) -> Result<T, Error> {
        let pin = std::env::var("TILEMARK_PIN").map_err(|_| self.error("TILEMARK_PIN is not set".into()))?;
        let run = || {
            let module = Pkcs11::new(&self.module)?;
            match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
                // Another part of this process uses it too.
                Err(cryptoki::error::Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
            let slots = module.get_slots_with_initialized_token()?;
            let Some(slot) = slots.first() else { return Ok(None) };
            let session = module.open_rw_session(*slot)?;
            match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
                Err(cryptoki::error::Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
            let name = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::AES),
                Attribute::Label(LABEL.to_vec()),
            ];
            let key = session.find_objects(&name)?.first().copied();
            use_it(&session, key).map(Some)
        };
        let done = run().map_err(|error| self.error(error.to_string()))?;
        done.ok_or_else(|| self.error("it has no token that was set up".into()))
    }

    fn error(&self, reason: String) -> Error {
        Error::Keeper { name: self.name(), reason }
    }
}

impl Keeper for Token {
    fn name(&self) -> String {
        format!("pkcs11:{}", self.module.display())
    }

    fn strength(&self) -> Strength {
        Strength::DeviceBound
    }

    fn seal(&self, secret: &DeviceSecret) -> Result<Vec<u8>, Error> {
        self.with(|session, key| {
            let key = match key {
                Some(key) => key,
                None => make_key(session)?,
            };
            let mut iv = [0; IV_BYTES];
            session.generate_random_slice(&mut iv)?;
            let used = iv;
            let parameters = GcmParams::new(&mut iv, LABEL, TAG_BITS)?;
            let sealed = session.encrypt(&Mechanism::AesGcm(parameters), key, secret.expose())?;
            Ok([&used[..], &sealed].concat())
        })
    }

    fn unseal(&self, sealed: &[u8]) -> Result<DeviceSecret, Error> {
        let cut = || self.error("what was sealed is cut short".into());
        let (iv, sealed) = sealed.split_first_chunk::<IV_BYTES>().ok_or_else(cut)?;
        let mut iv = *iv;
        let secret = self.with(|session, key| {
            let Some(key) = key else { return Ok(None) };
            let parameters = GcmParams::new(&mut iv, LABEL, TAG_BITS)?;
            session.decrypt(&Mechanism::AesGcm(parameters), key, sealed).map(Some)
        })?;
        let secret = secret.ok_or_else(|| self.error("the token has no key of this device".into()))?;
        DeviceSecret::from_slice(&secret)
            .ok_or_else(|| self.error("it gave something else than 32 bytes".into()))
    }
}

/// A key that stays in the token: AES-256, not extractable.
fn make_key(session: &Session) -> Result<ObjectHandle, cryptoki::error::Error> {
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(Ulong::new(32)),
        Attribute::Label(LABEL.to_vec()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

    #[test]
    fn in_softhsm2_a_secret_opens_with_its_token_only() {
        if !std::path::Path::new(MODULE).exists() {
            let missing = format!("no {MODULE} on this machine (apt-get install softhsm2)");
            assert!(std::env::var_os("TILEMARK_TEST_KEEPERS").is_none(), "{missing}");
            eprintln!("skipped: {missing}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let child = |token: &str, pin: &str| {
            let tokens = folder.path().join(token);
            let config = folder.path().join(format!("{token}.conf"));
            if !config.exists() {
                std::fs::create_dir(&tokens).unwrap();
                std::fs::write(&config, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
                let mut init = Command::new("softhsm2-util");
                init.args(["--init-token", "--free", "--label", "t", "--so-pin", "1234", "--pin", "1234"]);
                assert!(init.env("SOFTHSM2_CONF", &config).stdout(Stdio::null()).status().unwrap().success());
            }
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["license::pkcs11::tests::child_seals_or_opens", "--exact", "--ignored", "--quiet"]);
            command.env("SOFTHSM2_CONF", config).env("TILEMARK_PIN", pin).stdout(Stdio::null());
            command.env("TILEMARK_TEST_FILE", folder.path().join("sealed")).stderr(Stdio::null());
            command.status().unwrap().success()
        };
        assert!(child("one", "1234"), "seals");
        assert!(child("one", "1234"), "opens");
        assert!(!child("one", "4321"), "another PIN");
        assert!(!child("two", "1234"), "another token");
    }

    #[test]
    #[ignore = "a part of the test above, run by it with a token's environment"]
    fn child_seals_or_opens() {
        let file = PathBuf::from(std::env::var_os("TILEMARK_TEST_FILE").unwrap());
        let (token, secret) = (Token::at(MODULE), DeviceSecret::from_slice(&[7; 32]).unwrap());
        match std::fs::read(&file) {
            Ok(sealed) => {
                assert_eq!(token.unseal(&sealed).unwrap().expose(), secret.expose());
                let mut bad = sealed.clone();
                bad[20] ^= 1;
                assert_eq!(token.unseal(&bad).unwrap_err().code(), "TM0550");
                assert_eq!(token.unseal(&sealed[..5]).unwrap_err().code(), "TM0550");
            }
            Err(_) => {
                let sealed = token.seal(&secret).unwrap();
                assert!(!sealed.windows(32).any(|window| window == [7; 32]));
                std::fs::write(file, sealed).unwrap();
            }
        }
    }
}
