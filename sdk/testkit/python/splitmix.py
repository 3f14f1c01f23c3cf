"""The generator of src/random.rs, in numpy."""

import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def bits(seed, n):
    """The first n draws of SplitMix64::new(seed)."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + GAMMA * np.arange(1, n + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def floats(seed, n, lo, hi):
    """SplitMix64::floats: two f32 roundings."""
    unit = (bits(seed, n) >> np.uint64(40)).astype(np.float32) / np.float32(16777216)
    return unit * np.float32(np.float32(hi) - np.float32(lo)) + np.float32(lo)
