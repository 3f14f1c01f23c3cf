"""Photographs inside two wheels: some to calibrate with, others to look at the result with. Never both."""

import io

import numpy as np
from PIL import Image

CALIBRATION = ["rocket.jpg", "motorcycle_left.png", "motorcycle_right.png", "hubble_deep_field.jpg", "ihc.png",
               "retina.jpg", "camera.png", "coins.png", "page.png", "text.png", "brick.png", "grass.png",
               "gravel.png", "clock_motion.png", "moon.png", "china.jpg"]
EVALUATION = ["astronaut.png", "chelsea.png", "coffee.png", "flower.jpg"]
FROM_SCIKIT_LEARN = {"china.jpg", "flower.jpg"}


def load(packages, names):
    """RGB pictures, in the order of the names."""
    for name in names:
        if name in FROM_SCIKIT_LEARN:
            data = packages.read("scikit-learn", f"sklearn/datasets/images/{name}")
        else:
            data = packages.read("scikit-image", f"skimage/data/{name}")
        yield Image.open(io.BytesIO(data)).convert("RGB")


def crops(picture, count, rng):
    """The central square, then random squares of 40 to 100 % of it."""
    full = min(picture.size)
    yield _square(picture, full, (picture.width - full) // 2, (picture.height - full) // 2)
    for _ in range(count):
        side = int(full * rng.uniform(0.4, 1))
        yield _square(picture, side, rng.integers(0, picture.width - side + 1),
                      rng.integers(0, picture.height - side + 1))


def _square(picture, side, x, y):
    return picture.crop((int(x), int(y), int(x) + side, int(y) + side))


def pixels(picture, width, height):
    """float32 [height, width, 3], 0 to 255, bilinear."""
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).astype(np.float32)


def samples(packages, names, width, height, scale, crops_each):
    """Batches of one, NHWC, of pictures brought to a size; `scale` maps pixels to what the model wants."""
    rng = np.random.default_rng(0)
    return [scale(pixels(crop, width, height))[None].astype(np.float32)
            for picture in load(packages, names) for crop in crops(picture, crops_each, rng)]


def nchw(batches):
    return [np.ascontiguousarray(batch.transpose(0, 3, 1, 2)) for batch in batches]
