use std::time::{Duration, Instant};

use ureq::http::Uri;

use super::{Opened, Transport};
use crate::error::{Error, Result};
use crate::layout;
use crate::limits::Patience;

/// A web server, or a CDN. HTTPS keeps from others what is fetched; what is fetched is checked either way.
#[derive(Clone, Debug)]
pub struct Http {
    agent: ureq::Agent,
    base: String,
}

/// Time to find and reach a server, whatever the size of its answer.
const CONNECT: Duration = Duration::from_secs(15);

/// Other addresses that one request may be sent on to.
pub(crate) const MAX_REDIRECTS: u32 = 4;

impl Http {
    /// The server's address of the folder that the store is in.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self::with_patience(base, &Patience::default())
    }

    /// The same with a patience of the caller's choice for a server that says nothing.
    #[must_use]
    pub fn with_patience(base: &str, patience: &Patience) -> Self {
        Self { agent: agent(patience), base: base.trim_end_matches('/').to_owned() }
    }

    fn call(&self, url: &str, offset: u64, within: Duration) -> Result<ureq::http::Response<ureq::Body>> {
        let mut request = self.agent.get(url).config().timeout_global(Some(within)).build();
        if offset > 0 {
            request = request.header("Range", format!("bytes={offset}-"));
        }
        let failed = |error: ureq::Error| Error::Network { url: url.to_owned(), reason: error.to_string() };
        request.call().map_err(failed)
    }
}

/// What asks servers, for as long as the patience with one that says nothing lasts.
pub(crate) fn agent(patience: &Patience) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        // Followed by who asks, not everywhere that a server would like.
        .max_redirects(0)
        .timeout_resolve(Some(CONNECT.min(patience.grace)))
        .timeout_connect(Some(CONNECT.min(patience.grace)))
        .timeout_per_read(Some(patience.grace))
        .timeout_per_write(Some(patience.grace))
        .user_agent(concat!("tilemark/", env!("CARGO_PKG_VERSION")))
        // Lengths and offsets are those of the files as they were signed.
        .accept_encoding("identity")
        .build();
    config.into()
}

impl Transport for Http {
    fn name(&self) -> &str {
        &self.base
    }

    fn open(&self, path: &str, offset: u64, patience: Duration) -> Result<Option<Opened>> {
        let mut url = format!("{}/{}", self.base, escape(path));
        let start = Instant::now();
        for _ in 0..=MAX_REDIRECTS {
            let failed = |reason: String| Error::Network { url: url.clone(), reason };
            let response = self.call(&url, offset, patience.saturating_sub(start.elapsed()))?;
            let from = match response.status().as_u16() {
                200 => 0,
                206 if range_start(&response) == Some(offset) => offset,
                206 => return Err(failed("it answers with another range than was asked for".into())),
                301 | 302 | 303 | 307 | 308 => {
                    let to = response.headers().get("location").and_then(|to| to.to_str().ok());
                    url = redirected(&url, to.unwrap_or_default()).map_err(failed)?;
                    continue;
                }
                // S3 and its like answer 403 where a file is not there and its folder may not be listed.
                403 | 404 | 410 => return Ok(None),
                // Its file ends before that.
                416 => return Ok(Some(Opened { from: offset, reader: Box::new(std::io::empty()) })),
                status => return Err(failed(format!("HTTP status {status}"))),
            };
            return Ok(Some(Opened { from, reader: Box::new(response.into_body().into_reader()) }));
        }
        Err(Error::Network { url, reason: format!("it sends on more than {MAX_REDIRECTS} times") })
    }
}

/// Where a server may send a request on to: to another path of its own, or from HTTP to its own HTTPS. Anywhere else could be a
/// machine behind this one's firewall, and from HTTPS to HTTP everybody on the way would read along.
pub(crate) fn redirected(from: &str, to: &str) -> Result<String, String> {
    let shown = tilemark_bundle::text::excerpt(to);
    let refused = || format!("it sends on to {shown:?}: add that address as a mirror, if it is the store's");
    let from: Uri = from.parse().map_err(|_| refused())?;
    let (Some(scheme), Some(authority)) = (from.scheme_str(), from.authority()) else {
        return Err(refused());
    };
    if to.starts_with('/') && !to.starts_with("//") {
        return Ok(format!("{scheme}://{authority}{to}"));
    }
    let target: Uri = to.parse().map_err(|_| refused())?;
    let same = target.authority() == Some(authority) && target.scheme_str() == Some(scheme);
    let plain = authority.port().is_none() && target.port().is_none();
    let upgraded = scheme == "http" && target.scheme_str() == Some("https") && plain;
    let same_host = target.authority().is_some_and(|found| found == authority);
    if same || (upgraded && same_host) { Ok(target.to_string()) } else { Err(refused()) }
}

/// The first number of `Content-Range: bytes 10-99/100`.
pub(crate) fn range_start<T>(response: &ureq::http::Response<T>) -> Option<u64> {
    let text = response.headers().get("content-range")?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Percent-encodes what is not allowed in a path. `%` too: file names of roles are encoded once already, and are so on the disk.
fn escape(path: &str) -> String {
    layout::percent_encode(path, b"-._~/")
}

#[cfg(test)]
mod tests {
    use super::{escape, redirected};

    #[test]
    fn a_server_sends_on_to_itself_alone() {
        let from = "https://store.example.org/a/metadata/timestamp.json";
        assert_eq!(redirected(from, "/b").unwrap(), "https://store.example.org/b");
        assert_eq!(
            redirected(from, "https://store.example.org/b?c").unwrap(),
            "https://store.example.org/b?c"
        );
        assert_eq!(redirected("http://a.org/x", "https://a.org/x").unwrap(), "https://a.org/x");
        let elsewhere = [
            "http://store.example.org/b",
            "https://evil.org/b",
            "//evil.org/b",
            "file:///etc/passwd",
            "",
            "https://store.example.org:8443/b",
            "https://store.example.org@evil.org/",
            "b",
            "ftp://store.example.org/b",
            "https://user@store.example.org/b",
            "https://store.example.org.evil.org/",
            "http://169.254.169.254/latest",
            "\\evil",
            "https:evil",
        ];
        for to in elsewhere {
            assert!(redirected(from, to).unwrap_err().contains("mirror"), "{to}");
        }
        redirected("http://127.0.0.1:80/x", "https://127.0.0.1/x").unwrap_err();
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(escape("metadata/1.p.acme.json"), "metadata/1.p.acme.json");
        assert_eq!(escape("a b/c?d#e%2F\u{e9}"), "a%20b/c%3Fd%23e%252F%C3%A9");
    }
}
