"""PP-OCR: text regions, text lines to symbols, whether a line is upside down. ONNX files in the package, static here."""

import numpy as np
import onnx
from onnx import version_converter
from PIL import Image, ImageDraw, ImageFont

import pictures
from quantize import simplify

FOLDER = "rapidocr_onnxruntime/models/"
DETECT = FOLDER + "ch_PP-OCRv4_det_infer.onnx", [1, 3, 480, 640]
READ = FOLDER + "ch_PP-OCRv4_rec_infer.onnx", [1, 3, 48, 320]
TURN = FOLDER + "ch_ppocr_mobile_v2.0_cls_infer.onnx", [1, 3, 48, 192]
WORDS = ["Total 42.50 EUR", "Invoice 2024", "serial no. AX-7731", "OpenCL kernel", "Hello World", "21.5 degrees",
         "EXIT", "platform 9", "best before 07/26", "pressure"]


def original(packages, which):
    """As the package has it: dynamic shapes, shape arithmetic, HardSwish spelled out."""
    return onnx.load_from_string(packages.read("rapidocr", which[0]))


def static(packages, which):
    """One input shape, opset 13 at least (per-channel Q/DQ needs it), constants folded."""
    model, shape = original(packages, which), which[1]
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in weights]:
        model.graph.input.remove(value)  # old exporters list weights as inputs
    if model.opset_import[0].version < 13:
        model = version_converter.convert_version(model, 13)
    for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape):
        dimension.dim_value = size
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return simplify(model)


def _scale(pixels):
    """BGR, p / 127.5 - 1"""
    return pixels[..., ::-1] / 127.5 - 1


def photographs(packages, names):
    """Whole pictures. Two of them show text."""
    return [_batch(page) for page in _whole(packages, names)]


def pages(packages, names):
    """Rendered lines over whole pictures."""
    height = DETECT[1][2]
    batches = []
    for number, page in enumerate(_whole(packages, names)):
        for row in range(0, height, 80):
            _write(page, 16, row + 12, WORDS[(number + row // 80) % len(WORDS)], 24 + row // 40)
        batches.append(_batch(page))
    return batches


def lines(packages, names, which):
    """Rendered words over three strips of each picture; every second one cut out around small letters and enlarged, as a line
    of text in a picture is."""
    height, width = which[1][2:]
    batches = []
    for picture in pictures.load(packages, names):
        picture = picture.resize((320, 320), Image.Resampling.BILINEAR)
        for top in (0, 136, 272):
            text = WORDS[len(batches) % len(WORDS)]
            if len(batches) % 2:
                line = _enlarged(picture, top, text, (9, 14, 22)[len(batches) // 2 % 3], which)
            else:
                strip = picture.crop((0, top, 320, top + 48))
                _write(strip, 6, 6, text, 18 + len(batches) % 14)
                line = strip.resize((width, height), Image.Resampling.BILINEAR)
            batches.append(_batch(line))
    return batches


def _enlarged(picture, top, text, size, which):
    """A line of that height in pixels, brought to the network's; what is right of it is grey."""
    height, width = which[1][2:]
    right, bottom = ImageFont.load_default(size=size).getbbox(text)[2:]
    strip = picture.crop((0, top, int(right) + 6, top + int(bottom) + 5))
    _write(strip, 3, 2, text, size)
    line = Image.new("RGB", (width, height), (127, 127, 127))
    line.paste(strip.resize((min(width, round(strip.width * height / strip.height)), height), Image.Resampling.BILINEAR))
    return line


def _whole(packages, names):
    height, width = DETECT[1][2:]
    for picture in pictures.load(packages, names):
        yield picture.resize((width, height), Image.Resampling.BILINEAR)


def _write(picture, x, y, text, size):
    dark = np.asarray(picture.convert("L")).mean() < 128
    ink = (255, 255, 255) if dark else (0, 0, 0)
    ImageDraw.Draw(picture).text((x, y), text, fill=ink, font=ImageFont.load_default(size=size))


def _batch(picture):
    return pictures.nchw([_scale(np.asarray(picture).astype(np.float32))[None]])[0]
