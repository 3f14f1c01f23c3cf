//! What stands in for a store's web server.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A web server of one folder, as plain as they come. It answers ranges, and ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: String,
    listener: TcpListener,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stop = Arc::default();
        let made = Self { address, listener: listener.try_clone().unwrap(), stop: Arc::clone(&stop) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let _ = answer(client.unwrap(), &folder); // a client may go away
            }
        });
        made
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.listener.local_addr().unwrap());
    }
}

fn answer(mut client: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        request.extend_from_slice(&byte);
    }
    let text = String::from_utf8_lossy(&request).to_lowercase();
    let path = text.split_whitespace().nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let start: Option<usize> =
        text.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next()?.parse().ok());
    let Ok(bytes) = std::fs::read(folder.join(path)) else {
        return client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let (status, from) = start.map_or(("200 OK", 0), |start| ("206 Partial Content", start));
    let body = &bytes[from.min(bytes.len())..];
    let range = start.map_or(String::new(), |_| {
        format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len().saturating_sub(1), bytes.len())
    });
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n");
    client.write_all(head.as_bytes())?;
    client.write_all(body)
}
