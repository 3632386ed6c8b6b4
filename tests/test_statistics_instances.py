"""Statistics over instances: cohorts, 2×2 tables, AUC, two runs, strata; with groups and without."""

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2, mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from crossalign.statistics import (
    CrossTable,
    PairedCounts,
    auc,
    clustered_mantel_haenszel,
    cohort_sizes,
    cohorts,
    conditionals,
    cross_table,
    delta,
    fisher_exact,
    held_out_delta,
    held_out_layers,
    held_out_values,
    layer_deltas,
    mann_whitney,
    mantel_haenszel,
    mcnemar_exact,
    mean_difference,
    odds_ratio,
    paired_counts,
    paired_difference,
    published_delta,
    rate,
    rate_difference,
    stratified_tables,
)

NAN = float("nan")


def facts(both: int, first_only: int, second_only: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Two facts of the same instances with these counts."""
    first = [1.0] * (both + first_only) + [0.0] * (second_only + neither)
    second = [1.0] * both + [0.0] * first_only + [1.0] * second_only + [0.0] * neither
    return np.array(first), np.array(second)


def passages(
    rng: np.random.Generator, n: int = 80, size: int = 4, effect: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Questions on passages that are easy or hard and aligned or not as a whole: aligned, correct, group."""
    groups = np.repeat(np.arange(n), size)
    aligned = (rng.random(n * size) < rng.beta(0.7, 0.7, n)[groups]).astype(float)
    chance = rng.beta(0.7, 0.7, n)[groups] * (1 - effect) + effect * aligned
    return aligned, (rng.random(n * size) < chance).astype(float), groups


ALONE = np.arange(320)


# --- cohorts and differences -------------------------------------------------------------------------------------


def test_cohorts_by_hand():
    pivot = np.array([1.0, 1.0, 0.0, 0.0, 1.0, NAN])
    language = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    found = cohorts(pivot, language)
    assert found.tolist() == [0, 1, 2, 3, 0, -1]
    assert cohort_sizes(found).tolist() == [2, 1, 1, 1]


TABLES = [
    (30, 10, 15, 45),
    (0, 10, 15, 45),
    (30, 0, 15, 45),
    (12, 0, 0, 30),
    (5, 5, 5, 5),
    (333, 74, 38, 55),
    (1, 9, 0, 300),
]


@pytest.mark.parametrize("table", TABLES)
def test_a_difference_of_rates_is_newcombes_with_the_pooled_test(table):
    first, values = facts(*table)
    n1, n0 = table[0] + table[1], table[2] + table[3]
    found = rate_difference(values, first)
    low, high = confint_proportions_2indep(table[0], n1, table[2], n0, method="newcomb")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.value == pytest.approx(table[0] / n1 - table[2] / n0)
    assert found.p == pytest.approx(proportions_ztest([table[0], table[2]], [n1, n0])[1], abs=1e-12)
    assert found.n == sum(table)


def test_delta_is_the_difference_between_the_cohorts_and_as_published_it_is_one_sided():
    # Chinese XCOPA: 333 EC-XC, 74 EC-XW; 167 and 31 of them aligned are .502 and .419, Δ .083, z 1.288, p .099.
    cohort = np.repeat([0, 1, 2, 3], [333, 74, 38, 55])
    aligned = np.concatenate([np.arange(333) < 167, np.arange(74) < 31, np.ones(93)]).astype(float)
    found = published_delta(aligned, cohort)
    assert found.value == pytest.approx(167 / 333 - 31 / 74)
    assert found.p == pytest.approx(proportions_ztest([167, 31], [333, 74], alternative="larger")[1])
    assert (found.n, round(found.p, 3)) == (407, 0.099)
    assert delta(aligned, cohort).p == pytest.approx(2 * found.p)
    assert published_delta(1 - aligned, cohort).p == pytest.approx(1 - found.p)


@pytest.mark.parametrize(
    "function", [rate_difference, mean_difference, auc, mann_whitney, odds_ratio, paired_difference]
)
def test_undefined_instances_are_left_out(function):
    rng = np.random.default_rng(1)
    a, b, groups = passages(rng, 30)
    holes_a, holes_b = np.concatenate([a, [NAN, 1.0]]), np.concatenate([b, [0.0, NAN]])
    assert function(holes_a, holes_b) == pytest.approx(function(a, b))
    assert function(holes_a, holes_b, np.append(groups, [0, 900])) == pytest.approx(function(a, b, groups))


@pytest.mark.parametrize("function", [rate_difference, mean_difference, auc, mann_whitney, odds_ratio])
def test_an_empty_set_has_no_difference(function):
    values = np.array([1.0, 0.0, 1.0])
    for first in (np.ones(3), np.zeros(3), np.full(3, NAN)):
        found = function(values, first)
        assert math.isnan(found.low) and math.isnan(found.p)
    nothing = function(np.empty(0), np.empty(0), np.empty(0, dtype=int))
    assert math.isnan(nothing.value) and nothing.n == 0


@pytest.mark.parametrize("function", [rate_difference, mean_difference, auc, odds_ratio, paired_difference])
def test_groups_never_narrow_an_interval_and_single_instances_are_no_groups(function):
    for seed in range(8):
        a, b, groups = passages(np.random.default_rng(seed))
        apart, together, single = function(a, b), function(a, b, groups), function(a, b, ALONE)
        assert together.value == apart.value == single.value
        assert together.low <= apart.low + 1e-12 and together.high >= apart.high - 1e-12
        assert single[1:] == pytest.approx(apart[1:])


@pytest.mark.parametrize("function", [rate_difference, mean_difference, auc, odds_ratio, paired_difference])
def test_with_groups_the_p_of_nothing_is_uniform_and_without_it_is_not(function):
    rng = np.random.default_rng(31)
    clustered, naive = [], []
    for _ in range(400):
        a, b, groups = passages(rng)
        clustered.append(function(a, b, groups).p)
        naive.append(function(a, b).p)
    # The design effect is not taken below 1, so a little too few small p are expected, never too many.
    assert 0.02 < np.mean(np.array(clustered) < 0.05) < 0.085
    assert np.mean(np.array(naive) < 0.05) > 0.1, "the simulation must be one in which groups matter"


def test_with_groups_the_interval_of_a_difference_covers_as_often_as_it_says():
    rng, covered = np.random.default_rng(6), []
    for _ in range(500):
        aligned, correct, groups = passages(rng, effect=0.3)
        found = rate_difference(correct, aligned, groups)
        covered.append(found.low <= 0.3 <= found.high)  # correct with chance 0.35, and 0.3 more if aligned
    assert abs(np.mean(covered) - 0.95) < 0.03


def test_a_difference_of_means_is_welchs():
    rng = np.random.default_rng(2)
    values, first = rng.normal(size=60), (np.arange(60) < 22).astype(float)
    values[first == 1] = values[first == 1] * 3 + 0.5
    known = scipy.stats.ttest_ind(values[first == 1], values[first == 0], equal_var=False)
    limits = known.confidence_interval(0.95)
    found = mean_difference(values, first)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))


def test_equal_numbers_have_no_spread_whatever_rounding_makes_of_them():
    values, first = np.repeat([0.1, 0.3], 10), np.repeat([1.0, 0.0], 10)
    found = mean_difference(values, first)
    assert found.value == pytest.approx(-0.2) and math.isnan(found.low) and math.isnan(found.p)


# --- 2×2 tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_the_odds_ratio_is_woolfs_with_fishers_p(table):
    aligned, correct = facts(*table)
    assert tuple(cross_table(aligned, correct)) == table
    found = odds_ratio(aligned, correct)
    cells = np.array(table).reshape(2, 2)
    known = Table2x2(cells + 0.5 if 0 in table else cells, shift_zeros=False)
    assert found.value == pytest.approx(known.oddsratio)
    assert (found.low, found.high) == pytest.approx(known.oddsratio_confint(), rel=1e-9)
    assert found.p == pytest.approx(scipy.stats.fisher_exact(cells).pvalue, rel=1e-7)


@pytest.mark.parametrize("seed", range(30))
def test_fisher_is_scipys(seed):
    cells = np.random.default_rng(seed).integers(0, 30, 4)
    expected = scipy.stats.fisher_exact(cells.reshape(2, 2)).pvalue
    assert fisher_exact(CrossTable(*(int(c) for c in cells))) == pytest.approx(expected, rel=1e-7)


def test_the_odds_ratio_with_groups_has_the_width_of_a_clustered_logistic_regression():
    import statsmodels.api as sm

    aligned, correct, groups = passages(np.random.default_rng(4), 60, 5)
    found = odds_ratio(aligned, correct, groups)
    clustered = sm.GLM(correct, sm.add_constant(aligned), family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    half = 1.959963984540054 * clustered.bse[1]
    assert math.log(found.value) == pytest.approx(clustered.params[1], abs=1e-6)
    # Small-sample factors differ (n / (n - 2) there), so the widths agree to a per cent.
    assert (math.log(found.high) - math.log(found.low)) / 2 == pytest.approx(half, rel=0.01)


def test_conditional_shares_by_hand():
    aligned, correct = facts(30, 10, 15, 45)
    found = conditionals(aligned, correct)
    assert [c.rate for c in found] == [30 / 40, 15 / 60, 30 / 45, 10 / 55]
    assert [c.n for c in found] == [40, 60, 45, 55]
    assert found.correct_if_aligned == rate(correct[:40])
    nobody = conditionals(np.zeros(5), np.ones(5))
    assert nobody.correct_if_aligned.n == 0 and math.isnan(nobody.correct_if_aligned.rate)


# --- AUC ---------------------------------------------------------------------------------------------------------


def _delong(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """AUC and its variance from all pairs."""
    wins = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    return wins.mean(), wins.mean(axis=1).var(ddof=1) / len(x) + wins.mean(axis=0).var(ddof=1) / len(y)


@pytest.mark.parametrize("ties", [False, True])
def test_the_auc_counts_pairs_and_its_variance_is_delongs(ties):
    rng = np.random.default_rng(3)
    values, first = rng.normal(size=90), (np.arange(90) < 50).astype(float)
    values[:50] += 0.7
    values = values.round() if ties else values
    area, variance = _delong(values[:50], values[50:])
    found = auc(values, first)
    assert found.value == pytest.approx(area)
    effective = area * (1 - area) / variance
    z2 = 1.959963984540054**2
    centre = (area + z2 / (2 * effective)) / (1 + z2 / effective)
    assert (found.low + found.high) / 2 == pytest.approx(centre)
    known = scipy.stats.mannwhitneyu(values[:50], values[50:], method="asymptotic", use_continuity=False)
    assert found.p == pytest.approx(known.pvalue)
    effect = mann_whitney(values, first)
    assert effect.value == pytest.approx(2 * known.statistic / (50 * 40) - 1)
    assert effect.p == found.p


def test_perfect_separation_has_an_interval():
    found = auc(np.arange(20.0), (np.arange(20) >= 10).astype(float))
    assert found.value == 1 and 0.6 < found.low < 0.75 and found.high == 1
    flat = auc(np.ones(20), (np.arange(20) >= 10).astype(float))
    assert flat.value == 0.5 and math.isnan(flat.p) and flat.low < 0.5 < flat.high


@pytest.mark.parametrize(("shift", "n"), [(0.0, 40), (1.0, 40), (2.0, 60)])
def test_the_interval_of_the_auc_covers_as_often_as_it_says(shift, n):
    rng, truth = np.random.default_rng(4), scipy.stats.norm.cdf(shift / math.sqrt(2))
    first = (np.arange(n) < n // 3).astype(float)
    found = [auc(rng.normal(size=n) + shift * first, first) for _ in range(800)]
    assert abs(np.mean([f.low <= truth <= f.high for f in found]) - 0.95) < 0.03


@pytest.mark.parametrize("n", [31, 100])
def test_beside_a_single_instance_the_interval_of_the_auc_is_wide(n):
    """It is at any place among the others by chance alone; how far such instances scatter, one cannot say."""
    first = np.arange(n) == 0
    found = [auc(np.roll(np.arange(n), place).astype(float), first.astype(float)) for place in range(n)]
    assert all(f.low <= 0.5 <= f.high for f in found) and all(f.high - f.low > 0.7 for f in found)


# --- two runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*TABLES, (0, 0, 0, 9), (40, 8, 2, 0)])
def test_mcnemar_is_statsmodels(table):
    first, second = facts(*table)
    assert tuple(paired_counts(first, second)) == table
    expected = mcnemar(np.array(table).reshape(2, 2), exact=True).pvalue if table[1] + table[2] else 1.0
    assert mcnemar_exact(PairedCounts(*table)) == pytest.approx(expected)
    found = paired_difference(first, second)
    assert found.p == pytest.approx(expected)
    assert found.value == pytest.approx((table[1] - table[2]) / sum(table))
    assert -1 <= found.low <= found.value <= found.high <= 1
    swapped = paired_difference(second, first)
    assert swapped[:3] == pytest.approx((-found.value, -found.high, -found.low))


def test_the_paired_interval_by_hand():
    # Bonett & Price: (8 + 1) / 52 and (2 + 1) / 52; difference 6 / 52, variance (12 / 52 - (6 / 52)²) / 52.
    found = paired_difference(*facts(30, 8, 2, 10))
    half = 1.959963984540054 * math.sqrt((12 / 52 - (6 / 52) ** 2) / 52)
    assert (found.low, found.high) == pytest.approx((6 / 52 - half, 6 / 52 + half))


@pytest.mark.parametrize("n", [30, 200])
def test_the_paired_interval_covers_as_often_as_it_says(n):
    rng, covered = np.random.default_rng(n), []
    for _ in range(1000):
        cell = rng.choice(4, size=n, p=[0.5, 0.18, 0.07, 0.25])
        found = paired_difference((cell < 2).astype(float), (cell % 2 == 0).astype(float))
        covered.append(found.low <= 0.11 <= found.high)
    assert abs(np.mean(covered) - 0.95) < 0.025


# --- strata ------------------------------------------------------------------------------------------------------


def _strata(seed: int, n_strata: int = 8, n: int = 60, effect: float = 0.8) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    stratum = np.repeat(np.arange(n_strata), n)
    aligned = (rng.random(n_strata * n) < rng.uniform(0.2, 0.8, n_strata)[stratum]).astype(float)
    odds = rng.normal(size=n_strata)[stratum] + effect * aligned
    return aligned, (rng.random(n_strata * n) < 1 / (1 + np.exp(-odds))).astype(float), stratum


@pytest.mark.parametrize("seed", range(6))
def test_mantel_haenszel_is_statsmodels(seed):
    tables = stratified_tables(*_strata(seed))
    known = StratifiedTable([t for t in tables])
    found = mantel_haenszel(tables)
    assert found.odds_ratio.value == pytest.approx(known.oddsratio_pooled)
    assert (found.odds_ratio.low, found.odds_ratio.high) == pytest.approx(known.oddsratio_pooled_confint())
    assert found.odds_ratio.p == pytest.approx(known.test_null_odds(correction=False).pvalue)
    assert found.homogeneity_p == pytest.approx(known.test_equal_odds(adjust=True).pvalue)
    assert (found.n_strata, found.odds_ratio.n) == (8, 480)


def test_one_stratum_is_the_plain_odds_ratio_and_silent_strata_drop_out():
    table = np.array([[[30.0, 10.0], [15.0, 45.0]]])
    silent = np.array([[[7.0, 0.0], [9.0, 0.0]], [[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = mantel_haenszel(table)
    assert found.odds_ratio.value == pytest.approx(9)
    assert math.isnan(found.homogeneity_p)
    with_silent = mantel_haenszel(np.concatenate([table, silent]))
    assert with_silent.odds_ratio == found.odds_ratio and with_silent.n_strata == 1
    assert mantel_haenszel(silent).n_strata == 0 and math.isnan(mantel_haenszel(silent).odds_ratio.value)


def test_an_empty_diagonal_has_a_p_but_no_interval():
    found = mantel_haenszel(np.array([[[5.0, 0.0], [2.0, 6.0]], [[4.0, 0.0], [1.0, 3.0]]])).odds_ratio
    assert found.value == math.inf and math.isnan(found.low) and found.p < 0.05
    found = mantel_haenszel(np.array([[[0.0, 5.0], [6.0, 2.0]]])).odds_ratio
    assert found.value == 0


def test_pooling_without_strata_reverses_what_each_stratum_shows():
    """Simpson: alignment is common where the language is hard, so pooled it looks harmful."""
    tables = np.array([[[80.0, 120.0], [5.0, 15.0]], [[19.0, 1.0], [170.0, 30.0]]])
    (a, b), (c, d) = tables.sum(axis=0)
    assert a * d / (b * c) < 1 < mantel_haenszel(tables).odds_ratio.value


def _same_questions(rng: np.random.Generator, n_languages: int = 6) -> tuple[np.ndarray, ...]:
    """The same 200 questions in each language; easy and well aligned are traits of a question, independent of each other."""
    easy, mapped = rng.normal(size=200), rng.normal(size=200)
    shape = (n_languages, 200)
    aligned = (mapped + 0.6 * rng.normal(size=shape) > 0).astype(float).ravel()
    correct = (easy + 0.6 * rng.normal(size=shape) > 0).astype(float).ravel()
    return aligned, correct, np.repeat(np.arange(n_languages), 200), np.tile(np.arange(200), n_languages)


def test_the_same_question_in_many_languages_counts_as_one_group():
    rng = np.random.default_rng(12)
    clustered, naive = [], []
    for _ in range(300):
        aligned, correct, stratum, groups = _same_questions(rng)
        clustered.append(clustered_mantel_haenszel(aligned, correct, stratum, groups).odds_ratio.p)
        naive.append(mantel_haenszel(stratified_tables(aligned, correct, stratum)).odds_ratio.p)
    assert 0.02 < np.mean(np.array(clustered) < 0.05) < 0.085
    assert np.mean(np.array(naive) < 0.05) > 0.2


def test_the_jackknife_weighs_each_group_a_little_more_in_turn():
    aligned, correct, stratum, groups = _same_questions(np.random.default_rng(0), 3)
    aligned[5] = NAN
    found = clustered_mantel_haenszel(aligned, correct, stratum, groups).odds_ratio
    whole, slopes = stratified_tables(aligned, correct, stratum), []
    for group in range(200):
        mine = groups == group
        more = 1e-5 * stratified_tables(aligned[mine], correct[mine], stratum[mine])
        ends = [math.log(mantel_haenszel(tables).odds_ratio.value) for tables in (whole - more, whole + more)]
        slopes.append((ends[1] - ends[0]) / 2e-5)
    assert sum(slopes) == pytest.approx(0, abs=1e-6)
    error = math.sqrt(200 / 199 * np.sum(np.square(slopes)))
    assert math.log(found.high) - math.log(found.value) == pytest.approx(1.959963984540054 * error, rel=1e-5)


def test_passages_of_equal_questions_count_as_the_passages_alone():
    """One passage holds all of a cell: the odds ratio without it is infinite, and says nothing of the spread."""
    passages = np.repeat([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [6, 1, 1, 6], axis=0)
    aligned, correct = np.repeat(passages, 8, axis=0).T
    groups, stratum = np.repeat(np.arange(14), 8), np.zeros(112, int)
    found = clustered_mantel_haenszel(aligned, correct, stratum, groups).odds_ratio
    alone = mantel_haenszel(stratified_tables(*passages.T, np.zeros(14, int))).odds_ratio
    assert found.value == pytest.approx(alone.value)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), rel=0.25)
    assert 0.005 < found.p < 0.05


def test_an_empty_diagonal_of_grouped_instances_has_no_p():
    aligned, correct = np.repeat([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], 8, axis=0).T
    stratum = np.zeros(40, int)
    found = clustered_mantel_haenszel(aligned, correct, stratum, np.repeat(np.arange(5), 8)).odds_ratio
    assert found.value == math.inf and math.isnan(found.p) and math.isnan(found.low)
    alone = clustered_mantel_haenszel(aligned, correct, stratum, np.arange(40))
    assert alone == mantel_haenszel(stratified_tables(aligned, correct, stratum)) and alone.odds_ratio.p < 0.001


# --- choosing a layer --------------------------------------------------------------------------------------------


def test_layers_repeat_delta():
    rng = np.random.default_rng(5)
    aligned = (rng.random((300, 6)) < 0.4).astype(float)
    cohort = rng.integers(-1, 4, 300)
    groups = rng.integers(0, 100, 300)
    found = layer_deltas(aligned, cohort, groups)
    for layer in range(6):
        alone = delta(aligned[:, layer], cohort, groups)
        assert (found.value[layer], found.low[layer], found.high[layer], found.p[layer]) == pytest.approx(alone[:4])
    assert found.n == (cohort == 0).sum() + (cohort == 1).sum()
    assert found.best == int(found.p_best.argmin())


def test_with_one_layer_the_permutation_p_is_fishers_or_near_it():
    """All relabellings of 12 + 8 instances are the hypergeometric distribution."""
    cohort = np.repeat([0, 1], [12, 8])
    aligned = np.concatenate([np.arange(12) < 10, np.arange(8) < 3]).astype(float)[:, None]
    exact = scipy.stats.fisher_exact([[10, 2], [3, 5]]).pvalue
    found = layer_deltas(aligned, cohort, n_permutations=20000)
    assert found.p_best[0] == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("grouped", [True, False])
def test_the_best_of_many_layers_has_a_uniform_p_when_nothing_is_there(grouped):
    rng, corrected, plain = np.random.default_rng(14), [], []
    for _ in range(200):
        groups = np.repeat(np.arange(60), 4) if grouped else np.arange(240)
        difficulty, trait = rng.normal(size=(2, 240))
        if grouped:
            difficulty, trait = difficulty + rng.normal(size=60)[groups], trait + rng.normal(size=60)[groups]
        aligned = (trait[:, None] + rng.normal(size=(240, 10)) > 0.5).astype(float)
        cohort = np.where(difficulty > -0.5, 0, 1)
        found = layer_deltas(aligned, cohort, groups if grouped else None, rng=rng, n_permutations=199)
        corrected.append(found.p_best.min())
        plain.append(found.p.min())
    assert 0.01 < np.mean(np.array(corrected) < 0.05) < 0.1
    assert np.mean(np.array(plain) < 0.05) > 0.15, "the simulation must be one in which choosing matters"


def test_rare_alignment_does_not_look_significant():
    """Two aligned instances of 300, both in the larger cohort, are what chance gives more often than not."""
    aligned = np.zeros((300, 3))
    aligned[:2, 1] = 1.0
    found = layer_deltas(aligned, np.repeat([0, 1], [240, 60]))
    assert found.p_best[1] > 0.5
    assert np.isnan(found.p_best[[0, 2]]).all() and found.best == 1
    nothing = layer_deltas(np.zeros((300, 3)), np.repeat([0, 1], [240, 60]))
    assert nothing.best is None


def test_held_out_values_use_the_other_halfs_best_layer():
    rng = np.random.default_rng(0)
    aligned = (rng.random((400, 5)) < [0.2, 0.3, 0.7, 0.4, 0.1]).astype(float)
    groups = np.repeat(np.arange(100), 4)
    assert held_out_values(aligned, groups).tolist() == aligned[:, 2].tolist()  # one layer is far ahead in any half
    two = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    # Each half gets the layer that is best for the other, at which it fails itself.
    values = held_out_values(two, np.array([0, 0, 1, 1]))
    assert values.tolist() == [0.0, 0.0, 0.0, 0.0]


def test_held_out_layers_are_those_of_the_other_half():
    aligned = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    groups = np.array([0, 0, 1, 1])
    layers = held_out_layers(aligned, groups, n_splits=3)
    assert layers.shape == (3, 4) and (layers == [1, 1, 0, 0]).all()
    aligned[2:] = NAN  # the other half of the first group has nothing to choose by
    assert (held_out_layers(aligned, groups) == [[-1, -1, 0, 0]]).all()
    assert held_out_layers(aligned[:0], groups[:0]).shape == (1, 0)
    assert (held_out_layers(aligned[:1], groups[:1]) == -1).all()


def test_a_layer_chosen_without_looking_at_the_answers_keeps_the_p_of_nothing_uniform():
    """The most aligned layer of all instances is the same however the answers are permuted, so its test holds."""
    rng, found = np.random.default_rng(18), []
    aligned = (rng.normal(size=400)[:, None] + rng.normal(size=(400, 12)) > rng.normal(0, 0.3, 12)).astype(float)
    best = int(aligned.mean(axis=0).argmax())
    for _ in range(400):
        cohort = rng.permutation(np.repeat([0, 1], [250, 150]))
        found.append(delta(aligned[:, best], cohort).p)
    assert scipy.stats.kstest(found, "uniform").statistic < 0.1  # z takes few values, so it is not quite uniform
    assert 0.025 < np.mean(np.array(found) < 0.05) < 0.08


def test_held_out_values_keep_groups_together_and_average_splits():
    rng = np.random.default_rng(1)
    aligned = (rng.random((60, 8)) < 0.5).astype(float)
    groups = np.repeat(np.arange(20), 3)
    for seed in range(5):
        values = held_out_values(aligned, groups, np.random.default_rng(seed))
        assert set(values) <= {0.0, 1.0}
    many = held_out_values(aligned, groups, n_splits=10)
    assert ((many >= 0) & (many <= 1)).all() and set(many) - {0.0, 1.0}
    aligned[7] = NAN
    assert np.isnan(held_out_values(aligned, groups)).tolist() == (np.arange(60) == 7).tolist()
    assert np.isnan(held_out_values(np.full((4, 2), NAN), np.arange(4))).all()


def test_a_layer_chosen_on_the_other_half_gives_no_false_alarms():
    rng, found = np.random.default_rng(15), []
    for _ in range(250):
        groups = np.repeat(np.arange(50), 4)
        aligned = (rng.normal(size=50)[groups][:, None] + rng.normal(size=(200, 10)) > 0.5).astype(float)
        cohort = np.where(rng.normal(size=50)[groups] + rng.normal(size=200) > -0.5, 0, 1)
        found.append(held_out_delta(aligned, cohort, groups, rng, 5).p)
    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.1


def test_a_real_effect_is_found():
    rng = np.random.default_rng(16)
    cohort = np.repeat([0, 1], [300, 200])
    aligned = (rng.random((500, 8)) < np.where(cohort == 0, 0.5, 0.3)[:, None]).astype(float)
    found = held_out_delta(aligned, cohort, np.arange(500))
    assert found.p < 0.01 and found.low <= 0.2 <= found.high
    assert layer_deltas(aligned, cohort).p_best.min() < 0.01
