"""sdk/testkit/data/eval/stats.json: what scipy and statsmodels say of fixed data. Run by `cargo xtask expected`."""

import json
from pathlib import Path

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

import splitmix

OUT = Path(__file__).parent.parent / "data" / "eval" / "stats.json"


class Draws(np.random.Generator):
    """SplitMix64 where scipy asks for places to draw from: the draws of src/eval/stats/random.rs."""

    def __new__(cls, seed):
        return super().__new__(cls)

    def __init__(self, seed):
        super().__init__(np.random.PCG64(0))
        self.seed, self.taken = seed, 0

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False):
        assert low == 0 and not endpoint
        count = int(np.prod(size))
        all_so_far = splitmix.bits(self.seed, self.taken + count)
        self.taken += count
        return (all_so_far[-count:] % np.uint64(high)).astype(np.int64).reshape(size)


def proportions():
    counts = [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (349, 388), (3115, 3461), (9012, 10000), (99999, 100000)]
    for hits, samples in counts:
        for confidence in (0.9, 0.95, 0.999):
            both = {}
            for ours, theirs in (("wilson", "wilson"), ("exact", "beta")):
                low, high = proportion_confint(hits, samples, alpha=1 - confidence, method=theirs)
                both[ours] = [float(low), float(high)]
            yield {"hits": hits, "samples": samples, "confidence": confidence, **both}


def paired():
    for b, c in [(0, 0), (1, 0), (5, 5), (3, 11), (40, 12), (57, 30), (1000, 900), (9, 400)]:
        if b + c == 0:
            exact, chi = 1.0, (0.0, 1.0)
        else:
            exact = mcnemar([[50, b], [c, 30]], exact=True).pvalue
            corrected = mcnemar([[50, b], [c, 30]], exact=False, correction=True)
            chi = corrected.statistic, corrected.pvalue
            if b == c:  # statsmodels corrects by one also where there is nothing to correct
                chi = 0.0, 1.0
        yield {
            "only_first": b,
            "only_second": c,
            "p_exact": float(exact),
            "chi_squared": float(chi[0]),
            "p_chi_squared": float(chi[1]),
        }


def bootstrapped():
    skewed = -np.log(1 - (splitmix.bits(3, 80) >> np.uint64(11)).astype(np.float64) / 2**53)
    shares = (splitmix.bits(5, 120) % np.uint64(1001)).astype(np.float64) / 1000
    hits = (splitmix.bits(6, 60) % np.uint64(10) > 0).astype(np.float64)
    for seed, values in ((11, skewed), (12, shares), (13, hits)):
        case = {"values": values.tolist(), "resamples": 2000, "seed": seed, "confidence": 0.95}
        for method in ("percentile", "BCa"):
            result = stats.bootstrap(
                (values,), np.mean, n_resamples=2000, confidence_level=0.95, method=method, rng=Draws(seed), vectorized=True
            )
            interval = result.confidence_interval
            case[method.lower()] = [float(interval.low), float(interval.high)]
        yield case


def main():
    normal = [[p, float(stats.norm.ppf(p))] for p in (1e-12, 0.001, 0.025, 0.2, 0.5, 0.8, 0.975, 0.9995)]
    beta = [
        [p, a, b, float(stats.beta.ppf(p, a, b))]
        for p in (0.005, 0.025, 0.5, 0.975)
        for a, b in ((1, 1), (0.5, 0.5), (3, 40), (900, 101), (90_000, 10_001), (1, 100_000))
    ]
    data = {
        "proportions": list(proportions()),
        "mcnemar": list(paired()),
        "bootstrap": list(bootstrapped()),
        "normal": normal,
        "beta": beta,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
