//! Chromium by its DevTools protocol, over a pipe: real keys, real widths, scripts on and off, and whatever it complains about.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::workshop::Workshop;

/// A browser with one page.
pub(crate) struct Chromium {
    child: Child,
    to: File,
    from: BufReader<File>,
    calls: u64,
    session: Option<String>,
    /// Errors of scripts, of the console and of the network since the page was opened.
    complaints: Vec<String>,
    loaded: bool,
}

impl Chromium {
    /// Starts it with a fresh profile in the workshop.
    pub(crate) fn start(workshop: &Workshop) -> Self {
        let [to, from] = ["to-chromium", "from-chromium"].map(|name| workshop.path(name));
        assert!(Command::new("mkfifo").args([&to, &from]).status().unwrap().success());
        // The shell gives it the pipes as the numbers that it expects.
        let line = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
             --remote-debugging-pipe --user-data-dir=\"$2\" about:blank 3<\"$0\" 4>\"$1\"";
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).args([&to, &from, &workshop.path("browser")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let to = File::options().write(true).open(to).unwrap();
        let from = BufReader::new(File::open(from).unwrap());
        let mut browser =
            Self { child, to, from, calls: 0, session: None, complaints: Vec::new(), loaded: false };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", json!({ "targetId": page, "flatten": true }));
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// One call of the protocol, and what it returns.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        let mut answer = self.ask(method, parameters);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The same with the errors that there are while a page is left.
    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.read();
            if answer["id"] == self.calls {
                return answer;
            }
        }
    }

    /// The next message; what it tells of the page is kept.
    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser is gone");
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        let told = &message["params"];
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.exceptionThrown") => self.complaints.push(told["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") => self.complaints.push(told["args"].to_string()),
            Some("Log.entryAdded") => self.complaints.push(told["entry"].to_string()),
            _ => {}
        }
        message
    }

    /// Opens a file and waits until it is loaded with its scripts.
    pub(crate) fn open(&mut self, path: &Path, fragment: &str) {
        // Away first: another fragment of the same page alone loads nothing.
        for url in ["about:blank".to_owned(), format!("file://{}{fragment}", path.display())] {
            self.loaded = false;
            self.call("Page.navigate", json!({ "url": url }));
            while !self.loaded {
                self.read();
            }
        }
    }

    /// Waits until an expression is true, also on the page that a key leads to.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) {
        for _ in 0..600 {
            let asked = json!({ "expression": expression, "returnByValue": true });
            if self.ask("Runtime.evaluate", asked)["result"]["result"]["value"] == true {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("it never came true: {expression}");
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// The same as text.
    #[track_caller]
    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    /// Presses a key: `Tab`, `Enter`.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = if key == "Enter" { (13, "\r") } else { (9, "") };
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types into what has the focus.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// A window of this size, by night or by day.
    pub(crate) fn window(&mut self, width: u32, height: u32, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme] }));
    }

    /// Whether pages run scripts.
    pub(crate) fn scripts(&mut self, run: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !run }));
    }

    /// What it complained about since the last time.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // What was said before this call is answered is read with it.
        self.value("0");
        std::mem::take(&mut self.complaints)
    }

    /// Puts a picture of the page where somebody can look at it: `TILEMARK_KEEP_SCREENS=DIR`.
    pub(crate) fn keep(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("TILEMARK_KEEP_SCREENS") {
            let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
            let bytes = base64(shot["data"].as_str().unwrap());
            std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let six = LETTERS.iter().position(|other| *other == letter).unwrap();
        bits = bits << 6 | six as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
