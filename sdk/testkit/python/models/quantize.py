"""int8 forms of a float model, by onnxruntime.quantization; what a vendor's exporter would write."""

import contextlib
import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization as ort

from graph import finish, without_unused_domains

QDQ, OPERATOR = ort.QuantFormat.QDQ, ort.QuantFormat.QOperator
U8, S8 = ort.QuantType.QUInt8, ort.QuantType.QInt8

# form: (format, activations, symmetric activations). Weights are int8, symmetric, per output channel.
FORMS = {
    "qdq-u8s8": (QDQ, U8, False),
    "qdq-s8s8": (QDQ, S8, True),
    "qdq-s8s8-asymmetric": (QDQ, S8, False),
    "qop-u8s8": (OPERATOR, U8, False),
    "qop-s8s8": (OPERATOR, S8, True),
}
# ConvInteger, MatMulInteger: ranges found at run time. ONNX Runtime has ConvInteger for u8 weights only.
DYNAMIC = "dynamic-u8u8"
# QDQ around convolutions and matrix products only, and not around the first of them, with ranges that leave out one value in
# ten thousand: for networks that 8 bits hurt there.
MIXED = "mixed-s8s8-asymmetric"
PRODUCTS = ["Conv", "MatMul", "Gemm"]


class _Reader(ort.CalibrationDataReader):
    def __init__(self, name, batches):
        self.feeds = iter([{name: batch} for batch in batches])

    def get_next(self):
        return next(self.feeds, None)


@contextlib.contextmanager
def _quiet():
    """The quantizer advises its own preparation, which fails with this onnx; what is needed of it is in `simplify`."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def quantize(model, form, batches, operations=None, float_first=0, method=ort.CalibrationMethod.MinMax):
    """`operations`: the only operators to quantize; all that the quantizer knows if None."""
    kept, ranges = [], {}
    if form == MIXED:
        method, ranges = ort.CalibrationMethod.Percentile, {"CalibPercentile": 99.99}
        form, operations = form.replace("mixed", "qdq"), PRODUCTS
        kept = [node.name for node in model.graph.node if node.op_type in PRODUCTS][:float_first]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, made = Path(folder, "float.onnx"), Path(folder, "made.onnx")
        onnx.save(model, source)
        if form == DYNAMIC:
            ort.quantize_dynamic(source, made, weight_type=U8)
        else:
            layout, activations, symmetric = FORMS[form]
            ort.quantize_static(
                source, made, _Reader(model.graph.input[0].name, batches), quant_format=layout, per_channel=True,
                activation_type=activations, weight_type=S8, op_types_to_quantize=operations, nodes_to_exclude=kept,
                calibrate_method=method,
                extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True, **ranges})
        return without_unused_domains(onnx.load(made))


def simplify(model):
    """Constants folded, batch normalization folded, identities gone: standard operators only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "simple.onnx")
        options = _options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return finish(onnx.load(path))


def _options():
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options


def run(model, batches):
    """The outputs for each batch, through ONNX Runtime; this also shows that it loads the file."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), _options(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [session.run(None, {name: batch}) for batch in batches]


def likeness(wanted, found):
    """The worst output's mean cosine and signal-to-noise ratio in dB."""
    cosines, ratios = [], []
    for outputs in zip(*[zip(a, b) for a, b in zip(wanted, found)]):
        pairs = [(a.astype(np.float64).ravel(), b.astype(np.float64).ravel()) for a, b in outputs]
        cosines.append(np.mean([a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-30) for a, b in pairs]))
        ratios.append(np.mean([10 * np.log10((a @ a + 1e-30) / ((a - b) @ (a - b) + 1e-30)) for a, b in pairs]))
    return float(min(cosines)), float(min(ratios))
