"""Expected values for the stages of sdk/pipeline, from implementations of others.

    pip install numpy==2.4.6 scipy==1.17.1 opencv-python-headless==5.0.0.93 pyclipper==1.4.0 shapely==2.2.0
    python sdk/testkit/python/stages_expected.py [nms|regions|resample ...]        # from the repository root

Writes sdk/pipeline/tests/data/: nms.txt (1,000 random sets: seed, number of boxes, limit, what OpenCV's NMSBoxes keeps), regions.txt
(maps of rectangles and what RapidOCR's post-processing makes of them), resample.txt (sounds at other rates by
scipy.signal.resample_poly). The tests make the same inputs by the same rule, `Random` below.
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


if __name__ == "__main__":
    for name in sys.argv[1:] or ("nms", "regions", "resample"):
        {"nms": nms, "regions": regions, "resample": resample}[name]()
