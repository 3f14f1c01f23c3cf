"""Ranges of made-up distributions, found by numpy on the values themselves: what calibration's histograms must come near.

Writes sdk/testkit/data/quantize/ranges.csv: distribution, method, lo, hi, mean squared error of quantizing by that range to 8 bits.
"""

from pathlib import Path

import numpy as np

from splitmix import floats

N = 20_000
BINS = 2048
OUT = Path("sdk/testkit/data/quantize/ranges.csv")


def distributions():
    """The same values as `distribution` in sdk/model/tests/quantize_ranges.rs, bit for bit."""
    a, b, c, d = (floats(seed, N, -1, 1) for seed in (1, 2, 3, 4))
    bell = (a + b) + (c + d)
    v = floats(5, N, -1, 1)
    return {
        "bell": bell,
        "rectified": np.maximum(bell * np.float32(3), np.float32(0)),
        "tail": v / (np.float32(1.01) - np.abs(v)),
        "tail-rectified": np.maximum(v / (np.float32(1.01) - np.abs(v)), np.float32(0)),
        "uneven": np.where(bell < 0, bell * np.float32(0.1), bell * bell),
    }


def error(x, lo, hi):
    scale = (hi - lo) / 255
    zero = np.round(-lo / scale)
    return float(np.mean((x - (np.clip(np.round(x / scale) + zero, 0, 255) - zero) * scale) ** 2))


def percentile(x, percent):
    cut = (100 - percent) / 2
    lo, hi = np.percentile(x, [cut, 100 - cut])
    return min(lo, 0), max(hi, 0)


def entropy(x):
    """Migacz's search over thresholds of magnitudes; zeros, which every scale has exactly, are not counted."""
    lo, hi = min(x.min(), 0), max(x.max(), 0)
    most, width = max(-lo, hi), (hi - lo) / BINS
    # The bins of both signs laid over each other, by their middles.
    both, edges = np.histogram(x[x != 0], BINS, (lo, hi))
    counts = np.bincount((np.abs((edges[:-1] + edges[1:]) / 2) / width).astype(int), both, int(np.ceil(most / width - 1e-9)))
    levels = int(round(255 * most / (hi - lo)))
    best = (np.inf, most)
    for bins in range(levels, len(counts) + 1):
        p = counts[:bins].astype(np.float64)
        p[-1] += counts[bins:].sum()
        q = np.zeros(bins)
        for level in range(levels):
            start, stop = level * bins // levels, (level + 1) * bins // levels
            filled = p[start:stop] > 0
            if filled.any():
                q[start:stop][filled] = counts[start:stop].sum() / filled.sum()
        p, q = p / p.sum(), q / max(q.sum(), 1)
        if np.any((p > 0) & (q == 0)):
            continue
        kept = p > 0
        divergence = np.sum(p[kept] * np.log(p[kept] / q[kept]))
        if divergence < best[0]:
            best = (divergence, bins * width)
    return max(lo, -best[1]), min(hi, best[1])


def least_error(x):
    """Every pair of a fine grid over both ends."""
    lo, hi = min(x.min(), 0), max(x.max(), 0)
    lows = np.linspace(lo, 0.02 * lo, 60) if lo < 0 else [0.0]
    highs = np.linspace(hi, 0.02 * hi, 60) if hi > 0 else [0.0]
    pairs = [(error(x, a, b), a, b) for a in lows for b in highs if b > a]
    return min(pairs)[1:]


def main():
    lines = []
    for name, x in distributions().items():
        x = x.astype(np.float64)
        found = {"min-max": (min(x.min(), 0), max(x.max(), 0)), "percentile 99": percentile(x, 99),
                 "percentile 99.9": percentile(x, 99.9), "entropy": entropy(x), "mse": least_error(x)}
        lines += [f"{name},{method},{lo:.9g},{hi:.9g},{error(x, lo, hi):.9g}" for method, (lo, hi) in found.items()]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n".join(["distribution,method,lo,hi,error", *lines, ""]))


main()
