"""examples/apps/cutout/samples/astronaut-mask.png: ONNX Runtime's mask of the app's sample, from the app's own int8 network.

Needs `cargo xtask models selfie-segmentation` first. Run from the repository's root, in an environment with numpy 2.4.6,
onnxruntime 1.31.1 and pillow 13.0.0. The sample has the network's size, so nothing is resized.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

APP = "examples/apps/cutout/samples/"
models = sys.argv[1] if len(sys.argv) > 1 else "target/models"
session = onnxruntime.InferenceSession(f"{models}/selfie-segmentation/qdq-u8s8.onnx", providers=["CPUExecutionProvider"])
picture = np.asarray(Image.open(APP + "astronaut.png").convert("RGB")).astype(np.float32) / 255
(mask,) = session.run(None, {session.get_inputs()[0].name: picture[None]})
above = (mask.reshape(256, 256) > 0.5).astype(np.uint8) * 255
Image.fromarray(above, "L").save(APP + "astronaut-mask.png", optimize=True)
print(f"{(above == 255).mean():.4f} of the picture")
