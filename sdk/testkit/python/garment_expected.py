"""sdk/testkit/data/garment.txt: the class that ONNX Runtime gives each of the 10,000 test images of Fashion-MNIST, with the committed network
of examples/apps/garment; and the app's samples.

Needs `cargo xtask models garment` first. Run from the repository's root, in an environment with numpy 2.4.6, onnxruntime 1.31.1 and
pillow 13.0.0.
"""

import hashlib
import sys

import numpy as np
import onnxruntime
from PIL import Image

APP = "examples/apps/garment/"
NAMES = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
models = sys.argv[1] if len(sys.argv) > 1 else "target/models"
images = np.load(f"{models}/garment/test-images.npy")
labels = np.load(f"{models}/garment/test-labels.npy")
session = onnxruntime.InferenceSession(APP + "garment-int8.onnx", providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
classes = []
for image in images:
    x = ((image.astype(np.float32) / 255 - 0.2860) / 0.3530)[None, None]
    classes.append(int(session.run(None, {name: x})[0].argmax()))
right = int((np.array(classes) == labels).sum())
with open("sdk/testkit/data/garment.txt", "w") as file:
    digest = hashlib.sha256(open(APP + "garment-int8.onnx", "rb").read()).hexdigest()
    file.write(f"ONNX Runtime {onnxruntime.__version__}\n{digest}\n{right}\n{''.join(map(str, classes))}\n")
with open(APP + "labels.txt", "w") as file:
    file.write("\n".join(NAMES) + "\n")
for number in (0, 1, 3, 18):
    Image.fromarray(images[number], "L").save(f"{APP}samples/{NAMES[labels[number]].replace(' ', '-')}.png")
print(f"{right} of {len(labels)} right")
