//! A registry in memory: what the distribution specification asks for, and a place for what a hostile one does instead.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tilemark_bundle::sha256;

/// A request as it came.
pub(super) struct Asked {
    pub(super) method: String,
    /// With the query.
    pub(super) path: String,
    /// In small letters.
    pub(super) head: String,
    body: Vec<u8>,
}

impl Asked {
    pub(super) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }
}

/// Answers a request in the registry's place, if it says so.
type Hook = Box<dyn FnMut(&Asked, &mut TcpStream) -> bool + Send>;

#[derive(Default)]
pub(super) struct State {
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    /// By tag and by digest: type and bytes.
    pub(super) manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// Whether it lists referrers itself.
    pub(super) has_referrers: bool,
    /// `METHOD path`, and whether a `Range` came with it.
    pub(super) log: Vec<String>,
    hook: Option<Hook>,
}

pub(super) struct Fake {
    pub(super) address: String,
    pub(super) state: Arc<Mutex<State>>,
}

impl Fake {
    pub(super) fn start(has_referrers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State { has_referrers, ..State::default() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let _ = serve(&mut client.unwrap(), &shared); // a client may go away
            }
        });
        Self { address, state }
    }

    /// From now on `hook` is asked first.
    pub(super) fn instead(&self, hook: impl FnMut(&Asked, &mut TcpStream) -> bool + Send + 'static) {
        self.state.lock().unwrap().hook = Some(Box::new(hook));
    }

    /// Requests so far that contain these words.
    pub(super) fn count(&self, words: &str) -> usize {
        self.state.lock().unwrap().log.iter().filter(|line| line.contains(words)).count()
    }

    /// Changes a manifest, which is then found by its new digest too.
    pub(super) fn change_manifest(&self, tag: &str, change: impl FnOnce(&mut serde_json::Value)) {
        let mut state = self.state.lock().unwrap();
        let (kind, bytes) = state.manifests[tag].clone();
        let mut json = serde_json::from_slice(&bytes).unwrap();
        change(&mut json);
        let bytes = serde_json::to_vec(&json).unwrap();
        state.manifests.insert(digest(&bytes), (kind.clone(), bytes.clone()));
        state.manifests.insert(tag.into(), (kind, bytes));
    }
}

pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// An answer with these headers, each ended by a line break.
pub(super) fn answer(
    client: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    client.write_all(head.as_bytes())?;
    client.write_all(body)
}

fn read(client: &mut TcpStream) -> std::io::Result<Asked> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let head = text.to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body)?;
    Ok(Asked { method, path, head, body })
}

fn serve(client: &mut TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let asked = read(client)?;
    let mut state = state.lock().unwrap();
    let range =
        asked.head.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next()?.parse().ok());
    let note = format!(
        "{} {}{}",
        asked.method,
        asked.path,
        range.map_or(String::new(), |at: usize| format!(" from {at}"))
    );
    state.log.push(note);
    let mut hook = state.hook.take();
    let handled = hook.as_mut().is_some_and(|hook| hook(&asked, client));
    state.hook = hook;
    if handled {
        return Ok(());
    }
    let path = asked.path.strip_prefix("/v2/acme/tagger/").unwrap_or_default().to_owned();
    match (asked.method.as_str(), path.split_once('/')) {
        ("GET" | "HEAD", Some(("blobs", digest))) => {
            let Some(bytes) = state.blobs.get(digest) else { return missing(client) };
            let from = range.unwrap_or(0).min(bytes.len());
            let (status, headers) = match range {
                None => ("200 OK", String::new()),
                Some(_) => (
                    "206 Partial Content",
                    format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len()),
                ),
            };
            let body = if asked.method == "HEAD" { &[] } else { &bytes[from..] };
            answer(client, status, &headers, body)
        }
        ("GET", Some(("manifests", under))) => match state.manifests.get(under) {
            Some((kind, bytes)) => answer(client, "200 OK", &format!("Content-Type: {kind}\r\n"), bytes),
            None => missing(client),
        },
        ("GET", Some(("referrers", subject))) if state.has_referrers => {
            let index = referrers(&state, subject);
            answer(client, "200 OK", "", index.to_string().as_bytes())
        }
        ("POST", Some(("blobs", "uploads/"))) => {
            answer(client, "202 Accepted", "Location: /v2/acme/tagger/blobs/uploads/1?state=a\r\n", b"")
        }
        ("PUT", Some(("blobs", to))) => {
            let found = digest(&asked.body);
            assert_eq!(to.split("digest=").nth(1), Some(found.replace(':', "%3A").as_str()));
            state.blobs.insert(found, asked.body);
            answer(client, "201 Created", "", b"")
        }
        ("PUT", Some(("manifests", under))) => put(client, &mut state, under, asked),
        _ => missing(client),
    }
}

fn put(client: &mut TcpStream, state: &mut State, under: &str, asked: Asked) -> std::io::Result<()> {
    let kind = asked.head.split("content-type: ").nth(1).and_then(|rest| rest.split('\r').next());
    let kept = (kind.unwrap_or_default().to_owned(), asked.body.clone());
    let json: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    for layer in json["layers"].as_array().into_iter().flatten() {
        assert!(state.blobs.contains_key(layer["digest"].as_str().unwrap()), "a layer is missing: {layer}");
    }
    state.manifests.insert(digest(&asked.body), kept.clone());
    state.manifests.insert(under.to_owned(), kept);
    let of = json["subject"]["digest"].as_str().filter(|_| state.has_referrers);
    let subject = of.map_or(String::new(), |of| format!("OCI-Subject: {of}\r\n"));
    answer(client, "201 Created", &subject, b"")
}

pub(super) fn referrers(state: &State, subject: &str) -> serde_json::Value {
    let of_subject = state.manifests.iter().filter(|(under, _)| under.starts_with("sha256:")).filter_map(|(digest, (kind, bytes))| {
        let json: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let refers = json["subject"]["digest"] == subject;
        refers.then(|| serde_json::json!({ "mediaType": kind, "digest": digest, "size": bytes.len(), "artifactType": json["artifactType"] }))
    });
    let manifests: Vec<_> = of_subject.collect();
    serde_json::json!({ "schemaVersion": 2, "mediaType": super::super::image::INDEX, "manifests": manifests })
}

fn missing(client: &mut TcpStream) -> std::io::Result<()> {
    answer(client, "404 Not Found", "", b"{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}")
}
