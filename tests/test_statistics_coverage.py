"""Each interval by simulation, where no other test has it, and every estimate on nothing, one and two instances."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from crossalign.statistics import (
    auc,
    conditionals,
    correlation,
    delta,
    held_out_delta,
    layer_correlations,
    layer_deltas,
    linear_fit,
    mann_whitney,
    mantel_haenszel,
    mean_difference,
    means,
    odds_ratio,
    paired_difference,
    partial_correlation,
    pooled_auc,
    pooled_difference,
    rate,
    rate_difference,
    spearman,
    stratified_tables,
)

NAN = float("nan")


def share(covered: list[bool]) -> float:
    return float(np.mean(covered))


def passages(rng: np.random.Generator, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """80 passages of 4 questions that are easy or hard and aligned or not as a whole: aligned, correct, group.

    P(correct | not aligned) is (1 - effect) / 2, and `effect` more if aligned.
    """
    groups = np.repeat(np.arange(80), 4)
    aligned = (rng.random(320) < rng.beta(0.7, 0.7, 80)[groups]).astype(float)
    chance = rng.beta(0.7, 0.7, 80)[groups] * (1 - effect) + effect * aligned
    return aligned, (rng.random(320) < chance).astype(float), groups


def test_spearmans_interval():
    """For a normal pair Spearman's coefficient is 6/π · arcsin(r / 2)."""
    rng, r = np.random.default_rng(1), 0.7
    x = rng.normal(size=(600, 20))
    y = r * x + math.sqrt(1 - r * r) * rng.normal(size=x.shape)
    truth = 6 / math.pi * math.asin(r / 2)
    assert abs(share([f.low <= truth <= f.high for f in map(spearman, x, y)]) - 0.95) < 0.03


@pytest.mark.parametrize(("p", "q", "n"), [(0.5, 0.4, 80), (0.9, 0.8, 200), (0.15, 0.05, 200)])
def test_the_odds_ratio_and_the_difference_of_rates(p, q, n):
    rng = np.random.default_rng(round(100 * p))
    ratio, odds, difference = p * (1 - q) / (q * (1 - p)), [], []
    aligned = (np.arange(n) < n // 2).astype(float)
    for _ in range(600):
        correct = (rng.random(n) < np.where(aligned == 1, p, q)).astype(float)
        odds.append(odds_ratio(aligned, correct))
        difference.append(rate_difference(correct, aligned))
    # Woolf's interval errs to the safe side where cells are small.
    assert 0.925 < share([f.low <= ratio <= f.high for f in odds]) < 0.995
    assert abs(share([f.low <= p - q <= f.high for f in difference]) - 0.95) < 0.03


def test_the_odds_ratio_of_questions_on_passages():
    rng, with_groups, without = np.random.default_rng(2), [], []
    truth = (0.65 / 0.35) ** 2
    for _ in range(500):
        aligned, correct, groups = passages(rng, 0.3)
        for found, kept in (
            (odds_ratio(aligned, correct, groups), with_groups),
            (odds_ratio(aligned, correct), without),
        ):
            kept.append(found.low <= truth <= found.high)
    assert abs(share(with_groups) - 0.95) < 0.035
    assert share(without) < share(with_groups) - 0.02, "the simulation must be one in which groups matter"


def test_the_shares_of_questions_on_passages():
    rng, covered = np.random.default_rng(3), []
    for _ in range(400):
        found = conditionals(*passages(rng, 0.3))
        covered.append([found.correct_if_aligned.low <= 0.65 <= found.correct_if_aligned.high,
                        found.correct_if_not.low <= 0.35 <= found.correct_if_not.high])  # fmt: skip
    assert np.abs(np.mean(covered, axis=0) - 0.95).max() < 0.035


@pytest.mark.parametrize("strength", [None, 1.0])
def test_a_rate_near_1_of_questions_on_passages(strength):
    """40 passages of 4 questions that are aligned as a whole (None), or more or less alike: often all 160 are aligned."""
    rng, groups, p = np.random.default_rng(9), np.repeat(np.arange(40), 4), 0.97
    covered, all_or_none, without = [], [], []
    for _ in range(1000):
        passage = rng.random(40) < p if strength is None else rng.beta(p * strength, (1 - p) * strength, 40)
        values = (rng.random(160) < passage[groups]).astype(float)
        found = rate(values, groups)
        covered.append(found.low <= p <= found.high)
        if values.all():
            all_or_none.append(covered[-1])
            without.append(rate(values).high >= p >= rate(values).low)
    assert 0.94 < share(covered) < 0.99
    assert len(all_or_none) > 50 and all(all_or_none)
    assert not any(without), "the simulation must be one in which the rule for all or none matters"


def test_differences_of_questions_on_passages_that_are_all_alike():
    """Nothing varies within either side, or between two runs: a passage counts once, whatever its number of questions."""
    groups, first = np.repeat(np.arange(20), 4), np.repeat([1.0, 0.0], 40)
    for values in (np.ones(80), first):
        many, one = rate_difference(values, first, groups), rate_difference(values[::4], first[::4])
        assert (many.low, many.high) == pytest.approx((one.low, one.high))
        assert many.p == pytest.approx(one.p, nan_ok=True)
    apart, together = paired_difference(np.ones(80), np.ones(80)), paired_difference(np.ones(80), np.ones(80), groups)
    assert together.high - together.low == pytest.approx(2 * (apart.high - apart.low))


def test_the_common_odds_ratio_of_independent_instances():
    rng, covered = np.random.default_rng(4), []
    stratum = np.repeat(np.arange(6), 60)
    for _ in range(400):
        aligned = (rng.random(360) < rng.uniform(0.2, 0.8, 6)[stratum]).astype(float)
        odds = rng.normal(size=6)[stratum] + 0.8 * aligned
        correct = (rng.random(360) < 1 / (1 + np.exp(-odds))).astype(float)
        found = mantel_haenszel(stratified_tables(aligned, correct, stratum)).odds_ratio
        covered.append(found.low <= math.exp(0.8) <= found.high)
    assert abs(share(covered) - 0.95) < 0.03


@pytest.mark.parametrize("n", [4, 8, 40])
def test_means_of_few_values(n):
    _, low, high, _ = means(np.random.default_rng(n).normal(2.0, 3.0, size=(2000, n)))
    assert abs(share(((low <= 2) & (high >= 2)).tolist()) - 0.95) < 0.02


def test_means_of_few_passages():
    rng, groups = np.random.default_rng(5), np.repeat(np.arange(8), 5)
    values = rng.normal(size=(1500, 8))[:, groups] + rng.normal(size=(1500, 40))
    covered = []
    for found in (means(values, groups), means(values)):
        covered.append(share(((found[1] <= 0) & (found[2] >= 0)).tolist()))
    # The variance is not taken below that of independent values, so a little more than 95 % are expected.
    assert 0.935 < covered[0] < 0.985 and covered[1] < 0.85


@pytest.mark.parametrize("grouped", [True, False])
def test_a_difference_of_means_with_unequal_spread(grouped):
    rng, covered = np.random.default_rng(6), []
    groups = np.repeat(np.arange(30), 3)
    for _ in range(500):
        first = (rng.random(90) < 0.3).astype(float)
        values = 0.5 * first + rng.normal(size=90) * np.where(first == 1, 2.0, 1.0)
        values += rng.normal(size=30)[groups] if grouped else 0.0
        found = mean_difference(values, first, groups if grouped else None)
        covered.append(found.low <= 0.5 <= found.high)
    assert 0.92 < share(covered) < 0.985


def test_the_auc_of_questions_on_passages():
    """Margins are raised by 0.8 where right; passages shift both sides alike, so the area is Φ(0.8 / √(2 · 1.5))."""
    rng, covered = np.random.default_rng(7), []
    groups = np.repeat(np.arange(60), 4)
    truth = 0.5 * (1 + math.erf(0.8 / math.sqrt(2 * 1.5) / math.sqrt(2)))
    for _ in range(400):
        correct = (rng.random(240) < 0.6).astype(float)
        values = 0.8 * correct + math.sqrt(0.5) * rng.normal(size=60)[groups] + rng.normal(size=240)
        found = auc(values, correct, groups)
        covered.append(found.low <= truth <= found.high)
    assert 0.92 < share(covered) < 0.985


# --- nothing, one and two instances ------------------------------------------------------------------------------

PAIRS: dict[str, Callable] = {
    "rate_difference": rate_difference,
    "mean_difference": mean_difference,
    "odds_ratio": odds_ratio,
    "auc": auc,
    "mann_whitney": mann_whitney,
    "paired_difference": paired_difference,
    "correlation": correlation,
    "slope": lambda x, y: linear_fit(x, y).slope,
    "partial": lambda x, y: partial_correlation(x, y, np.ones((len(x), 1))),
    "pooled_difference": lambda x, y: pooled_difference(x, y, np.zeros(len(x), int)),
    "pooled_auc": lambda x, y: pooled_auc(x, y, np.zeros(len(x), int)),
    "mantel_haenszel": lambda x, y: mantel_haenszel(stratified_tables(x, y, np.zeros(len(x), int))).odds_ratio,
    "delta": lambda x, y: delta(x, np.where(y == 1, 0, 1)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_instances_give_an_estimate_or_nan_and_never_an_error(name, n):
    for x, y in ((np.ones(n), np.zeros(n)), (np.arange(n) % 2.0, np.arange(n) % 2.0), (np.full(n, NAN), np.ones(n))):
        found = PAIRS[name](x, y)
        assert 0 <= found.n <= n
        assert math.isnan(found.p) or 0 <= found.p <= 1
        assert math.isnan(found.low) or found.low <= found.value <= found.high
        assert n or math.isnan(found.value)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_instances_at_many_layers(n):
    aligned, cohort = np.ones((n, 3)), np.arange(n)
    assert np.isnan(layer_deltas(aligned, cohort, n_permutations=9).p_best).all()
    assert math.isnan(held_out_delta(aligned, cohort, np.arange(n)).low)
    assert layer_correlations(aligned, np.ones(n)).best is None
    mean, low, high, count = means(np.ones((2, n)), np.zeros(n, int))
    assert count.tolist() == [n, n] and np.isnan(mean).all() == (n == 0) and (n == 2 or np.isnan(low).all())
    assert (high >= mean)[~np.isnan(high)].all()
    assert rate(np.ones(n)).n == n
