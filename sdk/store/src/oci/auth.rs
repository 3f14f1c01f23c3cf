//! Who we are at a registry: a name and a password from Docker's file, and the token that a registry gives for them, or to anybody.
//! Neither is printed, and neither goes to a host that it is not for.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::client::read_bounded;
use crate::error::{Error, Result};

/// Docker's file of credentials; a few hosts.
const MAX_CREDENTIALS_FILE_BYTES: u64 = 1 << 20;

/// A name and a password for one registry, as HTTP's basic scheme has them.
#[derive(Clone)]
pub struct Credentials {
    basic: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// `auths` of Docker's `config.json`, which podman and skopeo have too.
#[derive(Deserialize)]
struct DockerFile {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
}

impl Credentials {
    /// A user's name, without a colon, and password.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self { basic: STANDARD.encode(format!("{user}:{password}")) }
    }

    /// Those for a registry in a file of Docker's form; `None` if it has none for that very host and port, or there is no file.
    /// Helpers that it names are not run.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another form, [`Error::Io`].
    pub fn from_docker(path: &Path, registry: &str) -> Result<Option<Self>> {
        let Some(bytes) = read_bounded(path, MAX_CREDENTIALS_FILE_BYTES)? else { return Ok(None) };
        // What serde says of a line could be what is secret in it.
        let invalid = |reason: &str| Error::invalid(path.display().to_string(), reason);
        let file: DockerFile =
            serde_json::from_slice(&bytes).map_err(|_| invalid("it is no config.json of Docker's"))?;
        let is_for = |key: &str| {
            let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
            let rest = key.strip_prefix(registry);
            rest.is_some_and(|rest| matches!(rest, "" | "/" | "/v1" | "/v1/" | "/v2" | "/v2/"))
        };
        let Some((_, entry)) = file.auths.iter().find(|(key, _)| is_for(key)) else { return Ok(None) };
        if entry.auth.is_empty() {
            return Ok(None);
        }
        let plain = STANDARD.decode(&entry.auth).ok().filter(|plain| plain.contains(&b':'));
        let plain =
            plain.ok_or_else(|| invalid("`auth` of the registry is not the base64 of USER:PASSWORD"))?;
        Ok(Some(Self { basic: STANDARD.encode(plain) }))
    }

    /// The header's value.
    pub(crate) fn header(&self) -> String {
        format!("Basic {}", self.basic)
    }
}

/// What a registry asks for with status 401.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Challenge {
    Basic,
    /// A token from `realm`, for `service`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads `WWW-Authenticate`.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let fields = parameters(rest)?;
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Some(Self::Bearer { realm: field("realm")?, service: field("service") })
    }
}

/// `key="value",key=value`, keys in small letters; `None` if it is anything else.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let (key, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        found.push((key.trim().to_ascii_lowercase(), value.to_owned()));
        text = rest;
    }
}

/// A token server's answer; some say one word, some the other.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

impl TokenAnswer {
    /// The header's value, of what a header can have.
    pub(crate) fn header(bytes: &[u8]) -> Option<String> {
        let answer: Self = serde_json::from_slice(bytes).ok()?;
        let token = answer.token.or(answer.access_token)?;
        let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| format!("Bearer {token}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
        };
        for (header, expected) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://a/t\",service=\"a, b\",scope=\"r:x:pull,push\"",
                bearer("https://a/t", Some("a, b")),
            ),
            ("bearer Realm=https://a/t, service=s", bearer("https://a/t", Some("s"))),
            ("Bearer service=\"s\"", None),
            ("Bearer realm=\"https://a", None),
            ("Bearer realm", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    #[test]
    fn a_token_that_would_be_a_header_of_its_own() {
        let header = |json: &str| TokenAnswer::header(json.as_bytes());
        assert_eq!(header(r#"{"token":"abc"}"#).as_deref(), Some("Bearer abc"));
        assert_eq!(header(r#"{"access_token":"abc","expires_in":60}"#).as_deref(), Some("Bearer abc"));
        for bad in [r#"{"token":"a\r\nHost: b"}"#, r#"{"token":""}"#, r#"{"token":1}"#, "{}", "[]", ""] {
            assert_eq!(header(bad), None, "{bad}");
        }
    }

    #[test]
    fn credentials_are_those_of_the_very_registry() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("config.json");
        let of = |registry: &str| Credentials::from_docker(&path, registry);
        assert!(of("ghcr.io").unwrap().is_none(), "no file");
        let auth = STANDARD.encode("me:secret");
        let file = format!(
            r#"{{"auths":{{"ghcr.io":{{"auth":"{auth}"}},"https://r.example.org:444/v2/":{{"auth":"{auth}"}},"empty.org":{{}},"bad.org":{{"auth":"c2VjcmV0"}}}},"credsStore":"x"}}"#
        );
        std::fs::write(&path, file).unwrap();
        assert_eq!(of("ghcr.io").unwrap().unwrap().header(), Credentials::new("me", "secret").header());
        assert!(of("r.example.org:444").unwrap().is_some());
        for other in
            ["r.example.org", "r.example.org:44", "cr.io", "ghcr.io.evil.org", "ghcr.io:443", "empty.org"]
        {
            assert!(of(other).unwrap().is_none(), "{other}");
        }
        let error = of("bad.org").unwrap_err().to_string();
        assert!(!error.contains("c2VjcmV0") && !error.contains("secret"), "{error}");
        std::fs::write(&path, "{\"auths\": \"hunter2").unwrap();
        assert!(!of("ghcr.io").unwrap_err().to_string().contains("hunter2"));
        assert!(!format!("{:?}", Credentials::new("me", "secret")).contains("secret"));
    }
}
