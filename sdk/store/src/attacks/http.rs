//! Attacks by servers, over sockets.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::shop::{Shop, impatient};
use crate::transport::{Folder, Http, Opened, Transport};
use crate::{Error, Patience};

/// A server that answers each request by what `answer` writes; its address, and how many it got.
fn server(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<AtomicU64>::default();
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
                request.push(byte[0]);
            }
            count.fetch_add(1, Ordering::SeqCst);
            answer(&String::from_utf8_lossy(&request), &mut client);
        }
    });
    (address, asked)
}

fn answering(text: String) -> (String, Arc<AtomicU64>) {
    server(move |_, client| drop(client.write_all(text.as_bytes())))
}

fn open(address: &str, offset: u64) -> crate::Result<Option<Opened>> {
    Http::with_patience(address, &impatient()).open("blobs/ab", offset, Duration::from_secs(20))
}

#[test]
fn a_redirect_elsewhere_is_not_followed() {
    let (victim, asked) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into());
    for to in [victim.as_str(), "file:///etc/passwd", "http://169.254.169.254/latest/meta-data", ""] {
        let (address, _) =
            answering(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
        assert!(matches!(open(&address, 0), Err(Error::Network { .. })), "{to}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn a_redirect_without_end_ends() {
    let (address, asked) = answering(
        "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
    );
    assert!(matches!(open(&address, 0), Err(Error::Network { .. })));
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

#[test]
fn a_range_that_was_not_asked_for() {
    for range in
        ["Content-Range: bytes 0-9/10\r\n", "Content-Range: bytes 6-9/10\r\n", "Content-Range: 5\r\n", ""]
    {
        let (address, _) =
            answering(format!("HTTP/1.1 206 Partial Content\r\n{range}Content-Length: 5\r\n\r\nabcde"));
        assert!(matches!(open(&address, 5), Err(Error::Network { .. })), "{range}");
    }
    let (address, _) = answering(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nabcde"
            .into(),
    );
    assert_eq!(open(&address, 5).unwrap().unwrap().from, 5);
    // One that knows no ranges sends all of it.
    let (address, _) = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde".into());
    assert_eq!(open(&address, 5).unwrap().unwrap().from, 0);
}

#[test]
fn a_content_length_that_lies() {
    let shop = Shop::open();
    for lie in ["1", "99999999999999", "18446744073709551615", "-1", "x"] {
        let folder = shop.path("store");
        let (address, _) = server(move |request, client| {
            let path = request.split_whitespace().nth(1).unwrap_or_default();
            let Ok(bytes) = std::fs::read(folder.join(path.trim_start_matches('/'))) else {
                let _ =
                    client.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return;
            };
            let lie = if path.contains("blobs/") { lie.to_owned() } else { bytes.len().to_string() };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {lie}\r\nConnection: close\r\n\r\n");
            let _ = client.write_all(head.as_bytes()).and_then(|()| client.write_all(&bytes));
        });
        let store = shop.buyer_at(Http::with_patience(&address, &impatient()));
        // A length that says too much is no harm: no more is read than was signed.
        match shop.install(&store) {
            Ok(done) => std::fs::remove_file(done.installed.path).unwrap(),
            Err(error) => {
                // One byte came, as was said: the file is cut short, not the connection.
                let expected = if lie == "1" { "TM0804" } else { "TM0801" };
                assert_eq!(error.code(), expected, "{lie}: {error}");
            }
        }
        let _ = std::fs::remove_dir_all(shop.path("cache"));
    }
    shop.install(&shop.buyer()).unwrap();
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let (address, _) = server(|_, client| {
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\nabc");
        std::thread::sleep(Duration::from_secs(60));
    });
    let start = Instant::now();
    // The whole of a large blob may take days, but not a word of it.
    let opened = Http::with_patience(&address, &impatient()).open("blobs/ab", 0, Duration::from_secs(86_400));
    let mut bytes = Vec::new();
    opened.unwrap().unwrap().reader.read_to_end(&mut bytes).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(30));
}

/// A mirror that was fast, and then sends a byte now and then.
struct Trickle(Folder);

impl Transport for Trickle {
    fn name(&self) -> &str {
        "trickle"
    }

    fn open(&self, path: &str, offset: u64, patience: Duration) -> crate::Result<Option<Opened>> {
        let Some(Opened { from, reader }) = self.0.open(path, offset, patience)? else { return Ok(None) };
        let slow = |reader| Box::new(Slow { reader, sent: 0 });
        Ok(Some(Opened { from, reader: if path.starts_with("blobs/") { slow(reader) } else { reader } }))
    }
}

struct Slow {
    reader: Box<dyn std::io::Read + Send>,
    sent: usize,
}

impl std::io::Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.sent < 200_000 {
            self.sent += self.reader.read(buffer)?;
            return Ok(self.sent.min(buffer.len()));
        }
        std::thread::sleep(Duration::from_millis(20));
        self.reader.read(&mut buffer[..1])
    }
}

#[test]
fn a_mirror_that_was_fast_may_not_be_slow_for_ever() {
    let shop = Shop::open();
    let patience = Patience { grace: Duration::from_millis(200), min_rate: 4096 };
    let trickle = Box::new(Trickle(Folder::new(shop.path("store"))));
    let error = shop.install(&shop.buyer().with_transports(vec![trickle], patience)).unwrap_err();
    assert!(
        matches!(&error, Error::Network { reason, .. } if reason.contains("4096 bytes a second")),
        "{error}"
    );
    // Another mirror goes on where it stopped.
    assert!(shop.install(&shop.buyer()).unwrap().fetched > 0);
}
