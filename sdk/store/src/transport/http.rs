use std::time::Duration;

use super::{Opened, Transport};
use crate::error::{Error, Result};
use crate::layout;

/// A web server, or a CDN. HTTPS keeps from others what is fetched; what is fetched is checked either way.
#[derive(Clone, Debug)]
pub struct Http {
    agent: ureq::Agent,
    base: String,
}

/// Time to find and reach a server, whatever the size of its answer.
const CONNECT: Duration = Duration::from_secs(15);

impl Http {
    /// The server's address of the folder that the store is in.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(4)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("tilemark/", env!("CARGO_PKG_VERSION")))
            // Lengths and offsets are those of the files as they were signed.
            .accept_encoding("identity")
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned() }
    }
}

impl Transport for Http {
    fn name(&self) -> &str {
        &self.base
    }

    fn open(&self, path: &str, offset: u64, patience: Duration) -> Result<Option<Opened>> {
        let url = format!("{}/{}", self.base, escape(path));
        let failed = |reason: String| Error::Network { url: url.clone(), reason };
        let mut request = self.agent.get(&url).config().timeout_global(Some(patience)).build();
        if offset > 0 {
            request = request.header("Range", format!("bytes={offset}-"));
        }
        let response = request.call().map_err(|error| failed(error.to_string()))?;
        let status = response.status().as_u16();
        let from = match status {
            200 => 0,
            206 if range_start(&response) == Some(offset) => offset,
            206 => return Err(failed("it answers with another range than was asked for".into())),
            // S3 and its like answer 403 where a file is not there and its folder may not be listed.
            403 | 404 | 410 => return Ok(None),
            416 => return Err(failed("its file is shorter than what was fetched before".into())),
            _ => return Err(failed(format!("HTTP status {status}"))),
        };
        Ok(Some(Opened { from, reader: Box::new(response.into_body().into_reader()) }))
    }
}

/// The first number of `Content-Range: bytes 10-99/100`.
fn range_start<T>(response: &ureq::http::Response<T>) -> Option<u64> {
    let text = response.headers().get("content-range")?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Percent-encodes what is not allowed in a path. `%` too: file names of roles are encoded once already, and are so on the disk.
fn escape(path: &str) -> String {
    layout::percent_encode(path, b"-._~/")
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn paths_are_escaped() {
        assert_eq!(escape("metadata/1.p.acme.json"), "metadata/1.p.acme.json");
        assert_eq!(escape("a b/c?d#e%2F\u{e9}"), "a%20b/c%3Fd%23e%252F%C3%A9");
    }
}
