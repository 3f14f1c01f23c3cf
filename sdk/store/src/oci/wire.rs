//! Requests to a registry, by the OCI distribution specification 1.1: authorized, redirected within bounds, read as far as they may
//! go.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::http::uri::Authority;
use ureq::http::{Method, Request, Response, Uri};

use super::auth::{Challenge, Credentials, TokenAnswer};
use super::image;
use super::reference::Reference;
use crate::error::{Error, Result};
use crate::layout::percent_encode;
use crate::limits::Patience;
use crate::transport::http::{MAX_REDIRECTS, agent, range_start, redirected};
use crate::transport::{Opened, Transport};

/// A token server's answer.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// What a registry says of an error, as far as it is read.
const MAX_COMPLAINT_BYTES: u64 = 4 << 10;

/// How to ask a registry.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who we are there; else anybody.
    pub credentials: Option<Credentials>,
    /// The host of its token server, where credentials may go too; the registry's own may have them anyway.
    pub token_host: Option<String>,
    /// Ask by HTTP, not HTTPS. A registry on this machine is asked so anyway, and no other one gets credentials so.
    pub plain_http: bool,
}

/// A repository of a registry.
pub(crate) struct Wire {
    agent: ureq::Agent,
    /// Scheme and host.
    base: String,
    repository: String,
    access: Access,
    authorization: Mutex<Option<String>>,
    pub(crate) patience: Patience,
}

/// One request, which may have to be sent again.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) within: Duration,
}

pub(crate) type Answer = Response<ureq::Body>;

impl Wire {
    pub(crate) fn new(reference: &Reference, access: Access, patience: Patience) -> Result<Self> {
        let local = reference.is_loopback();
        if access.plain_http && !local && access.credentials.is_some() {
            return Err(Error::invalid(
                reference.to_string(),
                "by plain HTTP everybody on the way would read the password: ask without one, or by HTTPS",
            ));
        }
        let scheme = if local || access.plain_http { "http" } else { "https" };
        Ok(Self {
            agent: agent(&patience),
            base: format!("{scheme}://{}", reference.registry),
            repository: reference.name.clone(),
            access,
            authorization: Mutex::new(None),
            patience,
        })
    }

    /// The address of something in the repository.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.repository)
    }

    /// Where an answer says to go on, if that is this very registry.
    pub(crate) fn location(&self, answer: &Answer, asked: &str) -> Result<String> {
        let to = header(answer, "location").unwrap_or_default();
        redirected(asked, to).map_err(|reason| network(asked, reason))
    }

    /// Sends a request. If the registry wants to know who asks it is told, and the request sent once more.
    pub(crate) fn send(&self, call: Call<'_>) -> Result<Answer> {
        let known = self.authorization();
        let answer = self.send_as(call, known.as_deref())?;
        if answer.status().as_u16() != 401 {
            return Ok(answer);
        }
        let authorization = self.authorize(&answer, call)?;
        *self.authorization.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some(authorization.clone());
        self.send_as(call, Some(&authorization))
    }

    fn authorization(&self) -> Option<String> {
        self.authorization.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The same as whoever `authorization` says.
    fn send_as(&self, call: Call<'_>, authorization: Option<&str>) -> Result<Answer> {
        let failed = |reason: String| network(call.url, reason);
        let mut request = Request::builder().method(call.method).uri(call.url);
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        let within = Some(call.within);
        let answer = match call.body {
            Some(body) => {
                let request = request.body(body).map_err(|error| failed(error.to_string()))?;
                self.agent.run(self.agent.configure_request(request).timeout_global(within).build())
            }
            None => {
                let request = request.body(()).map_err(|error| failed(error.to_string()))?;
                self.agent.run(self.agent.configure_request(request).timeout_global(within).build())
            }
        };
        answer.map_err(|error| failed(error.to_string()))
    }

    /// What to say to a registry that asks.
    fn authorize(&self, answer: &Answer, call: Call<'_>) -> Result<String> {
        let denied = |reason: String| Error::Denied { registry: self.base.clone(), reason };
        let header = header(answer, "www-authenticate").unwrap_or_default();
        let credentials = self.access.credentials.as_ref();
        let challenge = Challenge::parse(header);
        let challenge =
            challenge.ok_or_else(|| denied("it asks for credentials in a way that is not known".into()))?;
        let (realm, service) = match (challenge, credentials) {
            (Challenge::Bearer { realm, service }, _) => (realm, service),
            (Challenge::Basic, Some(credentials)) => return Ok(credentials.header()),
            (Challenge::Basic, None) => return Err(denied("it asks for a name and a password".into())),
        };
        if !self.is_for_credentials(&realm).map_err(denied)? && credentials.is_some() {
            let server = realm.parse::<Uri>().ok().and_then(|realm| realm.host().map(str::to_owned));
            let server = server.unwrap_or_default();
            return Err(denied(format!(
                "its tokens are at {server:?}, another host, which gets no password unasked"
            )));
        }
        let reads = call.method == Method::GET || call.method == Method::HEAD;
        let scope = format!("repository:{}:{}", self.repository, if reads { "pull" } else { "pull,push" });
        self.token(&realm, service.as_deref(), &scope)
    }

    /// A token from a server that may know who we are.
    fn token(&self, realm: &str, service: Option<&str>, scope: &str) -> Result<String> {
        let denied = |reason: String| Error::Denied { registry: self.base.clone(), reason };
        let encode = |text: &str| percent_encode(text, b"-._~");
        let service = service.map_or(String::new(), |service| format!("service={}&", encode(service)));
        let mark = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{mark}{service}scope={}", encode(scope));
        let within = self.within(MAX_TOKEN_BYTES);
        let call = Call { method: &Method::GET, url: &url, headers: &[], body: None, within };
        let basic = self.access.credentials.as_ref().map(Credentials::header);
        let answer = self.send_as(call, basic.as_deref())?;
        match answer.status().as_u16() {
            200 => TokenAnswer::header(&read(answer, &url, MAX_TOKEN_BYTES)?)
                .ok_or_else(|| denied("its token server answers with no token".into())),
            status => Err(denied(format!("its token server answers with HTTP status {status}"))),
        }
    }

    /// Whether a token server may have the password; an error if it may not even be asked.
    fn is_for_credentials(&self, realm: &str) -> Result<bool, String> {
        let shown = tilemark_bundle::text::excerpt(realm);
        let bad = || format!("its tokens are at {shown:?}, which is no address for them");
        let to: Uri = realm.parse().map_err(|_| bad())?;
        let own: Uri = self.base.parse().map_err(|_| bad())?;
        let authority =
            to.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(bad)?;
        let is_own = to.scheme() == own.scheme() && Some(authority) == own.authority();
        if !is_own && to.scheme_str() != Some("https") {
            return Err(bad());
        }
        let is_named = self.access.token_host.as_deref().is_some_and(|named| named == authority.as_str());
        Ok(is_own || is_named)
    }

    /// How long an answer of so many bytes may take.
    pub(crate) fn within(&self, bytes: u64) -> Duration {
        self.patience.for_bytes(bytes)
    }

    /// Reads something of the repository, following where it is kept; `None` if it is not there.
    pub(crate) fn get(
        &self,
        method: &Method,
        path: &str,
        offset: u64,
        within: Duration,
    ) -> Result<Option<Answer>> {
        let (mut url, start) = (self.url(path), Instant::now());
        let range = format!("bytes={offset}-");
        let accept = format!("{}, {}", image::MANIFEST, image::INDEX);
        let (is_blob, mut headers) = (path.starts_with("blobs/"), vec![]);
        if !is_blob {
            headers.push(("Accept", accept.as_str()));
        }
        if offset > 0 {
            headers.push(("Range", range.as_str()));
        }
        // Who we are is for the registry alone, not for where it keeps its blobs.
        let mut elsewhere = false;
        for _ in 0..=MAX_REDIRECTS {
            let call = Call {
                method,
                url: &url,
                headers: &headers,
                body: None,
                within: within.saturating_sub(start.elapsed()),
            };
            let answer = if elsewhere { self.send_as(call, None)? } else { self.send(call)? };
            match answer.status().as_u16() {
                200 => return Ok(Some(answer)),
                206 if range_start(&answer) == Some(offset) => return Ok(Some(answer)),
                206 => return Err(network(&url, "it answers with another range than was asked for".into())),
                301 | 302 | 303 | 307 | 308 => {
                    let to = header(&answer, "location").unwrap_or_default();
                    // What a tag is only the registry says.
                    let next = if is_blob { sent_on(&url, to) } else { redirected(&url, to) };
                    let next = next.map_err(|reason| network(&url, reason))?;
                    elsewhere |= authority(&next) != authority(&self.base);
                    url = next;
                }
                404 | 410 => return Ok(None),
                416 => return Err(network(&url, "its blob is shorter than what was fetched before".into())),
                _ => return Err(self.complaint(answer, &url)),
            }
        }
        Err(network(&url, format!("it sends on more than {MAX_REDIRECTS} times")))
    }

    /// What a registry says of a request that it refuses.
    pub(crate) fn complaint(&self, answer: Answer, url: &str) -> Error {
        let status = answer.status().as_u16();
        let mut text = String::new();
        let _ = answer.into_body().into_reader().take(MAX_COMPLAINT_BYTES).read_to_string(&mut text);
        let errors: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let code = errors.as_ref().and_then(|errors| errors.pointer("/errors/0/code")?.as_str());
        let code = code.map_or(String::new(), |code| format!(", {:?}", tilemark_bundle::text::excerpt(code)));
        let reason = format!("HTTP status {status}{code}");
        match status {
            401 | 403 => Error::Denied { registry: self.base.clone(), reason },
            _ => network(url, reason),
        }
    }
}

/// Where blobs may be fetched from instead: from the same server, or, since what comes is compared with its digest and nobody is
/// told who asks, by HTTPS from any, if HTTPS it was.
fn sent_on(from: &str, to: &str) -> Result<String, String> {
    let secure = |url: &str| {
        url.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme_str() == Some("https")
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        })
    };
    match redirected(from, to) {
        Err(_) if secure(from) && secure(to) => Ok(to.to_owned()),
        Err(_) => Err(format!(
            "it sends on to {:?}, which is neither its own nor HTTPS",
            tilemark_bundle::text::excerpt(to)
        )),
        own => own,
    }
}

fn authority(url: &str) -> Option<Authority> {
    url.parse::<Uri>().ok()?.authority().cloned()
}

pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// What follows `?` may be a signature that opens the door to whoever reads it: it is not told.
pub(crate) fn network(url: &str, reason: String) -> Error {
    Error::Network { url: url.split('?').next().unwrap_or_default().to_owned(), reason }
}

/// All of an answer, which has `max` bytes at most.
pub(crate) fn read(answer: Answer, url: &str, max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let reader = answer.into_body().into_reader();
    reader.take(max + 1).read_to_end(&mut bytes).map_err(|error| network(url, error.to_string()))?;
    match bytes.len() as u64 > max {
        true => Err(Error::EndlessData { what: url.to_owned(), max }),
        false => Ok(bytes),
    }
}

impl Transport for Arc<Wire> {
    fn name(&self) -> &str {
        &self.base
    }

    fn open(&self, path: &str, offset: u64, patience: Duration) -> Result<Option<Opened>> {
        let answer = self.get(&Method::GET, path, offset, patience)?;
        Ok(answer.map(|answer| {
            let from = if answer.status().as_u16() == 206 { offset } else { 0 };
            Opened { from, reader: Box::new(answer.into_body().into_reader()) }
        }))
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("base", &self.base)
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_come_from_the_registry_or_by_https() {
        let from = "https://r.example.org/v2/a/blobs/sha256:00";
        assert_eq!(sent_on(from, "/b").unwrap(), "https://r.example.org/b");
        assert_eq!(sent_on(from, "https://cdn.example.net/b?c").unwrap(), "https://cdn.example.net/b?c");
        for to in [
            "http://r.example.org/b",
            "http://cdn.example.net/b",
            "ftp://a/b",
            "file:///etc/passwd",
            "//a/b",
            "",
            "https://me@a/b",
        ] {
            assert!(sent_on(from, to).is_err(), "{to}");
        }
        let local = "http://127.0.0.1:5000/v2/a/blobs/sha256:00";
        assert_eq!(sent_on(local, "/b").unwrap(), "http://127.0.0.1:5000/b");
        assert!(
            sent_on(local, "https://cdn.example.net/b").is_err(),
            "a registry of this machine has its blobs"
        );
        assert!(sent_on(local, "http://127.0.0.1:5001/b").is_err());
    }

    #[test]
    fn a_password_goes_to_no_other_host() {
        let wire = |registry: &str, access: Access| {
            Wire::new(&format!("{registry}/a").parse().unwrap(), access, Patience::default()).unwrap()
        };
        let remote = wire("r.example.org", Access::default());
        assert_eq!(remote.is_for_credentials("https://r.example.org/token"), Ok(true));
        assert_eq!(remote.is_for_credentials("https://auth.example.org/token"), Ok(false));
        for realm in [
            "http://r.example.org/token",
            "http://auth.example.org/token",
            "https://r.example.org@evil.org/",
            "token",
            "",
        ] {
            assert!(remote.is_for_credentials(realm).is_err(), "{realm}");
        }
        let named = wire(
            "r.example.org",
            Access { token_host: Some("auth.example.org".into()), ..Access::default() },
        );
        assert_eq!(named.is_for_credentials("https://auth.example.org/token"), Ok(true));
        assert_eq!(named.is_for_credentials("https://auth.example.org.evil.org/token"), Ok(false));
        let local = wire("127.0.0.1:5000", Access::default());
        assert_eq!(local.is_for_credentials("http://127.0.0.1:5000/token"), Ok(true));
        assert!(local.is_for_credentials("http://127.0.0.1:5001/token").is_err());
        let credentials = Some(Credentials::new("me", "secret"));
        let plain = Access { plain_http: true, credentials, ..Access::default() };
        let refused = Wire::new(&"r.example.org/a".parse().unwrap(), plain, Patience::default()).unwrap_err();
        assert_eq!(refused.code(), "TM0835");
    }
}
