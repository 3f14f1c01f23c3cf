"""Makes sdk/testkit/data/photos: ten pictures, cut to their central square and resized to 224 x 224.

    pip install pillow==13.0.0 scikit-image==0.26.0 scikit-learn==1.9.1
    python sdk/testkit/python/tagger_photos.py           # from the repository root

Made once and committed: the photos are inputs of tests, so a newer resizer must not change them. Origins and licences
are in data/photos/NOTICE.
"""

from pathlib import Path

import skimage
import sklearn
from PIL import Image

OUT = Path("sdk/testkit/data/photos")
SKIMAGE = ["astronaut.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "gravel.png",
           "hubble_deep_field.jpg", "rocket.jpg"]
SKLEARN = ["china.jpg", "flower.jpg"]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    sources = [Path(skimage.__file__).parent / "data" / name for name in SKIMAGE]
    sources += [Path(sklearn.__file__).parent / "datasets" / "images" / name for name in SKLEARN]
    for source in sources:
        image = Image.open(source).convert("RGB")
        side = min(image.size)
        x, y = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((x, y, x + side, y + side)).resize((224, 224), Image.Resampling.BICUBIC)
        image.save(OUT / (source.stem + ".png"), optimize=True)


main()
