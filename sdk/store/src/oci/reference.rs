//! What an image of a registry is called: `REGISTRY/NAME[:TAG|@sha256:…]`.

use std::net::IpAddr;
use std::str::FromStr;

use tilemark_bundle::Digest;

use crate::error::{Error, Result};

/// The tag of a reference that has none, as everywhere with registries.
const LATEST: &str = "latest";

/// Bytes of a repository's name and its registry's: what registries agree on.
const MAX_NAME_BYTES: usize = 255;

/// Bytes of a tag, by the distribution specification.
const MAX_TAG_BYTES: usize = 128;

/// An image of a registry.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reference {
    /// The registry: a host, with or without a port.
    pub registry: String,
    /// The repository.
    pub name: String,
    /// Which image of it.
    pub version: Version,
}

/// Which image of a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Version {
    /// Whatever the registry calls so now.
    Tag(String),
    /// The one whose manifest has this SHA-256.
    Digest(Digest),
}

impl Reference {
    /// Whether the registry is on this machine, so that nobody reads along.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = host(&self.registry);
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// A registry's host without its port.
pub(crate) fn host(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason: &str| {
            Error::invalid(format!("image {:?}", tilemark_bundle::text::excerpt(text)), reason)
        };
        let expected =
            "REGISTRY/NAME[:TAG|@sha256:…] is expected, such as registry.example.org/acme/tagger:1.2.0";
        let (registry, rest) = text.split_once('/').ok_or_else(|| invalid(expected))?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (rest, None),
        };
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        if !is_registry(registry) {
            return Err(invalid("it begins with a registry: a host with a dot or a port, or localhost"));
        }
        if registry.len() + name.len() > MAX_NAME_BYTES || !name.split('/').all(is_component) {
            return Err(invalid("a name has parts of a-z and 0-9 with ., _, __ or - between, joined by /"));
        }
        let version = match (tag, digest) {
            (Some(_), Some(_)) => return Err(invalid("it has a tag and a digest: give one of them")),
            (None, Some(digest)) => {
                let digest = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
                Version::Digest(
                    digest.ok_or_else(|| invalid("a digest is sha256: and 64 hexadecimal digits"))?,
                )
            }
            (tag, None) => {
                let tag = tag.unwrap_or(LATEST);
                if !is_tag(tag) {
                    return Err(invalid(
                        "a tag has A-Z, a-z, 0-9, _, . and -, and begins with none of the last two",
                    ));
                }
                Version::Tag(tag.to_owned())
            }
        };
        Ok(Self { registry: registry.to_owned(), name: name.to_owned(), version })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { registry, name, version } = self;
        match version {
            Version::Tag(tag) => write!(f, "{registry}/{name}:{tag}"),
            Version::Digest(digest) => write!(f, "{registry}/{name}@sha256:{digest}"),
        }
    }
}

/// A host that cannot be taken for a folder's name, and with nothing in it that has a meaning in an address.
fn is_registry(text: &str) -> bool {
    let (name, port) = match host(text) {
        host if host.len() == text.len() => (host, None),
        host => (host, text.get(host.len() + 1..)),
    };
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_name = match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let label = |label: &str| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            name.split('.').all(label)
        }
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_host = name.contains('.') || port.is_some() || name == "localhost" || v6.is_some();
    is_name && is_port && is_host
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`: never `..`, never empty.
fn is_component(text: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.as_bytes().first().is_some_and(plain) && text.as_bytes().last().is_some_and(plain);
    let mut between = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && between.all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|byte| byte == b'-'))
}

fn is_tag(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    begins && text.len() <= MAX_TAG_BYTES && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_written() {
        let digest = "0".repeat(64);
        for text in [
            "registry.example.org/acme/tagger:1.2.0".to_owned(),
            format!("localhost:5000/a/b__c/d-e.f@sha256:{digest}"),
            "[::1]:5000/acme:latest".to_owned(),
            "127.0.0.1:5000/acme/tagger:v1".to_owned(),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        assert_eq!("ghcr.io/a".parse::<Reference>().unwrap().version, Version::Tag("latest".into()));
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        let zeros = "0".repeat(64);
        for text in [
            "",
            "acme",
            "acme/tagger",
            "/acme/tagger",
            "https://ghcr.io/acme/tagger",
            "user@ghcr.io/acme",
            "ghcr.io/../acme",
            "ghcr.io/acme/..",
            "ghcr.io/acme/../../v2/other",
            "ghcr.io/acme//tagger",
            "ghcr.io/acme/",
            "ghcr.io/Acme",
            "ghcr.io/acme.",
            "ghcr.io/a..b",
            "ghcr.io/a___b",
            "ghcr.io/a%2fb",
            "ghcr.io/a?b",
            "ghcr.io/a#b",
            "ghcr.io/a b",
            "ghcr.io/a\r\nHost: b",
            "ghcr.io/acme:",
            "ghcr.io/acme:../x",
            "ghcr.io/acme:-x",
            "ghcr.io/acme:a:b",
            "ghcr.io/acme@sha256:00",
            "ghcr.io/acme@md5:00",
            "ghcr.io:0/acme",
            "ghcr.io:99999/acme",
            "ghcr.io:/acme",
            "-ghcr.io/acme",
            "[::1/acme",
            "[evil.org]/acme",
            &format!("ghcr.io/acme:1@sha256:{zeros}"),
            &format!("ghcr.io/{}", "a".repeat(256)),
            &format!("ghcr.io/acme:{}", "a".repeat(129)),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap_err().code(), "TM0835", "{text:?}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (registry, expected) in [
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("localhost.evil.org", false),
            ("127.0.0.1.evil.org", false),
            ("10.0.0.1:5000", false),
        ] {
            let reference: Reference = format!("{registry}/a").parse().unwrap();
            assert_eq!(reference.is_loopback(), expected, "{registry}");
        }
    }
}
