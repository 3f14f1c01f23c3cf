"""A garment classifier small enough to train here: Fashion-MNIST, ten classes, a depthwise-separable network.

Seeded, yet not the same bits on every machine: sums in f32 depend on the vector unit. What holds everywhere is the
accuracy.
"""

import gzip

import numpy as np

from fetch import Failed
from graph import Graph, fold_norm

FOLDER = "usr/share/datasets/fashion-mnist/"
SEED, EPOCHS, BATCH, RATE, DECAY = 1, 7, 128, 6e-3, 5e-3
STEM, BLOCKS = 24, ((48, 1), (96, 2), (96, 1), (128, 1))  # (channels, stride)
EPSILON = 1e-5
ENOUGH = 0.895  # accuracy on the 10,000 test images


def images(packages, part):
    """u8 [n, 28, 28] of "train" (60,000) or "t10k" (10,000)"""
    return _idx(packages, f"{part}-images-idx3-ubyte.gz")


def labels(packages, part):
    return _idx(packages, f"{part}-labels-idx1-ubyte.gz")


def _idx(packages, name):
    data = gzip.decompress(packages.read("fashion-mnist", FOLDER + name))
    shape = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def normal(pixels):
    """float32 [n, 28, 28, 1]: the training set's mean and deviation"""
    return ((pixels.astype(np.float32) / 255 - 0.2860) / 0.3530)[..., None]


def inputs(packages, part, count):
    """The first images, one batch each, NCHW"""
    return [image.transpose(2, 0, 1)[None] for image in normal(images(packages, part)[:count])]


def test_set(packages):
    return {"test-images": images(packages, "t10k"), "test-labels": labels(packages, "t10k")}


def build(packages):
    weights, state = _train(normal(images(packages, "train")), labels(packages, "train"))
    accuracy = _accuracy(weights, state, normal(images(packages, "t10k")), labels(packages, "t10k"))
    print(f"   accuracy on the 10,000 test images: {accuracy:.4f}", flush=True)
    if accuracy < ENOUGH:
        raise Failed(f"the training reached {accuracy:.4f}, expected {ENOUGH} or more")
    return _export(weights, state)


def _layers():
    """(name, kernel, stride, inputs, outputs, depthwise), first to last"""
    yield "stem", 3, 2, 1, STEM, False
    channels = STEM
    for number, (out, stride) in enumerate(BLOCKS):
        yield f"depthwise{number}", 3, stride, channels, channels, True
        yield f"pointwise{number}", 1, 1, channels, out, False
        channels = out


def _initial():
    """Weights ([kernel * kernel, in or 1, out]) and the norms' running mean and variance"""
    rng = np.random.default_rng(SEED)
    weights, state = {}, {}
    for name, kernel, _, inputs_, outputs, depthwise in _layers():
        fan = kernel * kernel * (1 if depthwise else inputs_)
        shape = (kernel * kernel, 1 if depthwise else inputs_, outputs)
        weights[name] = {"w": rng.normal(0, np.sqrt(2 / fan), shape).astype(np.float32),
                         "gamma": np.ones(outputs, np.float32), "beta": np.zeros(outputs, np.float32)}
        state[name] = {"mean": np.zeros(outputs, np.float32), "var": np.ones(outputs, np.float32)}
    last = BLOCKS[-1][0]
    weights["classes"] = {"w": rng.normal(0, last ** -0.5, (last, 10)).astype(np.float32),
                          "bias": np.zeros(10, np.float32)}
    return weights, state


def _forward(weights, state, x, training):
    """Logits of NHWC images, and the norms' new state. Convolutions as sums of shifted images: XLA fuses those."""
    import jax.numpy as jnp
    state, skip = dict(state), None
    for name, kernel, stride, inputs_, outputs, depthwise in _layers():
        w = weights[name]
        skip = x if depthwise else skip
        size = -(-x.shape[1] // stride)
        padded = jnp.pad(x, ((0, 0), (kernel // 2,) * 2, (kernel // 2,) * 2, (0, 0)))
        taps = [padded[:, i:i + stride * (size - 1) + 1:stride, j:j + stride * (size - 1) + 1:stride]
                for i in range(kernel) for j in range(kernel)]
        y = sum(tap * w["w"][k, 0] if depthwise else tap @ w["w"][k] for k, tap in enumerate(taps))
        mean, var = (y.mean((0, 1, 2)), y.var((0, 1, 2))) if training else (state[name]["mean"], state[name]["var"])
        if training:
            state[name] = {"mean": 0.9 * state[name]["mean"] + 0.1 * mean, "var": 0.9 * state[name]["var"] + 0.1 * var}
        x = jnp.clip((y - mean) * (w["gamma"] * (var + EPSILON) ** -0.5) + w["beta"], 0, 6)
        if kernel == 1 and skip.shape == x.shape:
            x = x + skip
    return x.mean((1, 2)) @ weights["classes"]["w"] + weights["classes"]["bias"], state


def _train(x, y):
    """AdamW, the rate up for a quarter of the steps and down along a cosine; flips and shifts by a pixel."""
    import jax
    import jax.numpy as jnp
    tree = jax.tree.map
    weights, state = _initial()
    zeros = tree(np.zeros_like, weights)
    steps = len(x) // BATCH

    def loss(weights, state, x, y):
        logits, state = _forward(weights, state, x, True)
        wanted = 0.98 * jax.nn.one_hot(y, 10) + 0.002
        return -(wanted * jax.nn.log_softmax(logits)).sum(1).mean(), state

    def step(carried, batch):
        weights, state, first, second, number = carried
        x, y = batch
        (value, state), slope = jax.value_and_grad(loss, has_aux=True)(weights, state, x, y)
        done = number / (EPOCHS * steps)
        rate = RATE * jnp.where(done < 0.25, 4 * done, (1 + jnp.cos(jnp.pi * (done - 0.25) / 0.75)) / 2)
        first = tree(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
        second = tree(lambda v, g: 0.999 * v + 0.001 * g * g, second, slope)
        unbiased = jnp.sqrt(1 - 0.999 ** (number + 1)) / (1 - 0.9 ** (number + 1))
        weights = tree(lambda w, m, v: w - rate * (unbiased * m / (jnp.sqrt(v) + 1e-8) + DECAY * w),
                       weights, first, second)
        return (weights, state, first, second, number + 1), value

    one_epoch = jax.jit(lambda carried, batches: jax.lax.scan(step, carried, batches))
    rng, carried = np.random.default_rng(SEED), (weights, state, zeros, zeros, np.float32(0))
    for epoch in range(EPOCHS):
        order = rng.permutation(len(x))[:steps * BATCH].reshape(steps, BATCH)
        batches = np.stack([_augmented(x[batch], rng) for batch in order])
        carried, losses = one_epoch(carried, (batches, y[order]))
        print(f"   epoch {epoch + 1} of {EPOCHS}: loss {losses.mean():.4f}", flush=True)
    weights, state, *_ = carried
    return tree(np.asarray, weights), tree(np.asarray, state)


def _augmented(batch, rng):
    """Half of the images mirrored, the batch shifted by up to a pixel."""
    mirrored = rng.random(len(batch)) < 0.5
    batch = np.where(mirrored[:, None, None, None], batch[:, :, ::-1], batch)
    down, right = rng.integers(0, 3, 2)
    return np.pad(batch, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")[:, down:down + 28, right:right + 28]


def _accuracy(weights, state, x, y):
    import jax
    logits = jax.jit(lambda x: _forward(weights, state, x, False)[0])
    found = np.concatenate([logits(x[i:i + 500]).argmax(1) for i in range(0, len(x), 500)])
    return float((found == y).mean())


def _export(weights, state):
    """The mean as ReduceMean, as exporters write it."""
    graph = Graph("garment")
    x, skip, skipped = graph.input("image", [1, 1, 28, 28]), None, None
    for name, kernel, stride, inputs_, outputs, depthwise in _layers():
        if depthwise:
            skip, skipped = x, (inputs_, stride)
        w = weights[name]["w"].transpose(2, 1, 0).reshape(outputs, -1, kernel, kernel)
        folded = fold_norm(w, weights[name]["gamma"], weights[name]["beta"], state[name]["mean"], state[name]["var"],
                           EPSILON)
        x = graph.relu6(graph.conv(x, *folded, stride, groups=inputs_ if depthwise else 1))
        if kernel == 1 and skipped == (outputs, 1):
            x = graph.node("Add", [x, skip])
    x = graph.node("ReduceMean", [x], axes=[2, 3], keepdims=0)
    graph.gemm(x, weights["classes"]["w"].T, weights["classes"]["bias"], "logits")
    graph.output("logits", [1, 10])
    return graph.model()
