"""Selfie segmentation and BlazeFace: TensorFlow Lite files with f16 weights, read without TensorFlow, written as NCHW."""

import numpy as np
import tflite
from tflite import BuiltinOperator, Padding, TensorType

import pictures
from graph import Graph, same_pads

SELFIE = "selfie-segmentation", "package/selfie_segmentation.tflite"
FACE = "mediapipe", "mediapipe/modules/face_detection/face_detection_short_range.tflite"
DTYPES = {TensorType.FLOAT32: "<f4", TensorType.FLOAT16: "<f2", TensorType.INT32: "<i4"}


def selfie(packages):
    return _Converter("selfie-segmentation", packages.read(*SELFIE)).convert("image", ["mask"])


def blazeface(packages):
    return _Converter("blazeface-short", packages.read(*FACE)).convert("image", ["boxes", "scores"])


def selfie_inputs(packages, names):
    """NHWC RGB, p / 255"""
    return pictures.samples(packages, names, 256, 256, lambda p: p / 255, 1)


def face_inputs(packages, names):
    """NHWC RGB, p / 127.5 - 1"""
    return pictures.samples(packages, names, 128, 128, lambda p: p / 127.5 - 1, 2)


class _Converter:
    """One subgraph, operator by operator. Between the ends NHWC values are NCHW; only a reshape needs the order back."""

    def __init__(self, name, data):
        self.model = tflite.Model.GetRootAs(data, 0)
        self.source = self.model.Subgraphs(0)
        self.graph = Graph(name)
        self.values = {}  # tensor index -> name in the graph
        self.constants = {}  # tensor index -> array

    def convert(self, entry, exits):
        image, outputs = self.source.InputsAsNumpy()[0], self.source.OutputsAsNumpy()
        self.graph.input(entry, self.shape(image))
        self.values[image] = self.graph.node("Transpose", [entry], perm=[0, 3, 1, 2])
        for number in range(self.source.OperatorsLength()):
            self.operator(self.source.Operators(number))
        for name, index in zip(exits, outputs, strict=True):
            shape = self.shape(index)
            if len(shape) == 4:
                self.graph.node("Transpose", [self.values[index]], name, perm=[0, 2, 3, 1])
            else:
                self.graph.node("Identity", [self.values[index]], name)
            self.graph.output(name, shape)
        return self.graph.model()

    def shape(self, index):
        return self.source.Tensors(index).ShapeAsNumpy().tolist()

    def constant(self, index):
        """A weight; those stored as f16 went through DEQUANTIZE before."""
        if index not in self.constants:
            tensor = self.source.Tensors(index)
            data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
            self.constants[index] = np.frombuffer(data.tobytes(), DTYPES[tensor.Type()]).reshape(self.shape(index))
        return self.constants[index]

    def operator(self, operator):
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        inputs, output = operator.InputsAsNumpy().tolist(), operator.Outputs(0)
        if kind == BuiltinOperator.DEQUANTIZE:
            self.constants[output] = self.constant(inputs[0]).astype(np.float32)
            return
        if kind in UNARY:
            self.values[output] = self.graph.node(UNARY[kind], [self.values[inputs[0]]])
        elif kind in BINARY:
            self.values[output] = self.graph.node(BINARY[kind], [self.values[index] for index in inputs])
        elif kind in OPERATORS:
            self.values[output] = OPERATORS[kind](self, operator, inputs, output)
        elif kind == BuiltinOperator.CUSTOM and code.CustomCode() == b"Convolution2DTransposeBias":
            self.values[output] = self.transposed_conv(inputs)
        else:
            raise ValueError(f"operator {kind} ({code.CustomCode()}) has no conversion here")

    def options(self, operator, table):
        options = table()
        found = operator.BuiltinOptions()
        options.Init(found.Bytes, found.Pos)
        fused = getattr(options, "FusedActivationFunction", lambda: 0)()
        if fused:
            raise ValueError(f"fused activation {fused}: these two files have none")
        return options

    def pads(self, options, source, kernel):
        """[top, left, bottom, right]"""
        if options.Padding() == Padding.VALID:
            return [0, 0, 0, 0]
        strides = options.StrideH(), options.StrideW()
        (top, bottom), (left, right) = (same_pads(*each) for each in zip(self.shape(source)[1:3], kernel, strides))
        return [top, left, bottom, right]

    def conv(self, operator, inputs, _output):
        weights = self.constant(inputs[1]).transpose(0, 3, 1, 2)  # from OHWI
        options = self.options(operator, tflite.Conv2DOptions)
        pads = self.pads(options, inputs[0], weights.shape[2:])
        strides = [options.StrideH(), options.StrideW()]
        return self.graph.conv(self.values[inputs[0]], weights, self.constant(inputs[2]), strides, pads)

    def depthwise(self, operator, inputs, _output):
        weights = self.constant(inputs[1]).transpose(3, 0, 1, 2)  # from 1HWC
        options = self.options(operator, tflite.DepthwiseConv2DOptions)
        pads = self.pads(options, inputs[0], weights.shape[2:])
        strides = [options.StrideH(), options.StrideW()]
        return self.graph.conv(self.values[inputs[0]], weights, self.constant(inputs[2]), strides, pads,
                               weights.shape[0])

    def transposed_conv(self, inputs):
        """MediaPipe's own: kernel 2 x 2, stride 2, with bias."""
        weights = self.constant(inputs[1]).transpose(3, 0, 1, 2)  # from OHWI to IOHW
        names = [self.graph.weight("upsample.weight", weights),
                 self.graph.weight("upsample.bias", self.constant(inputs[2]))]
        return self.graph.node("ConvTranspose", [self.values[inputs[0]], *names], kernel_shape=[2, 2], strides=[2, 2])

    def max_pool(self, operator, inputs, _output):
        return self.pool("MaxPool", operator, inputs)

    def average_pool(self, operator, inputs, _output):
        return self.pool("AveragePool", operator, inputs)

    def pool(self, operation, operator, inputs):
        options = self.options(operator, tflite.Pool2DOptions)
        kernel = [options.FilterHeight(), options.FilterWidth()]
        return self.graph.node(operation, [self.values[inputs[0]]], kernel_shape=kernel,
                               strides=[options.StrideH(), options.StrideW()],
                               pads=self.pads(options, inputs[0], kernel))

    def resize(self, operator, inputs, output):
        options = self.options(operator, tflite.ResizeBilinearOptions)
        mode = "half_pixel" if options.HalfPixelCenters() else "asymmetric"
        mode = "align_corners" if options.AlignCorners() else mode
        (_, height, width, _), (_, old_height, old_width, _) = self.shape(output), self.shape(inputs[0])
        scales = np.float32([1, 1, height / old_height, width / old_width])
        return self.graph.node("Resize", [self.values[inputs[0]], "", self.graph.weight(f"scales_{output}", scales)],
                               mode="linear", coordinate_transformation_mode=mode)

    def pad(self, _operator, inputs, _output):
        before, after = self.constant(inputs[1])[[0, 3, 1, 2]].T
        pads = self.graph.weight(f"pads_{inputs[1]}", np.concatenate([before, after]).astype(np.int64))
        return self.graph.node("Pad", [self.values[inputs[0]], pads])

    def reshape(self, _operator, inputs, output):
        ordered = self.graph.node("Transpose", [self.values[inputs[0]]], perm=[0, 2, 3, 1])
        return self.graph.node("Reshape", [ordered, self.graph.weight(f"shape_{output}", np.int64(self.shape(output)))])

    def concat(self, operator, inputs, _output):
        axis = self.options(operator, tflite.ConcatenationOptions).Axis()
        if len(self.shape(inputs[0])) == 4:
            axis = [0, 2, 3, 1][axis]
        return self.graph.node("Concat", [self.values[index] for index in inputs], axis=axis)


UNARY = {BuiltinOperator.RELU: "Relu", BuiltinOperator.LOGISTIC: "Sigmoid", BuiltinOperator.HARD_SWISH: "HardSwish"}
BINARY = {BuiltinOperator.ADD: "Add", BuiltinOperator.MUL: "Mul"}
OPERATORS = {
    BuiltinOperator.CONV_2D: _Converter.conv,
    BuiltinOperator.DEPTHWISE_CONV_2D: _Converter.depthwise,
    BuiltinOperator.MAX_POOL_2D: _Converter.max_pool,
    BuiltinOperator.AVERAGE_POOL_2D: _Converter.average_pool,
    BuiltinOperator.RESIZE_BILINEAR: _Converter.resize,
    BuiltinOperator.PAD: _Converter.pad,
    BuiltinOperator.RESHAPE: _Converter.reshape,
    BuiltinOperator.CONCATENATION: _Converter.concat,
}
