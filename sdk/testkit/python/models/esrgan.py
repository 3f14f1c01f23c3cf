"""ESRGAN-slim, twice the size: a Keras description and its weights in a TensorFlow.js package."""

import json

import numpy as np

import pictures
from graph import Graph

FOLDER = "package/models/x2/"
SIDE = 128


def inputs(packages, names):
    """NHWC RGB, p / 255"""
    return pictures.samples(packages, names, SIDE, SIDE, lambda p: p / 255, 1)


def build(packages):
    description = json.loads(packages.read("esrgan-slim", FOLDER + "model.json"))
    weights = _weights(description, packages.read("esrgan-slim", FOLDER + "group1-shard1of1.bin"))
    graph = Graph("esrgan-slim-x2")
    graph.input("image", [1, SIDE, SIDE, 3])
    values = {}
    for layer in description["modelTopology"]["model_config"]["config"]["layers"]:
        name, inbound = layer["config"]["name"], layer["inbound_nodes"]
        sources = [values[source[0]] for source in inbound[0]] if inbound else []
        values[name] = _layer(graph, layer["class_name"], layer["config"], sources, weights)
    graph.node("Transpose", [values[name]], "upscaled", perm=[0, 2, 3, 1])
    graph.output("upscaled", [1, 2 * SIDE, 2 * SIDE, 3])
    return graph.model()


def _weights(description, data):
    """Name -> array; one file, in the order of the list."""
    arrays, at = {}, 0
    for entry in description["weightsManifest"][0]["weights"]:
        count = int(np.prod(entry["shape"]))
        arrays[entry["name"]] = np.frombuffer(data, "<f4", count, at).reshape(entry["shape"])
        at += 4 * count
    return arrays


def _layer(graph, kind, config, sources, weights):
    name = config["name"]
    match kind:
        case "InputLayer":
            return graph.node("Transpose", ["image"], name, perm=[0, 3, 1, 2])
        case "Conv2D":  # stride 1 and odd kernels throughout: SAME is half the kernel on every side
            return graph.conv(sources[0], weights[name + "/kernel"].transpose(3, 2, 0, 1), weights[name + "/bias"])
        case "Activation":
            return graph.node("Relu", sources, name)
        case "Concatenate":
            return graph.node("Concat", sources, name, axis=1)
        case "Add":
            return graph.node("Add", sources, name)
        case "UpSampling2D":
            scales = graph.weight("scales", np.float32([1, 1, 2, 2]))
            return graph.node("Resize", [sources[0], "", scales], name, mode="nearest", nearest_mode="floor",
                              coordinate_transformation_mode="asymmetric")
    raise ValueError(f"layer {name} is a {kind}: no conversion here")
