"""Makes models below a folder; started by `cargo xtask models`, which holds that folder's lock.

    python make.py FOLDER [--pin] [--also MODEL] [MODEL...]

A model's folder is made beside its final place and then renamed: it is whole or absent. `made.json` in it says what
was made; the model is skipped while its recipe is unchanged and its files have the SHA-256 noted there. `made.toml` pins
the results: a float model that differs is refused. An int8 one that differs is reported: its ranges come from inference
in f32, whose last bits depend on the CPU's vector unit.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import time
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx

import quantize
from catalogue import MODELS
from fetch import PINS, Failed, Packages, sha256

HERE = Path(__file__).parent
PINNED = HERE / "made.toml"
COMMON = ["catalogue.py", "checkpoint.py", "fetch.py", "graph.py", "make.py", "pictures.py", "quantize.py"]
TOOLS = ["numpy", "onnx", "onnxruntime", "pillow", "tflite"]
TYPES_AT_MOST = 6  # operator types named in a line of the table


def recipe_of(name):
    """Changes whenever what makes the model changes."""
    recipe = MODELS[name]
    digest = hashlib.sha256()
    for file in [*COMMON, Path(recipe.module.__file__).name]:
        digest.update((HERE / file).read_bytes())
    for source in recipe.sources:
        digest.update(PINS["source"][source]["sha256"].encode())
    for tool in TOOLS:
        digest.update(f"{tool}=={metadata.version(tool)}\n".encode())
    return digest.hexdigest()


def already_made(folder, recipe):
    """What made.json says, if it is of this recipe and every file is as it says."""
    try:
        made = json.loads((folder / "made.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if made["recipe"] != recipe:
        return None
    for file, expected in made["files"].items():
        path = folder / file
        if not path.is_file() or sha256(path) != expected["sha256"]:
            print(f"   {path} is missing or was changed: made again", flush=True)
            return None
    return made


def make(name, folder, packages):
    """Every file of a model, into a new folder."""
    recipe = MODELS[name]
    started = time.monotonic()
    calibration = recipe.calibration(packages) if recipe.calibration else []
    evaluation = recipe.evaluation(packages) if recipe.evaluation else []
    files = {}
    for title, batches in (("calibration", calibration), ("evaluation", evaluation)):
        for number, batch in enumerate(batches):
            save(folder, f"{title}/{number:04}.npy", batch, files)
    for title, array in (recipe.arrays(packages) if recipe.arrays else {}).items():
        save(folder, f"{title}.npy", array, files)
    floats = recipe.floats(packages)
    for title, model in floats.items():
        save(folder, f"{title}.onnx", model, files)
    wanted = quantize.run(floats["float"], evaluation)
    for form in recipe.forms:
        print(f"   {name}/{form}", flush=True)
        model = quantize.quantize(floats["float"], form, calibration, recipe.operations, recipe.float_first)
        cosine, ratio = quantize.likeness(wanted, quantize.run(model, evaluation))
        save(folder, f"{form}.onnx", model, files)
        files[f"{form}.onnx"] |= {"cosine": round(cosine, 5), "snr_db": round(ratio, 2)}
    return {"model": name, "recipe": recipe_of(name), "seconds": round(time.monotonic() - started, 1),
            "licences": {source: PINS["source"][source]["licence"] for source in recipe.sources}, "files": files}


def save(folder, file, content, files):
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, onnx.ModelProto):
        path.write_bytes(content.SerializeToString(deterministic=True))
    else:
        np.save(path, content)
    files[file] = {"sha256": sha256(path), "bytes": path.stat().st_size}
    if isinstance(content, onnx.ModelProto):
        files[file]["operators"] = dict(Counter(node.op_type for node in content.graph.node).most_common())


def models_of(made):
    return {file: facts for file, facts in made["files"].items() if file.endswith(".onnx")}


def differing(made, pinned):
    """The files that are not what is pinned. One that no inference and no training went into must not be among them."""
    name = made["model"]
    pins = pinned.get(name, {})
    files = [file for file, facts in models_of(made).items() if pins.get(file) != facts["sha256"]]
    for file in files:
        if "cosine" not in made["files"][file] and not MODELS[name].on_request:
            raise Failed(f"{name}/{file} has SHA-256 {made['files'][file]['sha256']}, pinned is {pins.get(file)}: "
                         "the conversion is not what it was")
    return files


def report(name, made, pinned):
    others = differing(made, pinned)
    for file, facts in models_of(made).items():
        operators = list(facts["operators"].items())
        text = " ".join(f"{kind} {count}" for kind, count in operators[:TYPES_AT_MOST])
        text += f" +{len(operators) - TYPES_AT_MOST} types" if len(operators) > TYPES_AT_MOST else ""
        like = f"cosine {facts['cosine']:.4f} {facts['snr_db']:5.1f} dB" if "cosine" in facts else ""
        pin = "differs" if file in others else "as pinned"
        print(f"{name + '/' + file:<46}{facts['bytes']:>12,} B  {facts['sha256'][:16]}  {pin:<11}{like:<24}  {text}")
    return len(others)


def write_pins(results, pinned):
    """What was made becomes what is expected; for whoever changes a recipe, with the reason in the commit."""
    pinned |= {name: {file: facts["sha256"] for file, facts in models_of(made).items()}
               for name, made in results.items()}
    lines = ["# SHA-256 of what `cargo xtask models` makes; written by its --pin, on x86-64 with AVX-512.\n"]
    for name in sorted(pinned):
        lines.append(f"\n[{name}]\n")
        lines += [f'"{file}" = "{digest}"\n' for file, digest in pinned[name].items()]
    PINNED.write_text("".join(lines))


def one(name, root, packages, pinned, pin):
    """A model's made.json, made now or before."""
    folder, recipe = root / name, recipe_of(name)
    made = already_made(folder, recipe)
    if made:
        print(f"== {name}: made before, verified", flush=True)
        if not pin:
            differing(made, pinned)
        return made
    print(f"== {name}", flush=True)
    fresh = root / f".{name}.part"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    made = make(name, fresh, packages)
    if not pin:
        differing(made, pinned)
    (fresh / "made.json").write_text(json.dumps(made, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return made


def attempt(name, root, pinned, pin):
    """As `one`, in a process of its own: made.json or None, what went wrong, bytes fetched."""
    packages = Packages(root / "packages")
    try:
        return one(name, root, packages, pinned, pin), None, packages.downloaded
    except Exception as error:  # one model's trouble is not the others'
        reason = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        print(f"   {name} FAILED: {reason}", flush=True)
        return None, reason, packages.downloaded


def outcome(job):
    """What an attempt gave; or that its process ended, such as for want of memory."""
    try:
        return job.result()
    except Exception as error:
        return None, f"its process ended: {error}", 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pin", action="store_true")
    parser.add_argument("--also", default=[], nargs=1)
    parser.add_argument("models", nargs="*")
    arguments = parser.parse_intermixed_args()
    named = [*arguments.models, *arguments.also]
    unknown = [name for name in named if name not in MODELS]
    if unknown:
        sys.exit(f"no model {', '.join(unknown)}; there are: {', '.join(MODELS)}")
    root = arguments.folder.resolve()
    pinned = tomllib.loads(PINNED.read_text()) if PINNED.is_file() else {}
    results, failed, started = {}, {}, time.monotonic()
    skipped = {}
    if not arguments.models:
        skipped = {name: recipe.on_request for name, recipe in MODELS.items() if recipe.on_request
                   and name not in named and not already_made(root / name, recipe_of(name))}
    chosen = dict.fromkeys(named) if arguments.models else [name for name in MODELS if name not in skipped]
    # Quantizers mostly keep one core busy. Two at once, since each holds the values of a network for all its pictures.
    workers = min(2, os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {name: pool.submit(attempt, name, root, pinned, arguments.pin) for name in chosen}
        attempts = {name: outcome(job) for name, job in jobs.items()}
    for name, (made, reason, _) in attempts.items():
        if made:
            results[name] = made
        else:
            failed[name] = reason
    downloaded = sum(fetched for _, _, fetched in attempts.values())
    if arguments.pin:
        write_pins(results, pinned)
    print("\n== models")
    others = sum(report(name, made, pinned) for name, made in results.items())
    if others:
        print(f"{others} files differ from their pins: sums in f32 differ in their last bits on this CPU")
    for name, reason in skipped.items():
        print(f"SKIPPED {name}: {reason}")
    for name, reason in failed.items():
        print(f"FAILED  {name}: {reason}")
    print(f"{len(results)} models in {time.monotonic() - started:.0f} s, {downloaded / 1e6:.0f} MB fetched; "
          f"{len(skipped)} skipped, {len(failed)} failed; in {root}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
