//! Where things are in a store's folder: `metadata/`, `targets/`, `blobs/`.

use tilemark_bundle::{AppName, Digest, sha256};

/// The role that signs the index.
pub(crate) const INDEX: &str = "index";

/// The file that says which snapshot is the newest.
pub(crate) const TIMESTAMP: &str = "metadata/timestamp.json";

/// The folder of the metadata.
pub(crate) const METADATA: &str = "metadata";

/// The file of a root.
pub(crate) fn root(version: u64) -> String {
    metadata("root", Some(version))
}

/// The file of a role's document; of the newest one where no version is in the name. Names of roles are encoded as python-tuf encodes
/// them.
pub(crate) fn metadata(role: &str, version: Option<u64>) -> String {
    let name = encoded_role(role);
    match version {
        Some(version) => format!("{METADATA}/{version}.{name}.json"),
        None => format!("{METADATA}/{name}.json"),
    }
}

/// A role's name as it is in the name of its file.
pub(crate) fn encoded_role(role: &str) -> String {
    percent_encode(role, b"-._~")
}

/// The path of a listing among the targets.
pub(crate) fn listing(app: &AppName, release: u64) -> String {
    format!("{app}/{release}.listing")
}

/// The path of a shard of the index among the targets.
pub(crate) fn shard(bin: &str) -> String {
    format!("index/{bin}.json")
}

/// The shard of the index, 00 to ff, that lists a publisher's apps.
pub(crate) fn shard_of(publisher: &str) -> String {
    format!("{:02x}", first_byte(publisher))
}

/// The bin of a publisher, 00 to 1f: which role delegates to it. Few, since the snapshot has a line for each.
pub(crate) fn bin(publisher: &str) -> String {
    format!("{:02x}", first_byte(publisher) >> 3)
}

fn first_byte(publisher: &str) -> u8 {
    let [first, ..] = *sha256(publisher.as_bytes()).as_bytes();
    first
}

/// The role that delegates to the publishers of a bin.
pub(crate) fn bin_role(bin: &str) -> String {
    format!("bin-{bin}")
}

/// A publisher's own role. The dot keeps it apart from every other role.
pub(crate) fn publisher_role(publisher: &str) -> String {
    format!("p.{publisher}")
}

/// Whether a role is a publisher's, and not the operator's.
pub(crate) fn is_publisher_role(role: &str) -> bool {
    role.starts_with("p.")
}

/// What a publisher may offer.
pub(crate) fn publisher_paths(publisher: &str) -> String {
    format!("{publisher}/*/*")
}

/// The file of a target.
pub(crate) fn target_file(path: &str, sha256: &str, consistent: bool) -> String {
    match (consistent, path.rsplit_once('/')) {
        (false, _) => format!("targets/{path}"),
        (true, Some((folder, name))) => format!("targets/{folder}/{sha256}.{name}"),
        (true, None) => format!("targets/{sha256}.{path}"),
    }
}

/// The file of a blob.
pub(crate) fn blob(digest: &Digest) -> String {
    let digest = digest.to_string();
    format!("blobs/{}/{digest}", digest.chars().take(2).collect::<String>())
}

/// All but letters, digits and what is `plain` as `%XX`.
pub(crate) fn percent_encode(text: &str, plain: &[u8]) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}
