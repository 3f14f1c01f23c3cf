"""Times the text reader of examples/apps and RapidOCR end to end on one picture, and shows what each reads.

    pip install rapidocr-onnxruntime==1.4.4 rapidocr-openvino==1.4.4          # into an environment of its own
    tilemark pack examples/apps/reader/app.toml --key vendor.key -o reader.tmk
    python benches/peers/reader.py tilemark reader.tmk vendor.pub PICTURE [--threads 1,2] [--rounds 5] [--calls 5]

Decoding the file is in nobody's time. RapidOCR is measured as it comes, which enlarges the picture until its shorter side has 736
pixels, and with the 480 of our detection network's 640 x 480. On a busy machine, time of the CPU says more than the wall. Everybody gets the same cores, and they take turns: one process each,
a burst of calls a round.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

PEERS = {"rapidocr_onnxruntime": "intra_op_num_threads", "rapidocr_openvino": "inference_num_threads"}


def pinned(threads):
    cores = sorted(os.sched_getaffinity(0))[:threads]
    return lambda: os.sched_setaffinity(0, cores)


def ours(args, threads):
    """Milliseconds of the whole app on the wall and of the CPU, means of the calls, and what it reads."""
    options = ["--device", "host", "--threads", str(threads), "--json"]
    spent = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    cpu = []
    # What it takes to start is in both runs, and so in no difference.
    for calls in (1, 1 + args.calls):
        command = [args.tilemark, "run", args.app, "--trust", args.trust, *[args.picture] * calls, *options]
        before = spent()
        ran = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=pinned(threads))
        cpu.append(spent() - before)
    report = json.loads(ran.stdout)
    lines = [line["text"] for line in report["results"][0].get("lines", [])]
    return sum(report["ms"].values()) / (1 + args.calls), (cpu[1] - cpu[0]) * 1e3 / args.calls, lines


def worker(module, threads, side, picture):
    """A peer in a process of its own: `ready`, then for each line with a number of calls their milliseconds."""
    import importlib

    import cv2

    engine = importlib.import_module(module).RapidOCR(**{PEERS[module]: threads, "det_limit_side_len": side})
    picture = cv2.imread(picture)
    found, _ = engine(picture)
    print(json.dumps([text for _, text, _ in found or []]), flush=True)
    for line in sys.stdin:
        calls, clocks = int(line), (time.perf_counter, time.process_time)
        starts = [clock() for clock in clocks]
        for _ in range(calls):
            engine(picture)
        print(*((clock() - start) * 1e3 / calls for clock, start in zip(clocks, starts)), flush=True)


def main():
    parser = argparse.ArgumentParser()
    for name in ("tilemark", "app", "trust", "picture"):
        parser.add_argument(name)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=5)
    args = parser.parse_args()
    for threads in map(int, args.threads.split(",")):
        peers = {}
        for module in PEERS:
            for side in (736, 480):
                process = subprocess.Popen(
                    [sys.executable, __file__, "--worker", module, str(threads), str(side), args.picture],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                    preexec_fn=pinned(threads))
                peers[f"{module}, {side}"] = process, json.loads(process.stdout.readline())
        times = {name: [] for name in ["tilemark", *peers]}
        for _ in range(args.rounds):
            *mine, read = ours(args, threads)
            times["tilemark"].append(mine)
            for name, (process, _) in peers.items():
                process.stdin.write(f"{args.calls}\n")
                process.stdin.flush()
                times[name].append([float(word) for word in process.stdout.readline().split()])
        medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in times.items()}
        print(f"{threads} thread(s), medians of {args.rounds} rounds of {args.calls} calls, ms a picture: wall, CPU, and beside ours")
        for name, (wall, cpu) in medians.items():
            lines = read if name == "tilemark" else peers[name][1]
            beside = [one / own for one, own in zip((wall, cpu), medians["tilemark"])]
            print(f"  {name:26} {wall:8.1f} {cpu:8.1f}  {beside[0]:5.2f}x {beside[1]:5.2f}x  {len(lines)}: {' | '.join(lines)}")
        for process, _ in peers.values():
            process.stdin.close()
            process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
