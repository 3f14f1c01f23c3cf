//! A folder to work in, the binary, and bundles that were packed once.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tilemark_testkit::onnx::{Builder, Quantization, int};
use tilemark_testkit::random::SplitMix64;
use tilemark_testkit::tagger;
use tilemark_testkit::temp::TempFolder;

/// An app of a network that runs in microseconds, with everything that a picture app has.
pub(crate) const TINY_TOML: &str = r#"
[app]
name = "acme/tiny"
version = "1.2.0"
release = 7
license = "Apache-2.0"
description = "Five made-up classes"

[models.net]
file = "tiny.onnx"

[input]
image = { channels = "rgb" }

[[pre]]
resize = { width = 8, height = 8 }
[[pre]]
normalize = { mean = [127, 127, 127], std = [50, 50, 50] }

[[post]]
softmax = {}
[[post]]
top_k = { k = 2, labels = "labels.txt" }
"#;

/// The scale and zero point of the tiny network's input.
pub(crate) const TINY_INPUT: Quantization = Quantization::u8(0.02, 128);

/// One picture in, five scores out. The output has a name with both characters that file names cannot have.
pub(crate) fn tiny_onnx() -> Vec<u8> {
    let mut random = SplitMix64::new(7);
    let mut net = Builder::new(13);
    let x = net.input("image", &[1, 3, 8, 8]);
    let x = net.qdq(&x, TINY_INPUT);
    let x = net.conv(&x, &mut random, [4, 3, 3, 3]).pads([1; 4]).add();
    let x = net.qdq(&x, Quantization::u8(0.05, 100));
    let x = net.unary("GlobalAveragePool", &x);
    let x = net.qdq(&x, Quantization::u8(0.02, 128));
    let x = net.node("Flatten", &[&x], vec![int("axis", 1)]);
    let x = net.gemm(&x, &mut random, 5, 4);
    let x = net.qdq(&x, Quantization::u8(0.05, 128));
    let x = net.rename(&x, "head/scores:0");
    net.output(&x);
    net.encode()
}

/// A scratch folder with the binary's state in it.
pub(crate) struct Workshop {
    folder: TempFolder,
}

impl Workshop {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { folder: TempFolder::new() }
    }

    /// One with `vendor.key`, `vendor.pub` and `tiny.tmk`, signed by it.
    pub(crate) fn with_tiny() -> Self {
        Self::with(&["vendor.key", "vendor.pub", "tiny.tmk"])
    }

    /// One with `vendor.key`, `vendor.pub` and `tagger.tmk`, signed by it.
    pub(crate) fn with_tagger() -> Self {
        let workshop = Self::with(&["vendor.key", "vendor.pub"]);
        std::fs::copy(tagger_bundle(), workshop.path("tagger.tmk")).unwrap();
        workshop
    }

    /// One with the tiny app's sources, unpacked, and a key.
    pub(crate) fn with_sources() -> Self {
        Self::with(&["vendor.key", "vendor.pub", "app.toml", "tiny.onnx", "labels.txt"])
    }

    fn with(files: &[&str]) -> Self {
        let workshop = Self::new();
        for file in files {
            std::fs::copy(shared().join(file), workshop.path(file)).unwrap();
        }
        workshop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders that it is in.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        if let Some(folder) = self.path(name).parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        self.folder.file(name, bytes);
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The binary, in this folder, with arguments separated by spaces.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tilemark"));
        command.args(line.split_whitespace()).current_dir(self.folder.path());
        command.env("TILEMARK_HOME", self.path("home"));
        // The same devices everywhere: an OpenCL loader that finds no driver.
        command.env("OCL_ICD_VENDORS", self.path("no-drivers"));
        command
    }

    /// Runs `tilemark LINE`.
    pub(crate) fn tilemark(&self, line: &str) -> Ran {
        Ran::new(line, self.command(line).output().unwrap())
    }

    /// Runs `tilemark LINE` with one variable set.
    pub(crate) fn tilemark_with(&self, variable: (&str, &str), line: &str) -> Ran {
        Ran::new(line, self.command(line).env(variable.0, variable.1).output().unwrap())
    }
}

/// A picture of the tagger's samples.
pub(crate) fn sample(name: &str) -> String {
    tagger::root().join("examples/apps/tagger/samples").join(name).display().to_string()
}

/// What one call gave.
#[derive(Debug)]
pub(crate) struct Ran {
    line: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn new(line: &str, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let code = output.status.code().expect("an exit code, no signal");
        assert!(!stderr.contains("panicked"), "{line}: {stderr}");
        Self { line: line.to_owned(), code, stdout, stderr }
    }

    /// It worked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "tilemark {}: {}{}", self.line, self.stdout, self.stderr);
        self
    }

    /// It failed with this exit code and error, told on stderr with what to do, as `docs/errors.md` says.
    #[track_caller]
    pub(crate) fn fails(self, exit: i32, code: &str) -> Self {
        let Self { line, stdout, stderr, .. } = &self;
        assert_eq!(self.code, exit, "tilemark {line}: {stdout}{stderr}");
        assert!(stderr.contains(&format!("error[{code}]: ")), "tilemark {line}, expected {code}: {stderr}");
        assert!(stderr.contains("\n  help: "), "tilemark {line}: {stderr}");
        documented(code, exit);
        self
    }

    /// It failed with this exit code and error, told on stdout as JSON and nowhere else. Returns the message.
    #[track_caller]
    pub(crate) fn fails_in_json(self, exit: i32, code: &str) -> String {
        let json = self.json();
        let error = json["error"].as_object().unwrap_or_else(|| panic!("tilemark {}: {json}", self.line));
        assert_eq!((self.code, error["code"].as_str()), (exit, Some(code)), "tilemark {}: {json}", self.line);
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "hint", "message"]);
        assert!(!error["hint"].as_str().unwrap().is_empty());
        assert!(!self.stderr.contains("error"), "tilemark {}: {}", self.line, self.stderr);
        documented(code, exit);
        error["message"].as_str().unwrap().to_owned()
    }

    /// What stdout holds: one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("tilemark {}: {error}: {}{}", self.line, self.stdout, self.stderr))
    }

    /// stderr has this in it.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "tilemark {}, expected {text:?}: {}", self.line, self.stderr);
        self
    }

    /// stdout has this in it.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "tilemark {}, expected {text:?}: {}", self.line, self.stdout);
        self
    }
}

/// `docs/errors.md` gives this exit code for this error.
#[track_caller]
fn documented(code: &str, exit: i32) {
    let page = include_str!("../../../../docs/errors.md");
    let row = page.lines().find(|row| row.starts_with(&format!("| {code} |")));
    let row = row.unwrap_or_else(|| panic!("{code} is not in docs/errors.md"));
    let exits = row.trim_end_matches(" |").rsplit_once("| ").expect("a row of three cells").1;
    assert!(exits.split(", ").any(|documented| documented == exit.to_string()), "exit code {exit}: {row}");
}

/// The folder of what every test may copy; in the build directory, since it stays after the tests. A runner may give each
/// test a process of its own: the first one makes the folder for this build of the binary, the others wait for it.
fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
        std::fs::create_dir_all(&folder).unwrap();
        let lock = std::fs::File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        let binary = std::fs::metadata(env!("CARGO_BIN_EXE_tilemark")).and_then(|data| data.modified());
        let made_by = format!("{:?}", binary.unwrap());
        if std::fs::read_to_string(folder.join("made-by")).unwrap_or_default() != made_by {
            make_shared(&folder);
            std::fs::write(folder.join("made-by"), made_by).unwrap();
        }
        folder
    })
}

fn make_shared(folder: &Path) {
    for key in ["vendor.key", "vendor.pub"] {
        let _ = std::fs::remove_file(folder.join(key)); // of an earlier build; keygen overwrites nothing
    }
    std::fs::write(folder.join("app.toml"), TINY_TOML).unwrap();
    std::fs::write(folder.join("tiny.onnx"), tiny_onnx()).unwrap();
    std::fs::write(folder.join("labels.txt"), "red\ngreen\nblue\nblack\nwhite\n").unwrap();
    let description = tagger::root().join("examples/apps/tagger/app.toml");
    in_folder(folder, "keygen --out vendor");
    in_folder(folder, "pack app.toml --key vendor.key -o tiny.tmk");
    in_folder(folder, &format!("pack {} --key vendor.key -o tagger.tmk", description.display()));
}

/// The packed tagger, for tests that need a real network.
fn tagger_bundle() -> PathBuf {
    shared().join("tagger.tmk")
}

fn in_folder(folder: &Path, line: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tilemark"));
    let output = command.args(line.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "tilemark {line}: {}", String::from_utf8_lossy(&output.stderr));
}
