//! The functions that intervals and tests are made of, for `f64`.

/// Terms of a continued fraction; it takes some times the square root of the larger parameter.
const MAX_TERMS: u32 = 100_000;
/// Halvings until a bisection has settled: the numbers between 0 and 1 that matter are settled far earlier.
const MAX_HALVINGS: u32 = 400;

/// The standard normal distribution's cumulative probability.
pub(super) fn normal_cdf(x: f64) -> f64 {
    libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

/// Its inverse: the `x` with that much probability below it.
pub(super) fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    match p {
        0.5 => 0.0,
        p if p <= 0.0 => f64::NEG_INFINITY,
        p => invert(-40.0, 0.0, |x| normal_cdf(x) < p),
    }
}

/// How many standard deviations to each side hold that much probability: 1.96 for 0.95.
pub(super) fn two_sided(confidence: f64) -> f64 {
    -normal_quantile((1.0 - confidence) / 2.0)
}

/// The probability that a chi-squared variable of one degree of freedom is above `x`.
pub(super) fn chi_squared_above(x: f64) -> f64 {
    libm::erfc(libm::sqrt(x.max(0.0) / 2.0))
}

/// The logarithm of the beta function, for positive parameters.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

/// The regularized incomplete beta function `I_x(a, b)`, the beta distribution's cumulative probability: the continued fraction
/// of DLMF 8.17.22, on the side where it converges fast.
pub(super) fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = libm::exp(a * libm::log(x) + b * libm::log1p(-x) - ln_beta(a, b));
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b
    }
}

/// The beta distribution's quantile.
pub(super) fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    invert(0.0, 1.0, |x| beta_cdf(x, a, b) < p)
}

/// The probability of at most `k` heads in `n` fair tosses; `k < n`.
pub(super) fn fair_at_most(k: u64, n: u64) -> f64 {
    beta_cdf(0.5, (n - k) as f64, k as f64 + 1.0)
}

/// The least point at which `below` no longer holds, which holds up to some point, by bisection.
pub(super) fn invert(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..MAX_HALVINGS {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Lentz's algorithm for the continued fraction.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let safe = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / safe(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..=MAX_TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / safe(1.0 + term * d);
            c = safe(1.0 + term / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}
