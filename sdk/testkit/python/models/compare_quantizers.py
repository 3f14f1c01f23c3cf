"""`tilemark quantize` beside onnxruntime.quantization.quantize_static: the same models, the same calibration data, the
same inputs to measure with, and all files run by ONNX Runtime.

    compare_quantizers.py MODELS TILEMARK PAGE [--commit COMMIT]

MODELS: the folder of `cargo xtask models`; TILEMARK: the binary; PAGE: the Markdown page to write.
"""

import argparse
import json
import platform
import subprocess
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization as ort

import classifiers
import garment
import pictures
import quantize
from fetch import Packages

# Crops of each evaluation photo, none of which was calibrated on.
CROPS = 24
METHODS = {"min-max": ort.CalibrationMethod.MinMax, "percentile": ort.CalibrationMethod.Percentile,
           "entropy": ort.CalibrationMethod.Entropy}


def photos(packages):
    return np.concatenate(classifiers.inputs(packages, pictures.EVALUATION, CROPS)), None


def test_images(packages):
    images = np.concatenate(garment.inputs(packages, "t10k", 10_000))
    return images, garment.labels(packages, "t10k").astype(np.int64)


MODELS = {"efficientnet-lite0": photos, "garment": test_images}


def outputs(path, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[None]})[0] for x in inputs]).astype(np.float64)


def measure(wanted, found, labels):
    error, energy = ((wanted - found) ** 2).sum(), (wanted ** 2).sum()
    norms = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    row = {"snr": 10 * np.log10(energy / error) if error else np.inf,
           "cosine": float(((wanted * found).sum(1) / norms).mean()),
           "same": float((wanted.argmax(1) == found.argmax(1)).mean())}
    if labels is not None:
        row["accuracy"] = float((found.argmax(1) == labels).mean())
    return row


def tilemark(binary, folder, made, *options):
    run = [binary, "quantize", folder / "float.onnx", "--calibration", folder / "calibration", "-o", made, "--json",
           *options]
    return json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


def compare(name, folder, packages, binary):
    """Rows: who, how, file, measures. The first is the float model itself."""
    inputs, labels = MODELS[name](packages)
    wanted = outputs(folder / "float.onnx", inputs)
    rows = [("float model", "", measure(wanted, wanted, labels))]
    batches = [np.load(path) for path in sorted((folder / "calibration").glob("*.npy"))]
    source = onnx.load(folder / "float.onnx")
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "made.onnx")
        for method, calibrate in METHODS.items():
            onnx.save(quantize.quantize(source, "qdq-u8s8", batches, method=calibrate), made)
            rows.append(("ONNX Runtime", method, measure(wanted, outputs(made, inputs), labels)))
            print(f"   {rows[-1]}", flush=True)
        for options in (["--ranges", "min-max", "--no-bias-correction"], []):
            report = tilemark(binary, folder, made, *options)
            onnx.checker.check_model(str(made), full_check=True)
            how = report["ranges"] + (", biases corrected" if report["bias_corrected"] else "")
            rows.append(("Tilemark", how + ("" if options else " (default)"), measure(wanted, outputs(made, inputs), labels)))
            print(f"   {rows[-1]}", flush=True)
    return rows, len(inputs), len(batches)


def table(rows):
    labelled = "accuracy" in rows[0][2]
    lines = ["| quantizer | ranges | SNR, dB | cosine | same top-1 as float |" + (" accuracy |" if labelled else ""),
             "|---|---|---|---|---|" + ("---|" if labelled else "")]
    for who, how, row in rows:
        cells = [who, how, "" if np.isinf(row["snr"]) else f"{row['snr']:.2f}", f"{row['cosine']:.5f}",
                 f"{100 * row['same']:.2f} %"] + ([f"{100 * row['accuracy']:.2f} %"] if labelled else [])
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path)
    parser.add_argument("tilemark", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--commit", default="unknown")
    given = parser.parse_args()
    packages = Packages(given.models / "packages")
    page = ["# Quantizers compared", "",
            "<!-- Made by `cargo xtask compare-quantizers`. -->", "",
            "The same float models and calibration data through `onnxruntime.quantization.quantize_static` and `tilemark",
            "quantize`: QDQ form, u8 activations, int8 weights with one scale a channel. Every file is run by ONNX Runtime on the",
            "same inputs, none of which was calibrated on. SNR is that of the outputs against the float model's, over all inputs.",
            "", f"ONNX Runtime {onnxruntime.__version__}, onnx {onnx.__version__}, numpy {np.__version__}; Tilemark at "
            f"{given.commit}; {processor()}; {date.today().isoformat()}."]
    for name in MODELS:
        print(f"== {name}", flush=True)
        rows, measured, calibrated = compare(name, given.models / name, packages, given.tilemark)
        page += ["", f"## {name}", "", f"Calibrated with {calibrated} samples, measured on {measured:,}.", "", *table(rows)]
    given.page.parent.mkdir(parents=True, exist_ok=True)
    given.page.write_text("\n".join(page) + "\n")
    print(f"wrote {given.page}")


main()
