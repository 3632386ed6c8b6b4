"""Intervals and correlations, against statsmodels, scipy and simulation."""

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from crossalign.statistics import pearson, rate, spearman

NAN = float("nan")


def _values(successes: int, n: int) -> np.ndarray:
    return np.array([1.0] * successes + [0.0] * (n - successes))


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 10), (10, 10), (3, 4), (1, 50), (250, 500), (899, 900)]
)
def test_the_interval_is_wilsons(successes, n):
    found = rate(_values(successes, n))
    low, high = proportion_confint(successes, n, alpha=0.05, method="wilson")
    assert (found.rate, found.n) == (successes / n, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("n", [1, 7, 10, 14, 100])
def test_the_interval_holds_the_rate(n):
    for successes in range(n + 1):
        found = rate(_values(successes, n))
        assert 0 <= found.low <= found.rate <= found.high <= 1


def test_undefined_values_are_left_out():
    values = np.array([1.0, NAN, 0.0, 1.0, NAN])
    groups = np.array([0, 0, 1, 1, 2])
    assert rate(values) == rate(np.array([1.0, 0.0, 1.0]))
    assert rate(values, groups) == rate(np.array([1.0, 0.0, 1.0]), np.array([0, 1, 1]))


@pytest.mark.parametrize("values", [[], [NAN], [NAN, NAN]])
@pytest.mark.parametrize("grouped", [True, False])
def test_nothing_defined_is_nan(values, grouped):
    found = rate(np.array(values, dtype=float), np.arange(len(values)) if grouped else None)
    assert found.n == 0
    assert all(map(math.isnan, found[:3]))


GROUPED = [
    # values, groups, design effect: G / (G - 1) * Σ_g (Σ residuals)² / n², over p (1 - p) / n
    # p = 1/2, residual sums 1, -1, 1, -1: 4/3 * 4 / 64 over 1/32 = 8/3
    ([1, 1, 0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 2, 2, 3, 3], 8 / 3),
    # p = 1/2, residual sums 1, 1, -1, -1 (groups may be scattered and numbered freely): the same
    ([1, 0, 1, 0, 1, 0, 1, 0], [7, 3, 7, 3, 90, 4, 90, 4], 8 / 3),
    # every group holds one of each: residual sums 0, so the effect would be 0, and is not taken below 1
    ([1, 0, 1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2, 3, 3], 1.0),
    # p = 2/3, groups of 3, 2 and 1, residual sums 1, -1/3, -2/3: 3/2 * 14/9 / 36 over 1/27 = 7/4
    ([1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 2], 7 / 4),
    # every instance a group of its own
    ([1, 0, 1, 1], [4, 3, 2, 1], 1.0),
    # nothing varies: the questions of a group count as one, Σ sizes² / n
    ([1, 1, 1, 1], [0, 0, 1, 1], 2.0),
    ([0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 2], 14 / 6),
    ([1, 1, 1], [0, 0, 0], 3.0),
    # one group: nothing to compare it with, so its questions count as one
    ([1, 1, 0], [0, 0, 0], 3.0),
    ([0, 0, 0], [2, 0, 1], 1.0),
]


@pytest.mark.parametrize(("values", "groups", "effect"), GROUPED)
def test_groups_divide_the_sample_size_by_the_design_effect(values, groups, effect):
    n = len(values)
    found = rate(np.array(values, dtype=float), np.array(groups))
    effective = n / effect
    low, high = proportion_confint(np.mean(values) * effective, effective, alpha=0.05, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.n == n


@pytest.mark.parametrize("seed", range(20))
def test_groups_never_narrow_the_interval(seed):
    rng = np.random.default_rng(seed)
    values, groups = rng.integers(0, 2, 60).astype(float), rng.integers(0, 15, 60)
    apart, together = rate(values), rate(values, groups)
    assert together.low <= apart.low + 1e-15
    assert together.high >= apart.high - 1e-15


@pytest.mark.parametrize(("p", "n"), [(0.5, 40), (0.1, 100), (0.02, 500)])
def test_the_interval_of_independent_instances_covers_as_often_as_it_says(p, n):
    rng = np.random.default_rng(round(p * 100))
    draws = (rng.random((1500, n)) < p).astype(float)
    covered = [found.low <= p <= found.high for found in map(rate, draws)]
    # Three standard errors of a simulation with 1500 draws are 0.017; Wilson's interval swings by about as much.
    assert abs(np.mean(covered) - 0.95) < 0.025


def test_the_interval_of_grouped_instances_covers_as_often_as_it_says():
    """80 passages of 4 questions; the rate differs by passage (beta 2, 3), so p = 0.4 and the design effect is 1.5."""
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(80), 4)
    with_groups, without = [], []
    for _ in range(1000):
        values = (rng.random(320) < rng.beta(2, 3, 80)[groups]).astype(float)
        with_groups.append(rate(values, groups))
        without.append(rate(values))
    covered = [np.mean([f.low <= 0.4 <= f.high for f in found]) for found in (with_groups, without)]
    assert abs(covered[0] - 0.95) < 0.02
    assert covered[1] < 0.92, "the simulation must be one in which groups matter"


def _points(seed: int, n: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = 0.6 * x + rng.normal(size=n)
    return (x.round(), y.round()) if ties else (x, y)


@pytest.mark.parametrize("n", [4, 5, 8, 30, 200])
@pytest.mark.parametrize("seed", range(3))
def test_pearson_is_scipys_with_fishers_interval(seed, n):
    x, y = _points(seed, n)
    found, expected = pearson(x, y), scipy.stats.pearsonr(x, y)
    interval = expected.confidence_interval(0.95)
    assert found.r == pytest.approx(expected.statistic, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert found.n == n


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [6, 8, 30, 200])
def test_spearman_is_scipys_with_bonett_and_wrights_interval(n, ties):
    x, y = _points(n, n, ties)
    found, r = spearman(x, y), scipy.stats.spearmanr(x, y).statistic
    assert found.r == pytest.approx(r, abs=1e-12)
    half = scipy.stats.norm.ppf(0.975) * math.sqrt((1 + r * r / 2) / (n - 3))
    expected = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_tied_ranks_are_shared():
    # Ranks of x 1.5 1.5 3 4 5, of y 1 2.5 2.5 4.5 4.5. Products of the deviations from 3: 3 + 0.75 + 0 + 1.5 + 3 = 8.25,
    # sums of squares 9.5 and 9.
    x, y = np.array([10.0, 10.0, 20.0, 30.0, 99.0]), np.array([-1.0, 0.0, 0.0, 7.0, 7.0])
    assert spearman(x, y).r == pytest.approx(8.25 / math.sqrt(9.5 * 9.0), abs=1e-12)


def test_spearman_depends_on_the_order_only():
    x, y = _points(3, 25)
    bent = spearman(np.exp(x), y**3)
    assert bent == pytest.approx(spearman(x, y), abs=1e-12)


@pytest.mark.parametrize("coefficient", [pearson, spearman])
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([], []),
        ([1.0, 2.0, 3.0], [3.0, 1.0, 2.0]),
        ([1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [0.1, 0.1, 0.1, 0.1, 0.1]),
        ([1.0, 2.0, 3.0, 4.0, NAN], [4.0, NAN, 2.0, 1.0, 3.0]),  # three points with both
        ([1.0, 1.0, 1.0, 1.0, 9.0], [4.0, 5.0, 2.0, 1.0, NAN]),  # constant where both are
    ],
    ids=["none", "three", "constant x", "constant y", "three defined", "constant where defined"],
)
def test_short_and_constant_input_has_no_correlation(coefficient, x, y):
    found = coefficient(np.array(x), np.array(y))
    assert all(map(math.isnan, found[:3]))
    assert found.n == sum(not (math.isnan(a) or math.isnan(b)) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("coefficient", [pearson, spearman])
def test_points_that_are_undefined_on_one_side_are_left_out(coefficient):
    x, y = _points(4, 12)
    with_holes = coefficient(np.append(x, [NAN, 0.5]), np.append(y, [0.5, NAN]))
    assert with_holes == coefficient(x, y)


@pytest.mark.parametrize("coefficient", [pearson, spearman])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n", [4, 5, 9, 50])
def test_a_perfect_correlation_is_one_and_has_no_interval(coefficient, sign, n):
    x = np.random.default_rng(n).normal(size=n)
    found = coefficient(x, sign * x)
    assert found.r == pytest.approx(sign, abs=1e-12)
    assert math.isnan(found.low) and math.isnan(found.high)


@pytest.mark.parametrize("coefficient", [pearson, spearman])
def test_swapping_sides_and_rescaling_change_nothing(coefficient):
    x, y = _points(5, 20)
    assert coefficient(y, x) == pytest.approx(coefficient(x, y), abs=1e-12)
    assert coefficient(3 * x + 2, y) == pytest.approx(coefficient(x, y), abs=1e-12)
    assert coefficient(-x, y).r == pytest.approx(-coefficient(x, y).r, abs=1e-12)


def test_fishers_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(12)
    x = rng.normal(size=(1000, 15))
    y = 0.75 * x + math.sqrt(1 - 0.75**2) * rng.normal(size=x.shape)
    covered = [found.low <= 0.75 <= found.high for found in map(pearson, x, y)]
    assert abs(np.mean(covered) - 0.95) < 0.02
