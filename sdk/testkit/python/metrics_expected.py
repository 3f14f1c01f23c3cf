"""sdk/testkit/data/eval/metrics.json: what pycocotools, jiwer and scikit-learn say of made sets. Run by `cargo xtask expected`."""

import contextlib
import io
import json
from pathlib import Path

import jiwer
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score

OUT = Path(__file__).parent.parent / "data" / "eval" / "metrics.json"


def detection(seed, images, classes, crowds, most):
    random = np.random.RandomState(seed)
    all_things, all_finds = [], []
    for _ in range(images):
        things, finds = [], []
        for _ in range(random.randint(0, 7)):
            frame = [float(x) for x in (*random.randint(0, 200, 2), *random.randint(8, 90, 2))]
            label = int(random.randint(0, classes))
            things.append((label, frame, bool(crowds and random.rand() < 0.15)))
            for _ in range(random.randint(0, most)):
                moved = [float(v) for v in np.round(np.array(frame) + random.normal(0, 4, 4), 2)]
                moved[2:] = [max(1.0, v) for v in moved[2:]]
                found = label if random.rand() < 0.85 else int(random.randint(0, classes))
                # Few scores, so that many are equal.
                finds.append((found, float(random.randint(1, 40)) / 40, moved))
        for _ in range(random.randint(0, 3)):
            frame = [float(x) for x in (*random.randint(0, 200, 2), *random.randint(8, 90, 2))]
            finds.append((int(random.randint(0, classes)), float(random.randint(1, 40)) / 40, frame))
        all_things.append(things)
        all_finds.append(finds)
    return {"things": all_things, "finds": all_finds, **coco(all_things, all_finds, classes)}


def coco(all_things, all_finds, classes):
    truth, annotations = COCO(), []
    for image, things in enumerate(all_things):
        for label, frame, crowd in things:
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": label, "bbox": frame,
                "area": frame[2] * frame[3], "iscrowd": int(crowd),
            })
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(len(all_things))],
        "categories": [{"id": label, "name": str(label)} for label in range(classes)],
        "annotations": annotations,
    }
    results = [
        {"image_id": image, "category_id": label, "score": score, "bbox": frame}
        for image, finds in enumerate(all_finds)
        for label, score, frame in finds
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {"map": float(run.stats[0]), "map_50": float(run.stats[1])}


def texts():
    lines = [
        [["the cat sat on the mat", "the cat sat on mat"], ["hello world", "helo wurld"], ["one", "one two three"]],
        [["  Käse und  Brot ", "Kase  und Brot"], ["日本語 テキスト", "日本 テキスト"], ["a\tb c", "a b c"]],
        [["DE 12-345/6", "DE 12 345/6"], ["x", ""], ["identical", "identical"]],
    ]
    for pairs in lines:
        truths, found = zip(*pairs)
        yield {"pairs": pairs, "cer": jiwer.cer(list(truths), list(found)), "wer": jiwer.wer(list(truths), list(found))}


def classes():
    for seed, count, of in ((1, 40, 3), (2, 500, 10), (3, 60, 30)):
        random = np.random.RandomState(seed)
        truth = random.randint(0, of, count)
        found = np.where(random.rand(count) < 0.7, truth, random.randint(0, of, count))
        score = f1_score(truth, found, average="macro", zero_division=0)
        yield {"pairs": [[int(a), int(b)] for a, b in zip(truth, found)], "macro_f1": float(score)}


def main():
    sets = [(1, 12, 3, False, 3), (2, 20, 5, True, 3), (3, 3, 2, False, 60)]
    data = {"detection": [detection(*of) for of in sets], "text": list(texts()), "f1": list(classes())}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(data) + "\n")


if __name__ == "__main__":
    main()
