"""Writes float ONNX graphs node by node."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 15  # the first with everything used here; per-channel Q/DQ needs 13, HardSwish 14


class Graph:
    """Nodes and weights so far. Values are named by their nodes; NCHW throughout."""

    def __init__(self, name):
        self.name = name
        self.nodes, self.weights, self.inputs, self.outputs = [], [], [], []

    def input(self, name, shape):
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name, shape):
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def weight(self, name, values):
        """A constant; the same name twice is the same constant."""
        if all(tensor.name != name for tensor in self.weights):
            self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, operation, inputs, output=None, **attributes):
        output = output or f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [output], name=output + ".node", **attributes))
        return output

    def conv(self, x, weights, bias, stride=1, pads=None, groups=1):
        """`weights` [out, in / groups, height, width]; `pads` defaults to half the kernel on every side."""
        kernel = list(weights.shape[2:])
        number = len(self.nodes)
        inputs = [x, self.weight(f"conv_{number}.weight", weights.astype(np.float32)),
                  self.weight(f"conv_{number}.bias", bias.astype(np.float32))]
        pads = [side // 2 for side in kernel] * 2 if pads is None else pads
        strides = [stride] * 2 if np.isscalar(stride) else list(stride)
        return self.node("Conv", inputs, f"conv_{number}", kernel_shape=kernel, strides=strides, pads=pads,
                         group=groups)

    def relu6(self, x):
        return self.node("Clip", [x, self.weight("zero", np.float32(0)), self.weight("six", np.float32(6))])

    def gemm(self, x, weights, bias, output):
        """`weights` [out, in]"""
        inputs = [x, self.weight(output + ".weight", weights), self.weight(output + ".bias", bias)]
        return self.node("Gemm", inputs, output, transB=1)

    def model(self):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.weights)
        return finish(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8))


def finish(model):
    """Shapes inferred, checked."""
    model = onnx.shape_inference.infer_shapes(without_unused_domains(model), data_prop=True)
    onnx.checker.check_model(model)
    return model


def without_unused_domains(model):
    """ONNX Runtime imports every domain it knows into what it writes."""
    used = {node.domain for node in model.graph.node} | {""}
    for entry in [entry for entry in model.opset_import if entry.domain not in used]:
        model.opset_import.remove(entry)
    return model


def same_pads(size, kernel, stride):
    """TensorFlow's SAME for one axis: (before, after), the odd one after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def fold_norm(weights, gamma, beta, mean, variance, epsilon):
    """Weights and bias of a convolution without bias followed by batch normalization."""
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    folded = weights.astype(np.float64) * scale.reshape(-1, *[1] * (weights.ndim - 1))
    return folded.astype(np.float32), (beta - mean * scale).astype(np.float32)
