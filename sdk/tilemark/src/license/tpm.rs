//! A TPM 2.0 as keeper: the secret is sealed under the TPM's storage key, so what is on the disk opens with this TPM only.
//!
//! Four commands of the TPM 2.0 Library Specification (part 3), spoken to the kernel's resource manager or to the socket of a
//! software TPM. Authorizations are empty: whoever may use the device as this user may unseal, which is the promise.

use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use tilemark_bundle::{DeviceSecret, Strength};

use super::identity::Keeper;
use crate::error::Error;

/// A TPM, by the path of its device or socket.
#[derive(Debug)]
pub(super) struct Tpm {
    path: PathBuf,
}

/// The kernel's resource manager.
const DEFAULT_PATH: &str = "/dev/tpmrm0";
/// A TPM answers at once, but for making a key, which takes seconds on slow ones.
const PATIENCE: Duration = Duration::from_secs(60);
/// No answer to these commands is longer.
const MAX_RESPONSE_BYTES: usize = 4096;

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
const CREATE_PRIMARY: u32 = 0x131;
const CREATE: u32 = 0x153;
const LOAD: u32 = 0x157;
const UNSEAL: u32 = 0x15e;
const FLUSH_CONTEXT: u32 = 0x165;
const OWNER: u32 = 0x4000_0001;

/// An empty password, as the authorization of one handle: its length, the password session, no nonce, no attributes, no
/// password.
const EMPTY_AUTH: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];

/// The storage key: ECC P-256 with AES-128-CFB, made by rule from the TPM's own seed, so it is the same every time. Restricted,
/// decrypting, fixed to its TPM; no name of its own.
const STORAGE_KEY: [u8; 26] =
    [0, 0x23, 0, 0x0b, 0, 3, 4, 0x72, 0, 0, 0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 0, 3, 0, 0x10, 0, 0, 0, 0];

/// A sealed object: data, fixed to its TPM and parent, without a scheme.
const SEALED_OBJECT: [u8; 14] = [0, 8, 0, 0x0b, 0, 0, 4, 0x52, 0, 0, 0, 0x10, 0, 0];

impl Tpm {
    /// The TPM at a path; the kernel's if it is empty.
    pub(super) fn at(place: &str) -> Self {
        Self { path: if place.is_empty() { DEFAULT_PATH } else { place }.into() }
    }

    fn connect(&self) -> Result<Connection, Error> {
        let fail = |error: std::io::Error| self.error(error.to_string());
        let is_socket = std::fs::metadata(&self.path).map_err(fail)?.file_type().is_socket();
        let stream: Box<dyn Stream> = if is_socket {
            let stream = UnixStream::connect(&self.path).map_err(fail)?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(fail)?;
            Box::new(stream)
        } else {
            Box::new(std::fs::File::options().read(true).write(true).open(&self.path).map_err(fail)?)
        };
        Ok(Connection { stream })
    }

    fn error(&self, reason: String) -> Error {
        Error::Keeper { name: self.name(), reason }
    }
}

impl Keeper for Tpm {
    fn name(&self) -> String {
        format!("tpm:{}", self.path.display())
    }

    fn strength(&self) -> Strength {
        Strength::DeviceBound
    }

    fn seal(&self, secret: &DeviceSecret) -> Result<Vec<u8>, Error> {
        let mut tpm = self.connect()?;
        let sealed = tpm.with_storage_key(|tpm, parent| {
            let sensitive = [&sized(&[]), &sized(secret.expose())[..]].concat();
            let body = [&sized(&sensitive)[..], &sized(&SEALED_OBJECT), &sized(&[]), &[0; 4]].concat();
            let answer = tpm.authorized(CREATE, parent, &body)?;
            // The private and the public part, each with its length, are the first two of the answer.
            let mut rest = Fields(&answer);
            let (private, public) = (rest.sized()?, rest.sized()?);
            Ok([sized(private), sized(public)].concat())
        });
        sealed.map_err(|reason| self.error(reason))
    }

    fn unseal(&self, sealed: &[u8]) -> Result<DeviceSecret, Error> {
        let mut tpm = self.connect()?;
        let secret = tpm.with_storage_key(|tpm, parent| {
            let answer =
                tpm.command(SESSIONS, LOAD, &[&parent.to_be_bytes(), &EMPTY_AUTH[..], sealed].concat())?;
            let object = Fields(&answer).u32()?;
            let data = tpm.authorized(UNSEAL, object, &[]);
            tpm.flush(object)?;
            let data = data?;
            let secret = DeviceSecret::from_slice(Fields(&data).sized()?);
            secret.ok_or_else(|| "it unsealed something else than 32 bytes".to_owned())
        });
        secret.map_err(|reason| self.error(reason))
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Connection {
    stream: Box<dyn Stream>,
}

impl Connection {
    /// Makes the storage key, uses it, and takes it out of the TPM's few slots again.
    fn with_storage_key<T>(
        &mut self,
        use_it: impl FnOnce(&mut Self, u32) -> Result<T, String>,
    ) -> Result<T, String> {
        let sensitive = [sized(&[]), sized(&[])].concat();
        let body = [&sized(&sensitive)[..], &sized(&STORAGE_KEY), &sized(&[]), &[0; 4]].concat();
        let answer =
            self.command(SESSIONS, CREATE_PRIMARY, &[&OWNER.to_be_bytes(), &EMPTY_AUTH[..], &body].concat())?;
        let key = Fields(&answer).u32()?;
        let done = use_it(self, key);
        self.flush(key)?;
        done
    }

    /// A command on one handle; its answer without the length of its parameters.
    fn authorized(&mut self, code: u32, handle: u32, body: &[u8]) -> Result<Vec<u8>, String> {
        let answer =
            self.command(SESSIONS, code, &[&handle.to_be_bytes(), &EMPTY_AUTH[..], body].concat())?;
        answer.get(4..).map(<[u8]>::to_vec).ok_or_else(|| "its answer is cut short".to_owned())
    }

    fn flush(&mut self, handle: u32) -> Result<(), String> {
        self.command(NO_SESSIONS, FLUSH_CONTEXT, &handle.to_be_bytes()).map(|_| ())
    }

    /// Sends one command and reads its answer, without the header.
    fn command(&mut self, tag: u16, code: u32, body: &[u8]) -> Result<Vec<u8>, String> {
        let io = |error: std::io::Error| error.to_string();
        let size = u32::try_from(body.len() + 10).map_err(|error| error.to_string())?;
        let message = [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat();
        self.stream.write_all(&message).map_err(io)?;
        self.stream.flush().map_err(io)?;
        // The kernel gives an answer whole in one read; a socket may give it in parts.
        let mut answer = vec![0; MAX_RESPONSE_BYTES];
        let mut length = 0;
        loop {
            length += match self.stream.read(answer.get_mut(length..).unwrap_or_default()).map_err(io)? {
                0 => return Err("it closed the connection".into()),
                read => read,
            };
            let Some(header) = answer.get(..length).and_then(|answer| answer.first_chunk::<10>()) else {
                continue;
            };
            let [_, _, a, b, c, d, e, f, g, h] = *header;
            let declared = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            if !(10..=MAX_RESPONSE_BYTES).contains(&declared) {
                return Err(format!("it says that its answer has {declared} bytes"));
            }
            if length >= declared {
                let result = u32::from_be_bytes([e, f, g, h]);
                if result != 0 {
                    return Err(format!("command {code:#x} was refused with {result:#x}"));
                }
                return Ok(answer.get(10..declared).unwrap_or_default().to_vec());
            }
        }
    }
}

/// Bytes after their length in two bytes (TPM2B).
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// The fields of an answer.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u32(&mut self) -> Result<u32, String> {
        let (head, rest) = self.0.split_first_chunk::<4>().ok_or("its answer is cut short")?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*head))
    }

    fn sized(&mut self) -> Result<&'a [u8], String> {
        let (head, rest) = self.0.split_first_chunk::<2>().ok_or("its answer is cut short")?;
        let (bytes, rest) =
            rest.split_at_checked(u16::from_be_bytes(*head).into()).ok_or("its answer is cut short")?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A software TPM of its own, or nothing, with the reason printed.
    struct SoftwareTpm {
        process: Child,
        folder: tempfile::TempDir,
    }

    impl SoftwareTpm {
        fn start() -> Option<Self> {
            let folder = tempfile::tempdir().unwrap();
            if Command::new("swtpm").arg("--version").stdout(Stdio::null()).status().is_err() {
                let missing = "no swtpm on this machine (apt-get install swtpm)";
                assert!(std::env::var_os("TILEMARK_TEST_KEEPERS").is_none(), "{missing}");
                eprintln!("skipped: {missing}");
                return None;
            }
            let path = |name: &str| folder.path().join(name).display().to_string();
            let process = Command::new("swtpm")
                .args(["socket", "--tpm2", "--tpmstate", &format!("dir={}", folder.path().display())])
                .args(["--server", &format!("type=unixio,path={}", path("tpm"))])
                .args(["--ctrl", &format!("type=unixio,path={}", path("ctrl"))])
                .args(["--flags", "not-need-init,startup-clear"])
                .spawn()
                .unwrap();
            let tpm = Self { process, folder };
            for _ in 0..500 {
                if tpm.folder.path().join("tpm").exists() {
                    return Some(tpm);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            panic!("swtpm does not listen");
        }

        fn keeper(&self) -> Tpm {
            Tpm::at(&self.folder.path().join("tpm").display().to_string())
        }
    }

    impl Drop for SoftwareTpm {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    #[test]
    fn in_swtpm_a_secret_opens_with_its_tpm_only() {
        let (Some(one), Some(two)) = (SoftwareTpm::start(), SoftwareTpm::start()) else { return };
        let secret = DeviceSecret::from_slice(&[7; 32]).unwrap();
        let sealed = one.keeper().seal(&secret).unwrap();
        assert!(!sealed.windows(32).any(|window| window == [7; 32]));
        for _ in 0..5 {
            // More often than it has slots: what was loaded is taken out again.
            assert_eq!(one.keeper().unseal(&sealed).unwrap().expose(), secret.expose());
        }
        let error = two.keeper().unseal(&sealed).unwrap_err();
        assert_eq!(error.code(), "TM0550");
        assert!(error.to_string().contains("0x157 was refused"), "{error}");
    }

    /// Somebody who plays a TPM and answers what a test says.
    fn played(answer: Vec<u8>) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tpm");
        let listener = UnixListener::bind(&path).unwrap();
        let player = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut command = [0; 512];
            let _ = stream.read(&mut command).unwrap();
            stream.write_all(&answer).unwrap();
        });
        let error = Tpm::at(&path.display().to_string()).unseal(&[0; 64]).unwrap_err();
        player.join().unwrap();
        error
    }

    #[test]
    fn odd_answers_are_refused() {
        let answer = |size: u32, code: u32, body: &[u8]| {
            [&SESSIONS.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
        };
        let cases = [
            (answer(10, 0x101, &[]), "refused with 0x101"),
            (answer(10, 0, &[]), "cut short"),
            (answer(9, 0, &[]), "has 9 bytes"),
            (answer(u32::MAX, 0, &[]), "has 4294967295 bytes"),
            (answer(100, 0, &[1, 2, 3]), "closed the connection"),
            (vec![], "closed the connection"),
        ];
        for (answer, expected) in cases {
            let error = played(answer).to_string();
            assert!(error.contains(expected), "{error}, expected {expected}");
        }
    }

    #[test]
    fn no_tpm_is_an_error_that_names_it() {
        let error = Tpm::at("/nowhere/tpm").seal(&DeviceSecret::from_slice(&[7; 32]).unwrap()).unwrap_err();
        assert!(error.code() == "TM0550" && error.to_string().contains("/nowhere/tpm"), "{error}");
    }
}
