"""Statistics over languages: correlations, permutation p, fits, choosing a layer, many tests."""

import math
from itertools import permutations

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from statsmodels.stats.multitest import multipletests

from crossalign.statistics import (
    COEFFICIENTS,
    benjamini_hochberg,
    correlation,
    correlation_difference,
    holm,
    indicators,
    kendall,
    layer_correlations,
    leave_one_out,
    linear_fit,
    partial_correlation,
    pearson,
    spearman,
)

NAN = float("nan")


def points(seed: int, n: int, slope: float = 0.6, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = slope * x + rng.normal(size=n)
    return (x.round(), y.round()) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [6, 8, 30, 122])
def test_kendall_is_scipys_tau_b(n, ties):
    x, y = points(n, n, ties=ties)
    found = kendall(x, y)
    assert found.r == pytest.approx(scipy.stats.kendalltau(x, y).statistic, abs=1e-12)
    half = 1.959963984540054 * math.sqrt(0.437 / (n - 4))
    expected = math.tanh(math.atanh(found.r) - half), math.tanh(math.atanh(found.r) + half)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_kendall_with_four_points_has_no_interval():
    found = kendall(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    assert found.r == pytest.approx(4 / 6)
    assert math.isnan(found.low) and math.isnan(found.high)


def test_kendalls_interval_covers_as_often_as_it_says():
    """For a normal pair tau is 2/π · arcsin(r)."""
    rng, r = np.random.default_rng(5), 0.6
    x = rng.normal(size=(600, 25))
    y = r * x + math.sqrt(1 - r * r) * rng.normal(size=x.shape)
    tau = 2 / math.pi * math.asin(r)
    covered = [found.low <= tau <= found.high for found in map(kendall, x, y)]
    assert abs(np.mean(covered) - 0.95) < 0.03


# --- permutation p -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
@pytest.mark.parametrize("ties", [False, True])
def test_small_samples_try_every_order(coefficient, ties):
    x, y = points(3, 6, ties=ties)
    known = {"pearson": scipy.stats.pearsonr, "spearman": scipy.stats.spearmanr, "kendall": scipy.stats.kendalltau}
    observed = abs(known[coefficient](x, y).statistic)
    all_of_them = [abs(known[coefficient](x, y[list(o)]).statistic) for o in permutations(range(6))]
    expected = np.mean(np.array(all_of_them) >= observed - 1e-10)
    assert correlation(x, y, coefficient).p == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("coefficient", ["pearson", "spearman"])
@pytest.mark.parametrize("slope", [0.0, 0.15, 0.3])
def test_large_samples_agree_with_the_t_test(coefficient, slope):
    x, y = points(11, 80, slope)
    known = scipy.stats.pearsonr if coefficient == "pearson" else scipy.stats.spearmanr
    expected = known(x, y).pvalue
    # Three standard errors of 9999 draws, and a little for the approximation of the t test.
    error = 3 * math.sqrt(expected * (1 - expected) / 9999) + 0.004
    assert correlation(x, y, coefficient).p == pytest.approx(expected, abs=error)


def test_kendalls_permutation_p_agrees_with_scipys():
    x, y = points(2, 40, 0.3)
    expected = scipy.stats.kendalltau(x, y).pvalue
    assert correlation(x, y, "kendall").p == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_the_estimate_repeats_the_coefficient_and_the_p_is_repeatable(coefficient):
    x, y = points(4, 25)
    x[3] = NAN
    found = correlation(x, y, coefficient, n_permutations=200)
    assert found[:3] == COEFFICIENTS[coefficient](x, y)[:3]
    assert found.n == 24
    assert found == correlation(x, y, coefficient, n_permutations=200)
    assert found == correlation(x, y, coefficient, n_permutations=200, rng=np.random.default_rng(0))
    assert 1 / 201 <= found.p <= 1


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_without_a_relation_the_permutation_p_is_uniform(coefficient):
    rng = np.random.default_rng(17)
    p = [correlation(*rng.normal(size=(2, 30)), coefficient, rng=rng, n_permutations=199).p for _ in range(300)]
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01


def test_undefined_correlations_have_no_p():
    assert math.isnan(correlation(np.ones(6), np.arange(6.0)).p)
    assert correlation(np.array([1.0, NAN, 2.0]), np.array([1.0, 2.0, 3.0])).n == 2


# --- dependent correlations --------------------------------------------------------------------------------------


def test_the_difference_of_dependent_correlations_by_hand():
    """Steiger's z with r(x, y) = 0.396, r(other, y) = 0.179, r(x, other) = 0.088, n = 66.

    The correlation between the two coefficients and Zou's limits are worked out below from the printed formulas.
    """
    rng = np.random.default_rng(0)
    target = np.array([[1, 0.088, 0.396], [0.088, 1, 0.179], [0.396, 0.179, 1]])
    raw = rng.normal(size=(66, 3))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(raw.T @ raw).T)
    x, other, y = (white @ np.linalg.cholesky(target).T).T
    found = correlation_difference(x, other, y)
    assert found.value == pytest.approx(0.396 - 0.179)
    # Zou 2007, section on overlapping correlations, gives −0.093 to 0.517 for these figures.
    assert (found.low, found.high) == pytest.approx((-0.093, 0.517), abs=0.001)
    assert found.low < 0 < found.high and found.p > 0.05


def test_the_interval_of_the_difference_covers_as_often_as_it_says():
    rng = np.random.default_rng(21)
    root = np.linalg.cholesky(np.array([[1, 0.7, 0.6], [0.7, 1, 0.3], [0.6, 0.3, 1]]))
    draws = rng.normal(size=(500, 40, 3)) @ root.T
    covered = [f.low <= 0.3 <= f.high for f in (correlation_difference(*d.T) for d in draws)]
    assert abs(np.mean(covered) - 0.95) < 0.03


def test_proportional_points_have_no_difference_whatever_rounding_makes_of_them():
    """In floats the coefficient of proportional points is 1, or a little less, or the variance beside it below 0."""
    rng = np.random.default_rng(5)
    for _ in range(300):
        x, y = rng.uniform(size=(2, int(rng.integers(4, 9)))).round(3)
        assert math.isnan(correlation_difference(x, x, y).p) and abs(correlation_difference(x, x, y).value) < 1e-12
        assert math.isnan(correlation_difference(x, y, 0.3 * x + 0.2).p)
        assert math.isnan(correlation_difference(x, 2 * x + 0.1, y).low)


def test_equal_metrics_have_no_difference():
    x, y = points(1, 30)
    assert math.isnan(correlation_difference(x, x, y).p)  # nothing between them can vary
    found = correlation_difference(x, y + 0.0, x + y)
    swapped = correlation_difference(y + 0.0, x, x + y)
    assert (found.value, found.low, found.p) == pytest.approx((-swapped.value, -swapped.high, swapped.p))


# --- lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 8, 40])
def test_the_line_and_its_band_are_those_of_least_squares(n):
    x, y = points(n, n)
    found = linear_fit(np.append(x, NAN), np.append(y, 1.0), 7)
    model = sm.OLS(y, sm.add_constant(x)).fit()
    assert (found.intercept.value, found.slope.value) == pytest.approx(tuple(model.params))
    limits = model.conf_int()
    assert (found.slope.low, found.slope.high, found.slope.p) == pytest.approx((*limits[1], model.pvalues[1]))
    assert (found.intercept.low, found.intercept.high) == pytest.approx(tuple(limits[0]))
    band = model.get_prediction(sm.add_constant(found.at)).summary_frame()
    assert found.fitted == pytest.approx(band["mean"].to_numpy())
    assert found.low == pytest.approx(band["mean_ci_lower"].to_numpy())
    assert found.high == pytest.approx(band["mean_ci_upper"].to_numpy())
    assert found.slope.n == n


@pytest.mark.parametrize("x", [[], [1.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
def test_no_line_without_three_points_and_two_places(x):
    found = linear_fit(np.array(x), np.arange(float(len(x))), 5)
    assert math.isnan(found.slope.value) and np.isnan(found.fitted).all()


def test_points_on_a_line_have_a_certain_slope():
    found = linear_fit(np.arange(5.0), 2 * np.arange(5.0))
    assert found.slope.value == pytest.approx(2)
    assert found.slope.p < 1e-10
    assert np.abs(found.high - found.low).max() < 1e-10


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_leaving_one_out_is_leaving_one_out(coefficient):
    x, y = points(9, 8)
    x[2] = NAN
    found = leave_one_out(x, y, coefficient)
    assert math.isnan(found[2].r)
    for i in (0, 1, 3, 7):
        others = [j for j in range(8) if j != i]
        assert found[i] == pytest.approx(COEFFICIENTS[coefficient](x[others], y[others]))


def test_one_far_point_shows_in_the_influence():
    x, y = np.append(np.arange(6.0) % 3, 50.0), np.append(np.arange(6.0) // 3, 50.0)
    found = np.array([c.r for c in leave_one_out(x, y)])
    assert abs(found[6]) < 1e-12 and (found[:6] > 0.99).all()


# --- partial correlation -----------------------------------------------------------------------------------------


def test_partial_correlation_with_one_covariate_is_the_textbook_formula():
    x, y = points(5, 40)
    z = x + np.random.default_rng(6).normal(size=40)
    a, b, c = (np.corrcoef(*pair)[0, 1] for pair in ((x, y), (x, z), (y, z)))
    r = (a - b * c) / math.sqrt((1 - b * b) * (1 - c * c))
    found = partial_correlation(x, y, z[:, None])
    assert found.value == pytest.approx(r)
    # The t test of a coefficient in the regression on both is the same test.
    model = sm.OLS(y, np.column_stack([np.ones(40), x, z])).fit()
    assert found.p == pytest.approx(model.pvalues[1])
    half = 1.959963984540054 / math.sqrt(40 - 1 - 3)
    assert found.low == pytest.approx(math.tanh(math.atanh(r) - half))


@pytest.mark.parametrize("coefficient", ["pearson", "spearman"])
def test_without_covariates_it_is_the_plain_correlation(coefficient):
    x, y = points(5, 20)
    found = partial_correlation(x, y, np.empty((20, 0)), coefficient)
    assert found[:3] == pytest.approx(COEFFICIENTS[coefficient](x, y)[:3])


def test_a_common_cause_disappears_when_it_is_held_fixed():
    rng = np.random.default_rng(3)
    script = rng.integers(0, 3, 90)
    x, y = (script + 0.3 * rng.normal(size=90) for _ in range(2))
    columns = indicators(list(script))
    assert columns.shape == (90, 2)
    assert pearson(x, y).r > 0.8
    assert abs(partial_correlation(x, y, columns).value) < 0.25
    doubled = np.column_stack([columns, columns])  # columns that say the same count once
    assert partial_correlation(x, y, doubled) == pytest.approx(partial_correlation(x, y, columns))


def test_a_perfect_partial_correlation_has_no_p():
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 7.0])
    for coefficient in ("pearson", "spearman"):
        found = partial_correlation(x, 0.1 * x, np.array([[0.0], [1], [0], [1], [0], [0]]), coefficient)
        assert found.value == pytest.approx(1)
        assert math.isnan(found.p) and math.isnan(found.low)


def test_partial_correlation_needs_something_left():
    x, y = points(5, 6)
    assert math.isnan(partial_correlation(x, y, np.eye(6)[:, :3]).value)
    assert math.isnan(partial_correlation(x, y, x[:, None]).value)
    assert partial_correlation(x, y, np.full((6, 1), NAN)).n == 0
    assert indicators(["a", "a"]).shape == (2, 0)
    assert indicators([]).shape == (0, 0)


def test_partial_correlations_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(9)
    covered = []
    for _ in range(500):
        z, shared = rng.normal(size=(20, 2)), rng.normal(size=20)
        x, y = (z.sum(axis=1) + shared + rng.normal(size=20) for _ in range(2))
        found = partial_correlation(x, y, z)
        covered.append(found.low <= 0.5 <= found.high)
    assert abs(np.mean(covered) - 0.95) < 0.03


# --- choosing a layer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", ["pearson", "spearman"])
def test_layers_repeat_the_coefficient_and_its_permutation_p(coefficient):
    rng = np.random.default_rng(1)
    accuracy = rng.random(12)
    rates = accuracy[:, None] * np.linspace(0, 1, 5) + 0.3 * rng.random((12, 5))
    found = layer_correlations(rates, accuracy, coefficient)
    for layer in range(5):
        alone = correlation(rates[:, layer], accuracy, coefficient)
        assert (found.value[layer], found.low[layer], found.high[layer]) == pytest.approx(alone[:3])
        assert found.p[layer] == pytest.approx(alone.p, abs=1e-9)
    assert (found.p_best >= found.p).all()
    assert found.best == int(np.abs(found.value).argmax())
    assert found.n == 12


def test_few_languages_try_every_order_for_the_best_layer():
    rng = np.random.default_rng(8)
    rates, accuracy = rng.random((6, 4)), rng.random(6)

    def best(order):
        return max(abs(scipy.stats.spearmanr(rates[:, layer], accuracy[list(order)]).statistic) for layer in range(4))

    observed = best(range(6))
    expected = np.mean([best(o) >= observed - 1e-10 for o in permutations(range(6))])
    found = layer_correlations(rates, accuracy, "spearman")
    assert found.p_best[found.best] == pytest.approx(expected, abs=1e-12)


def test_one_layer_needs_no_correction():
    x, y = points(1, 15)
    found = layer_correlations(x[:, None], y)
    assert found.p_best == pytest.approx(found.p)


def test_constant_layers_are_undefined_and_incomplete_languages_left_out():
    rng = np.random.default_rng(2)
    rates, accuracy = rng.random((10, 3)), rng.random(10)
    rates[:, 0] = 0.0
    rates[4, 1], accuracy[7] = NAN, NAN
    found = layer_correlations(rates, accuracy)
    assert found.n == 8
    assert np.isnan(found.value).tolist() == np.isnan(found.p_best).tolist() == [True, False, False]
    nothing = layer_correlations(np.zeros((10, 3)), accuracy)
    assert nothing.best is None and np.isnan(nothing.p_best).all()


def test_choosing_the_best_layer_without_a_relation_gives_a_uniform_corrected_p():
    rng = np.random.default_rng(13)
    corrected, plain = [], []
    for _ in range(250):
        rates = np.cumsum(rng.normal(size=(14, 12)), axis=1)  # neighbouring layers are alike
        found = layer_correlations(rates, rng.normal(size=14), rng=rng, n_permutations=199)
        corrected.append(found.p_best.min())
        plain.append(found.p.min())
    assert scipy.stats.kstest(corrected, "uniform").pvalue > 0.01
    assert np.mean(np.array(plain) < 0.05) > 0.1, "the simulation must be one in which choosing matters"


# --- many tests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("adjust", "method"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_corrections_are_those_of_statsmodels(adjust, method, seed):
    p = np.random.default_rng(seed).random(20) ** 3
    p[5] = p[6]
    assert adjust(p) == pytest.approx(multipletests(p, method=method)[1])
    holes = np.insert(p, [0, 4, 20], NAN)
    found = adjust(holes)
    assert np.isnan(found).sum() == 3
    assert found[~np.isnan(found)] == pytest.approx(adjust(p))


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_corrections_of_nothing(adjust):
    assert adjust(np.array([])).shape == (0,)
    assert np.isnan(adjust(np.array([NAN]))).all()
    assert adjust(np.array([0.2])).tolist() == [0.2]


def test_holm_keeps_the_error_of_a_family():
    rng = np.random.default_rng(7)
    false_alarms = [(holm(p) < 0.05).any() for p in rng.random((2000, 8))]
    assert np.mean(false_alarms) < 0.065


def test_spearman_is_pearson_of_ranks():
    x, y = points(2, 15)
    assert spearman(x, y).r == pytest.approx(pearson(scipy.stats.rankdata(x), scipy.stats.rankdata(y)).r)
