//! Apps whose pipelines have every stage.

use tilemark_testkit::onnx::{Builder, Quantization, int, ints};
use tilemark_testkit::temp::TempFolder;

use crate::common::picture;

/// A folder with an app of pictures.
pub(crate) fn pictures() -> TempFolder {
    let folder = TempFolder::new();
    folder.file("app.toml", PICTURES);
    folder.file("photo.bmp", picture(3, 20, 12));
    folder.file("three.txt", "cat\ndog\nfish\n");
    folder.file("two.txt", "a\nb\n");
    folder.file("one.txt", "spot\n");
    folder.file("map.onnx", map());
    folder.file("rows.onnx", rows());
    folder.file("faces.onnx", faces());
    folder.file("class.onnx", class());
    folder.file("text.onnx", text());
    folder
}

/// A folder with an app of frames, of one step written without one.
pub(crate) fn frames() -> TempFolder {
    let folder = TempFolder::new();
    folder.file("app.toml", FRAMES);
    folder.file("photo.bmp", picture(4, 9, 11));
    folder.file("three.txt", "cat\ndog\nfish\n");
    folder.file("class.onnx", class());
    folder
}

/// A folder with an app of sounds.
pub(crate) fn sounds() -> TempFolder {
    let folder = TempFolder::new();
    folder.file("app.toml", SOUNDS);
    folder.file("three.txt", "hum\nhiss\nbuzz\n");
    folder.file("pitch.onnx", pitch());
    folder.file("bands.onnx", bands());
    folder
}

const PICTURES: &str = r#"
[app]
name = "acme/stages"
version = "0.1.0"
release = 1
license = "MIT"
description = "Every stage of pictures"

[origin]
kind = "application"
code = "MIT"
weights = "CC0-1.0"
data = "CC0-1.0"
[[origin.derived_from]]
name = "nothing"
kind = "data"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
data = "CC0-1.0"

[models]
map = { file = "map.onnx" }
rows = { file = "rows.onnx" }
faces = { file = "faces.onnx" }
class = { file = "class.onnx" }
text = { file = "text.onnx" }

[input]
image = { channels = "rgb" }

[parameters]
area = { type = "region", default = [0.1, 0.0, 1.0, 0.9], description = "the part that counts" }
mode = { type = "choice", choices = ["area", "nearest"], default = "area", description = "how it shrinks" }
on = { type = "bool", default = true, description = "probabilities" }
k = { type = "int", min = 1, max = 3, default = 2, description = "how many" }
least = { type = "float", min = 0.0, max = 1.0, default = 0.05, description = "the lowest score" }
only = { type = "classes", default = ["cat", "dog"], description = "which" }

[[step]]
name = "regions"
model = "map"
pre = [{ region = { area = { parameter = "area" } } }, { resize = { width = 8, height = 8, mode = { parameter = "mode" } } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ regions = { threshold = 0.3, min_score = 0.2, unclip = 1.5, dilate = true } }]

[[step]]
name = "upright"
for_each = "regions"
turn_tall = 1.5
model = "class"
pre = [{ resize = { width = 8, height = 8 } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ turn = { class = 1, min_score = 0.1 } }]

[[step]]
name = "lines"
for_each = "upright"
model = "text"
pre = [{ resize = { width = 8, height = 8, fit = "letterbox", pad = [9, 9, 9], align = "start" } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ ctc = { symbols = "one.txt", space = true } }]

[[step]]
name = "faces"
model = "faces"
pre = [{ resize = { width = 8, height = 8 } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ sigmoid = { output = "scores" } }, { anchors = { boxes = "boxes", scores = "scores", levels = [{ stride = 4, per_cell = 1 }], scale = 2, min_score = 0.1, label = "face" } }, { nms = { iou = 0.3, kind = "weighted" } }]

[[step]]
name = "things"
model = "rows"
pre = [{ resize = { width = 8, height = 8 } }, { normalize = { mean = [0], std = [0.2], divide = 255 } }]
post = [{ grid = { labels = "two.txt", min_score = 0.1, objectness = true } }, { threshold = { min_score = { parameter = "least" } } }]

[[step]]
name = "spots"
model = "map"
pre = [{ tiles = { width = 12, height = 12, overlap = 2 } }, { resize = { width = 8, height = 8, mode = "nearest" } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ peaks = { labels = "one.txt", min_score = 0.6, refine = true, most = 5 } }]

[[step]]
name = "pose"
model = "map"
pre = [{ resize = { width = 8, height = 8 } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ points = { label = "person", min_score = 0.1 } }]

[[step]]
name = "found"
combine = { steps = ["faces", "things", "spots", "pose"], rule = "concat" }

[[step]]
name = "cutout"
model = "map"
pre = [{ resize = { width = 8, height = 8 } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ mask = { threshold = 0.5 } }]

[[step]]
name = "drawn"
model = "map"
pre = [{ resize = { width = 8, height = 8 } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ image = { channels = "gray", divide = 255 } }]

[[step]]
name = "one"
model = "class"
pre = [{ resize = { width = 9, height = 9, fit = "shortest" } }, { crop = { width = 8, height = 8 } }, { normalize = { mean = [0.1, 0.2, 0.3], std = [1], divide = 255 } }]
post = [{ dequantize = {} }, { softmax = { enabled = { parameter = "on" } } }, { top_k = { k = { parameter = "k" }, labels = "three.txt", threshold = { parameter = "least" }, classes = { parameter = "only" } } }]

[[step]]
name = "two"
model = "class"
image = { channels = "bgr", layout = "nchw" }
pre = [{ resize = { width = 8, height = 8, fit = "crop" } }, { normalize = { mean = [0], std = [1], divide = 255 } }]
post = [{ top_k = { k = 3, labels = "three.txt" } }]

[[step]]
name = "named"
combine = { steps = ["one", "two"], rule = "mean", weights = [2, 1] }

[golden]
inputs = ["photo.bmp"]
"#;

const FRAMES: &str = r#"
[app]
name = "acme/frames"
version = "0.1.0"
release = 1
license = "MIT"
description = "What needs an app of one step"

[models.class]
file = "class.onnx"

[input]
image = {}

[[pre]]
resize = { width = 8, height = 8, fit = "letterbox" }
[[pre]]
normalize = { mean = [0], std = [1], divide = 255 }
[[post]]
smooth = { weight = 0.25 }
[[post]]
top_k = { k = 3, labels = "three.txt" }

[golden]
inputs = ["photo.bmp"]

[statistics]
inputs = ["photo.bmp"]
"#;

const SOUNDS: &str = r#"
[app]
name = "acme/sounds"
version = "0.1.0"
release = 1
license = "MIT"
description = "Every stage of sounds"

[models]
pitch = { file = "pitch.onnx" }
bands = { file = "bands.onnx" }

[input]
sound = { rate = 8000 }

[[step]]
name = "note"
model = "pitch"
pre = [{ frames = { size = 64, hop = 500 } }, { standardize = {} }]
post = [{ pitch = { first_cents = 2000, step_cents = 20, min_confidence = 0.5 } }]

[[step]]
name = "kind"
model = "bands"
pre = [{ frames = { size = 64, hop = 500 } }, { log_mel = { window = 32, hop = 32, fft = 32, bands = 3, low = 100, high = 4000, offset = 0.01, bands_first = true } }]
post = [{ top_k = { k = 2, labels = "three.txt" } }]
"#;

/// The mean of the channels: `[1, 1, 8, 8]`.
fn map() -> Vec<u8> {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 8, 8]);
    let y = net.node("ReduceMean", &[&x], vec![ints("axes", [1])]);
    encoded(net, &[(&y, "map")])
}

/// The input, as a picture of 2 x 2.
fn shrunk(net: &mut Builder) -> String {
    let x = net.input("x", &[1, 3, 8, 8]);
    net.pool("AveragePool", &x, [4, 4], [4, 4], [0; 4])
}

/// Twelve rows of a box, its objectness, and scores of two labels.
fn rows() -> Vec<u8> {
    let mut net = Builder::new(13);
    let y = shrunk(&mut net);
    let y = net.concat(&[y.as_str(); 7], 1);
    let y = net.reshape(&y, &[1, 12, 7]);
    encoded(net, &[(&y, "rows")])
}

/// Four anchors: boxes and scores.
fn faces() -> Vec<u8> {
    let mut net = Builder::new(13);
    let y = shrunk(&mut net);
    let y = net.node("ReduceMean", &[&y], vec![ints("axes", [1])]);
    let scores = net.reshape(&y, &[1, 4, 1]);
    let y = net.concat(&[y.as_str(); 4], 1);
    let y = net.reshape(&y, &[1, 4, 4]);
    encoded(net, &[(&y, "boxes"), (&scores, "scores")])
}

/// Three classes, quantized.
fn class() -> Vec<u8> {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 8, 8]);
    let x = net.qdq(&x, Quantization::u8(0.02, 100));
    let y = net.node("GlobalAveragePool", &[&x], vec![]);
    let y = net.qdq(&y, Quantization::u8(0.005, 0));
    let y = net.node("Flatten", &[&y], vec![int("axis", 1)]);
    encoded(net, &[(&y, "classes")])
}

/// Four columns of three symbols.
fn text() -> Vec<u8> {
    let mut net = Builder::new(13);
    let y = shrunk(&mut net);
    let y = net.reshape(&y, &[1, 4, 3]);
    encoded(net, &[(&y, "symbols")])
}

/// 64 bins of a frame.
fn pitch() -> Vec<u8> {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 64]);
    let y = net.unary("Sigmoid", &x);
    encoded(net, &[(&y, "bins")])
}

/// Three bands of two windows, to three classes.
fn bands() -> Vec<u8> {
    let mut net = Builder::new(13);
    let x = net.input("x", &[1, 3, 2]);
    let y = net.node("ReduceMax", &[&x], vec![ints("axes", [2]), int("keepdims", 0)]);
    encoded(net, &[(&y, "classes")])
}

fn encoded(mut net: Builder, outputs: &[(&str, &str)]) -> Vec<u8> {
    for (made, name) in outputs {
        let name = net.rename(made, name);
        net.output(&name);
    }
    net.encode()
}
