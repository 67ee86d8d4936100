"""Make tests/golden/lift.json: lifts from exact sums, in 50 digits, by the textbook formulas.

It shares no code with the platform and takes other roads: raw sums as fractions, Fieller's interval in its closed form,
Student's t from the incomplete beta function. Needs mpmath. Run: python tests/golden/make_lift.py
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import mpmath as mp  # type: ignore[import-untyped]

mp.mp.dps = 50

Json = dict[str, object]

# An arm is n, the unit of a sum, sums (numerator[, denominator]) and sums of products (xx[, xy, yy]).
Arm = tuple[int, str, tuple[int, ...], tuple[int, ...]]

RATIO_CONTROL: Arm = (3000, "1", (1500, 33_000), (2400, 19_800, 450_000))
RATIO_TREATMENT: Arm = (3050, "1", (1730, 33_800), (2900, 22_700, 462_000))

CASES: list[tuple[str, str, Arm, Arm]] = [
    ("mean", "0.05", (1000, "1", (1000,), (2000,)), (1000, "1", (1100,), (2300,))),
    ("skewed mean", "0.05", (2507, "0.01", (119687,), (373779767,)), (2461, "0.01", (192270,), (946982900,))),
    ("unequal split", "0.05", (9000, "0.1", (2_500_000,), (3 * 10**9,)), (1000, "0.1", (310_000,), (4 * 10**8,))),
    ("proportion", "0.01", (5000, "1", (250,), (250,)), (5100, "1", (301,), (301,))),
    ("negative baseline", "0.05", (400, "1", (-1200,), (5000,)), (420, "1", (-1050,), (4400,))),
    ("baseline near zero", "0.05", (200, "1", (140,), (5000,)), (1800, "1", (2700,), (50_000,))),
    ("treatment of zeros", "0.05", (50, "1", (100,), (260,)), (60, "1", (0,), (0,))),
    ("far tail", "0.05", (10**5, "1", (300_000,), (1_000_000,)), (10**5, "1", (312_000,), (1_080_000,))),
    ("ratio", "0.05", RATIO_CONTROL, RATIO_TREATMENT),
]  # fmt: skip


def upper_tail(statistic: mp.mpf, degrees: mp.mpf) -> mp.mpf:
    """Return P(t > statistic) of Student's t for a statistic of at least 0."""
    return mp.betainc(degrees / 2, mp.mpf(1) / 2, 0, degrees / (degrees + statistic**2), regularized=True) / 2


def quantile(alpha: mp.mpf, degrees: mp.mpf) -> mp.mpf:
    """Return the two-sided quantile of Student's t."""
    start = mp.sqrt(2) * mp.erfinv(1 - alpha)
    return mp.findroot(lambda t: upper_tail(t, degrees) - alpha / 2, (start, start * (1 + 3 / degrees)))


def value_and_variance(n: int, unit: str, sums: tuple[int, ...], products: tuple[int, ...]) -> tuple[mp.mpf, mp.mpf]:
    """Return M/D and its delta-method variance; D is 1 where there is one sum."""
    x, y = sums if len(sums) == 2 else (sums[0], n)
    xx, xy, yy = products if len(products) == 3 else (products[0], sums[0], n)
    ratio = Fraction(x, y)
    spread = centred(n, xx, x * x) - 2 * ratio * centred(n, xy, x * y) + ratio**2 * centred(n, yy, y * y)
    variance = spread / (Fraction(y, n) ** 2 * n)
    scale = Fraction(unit) if len(sums) == 1 else Fraction(1)
    return exact(ratio * scale), exact(variance * scale**2)


def centred(n: int, products: int, square: int) -> Fraction:
    """Return a covariance from a sum of products and the product of the sums."""
    return (products - Fraction(square, n)) / (n - 1)


def exact(value: Fraction) -> mp.mpf:
    """Return a fraction in 50 digits."""
    return mp.mpf(value.numerator) / value.denominator


def expected(control: Arm, treatment: Arm, alpha: mp.mpf) -> Json:
    """Return every number of the comparison, by Fieller and by the delta method."""
    (c, v_c), (t, v_t) = value_and_variance(*control), value_and_variance(*treatment)
    degrees = (v_c + v_t) ** 2 / (v_c**2 / (control[0] - 1) + v_t**2 / (treatment[0] - 1))
    z, error, r = quantile(alpha, degrees), mp.sqrt(v_c + v_t), t / c
    g, sign = z**2 * v_c / c**2, mp.sign(c)
    root = z / abs(c) * mp.sqrt((1 - g) * v_t + r**2 * v_c)
    low, high = sorted(sign * ((r + side * root) / (1 - g) - 1) for side in (-1, 1))
    delta_error, relative = mp.sqrt(v_t + r**2 * v_c) / abs(c), (t - c) / abs(c)
    numbers = {
        "control": c,
        "control_variance": v_c,
        "treatment": t,
        "treatment_variance": v_t,
        "difference": t - c,
        "difference_low": t - c - z * error,
        "difference_high": t - c + z * error,
        "lift": relative,
        "low": low,
        "high": high,
        "p_value": 2 * upper_tail(abs(t - c) / error, degrees),
        "delta_low": relative - z * delta_error if delta_error else None,
        "delta_high": relative + z * delta_error if delta_error else None,
        "delta_p_value": 2 * upper_tail(abs(relative) / delta_error, degrees) if delta_error else None,
    }
    return {name: None if number is None else float(number) for name, number in numbers.items()}


def arguments(n: int, unit: str, sums: tuple[int, ...], products: tuple[int, ...]) -> Json:
    """Return an arm as the arguments of `Moments.from_exact_sums`."""
    square = [products] if len(products) == 1 else [products[:2], products[1:]]
    return {"n": n, "sums": sums, "products": square, "scale": [float(unit)] * len(sums)}


def main() -> None:
    """Write the file."""
    cases = [
        {
            "name": name,
            "alpha": float(alpha),
            "control": arguments(*control),
            "treatment": arguments(*treatment),
            "expected": expected(control, treatment, mp.mpf(alpha)),
        }
        for name, alpha, control, treatment in CASES
    ]
    document = {"command": "python tests/golden/make_lift.py", "mpmath": mp.__version__, "cases": cases}
    Path(__file__).with_name("lift.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
