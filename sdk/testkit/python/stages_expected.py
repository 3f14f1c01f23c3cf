"""Expected values for the stages of sdk/pipeline, from implementations of others.

    pip install numpy==2.4.6 pillow==13.0.0 scipy==1.17.1 opencv-python-headless==5.0.0.93 pyclipper==1.4.0 shapely==2.2.0
    python sdk/testkit/python/stages_expected.py [nms|regions|resample ...]        # from the repository root

Writes sdk/pipeline/tests/data/: nms.txt (1,000 random sets: seed, number of boxes, limit, what OpenCV's NMSBoxes keeps), regions.txt
(maps of rectangles and what RapidOCR's post-processing makes of them), resample.txt (sounds at other rates by
scipy.signal.resample_poly), orientation.txt (pictures with EXIF data: the file, and what Pillow's exif_transpose makes of it),
mel.txt, grid.txt, peaks.txt and image.txt (the stages `log_mel`, `grid`, `peaks` and `points`, and `image`, written again in numpy,
whose transform and exponential are its own). The tests make the same inputs by the same rule, `Random` below.
"""

import sys
from pathlib import Path

import numpy as np

DATA = Path("sdk/pipeline/tests/data")


class Random:
    """A 32-bit linear congruential generator, as in tests/stages.rs."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        """16 bits"""
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return self.state >> 16


def boxes(random, count):
    """f32 [count, 4] with sides of whole quarters, and f32 scores, some of them equal"""
    frames = np.empty((count, 4), np.float32)
    scores = np.empty(count, np.float32)
    for i in range(count):
        x, y, w, h, s = (random.next() for _ in range(5))
        left, top = x % 400 / 4, y % 400 / 4
        frames[i] = left, top, left + 1 + w % 160 / 4, top + 1 + h % 160 / 4
        scores[i] = (1 + s % 512) / 512  # OpenCV drops zeros
    return frames, scores


def nms():
    import cv2

    with open(DATA / "nms.txt", "w") as file:
        for seed in range(1000):
            random = Random(seed)
            # No limit that an overlap of boxes with such sides can have exactly: theirs is in f64.
            count, limit = 1 + random.next() % 60, (1 + random.next() % 9) / 10 + 0.0137
            frames, scores = boxes(random, count)
            # Equal scores stay in their order: OpenCV sorts stably, too.
            corner_and_size = np.concatenate([frames[:, :2], frames[:, 2:] - frames[:, :2]], axis=1)
            kept = cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), 0.0, limit)
            file.write(f"{seed} {' '.join(map(str, np.array(kept).tolist()))}\n")


def text_map(random, width=160, height=120):
    """f32 [height, width]: turned rectangles with soft edges"""
    import cv2

    grid = np.zeros((height, width), np.uint8)
    for _ in range(1 + random.next() % 5):
        x, y, w, h, a = (random.next() for _ in range(5))
        middle = 20 + x % (width - 40), 20 + y % (height - 40)
        corners = cv2.boxPoints((middle, (8 + w % 60, 4 + h % 14), a % 80 - 40))
        cv2.fillPoly(grid, [np.round(corners).astype(np.int32)], 180 + random.next() % 70)
    return grid


def regions():
    import cv2
    import pyclipper
    from shapely.geometry import Polygon

    def mini_box(contour):
        box = cv2.minAreaRect(contour)
        points = sorted(cv2.boxPoints(box).tolist(), key=lambda p: p[0])
        a, d = (0, 1) if points[1][1] > points[0][1] else (1, 0)
        b, c = (2, 3) if points[3][1] > points[2][1] else (3, 2)
        return np.array([points[a], points[b], points[c], points[d]]), min(box[1])

    with open(DATA / "regions.txt", "w") as file:
        for seed in range(100):
            grid = text_map(Random(seed))
            probability = grid.astype(np.float32) / 255
            bitmap = cv2.dilate((probability > 0.3).astype(np.uint8), np.ones((2, 2)))
            found = []
            for contour in cv2.findContours(bitmap * 255, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
                box, side = mini_box(contour)
                if side < 3:
                    continue
                polygon = Polygon(box)
                offset = pyclipper.PyclipperOffset()
                offset.AddPath(box, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
                grown = np.array(offset.Execute(polygon.area * 1.6 / polygon.length)).reshape(-1, 1, 2)
                box, side = mini_box(grown.astype(np.int32))
                if side >= 5:
                    found.append(box)
            runs = rle(grid.reshape(-1))
            boxes_text = ";".join(" ".join(f"{v:.2f}" for v in box.reshape(-1)) for box in found)
            file.write(f"{runs}|{boxes_text}\n")


def rle(values):
    ends = np.flatnonzero(np.diff(values)).tolist() + [len(values) - 1]
    starts = [0] + [e + 1 for e in ends[:-1]]
    return " ".join(f"{values[s]}x{e - s + 1}" for s, e in zip(starts, ends))


def resample():
    from scipy.signal import resample_poly

    with open(DATA / "resample.txt", "w") as file:
        for seed, (rate, to, count) in enumerate(
            [(44100, 16000, 2000), (48000, 16000, 2000), (16000, 48000, 700), (8000, 16000, 900), (22050, 16000, 1500), (11025, 16000, 3)]
        ):
            random = Random(seed)
            sound = np.array([random.next() / 32768 - 1 for _ in range(count)], np.float32)
            common = np.gcd(rate, to)
            made = resample_poly(sound.astype(np.float64), to // common, rate // common)
            step = max(1, len(made) // 200)
            file.write(f"{seed} {rate} {to} {count} {len(made)} {step} {' '.join(f'{v:.9g}' for v in made[::step])}\n")


def orientation():
    import io

    from PIL import Image, ImageOps

    y, x = np.mgrid[:5, :7]
    pixels = np.stack([30 * x + 10, 45 * y + 20, 12 * x + 24 * y], axis=2).astype(np.uint8)
    kinds = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}
    with open(DATA / "orientation.txt", "w") as file:
        for kind, options in kinds.items():
            for value in range(1, 9):
                exif = Image.Exif()
                exif[0x0112] = value
                encoded = io.BytesIO()
                Image.fromarray(pixels).save(encoded, kind, exif=exif, **options)
                upright = ImageOps.exif_transpose(Image.open(encoded)).convert("RGB")
                size = f"{upright.width} {upright.height}"
                file.write(f"{kind} {value} {encoded.getvalue().hex()} {size} {upright.tobytes().hex()}\n")


def mel():
    def bank(bands, low, high, fft, rate):
        to_mel = lambda hz: 2595 * np.log10(1 + hz / 700)
        corners = 700 * (10 ** (np.linspace(to_mel(low), to_mel(high), bands + 2) / 2595) - 1)
        bins = np.fft.rfftfreq(fft, 1 / rate)
        up = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
        down = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
        return np.maximum(0, np.minimum(up, down))

    with open(DATA / "mel.txt", "w") as file:
        for seed, (window, hop, fft, bands, low, high, offset, power) in enumerate(
            [(400, 160, 512, 64, 125, 7500, 0.001, 1), (400, 160, 512, 40, 20, 8000, 1e-6, 2), (256, 256, 256, 8, 0, 4000, 1, 2)]
        ):
            random = Random(seed)
            sound = np.array([random.next() / 32768 - 1 for _ in range(1600)], np.float32).astype(np.float64)
            hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
            starts = range(0, len(sound) - window + 1, hop)
            spectrum = np.abs(np.fft.rfft(np.stack([sound[s : s + window] * hann for s in starts]), fft)) ** power
            values = np.log(spectrum @ bank(bands, low, high, fft, 16000).T + offset)
            settings = f"{window} {hop} {fft} {bands} {low} {high} {offset} {power}"
            file.write(f"{seed} {settings} {len(values)} {' '.join(f'{v:.9g}' for v in values.reshape(-1))}\n")


WIDTH, HEIGHT = 64, 48


def inside(left, top, right, bottom):
    x, y = np.clip([left, right], 0, WIDTH), np.clip([top, bottom], 0, HEIGHT)
    return (x[0], y[0], x[1], y[1]) if x[1] > x[0] and y[1] > y[0] else None


def found_text(found):
    return ";".join(" ".join(f"{v:.9g}" for v in [label, score, *numbers]) for label, score, numbers in found)


def grid():
    with open(DATA / "grid.txt", "w") as file:
        for seed in range(60):
            random = Random(seed)
            objectness, transposed, strides = seed % 2, seed // 2 % 2, [[], [16], [8, 16]][seed % 3]
            cells = [(x, y, s) for s in strides for y in range(HEIGHT // s) for x in range(WIDTH // s)]
            rows = len(cells) or 40
            values = np.array([random.next() / 65536 for _ in range(rows * (7 + objectness))], np.float32)
            values = values.reshape(rows, -1)
            values[:, :4] *= 2 if strides else 60
            found = []
            for i, row in enumerate(values):
                score = row[4 + objectness :].max() * (row[4] if objectness else 1)
                x, y, w, h = row[:4]
                if cells:
                    cx, cy, s = cells[i]
                    x, y, w, h = (x + cx) * s, (y + cy) * s, np.exp(w) * s, np.exp(h) * s
                frame = inside(x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                if score >= 0.5 and frame:
                    found.append((row[4 + objectness :].argmax(), score, frame))
            file.write(f"{seed} {rows}|{found_text(found)}\n")


def peaks():
    """Maps of 16 x 12 cells of four pixels a side, three of them; some values equal."""
    with open(DATA / "peaks.txt", "w") as file:
        for seed in range(60):
            random = Random(seed)
            maps = np.array([random.next() % 64 / 64 for _ in range(3 * 12 * 16)], np.float32).reshape(3, 12, 16)
            padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
            around = np.max([padded[:, y : y + 12, x : x + 16] for y in range(3) for x in range(3)], axis=0)

            def point(m, y, x):
                dx = np.sign(maps[m, y, x + 1] - maps[m, y, x - 1]) / 4 if 0 < x < 15 else 0
                dy = np.sign(maps[m, y + 1, x] - maps[m, y - 1, x]) / 4 if 0 < y < 11 else 0
                refine = seed % 2
                return 4 * (x + 0.5 + refine * dx), 4 * (y + 0.5 + refine * dy)

            high = np.argwhere((maps == around) & (maps >= 0.75))
            order = np.argsort([-maps[tuple(at)] for at in high], kind="stable")[:20]
            found = [(high[i][0], maps[tuple(high[i])], point(*high[i])) for i in order]
            best = [(m, *np.unravel_index(maps[m].argmax(), (12, 16))) for m in range(3)]
            score = np.float32(sum(maps[at] for at in best)) / np.float32(3)
            together = [(0, score, [v for at in best for v in point(*at)])]
            file.write(f"{seed}|{found_text(found)}|{found_text(together)}\n")


def image():
    with open(DATA / "image.txt", "w") as file:
        for seed in range(12):
            random = Random(seed)
            values = np.array([random.next() / 16384 - 2 for _ in range(3 * 6 * 8)], np.float32)
            mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
            channels_last, bgr = seed % 2, seed // 2 % 2
            pixels = values.reshape(6, 8, 3) if channels_last else values.reshape(3, 6, 8).transpose(1, 2, 0)
            pixels = np.clip(np.rint((pixels * std + mean) * np.float32(255)), 0, 255).astype(np.uint8)
            pixels = pixels[:, :, ::-1] if bgr else pixels
            file.write(f"{seed} {np.ascontiguousarray(pixels).tobytes().hex()}\n")


ALL = {f.__name__: f for f in (nms, regions, resample, orientation, mel, grid, peaks, image)}

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        ALL[name]()
