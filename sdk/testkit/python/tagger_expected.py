"""What ONNX Runtime computes on the tagger, tensor by tensor; the expected files of sdk/model/tests/tagger.rs.

    cargo xtask expected              # or, with the versions pinned there:
    python sdk/testkit/python/tagger_expected.py         # from the repository root

Writes sdk/testkit/data/tagger/: expected.json (per case the SHA-256 of every 8-bit tensor in NCHW, in the order of
"tensors") and logits.bin (the final 1000 bytes of every case, one after the other).

ONNX Runtime fuses QDQ operators only while it optimizes, so the network is optimized first, every 8-bit tensor of
the optimized network is made an output, and that is run as it stands. The untouched model is run too, with default
options: its logits must be those of the last integer tensor, or this script fails.
"""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image

import splitmix

MODEL = Path("examples/apps/tagger/efficientnet-lite0-int8.onnx")
DATA = Path("sdk/testkit/data")
CPU = ["CPUExecutionProvider"]
RANDOM_CASES = 10
INTEGER_OPS = {"QuantizeLinear", "QLinearConv", "QLinearAdd", "QLinearGlobalAveragePool", "QGemm", "Flatten"}


def options(level):
    found = ort.SessionOptions()
    found.log_severity_level = 3
    found.graph_optimization_level = level
    return found


def observed_session():
    """The optimized network with every 8-bit tensor as an output, and their names in execution order."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "optimized.onnx")
        extended = options(ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
        extended.optimized_model_filepath = path
        ort.InferenceSession(str(MODEL), extended, providers=CPU)
        model = onnx.load(path)
    names = []
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            continue
        if node.op_type not in INTEGER_OPS or any(a.name == "channels_last" and a.i for a in node.attribute):
            raise SystemExit(f"ONNX Runtime left {node.op_type} `{node.name}`: not the integer network in NCHW")
        names.append(node.output[0])
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    as_is = options(ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    return ort.InferenceSession(model.SerializeToString(), as_is, providers=CPU), names


def cases():
    """Name and input; src/tagger.rs makes the same."""
    for path in sorted((DATA / "photos").glob("*.png")):
        pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
        yield path.stem, ((pixels - np.float32(127)) / np.float32(128)).transpose(2, 0, 1)[None]
    for seed in range(RANDOM_CASES):
        yield f"random{seed}", splitmix.floats(seed, 3 * 224 * 224, -1.5, 1.5).reshape(1, 3, 224, 224)


def main():
    observed, tensors = observed_session()
    untouched = ort.InferenceSession(str(MODEL), options(ort.GraphOptimizationLevel.ORT_ENABLE_ALL), providers=CPU)
    hashes, logits = {}, []
    for name, image in cases():
        image = np.ascontiguousarray(image)
        values = observed.run(tensors + ["logits"], {"image": image})
        default = untouched.run(["logits"], {"image": image})[0]
        if default.tobytes() != values[-1].tobytes():
            raise SystemExit(f"{name}: optimizing by hand and by default give different logits")
        if any(value.dtype not in (np.uint8, np.int8) for value in values[:-1]):
            raise SystemExit(f"{name}: an observed tensor is not 8-bit")
        hashes[name] = [hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() for value in values[:-1]]
        logits.append(values[-2].tobytes())
        print(name, len(tensors), "tensors, top class", int(values[-1].argmax()))
    report = {
        "made_by": f"onnxruntime {ort.__version__}",
        "model_sha256": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
        "tensors": tensors,
        "cases": hashes,
    }
    out = DATA / "tagger"
    out.mkdir(parents=True, exist_ok=True)
    (out / "expected.json").write_text(json.dumps(report, indent=1) + "\n")
    (out / "logits.bin").write_bytes(b"".join(logits))


main()
