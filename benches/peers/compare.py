"""Times Tilemark and its peers on the same ONNX files; started by `cargo xtask peers`, which installs what it needs.

    python compare.py PEER_BINARY MODELS TWINS [--page FILE] [--networks A,B] [--threads 1,2] [--batch 1] [--cpu LEVEL]

Each runtime is a process of its own on the same cores, and waits for a line with a number of calls. Two ways to take turns:
- steady: bursts of a second or so, one runtime after the other, several rounds; the median and minimum over all calls;
- cold: one call each in turn, so that a runtime finds the caches full of the others' data.
A peer runs the files that it could be fastest on; its fastest counts.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NETWORKS = ["resnet50", "mobilenet-v2", "efficientnet-lite0", "ppocr4-det", "ppocr4-rec", "selfie-segmentation",
            "blazeface-short"]
OURS = "Tilemark"
# Runtime and the form of the network; a form that a network lacks is left out.
CONTENDERS = [
    (OURS, "qdq-u8s8"),
    ("ONNX Runtime", "qdq-u8s8"),
    ("ONNX Runtime", "qop-u8s8"),
    ("ONNX Runtime", "float"),
    ("OpenVINO", "qdq-u8s8"),
    ("OpenVINO", "qdq-s8s8"),
    ("OpenVINO", "qdq-s8s8-asymmetric"),
    ("OpenVINO", "float"),
    ("LiteRT", "int8"),
    ("LiteRT", "float"),
]
# What holds a runtime to the instructions of a level. ONNX Runtime and LiteRT have no such switch.
LEVELS = {
    "avx2": {"TILEMARK_CPU": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "avx512vnni": {"TILEMARK_CPU": "avx512vnni", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"},
}


class Worker:
    """A runtime with a loaded network, in a process of its own."""

    def __init__(self, runtime, form, file, args, batch, threads):
        self.runtime, self.form = runtime, form
        picture = Path(args.models) / file.parent.name / "evaluation/0000.npy"
        files = [str(file), str(picture), str(batch), str(threads)]
        program = [args.peer] if runtime == OURS else [
            sys.executable, str(HERE / "worker.py"), runtime.lower().replace(" ", "")]
        self.process = subprocess.Popen(
            program + files, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **LEVELS.get(args.cpu, {})}, preexec_fn=lambda: pin(threads))
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            error = self.process.stderr.read().strip().splitlines()
            raise RuntimeError(f"{runtime} {form}: {error[-1] if error else 'ended'}")
        self.version = ready[1]
        self.steady, self.cold = [], []

    def calls(self, number):
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        return [int(ns) / 1e6 for ns in self.process.stdout.readline().split()]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def pin(threads):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def measure(workers, args):
    for worker in workers:
        fastest = min(worker.calls(5))
        worker.number = max(3, math.ceil(args.burst * 1e3 / fastest))
    for _ in range(args.rounds):
        for worker in workers:
            worker.steady += worker.calls(worker.number)
    for _ in range(args.cold):
        for worker in workers:
            worker.cold += worker.calls(1)


def compare(network, batch, threads, args):
    """Rows of (runtime, form, steady minimum, steady median, cold median), and what could not run."""
    workers, failures = [], []
    for runtime, form in CONTENDERS:
        if runtime == "LiteRT":
            file = Path(args.twins) / network / f"{form}-{batch}.tflite"
        else:
            file = Path(args.models) / network / f"{form}.onnx"
        if not file.is_file():
            continue
        try:
            workers.append(Worker(runtime, form, file, args, batch, threads))
        except RuntimeError as error:
            failures.append(str(error))
    measure(workers, args)
    rows = [(w.runtime, w.form, min(w.steady), statistics.median(w.steady), statistics.median(w.cold)) for w in workers]
    args.versions.update({w.runtime: w.version for w in workers})
    for worker in workers:
        worker.end()
    return rows, failures


def ratios(rows):
    """The fastest peer's time by ours: for the minimum, the median and the cold median."""
    ours = next((row for row in rows if row[0] == OURS), None)
    peers = [row for row in rows if row[0] != OURS]
    return [min(p[i] for p in peers) / ours[i] for i in (2, 3, 4)] if ours and peers else None


def table(results, out):
    out("| network | runtime | file | steady ms, minimum | median | cold ms, median | fastest peer / ours |")
    out("|---|---|---|---|---|---|---|")
    for network, rows in results.items():
        found = ratios(rows)
        for runtime, form, low, median, cold in sorted(rows, key=lambda row: (row[0] != OURS, row[3])):
            shown = " / ".join(f"{r:.2f}" for r in found) if found and runtime == OURS else ""
            out(f"| {network} | {runtime} | {form} | {low:.3f} | {median:.3f} | {cold:.3f} | {shown} |")
    found = [r for r in map(ratios, results.values()) if r]
    if found:
        means = [math.exp(statistics.fmean(math.log(r[i]) for r in found)) for i in range(3)]
        worst = [min(r[i] for r in found) for i in range(3)]
        out("")
        out(f"Fastest peer / ours, geometric mean over {len(found)} networks: minimum {means[0]:.2f}, median "
            f"{means[1]:.2f}, cold {means[2]:.2f}. The worst network: {worst[0]:.2f}, {worst[1]:.2f}, {worst[2]:.2f}.")


def cpu():
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return names[0] if names else "unknown CPU"


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("peer")
    parser.add_argument("models")
    parser.add_argument("twins")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batch", default="1")
    parser.add_argument("--cpu", choices=list(LEVELS))
    parser.add_argument("--burst", type=float, default=1.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", type=int, default=40, help="calls each, one in turn")
    args = parser.parse_args()
    args.versions = {}
    return args


def main():
    args = parse()
    lines = []

    def out(line):
        print(line, flush=True)
        lines.append(line)

    for batch in map(int, args.batch.split(",")):
        for threads in map(int, args.threads.split(",")):
            level = f", held to {args.cpu}" if args.cpu else ""
            out(f"\n## Batch {batch}, {threads} thread{'s' if threads > 1 else ''}{level}\n")
            results = {}
            for network in args.networks.split(","):
                results[network], failures = compare(network, batch, threads, args)
                for failure in failures:
                    out(f"- not run: {network}: {failure}")
                print(f"  {network}: {ratios(results[network])}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            out("")
            table(results, out)
    if args.page:
        head = [f"# {cpu()}", "", ", ".join(f"{name} {version}" for name, version in args.versions.items())]
        args.page.write_text("\n".join(head + lines) + "\n")


main()
