"""Expected values for the tests of sdk/pipeline, made by Pillow (an implementation of its own).

    pip install pillow==13.0.0
    python sdk/testkit/python/resize_expected.py        # from the repository root

Writes sdk/pipeline/tests/data/: resize.txt (one resize a line: picture, size, mode, target size, CRC-32 of
Pillow's RGB bytes when it resizes across and then down in two calls, and when it does both in one call, where it
chooses the order itself) and pictures/ (small files of every format that is read, each with Pillow's pixels as a PNG).
"""

import random
import zlib
from pathlib import Path

from PIL import Image

DATA = Path("sdk/pipeline/tests/data")
SAMPLES = Path("sdk/pipeline/tests/data/photos")
MODES = {"bilinear": Image.Resampling.BILINEAR, "area": Image.Resampling.BOX, "nearest": Image.Resampling.NEAREST}
TARGETS = [(224, 224), (1, 1), (320, 200), (97, 301), (640, 480), (33, 7), (512, 13)]


def noise(width, height):
    """The same bytes as `noise` in tests/resize.rs: a 32-bit linear congruential generator, top byte."""
    state, out = width * 65536 + height, bytearray()
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append(state >> 24)
    return Image.frombytes("RGB", (width, height), bytes(out))


def crop(image, width, height):
    """The centre crop of `fit = "crop"`, as docs/pipeline.md states it."""
    sw, sh = image.size
    if sw * height >= width * sh:
        cw, ch = (2 * sh * width + height) // (2 * height), sh
    else:
        cw, ch = sw, (2 * sw * height + width) // (2 * width)
    x, y = (sw - cw) // 2, (sh - ch) // 2
    return image.crop((x, y, x + cw, y + ch))


def resizes():
    def line(name, image, mode, target):
        across = image.resize((target[0], image.height), MODES[mode])
        passes = zlib.crc32(across.resize(target, MODES[mode]).tobytes())
        call = zlib.crc32(image.resize(target, MODES[mode]).tobytes())
        return f"{name} {image.width} {image.height} {mode} {target[0]} {target[1]} {passes:08x} {call:08x}"

    for path in sorted(SAMPLES.glob("*.png")):
        image = Image.open(path).convert("RGB")
        for mode in MODES:
            for target in TARGETS:
                yield line(path.name, image, mode, target)
        yield line(f"crop:{path.name}", crop(image, 224, 224), "bilinear", (224, 224))
    rng = random.Random(2)
    sizes = [(1, 1), (1, 90), (90, 1), (2, 3), (299, 2)] + [(rng.randint(1, 120), rng.randint(1, 120)) for _ in range(60)]
    for size in sizes:
        image = noise(*size)
        for mode in MODES:
            for target in [(rng.randint(1, 150), rng.randint(1, 150)) for _ in range(4)]:
                yield line("noise", image, mode, target)


def pictures():
    """name -> (image, save arguments); pixels a little smoother than noise, so that lossy formats keep them."""
    rgb = noise(5, 4).resize((45, 30), Image.Resampling.BICUBIC)
    alpha = rgb.copy()
    alpha.putalpha(noise(45, 30).convert("L"))
    deep = Image.new("I;16", (45, 30))
    deep.putdata([(x * 1451 + y * 977) % 65536 for y in range(30) for x in range(45)])
    return {
        "baseline.jpg": (rgb, dict(quality=90)),
        "progressive.jpg": (rgb, dict(quality=90, progressive=True)),
        "full_chroma.jpg": (rgb, dict(quality=90, subsampling=0)),
        "gray.jpg": (rgb.convert("L"), dict(quality=90)),
        "cmyk.jpg": (rgb.convert("CMYK"), dict(quality=95)),
        "restart.jpg": (rgb, dict(quality=90, restart_marker_blocks=1)),
        "rgb.png": (rgb, {}),
        "rgba.png": (alpha, {}),
        "gray.png": (rgb.convert("L"), {}),
        "gray_alpha.png": (alpha.convert("LA"), {}),
        "bilevel.png": (rgb.convert("1"), {}),
        "palette.png": (rgb.quantize(64), {}),
        "sixteen.png": (deep, {}),
        "animated.png": (rgb, dict(save_all=True, append_images=[noise(45, 30)], duration=100)),
        "rgb.bmp": (rgb, {}),
        "palette.bmp": (rgb.quantize(64), {}),
        "gray.bmp": (rgb.convert("L"), {}),
        "lossless.webp": (rgb, dict(lossless=True)),
        "lossless_alpha.webp": (alpha, dict(lossless=True, exact=True)),
        "lossy.webp": (rgb, dict(quality=90)),
        "animated.webp": (rgb, dict(save_all=True, append_images=[noise(45, 30)], duration=100, lossless=True)),
    }


def main():
    (DATA / "pictures").mkdir(parents=True, exist_ok=True)
    (DATA / "resize.txt").write_text("\n".join(resizes()) + "\n")
    for name, (image, options) in pictures().items():
        path = DATA / "pictures" / name
        image.save(path, **options)
        decoded = Image.open(path)
        if decoded.mode == "I;16":  # Pillow would clip these; round(v / 257) is what docs/pipeline.md says
            decoded = Image.frombytes("L", decoded.size, bytes((v + 128) // 257 for v in decoded.getdata()))
        decoded.convert("RGB").save(DATA / "pictures" / f"{name}.expected.png", optimize=True)


if __name__ == "__main__":
    main()
