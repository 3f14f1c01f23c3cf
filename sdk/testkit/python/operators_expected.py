"""What ONNX Runtime computes for one quantized operator at a time; the expected files of sdk/model/tests/operators.rs.

    cargo xtask expected              # or, with the versions pinned there:
    python sdk/testkit/python/operators_expected.py      # from the repository root

Writes sdk/testkit/data/operators/: a small QDQ model a case, its final bytes in CASE.bin, and cases.json (the inputs'
shapes, types and seeds; their elements are splitmix.py's). Runs with ONNX Runtime's default options.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import splitmix

OUT = Path("sdk/testkit/data/operators")
TYPES = {"u8": (np.uint8, TensorProto.UINT8), "i8": (np.int8, TensorProto.INT8)}
CASES = {}


class Net:
    """A QDQ model under construction; names count up."""

    def __init__(self):
        self.nodes, self.constants, self.inputs, self.seeds, self.made = [], [], [], [], 0

    def name(self, stem):
        self.made += 1
        return f"{stem}{self.made}"

    def constant(self, array):
        name = self.name("c")
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind, *inputs, **attributes):
        name = self.name(kind.lower())
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name + ".node", **attributes))
        return name

    def input(self, shape, scale, zero, kind="u8"):
        name = self.name("x")
        dtype, code = TYPES[kind]
        self.inputs.append(helper.make_tensor_value_info(name, code, shape))
        self.seeds.append({"name": name, "shape": shape, "dtype": kind, "seed": len(CASES) * 16 + len(self.seeds)})
        return self.op("DequantizeLinear", name, self.constant(np.float32(scale)), self.constant(dtype(zero)))

    def weights(self, shape, scales, seed):
        draws = splitmix.bits(seed, int(np.prod(shape)))
        ints = (draws % np.uint64(255)).astype(np.int64) - 127
        ints = ints.astype(np.int8).reshape(shape)
        zeros = np.zeros(len(scales), np.int8)
        return self.op("DequantizeLinear", self.constant(ints), self.constant(np.float32(scales)),
                       self.constant(zeros), axis=0)

    def bias(self, n, x_scale, scales, seed):
        ints = (splitmix.bits(seed, n) % np.uint64(20001)).astype(np.int64) - 10000
        units = np.float32(x_scale) * np.float32(scales)
        return self.op("DequantizeLinear", self.constant(ints.astype(np.int32)), self.constant(units),
                       self.constant(np.zeros(n, np.int32)), axis=0)

    def end(self, case, value, scale, zero, kind="u8"):
        dtype, code = TYPES[kind]
        y = self.op("QuantizeLinear", value, self.constant(np.float32(scale)), self.constant(dtype(zero)))
        graph = helper.make_graph(self.nodes, case, self.inputs,
                                  [helper.make_tensor_value_info(y, code, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
                                  producer_name="tilemark-testkit")
        CASES[case] = (model, self.seeds)


def scales(n, seed):
    return splitmix.floats(seed, n, 0.001, 0.02)


def convolutions():
    for case, shape, w, kind, zero, attributes in [
        ("conv_dense", [1, 16, 13, 13], [24, 16, 3, 3], "u8", 117, {"pads": [1, 1, 1, 1]}),
        ("conv_relu", [1, 16, 13, 13], [24, 16, 3, 3], "u8", 117, {"pads": [1, 1, 1, 1]}),
        ("conv_relu_offset", [1, 16, 13, 13], [24, 16, 3, 3], "u8", 117, {"pads": [1, 1, 1, 1]}),
        ("conv_pointwise", [1, 64, 11, 11], [32, 64, 1, 1], "u8", 3, {}),
        ("conv_depthwise", [1, 32, 15, 15], [32, 1, 3, 3], "u8", 128, {"group": 32, "strides": [2, 2], "pads": [0, 0, 1, 1]}),
        ("conv_grouped_dilated", [1, 12, 14, 14], [18, 4, 3, 3], "u8", 60, {"group": 3, "dilations": [2, 2], "pads": [2, 2, 2, 2]}),
        ("conv_signed", [1, 16, 13, 13], [24, 16, 3, 3], "i8", -11, {"pads": [1, 1, 1, 1]}),
        ("conv_depthwise_signed", [1, 32, 15, 15], [32, 1, 3, 3], "i8", 5, {"group": 32, "pads": [1, 1, 1, 1]}),
    ]:
        net = Net()
        x = net.input(shape, 0.02, zero, kind)
        s = scales(w[0], 50)
        args = [x, net.weights(w, s, 51), net.bias(w[0], 0.02, s, 52)]
        y = net.op("Conv", *args, kernel_shape=w[2:], **attributes)
        if "relu" in case:
            y = net.op("Relu", y)
        zero = 0 if case == "conv_relu" else 3 if kind == "u8" else -3
        net.end(case, y, 0.25 if w[1] > 1 else 0.05, zero, kind)
    net = Net()
    x = net.input([7, 90], 0.03, 77)
    s = scales(40, 60)
    y = net.op("Gemm", x, net.weights([40, 90], s, 61), net.bias(40, 0.03, s, 62), transB=1)
    net.end("gemm", y, 0.2, 121)


def dead_channels():
    """What quantizers write for a channel whose weights are all but zero: a bias next to the end of i32."""
    net = Net()
    x = net.input([1, 8, 9, 9], 0.0235, 0)
    ints = splitmix.bits(71, 6 * 8).astype(np.int64) % 3 - 1
    ints[::5] *= 100
    w = net.op("DequantizeLinear", net.constant(ints.astype(np.int8).reshape(6, 8, 1, 1)),
               net.constant(np.full(6, 1e-9, np.float32)), net.constant(np.zeros(6, np.int8)), axis=0)
    bias = np.array([-2**31, -2**31 + 215000, 2**31 - 1, -2**31 + 1, 2**31 - 200, 0], np.int32)
    b = net.op("DequantizeLinear", net.constant(bias), net.constant(np.full(6, np.float32(0.0235) * np.float32(1e-9))),
               net.constant(np.zeros(6, np.int32)), axis=0)
    net.end("conv_bias_wraps", net.op("Conv", x, w, b, kernel_shape=[1, 1]), 0.001, 128)


def pairs():
    for case, kind, a, b, y in [
        ("add", "Add", (0.021, 128), (0.034, 17), (0.05, 91)),
        ("add_ties", "Add", (0.5, 3), (0.25, 9), (1.0, 7)),
        ("mul", "Mul", (0.021, 128), (0.034, 17), (0.03, 91)),
        ("mul_ties", "Mul", (0.5, 3), (0.5, 9), (64.0, 7)),
    ]:
        net = Net()
        net.end(case, net.op(kind, net.input([8, 2048], *a), net.input([8, 2048], *b)), *y)
    net = Net()
    net.end("add_broadcast", net.op("Add", net.input([4, 8, 16, 16], 0.021, 128), net.input([8, 1, 1], 0.034, 17)), 0.05, 91)


def pools():
    window = {"kernel_shape": [3, 3], "strides": [2, 2]}
    for case, kind, attributes, y in [
        ("average_pool", "AveragePool", window, (0.02, 120)),
        ("average_pool_padded", "AveragePool", {**window, "pads": [1, 1, 1, 1]}, (0.017, 121)),
        ("average_pool_counting", "AveragePool", {**window, "pads": [1, 1, 1, 1], "count_include_pad": 1}, (0.017, 121)),
        ("max_pool", "MaxPool", {**window, "pads": [1, 1, 1, 1]}, (0.021, 128)),
        ("global_average_pool", "GlobalAveragePool", {}, (0.013, 33)),
        ("reduce_mean", "ReduceMean", {"axes": [2, 3], "keepdims": 0}, (0.013, 33)),
        ("reduce_mean_channels", "ReduceMean", {"axes": [1], "keepdims": 1}, (0.013, 33)),
    ]:
        net = Net()
        shape = [64, 32, 7, 7] if kind in ("GlobalAveragePool", "ReduceMean") else [2, 16, 25, 25]
        shape = [4, 10, 16, 16] if case == "reduce_mean_channels" else shape
        net.end(case, net.op(kind, net.input(shape, 0.021, 128), **attributes), *y)


def functions():
    for case, kind, attributes in [("relu", "Relu", {}), ("sigmoid", "Sigmoid", {}), ("tanh", "Tanh", {}),
                                   ("leaky_relu", "LeakyRelu", {"alpha": 0.1}), ("hard_sigmoid", "HardSigmoid", {}),
                                   ("hard_swish", "HardSwish", {})]:
        net = Net()
        opset = net.op(kind, net.input([4096], 0.047, 121), **attributes)
        net.end(case, opset, 0.0081 if "sigmoid" in case or case == "tanh" else 0.031, 101)
        if kind == "HardSwish":
            CASES[case][0].opset_import[0].version = 14
    net = Net()
    net.end("softmax", net.op("Softmax", net.input([64, 100], 0.05, 128), axis=-1), 1 / 256, 0)
    net = Net()
    net.end("concat", net.op("Concat", net.input([4, 300], 0.021, 128), net.input([4, 500], 0.034, 17), axis=1), 0.03, 77)
    net = Net()
    net.end("requantize", net.op("Transpose", net.input([64, 128], 0.021, 128), perm=[1, 0]), 0.03, 77)


def main():
    for group in (convolutions, dead_channels, pairs, pools, functions):
        group()
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    listed = []
    for case, (model, inputs) in CASES.items():
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feed = {}
        for entry in inputs:
            draws = (splitmix.bits(entry["seed"], int(np.prod(entry["shape"]))) >> np.uint64(56)).astype(np.uint8)
            feed[entry["name"]] = draws.view(TYPES[entry["dtype"]][0]).reshape(entry["shape"])
        result = session.run(None, feed)[0]
        (OUT / f"{case}.onnx").write_bytes(model.SerializeToString())
        (OUT / f"{case}.bin").write_bytes(np.ascontiguousarray(result).tobytes())
        listed.append({"case": case, "inputs": inputs})
        print(f"{case}: {result.size} elements, {len(np.unique(result))} values")
    report = {"made_by": f"onnxruntime {ort.__version__}", "cases": listed}
    (OUT / "cases.json").write_text(json.dumps(report, indent=1) + "\n")


main()
