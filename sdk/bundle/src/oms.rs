//! OpenSSF Model Signing, version 1.0, with keys: signatures over folders of files that other tools check, and theirs.
//!
//! The signature is a file: a sigstore bundle (v0.3) around a DSSE envelope around an in-toto statement (v1), whose predicate lists
//! every file with its SHA-256. The format takes keys of ECDSA alone, so an Ed25519 key cannot sign here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::limits::{MAX_BLOBS, MAX_ENVELOPE_BYTES, MAX_JSON_DEPTH};
use crate::{Algorithm, Digest, Error, PublicKey, Result, SigningKey, json, sha256};

/// The files of a folder, and what a signature says of them: SHA-256 by name, names with `/`.
pub type Files = BTreeMap<String, Digest>;

/// Signs files under the name of their model; the text of the signature's file.
///
/// # Errors
/// [`Error::UnsupportedKey`] for another key than ECDSA P-256, [`Error::Random`].
pub fn sign(model: &str, files: &Files, key: &SigningKey) -> Result<Vec<u8>> {
    check_key(key.public())?;
    let resource = |(name, digest): (&String, &Digest)| Resource {
        name: name.clone(),
        algorithm: SHA256.into(),
        digest: *digest,
    };
    let statement = Statement {
        kind: STATEMENT.into(),
        subject: vec![Subject { name: model.into(), digest: Root { sha256: root(files.values()) } }],
        predicate_type: PREDICATE.into(),
        predicate: Predicate {
            serialization: Serialization {
                method: "files".into(),
                hash_type: SHA256.into(),
                allow_symlinks: false,
                ignore_paths: vec![SIGNATURE_FILE.into()],
            },
            resources: files.iter().map(resource).collect(),
        },
    };
    let payload = json::to_vec(&statement)?;
    let sig = STANDARD.encode(key.sign(&pae(&payload))?);
    let signatures = vec![Signature { sig, keyid: String::new() }];
    json::to_vec(&SigstoreBundle {
        media_type: BUNDLE.into(),
        verification_material: Material {
            public_key: Hint { hint: hint(key.public()) },
            tlog_entries: Vec::new(),
        },
        dsse_envelope: Envelope {
            payload: STANDARD.encode(payload),
            payload_type: IN_TOTO.into(),
            signatures,
        },
    })
}

/// Checks a signature by `key`; the model's name and its files.
///
/// Stricter than the format: nothing but plain files may be signed, the digest over all must fit, and what the signer would have
/// ignored is not ignored.
///
/// # Errors
/// [`Error::UnsupportedKey`]; [`Error::TooLarge`], [`Error::Json`], [`Error::Base64`]; [`Error::InvalidSignature`];
/// [`Error::ModelSignature`].
pub fn verify(signature: &[u8], key: &PublicKey) -> Result<(String, Files)> {
    check_key(key)?;
    let max = usize::try_from(MAX_ENVELOPE_BYTES).unwrap_or(usize::MAX);
    let bundle: SigstoreBundle = json::from_slice(DOCUMENT, signature, max)?;
    expect("media type", &bundle.media_type, BUNDLE)?;
    expect("payload type", &bundle.dsse_envelope.payload_type, IN_TOTO)?;
    expect("key", &bundle.verification_material.public_key.hint, &hint(key))?;
    let decode = |field, text: &str| STANDARD.decode(text).map_err(|_| Error::Base64 { field });
    let payload = decode("payload", &bundle.dsse_envelope.payload)?;
    let [signature] = bundle.dsse_envelope.signatures.as_slice() else {
        return refused(format!("{} signatures, expected one", bundle.dsse_envelope.signatures.len()));
    };
    // Others write either of the two values of `s`.
    if key.canonical_signature(&pae(&payload), &decode("sig", &signature.sig)?).is_none() {
        return Err(Error::InvalidSignature { keyid: key.id(), algorithm: key.algorithm().as_str() });
    }
    let statement: Statement = json::from_slice(DOCUMENT, &payload, max)?;
    statement.files()
}

/// Checks the files of a folder against a signature by `key`: each has its SHA-256, none is missing, and none is there besides but
/// the signature's own. Returns the model's name and what was checked.
///
/// # Errors
/// Those of [`verify`]; [`Error::BlobDamaged`], [`Error::ModelSignature`], [`Error::Io`].
pub fn verify_folder(folder: &Path, signature: &Path, key: &PublicKey) -> Result<(String, Files)> {
    let text = crate::file::read_text(
        signature,
        DOCUMENT,
        usize::try_from(MAX_ENVELOPE_BYTES).unwrap_or(usize::MAX),
    )?;
    let (model, signed) = verify(text.as_bytes(), key)?;
    let mut found = BTreeMap::new();
    list(folder, folder, 0, &mut found)?;
    let own = fs::canonicalize(signature).map_err(|source| io(signature, source))?;
    for (name, path) in &found {
        let Some(expected) = signed.get(name) else {
            if fs::canonicalize(path).map_err(|source| io(path, source))? == own {
                continue;
            }
            return refused(format!("the file {name:?} is there, and not signed"));
        };
        let bytes = fs::read(path).map_err(|source| io(path, source))?;
        let found = sha256(&bytes);
        if found != *expected {
            return Err(Error::BlobDamaged { name: name.clone(), expected: *expected, found });
        }
    }
    match signed.keys().find(|name| !found.contains_key(*name)) {
        Some(missing) => refused(format!("the file {missing:?} is signed, and not there")),
        None => Ok((model, signed)),
    }
}

/// The name that a signature's file has by custom.
pub const SIGNATURE_FILE: &str = "model.sig";

const DOCUMENT: &str = "model signature";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://model_signing/signature/v1.0";
const SHA256: &str = "sha256";

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct SigstoreBundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Hint,
    /// Of transparency logs; a signature by key has none.
    tlog_entries: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Hint {
    hint: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize, Serialize)]
struct Signature {
    sig: String,
    keyid: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize, Serialize)]
struct Subject {
    name: String,
    digest: Root,
}

#[derive(Deserialize, Serialize)]
struct Root {
    sha256: Digest,
}

#[derive(Deserialize, Serialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Deserialize, Serialize)]
struct Serialization {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
    ignore_paths: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: Digest,
}

impl Statement {
    fn files(self) -> Result<(String, Files)> {
        expect("statement", &self.kind, STATEMENT)?;
        expect("predicate", &self.predicate_type, PREDICATE)?;
        let Predicate { serialization, resources } = self.predicate;
        expect("method", &serialization.method, "files")?;
        expect("hash", &serialization.hash_type, SHA256)?;
        if serialization.allow_symlinks {
            return refused("it allows symbolic links".into());
        }
        let Ok([subject]) = <[Subject; 1]>::try_from(self.subject) else {
            return refused("it is not about one model".into());
        };
        let total = root(resources.iter().map(|resource| &resource.digest));
        expect("digest over all files", &total.to_string(), &subject.digest.sha256.to_string())?;
        let mut files = Files::new();
        for Resource { name, algorithm, digest } in resources {
            expect("algorithm", &algorithm, SHA256)?;
            if files.insert(name.clone(), digest).is_some() {
                return refused(format!("the file {:?} is there twice", crate::text::excerpt(&name)));
            }
        }
        Ok((subject.name, files))
    }
}

/// The digest over the digests of all files, in their order. It knows no names, so nothing is to be known by it.
fn root<'a>(digests: impl Iterator<Item = &'a Digest>) -> Digest {
    sha256(&digests.flat_map(|digest| *digest.as_bytes()).collect::<Vec<u8>>())
}

fn pae(payload: &[u8]) -> Vec<u8> {
    [format!("DSSEv1 {} {IN_TOTO} {} ", IN_TOTO.len(), payload.len()).as_bytes(), payload].concat()
}

/// What names the key: the SHA-256 of its PEM.
fn hint(key: &PublicKey) -> String {
    sha256(key.to_pem().as_bytes()).to_string()
}

fn check_key(key: &PublicKey) -> Result<()> {
    if key.algorithm() == Algorithm::EcdsaP256 {
        return Ok(());
    }
    let reason = "the format takes no Ed25519: make one with `tilemark keygen --algorithm ecdsa-p256`".into();
    Err(Error::UnsupportedKey { what: "key of a model signature", reason })
}

fn expect(what: &str, found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    refused(format!("its {what} is {:?}, expected {expected:?}", crate::text::excerpt(found)))
}

fn refused<T>(reason: String) -> Result<T> {
    Err(Error::ModelSignature { reason })
}

/// Every file below a folder by its relative name. Anything but files and folders is refused.
fn list(root: &Path, folder: &Path, depth: usize, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    if depth > MAX_JSON_DEPTH {
        return refused(format!("{} is too deep", folder.display()));
    }
    for entry in fs::read_dir(folder).map_err(|source| io(folder, source))? {
        let path = entry.map_err(|source| io(folder, source))?.path();
        let kind = fs::symlink_metadata(&path).map_err(|source| io(&path, source))?.file_type();
        if kind.is_dir() {
            list(root, &path, depth + 1, files)?;
            continue;
        }
        let parts = path.strip_prefix(root).unwrap_or(&path).components();
        let parts = parts.map(|part| part.as_os_str().to_str()).collect::<Option<Vec<_>>>();
        let Some(parts) = parts.filter(|_| kind.is_file()) else {
            return refused(format!("{} is no plain file", path.display()));
        };
        if files.len() >= 2 * MAX_BLOBS {
            return refused(format!("more than {} files", 2 * MAX_BLOBS));
        }
        files.insert(parts.join("/"), path);
    }
    Ok(())
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { action: "read", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::EcdsaP256).unwrap()
    }

    fn folder() -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("resources")).unwrap();
        let content = [("graph", "integers"), ("resources/labels.txt", "cat\n")];
        let files = content.map(|(name, text)| {
            fs::write(dir.path().join(name), text).unwrap();
            (name.to_owned(), sha256(text.as_bytes()))
        });
        (dir, files.into_iter().collect())
    }

    #[test]
    fn a_folder_is_as_it_was_signed() {
        let (dir, files) = folder();
        let key = key();
        let signature = dir.path().join(SIGNATURE_FILE);
        fs::write(&signature, sign("acme/tagger", &files, &key).unwrap()).unwrap();
        let check = || verify_folder(dir.path(), &signature, key.public());
        assert_eq!(check().unwrap(), ("acme/tagger".to_owned(), files));
        let graph = dir.path().join("graph");
        fs::write(&graph, "floats").unwrap();
        assert_eq!(check().unwrap_err().code(), "TM0152");
        fs::remove_file(&graph).unwrap();
        assert!(check().unwrap_err().to_string().contains("not there"));
        fs::write(&graph, "integers").unwrap();
        check().unwrap();
        // What the format's own tool would pass over.
        for name in ["more", ".gitignore", ".git"] {
            fs::write(dir.path().join(name), "").unwrap();
            assert!(check().unwrap_err().to_string().contains("not signed"), "{name}");
            fs::remove_file(dir.path().join(name)).unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&graph, dir.path().join("link")).unwrap();
            assert!(check().unwrap_err().to_string().contains("no plain file"));
        }
    }

    #[test]
    fn every_changed_byte_of_the_signature_is_refused() {
        let (_dir, files) = folder();
        let key = key();
        let good = sign("acme/tagger", &files, &key).unwrap();
        let (_, read) = verify(&good, key.public()).unwrap();
        assert_eq!(read, files);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            // White space and the empty key id are under no signature; they can say nothing either.
            if let Ok((_, read)) = verify(&bad, key.public()) {
                assert_eq!(read, files, "byte {at}");
            }
        }
        for other in [self::key(), SigningKey::generate(Algorithm::Ed25519).unwrap()] {
            assert!(verify(&good, other.public()).is_err());
        }
        let ed25519 = SigningKey::generate(Algorithm::Ed25519).unwrap();
        assert_eq!(sign("a/b", &files, &ed25519).unwrap_err().code(), "TM0161");
    }

    #[test]
    fn statements_that_leave_room_are_refused() {
        let (_dir, files) = folder();
        let key = key();
        let good = sign("acme/tagger", &files, &key).unwrap();
        let changed = |from: &str, to: &str| {
            let mut bundle: SigstoreBundle = json::from_slice("test", &good, 1 << 20).unwrap();
            let payload = String::from_utf8(STANDARD.decode(&bundle.dsse_envelope.payload).unwrap()).unwrap();
            assert!(payload.contains(from), "{from} in {payload}");
            let payload = payload.replacen(from, to, 1);
            let sig = STANDARD.encode(key.sign(&pae(payload.as_bytes())).unwrap());
            bundle.dsse_envelope.payload = STANDARD.encode(payload);
            bundle.dsse_envelope.signatures[0].sig = sig;
            verify(&json::to_vec(&bundle).unwrap(), key.public()).unwrap_err().code()
        };
        let digest = sha256(b"integers").to_string();
        for (from, to) in [
            ("\"allow_symlinks\":false", "\"allow_symlinks\":true"),
            ("\"method\":\"files\"", "\"method\":\"shards\""),
            ("\"hash_type\":\"sha256\"", "\"hash_type\":\"blake3\""),
            ("\"algorithm\":\"sha256\"", "\"algorithm\":\"sha512\""),
            ("resources/labels.txt", "graph"),
            ("signature/v1.0", "signature/v2.0"),
            ("Statement/v1", "Statement/v2"),
            (&digest, &sha256(b"floats").to_string()),
        ] {
            assert_eq!(changed(from, to), "TM0191", "{to}");
        }
        assert_eq!(changed("\"subject\"", "\"subjects\""), "TM0112");
    }
}
