"""What ONNX Runtime computes on a model's int8 forms; sdk/testkit/tests/models.rs compares with it.

    python oracle.py MODEL_FOLDER OUT

For each int8 form and the model's first evaluation input, OUT/FORM gets output-K.npy (the outputs, default options), and
tensors.json with tensors.bin: every 8-bit tensor of the network as ONNX Runtime optimizes it, by name, one after the
other. Fusion happens only while it optimizes, so the optimized network is written out, its 8-bit tensors are made
outputs, and that is run as it stands. FORM/made.json says which ONNX Runtime this was, and how many products (Conv, Gemm,
MatMul) it left in f32; OUT/cpu.json whether this CPU multiplies u8 by s8 without saturating.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

CPU = ["CPUExecutionProvider"]
# Without one of these ONNX Runtime adds pairs of u8 x s8 products in saturating 16 bits.
EXACT = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8")
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul")
EIGHT_BITS = (np.uint8, np.int8)


def options(level):
    found = ort.SessionOptions()
    found.log_severity_level = 3
    found.graph_optimization_level = level
    # Without this, ONNX Runtime leaves many of the operators with s8 activations in f32 on x86.
    found.add_session_config_entry("session.qdqisint8allowed", "1")
    return found


def optimized(path):
    """The network as ONNX Runtime runs it, before it changes layouts."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "optimized.onnx")
        extended = options(ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
        extended.optimized_model_filepath = out
        ort.InferenceSession(str(path), extended, providers=CPU)
        return onnx.load(out)


def makes_8_bits(node):
    return node.op_type in ("QuantizeLinear", "QGemm") or node.op_type.startswith("QLinear")


def observe(model, feeds):
    """Every 8-bit tensor, by name, in the order of execution."""
    outputs = {port.name for port in model.graph.output}
    names = [node.output[0] for node in model.graph.node if makes_8_bits(node) and node.output[0] not in outputs]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(
        model.SerializeToString(), options(ort.GraphOptimizationLevel.ORT_DISABLE_ALL), providers=CPU)
    found = zip(names, session.run(names, feeds)) if names else []
    return [(name, np.ascontiguousarray(value)) for name, value in found if value.dtype in EIGHT_BITS]


def write(path, image, out):
    out.mkdir(parents=True)
    session = ort.InferenceSession(
        str(path), options(ort.GraphOptimizationLevel.ORT_ENABLE_ALL), providers=CPU)
    feeds = {session.get_inputs()[0].name: image}
    for number, output in enumerate(session.run(None, feeds)):
        np.save(out / f"output-{number}.npy", np.ascontiguousarray(output))
    model = optimized(path)
    floats = sum(node.op_type in PRODUCTS for node in model.graph.node)
    (out / "made.json").write_text(json.dumps({"made_by": f"ONNX Runtime {ort.__version__}", "floats": floats}))
    tensors = observe(model, feeds)
    with (out / "tensors.bin").open("wb") as file:
        for _, value in tensors:
            file.write(value.tobytes())
    listed = [{"name": name, "signed": value.dtype == np.int8, "elements": value.size} for name, value in tensors]
    (out / "tensors.json").write_text(json.dumps(listed))


def multiplies_exactly():
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return any(flag in flags for flag in EXACT)


def main():
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    (out / "cpu.json").write_text(json.dumps({"exact": multiplies_exactly()}))
    for path in sorted(folder.glob("*8*8*.onnx")):
        write(path, np.load(folder / "evaluation/0000.npy"), out / path.stem)


main()
