"""Rates and differences within languages, averaged over languages."""

import math

import numpy as np
import pytest

from crossalign.statistics import auc, mean_difference, mean_rate, pooled_auc, pooled_difference, rate, rate_difference

NAN = float("nan")


def languages(rng: np.random.Generator, effect: float = 0.0, n: int = 60, k: int = 4, units: int = 60) -> tuple:
    """Values, first, language and question of k languages that differ in level; questions are shared and differ too."""
    question = np.tile(np.arange(n) % units, k)
    language = np.repeat(np.arange(k), n)
    first = (rng.random(n * k) < 0.3 + 0.1 * language).astype(float)
    hard = rng.normal(size=units)[question]
    values = 3.0 * language + 0.8 * hard + effect * first + rng.normal(size=n * k)
    return values, first, language, question


def test_one_language_is_the_plain_difference():
    values, first, language, _ = languages(np.random.default_rng(0), 0.5, k=1)
    found, plain = pooled_difference(values, first, language), mean_difference(values, first)
    assert found.value == pytest.approx(plain.value) and found.n == plain.n
    ones = first == 1
    error = math.sqrt(values[ones].var(ddof=1) / ones.sum() + values[~ones].var(ddof=1) / (~ones).sum())
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * error, rel=1e-6)
    area, alone = pooled_auc(values, first, language), auc(values, first)
    assert (area.value, area.low, area.high) == pytest.approx((alone.value, alone.low, alone.high), abs=1e-9)


def test_a_slow_reference_gives_the_same():
    values, first, language, question = languages(np.random.default_rng(1), 0.5, n=40, units=20)
    parts, weights, moved = [], [], np.zeros(len(values))
    for code in range(4):
        here = [i for i in range(len(values)) if language[i] == code]
        a, b = ([i for i in here if first[i] == side] for side in (1, 0))
        mean_a, mean_b = (sum(values[i] for i in side) / len(side) for side in (a, b))
        weight = len(a) * len(b) / len(here)
        parts.append(mean_a - mean_b)
        weights.append(weight)
        for i in a:
            moved[i] = weight * (values[i] - mean_a) / math.sqrt(len(a) * (len(a) - 1))
        for i in b:
            moved[i] = -weight * (values[i] - mean_b) / math.sqrt(len(b) * (len(b) - 1))
    value = sum(w * d for w, d in zip(weights, parts, strict=True)) / sum(weights)
    sums = [sum(moved[i] for i in range(len(values)) if question[i] == q) / sum(weights) for q in range(20)]
    variance = max(20 / 19 * sum(s * s for s in sums), sum((m / sum(weights)) ** 2 for m in moved))
    found = pooled_difference(values, first, language, question)
    assert found.value == pytest.approx(value)
    assert found.high - found.value == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-6)


def test_the_level_of_a_language_does_not_matter():
    values, first, language, question = languages(np.random.default_rng(2), 0.4)
    shifted = values + 100.0 * (language == 2)
    for function in (pooled_difference, pooled_auc):
        assert function(shifted, first, language, question) == pytest.approx(
            function(values, first, language, question)
        )
    assert abs(pooled_auc(values, first, language).value - auc(values, first).value) > 0.05


@pytest.mark.parametrize("function", [pooled_difference, pooled_auc])
def test_a_language_with_one_side_only_drops_out(function):
    values, first, language, question = languages(np.random.default_rng(3), 0.4)
    more = (np.append(values, [5.0, 6.0]), np.append(first, [1.0, 1.0]), np.append(language, [9, 9]))
    assert function(*more, np.append(question, [0, 1])) == function(values, first, language, question)
    blank = (np.append(values, NAN), np.append(first, 1.0), np.append(language, 0))
    assert function(*blank, np.append(question, 0)) == function(values, first, language, question)
    nothing = function(values[:3], np.ones(3), language[:3])
    assert math.isnan(nothing.value) and nothing.n == 0


@pytest.mark.parametrize("function", [pooled_difference, pooled_auc])
def test_a_language_with_a_single_instance_on_one_side_drops_out(function):
    values, first, language, question = languages(np.random.default_rng(3), 0.4)
    more = (np.append(values, [50.0, 6.0, 7.0]), np.append(first, [1.0, 0.0, 0.0]), np.append(language, [9, 9, 9]))
    assert function(*more, np.append(question, [0, 1, 2])) == function(values, first, language, question)


@pytest.mark.parametrize(("function", "null"), [(pooled_difference, 0.0), (pooled_auc, 0.5)])
def test_the_interval_covers_as_often_as_it_says(function, null):
    rng, covered, small = np.random.default_rng(4), 0, 0
    for _ in range(300):
        found = function(*languages(rng, n=80, units=40))
        covered += found.low <= null <= found.high
        small += found.p < 0.05
    assert 0.91 <= covered / 300 <= 0.985
    assert 0.015 <= small / 300 <= 0.09


def test_rates_of_one_language_agree_with_newcombe_closely():
    rng = np.random.default_rng(5)
    first = (rng.random(800) < 0.5).astype(float)
    aligned = (rng.random(800) < 0.4 + 0.1 * first).astype(float)
    found, plain = pooled_difference(aligned, first, np.zeros(800, int)), rate_difference(aligned, first)
    assert found.value == pytest.approx(plain.value)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.003)


def aligned_on_passages(rng: np.random.Generator, languages: np.ndarray, passages: int = 60) -> tuple:
    """Decisions on 3 questions of each passage in languages of these rates; a passage is easy or hard in all of them."""
    language = np.repeat(np.arange(len(languages)), 3 * passages)
    passage = np.tile(np.repeat(np.arange(passages), 3), len(languages))
    easy = rng.choice([-0.2, 0.2], passages)
    return (rng.random(len(language)) < languages[language] + easy[passage]).astype(float), language, passage


def test_the_mean_rate_covers_when_passages_are_drawn_anew():
    rng, rates = np.random.default_rng(5), np.array([0.25, 0.4, 0.7, 0.75])
    covered, apart = [], []
    for _ in range(600):
        values, language, passage = aligned_on_passages(rng, rates)
        found, alone = mean_rate(values, language, passage), mean_rate(values, language, np.arange(len(values)))
        covered.append(found.low <= rates.mean() <= found.high)
        apart.append(alone.low <= rates.mean() <= alone.high)
    assert abs(np.mean(covered) - 0.95) < 0.025
    assert np.mean(apart) < 0.85, "the simulation must be one in which passages matter"


def test_the_mean_rate_has_the_spread_of_a_bootstrap_of_passages():
    rng = np.random.default_rng(6)
    values, language, passage = aligned_on_passages(rng, np.array([0.3, 0.5, 0.7]))
    by_passage = np.stack([np.bincount(passage[language == k], values[language == k]) for k in range(3)])
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=4000)
    drawn = (weights @ by_passage.T / 180).mean(axis=1)
    found = mean_rate(values, language, passage)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * drawn.std(), rel=0.06)


def test_the_mean_rate_of_one_language_is_its_rate_and_undefined_values_are_left_out():
    values, language, passage = aligned_on_passages(np.random.default_rng(7), np.array([0.5]))
    values[::7] = NAN
    assert mean_rate(values, language, passage) == pytest.approx(rate(values, passage))
    both = mean_rate(np.append(values, NAN), np.append(language, 5), np.append(passage, 0))
    assert both == pytest.approx(rate(values, passage))
    assert mean_rate(np.ones(8), np.repeat([0, 1], 4), np.tile([0, 0, 1, 1], 2))[1:3] == pytest.approx(
        rate(np.ones(2))[1:3]
    )
    assert math.isnan(mean_rate(np.full(2, NAN), np.zeros(2, int), np.arange(2)).rate)
