"""The mixed-effects logistic model, against numerical integration, its own gradient, and simulation."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import statsmodels.api as sm

from crossalign.statistics.mixed import _Laplace, language_means, mixed_logistic

NAN = float("nan")


def simulated(
    rng: np.random.Generator, n_languages: int, n_questions: int, effect: float, language_sd: float, question_sd: float
) -> tuple[np.ndarray, ...]:
    """Correct, aligned, language, question: every question in every language."""
    language, question = np.repeat(np.arange(n_languages), n_questions), np.tile(np.arange(n_questions), n_languages)
    aligned = (rng.random(len(language)) < rng.uniform(0.2, 0.8, n_languages)[language]).astype(float)
    odds = 0.3 + effect * aligned + language_sd * rng.normal(size=n_languages)[language]
    odds += question_sd * rng.normal(size=n_questions)[question]
    return (rng.random(len(language)) < 1 / (1 + np.exp(-odds))).astype(float), aligned, language, question


def integrated(parameters: np.ndarray, correct: np.ndarray, aligned: np.ndarray, language: np.ndarray) -> float:
    """Log-likelihood with one random intercept per language, integrated with 80 Gauss–Hermite nodes."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    odds = (parameters[0] + parameters[1] * aligned)[:, None] + parameters[2] * nodes[None, :]
    single = correct[:, None] * odds - np.logaddexp(0, odds)
    total = 0.0
    for code in np.unique(language):
        total += scipy.special.logsumexp(single[language == code].sum(axis=0), b=weights / math.sqrt(2 * math.pi))
    return total


def test_one_random_intercept_is_the_integrated_likelihood():
    correct, aligned, language, _ = simulated(np.random.default_rng(1), 12, 80, 0.7, 0.6, 0.0)
    found = mixed_logistic(correct, {"aligned": aligned}, language)
    known = scipy.optimize.minimize(
        lambda p: -integrated(p, correct, aligned, language), [0.0, 0.0, 0.5], method="Nelder-Mead", tol=1e-8
    )
    values = [found.coefficients["intercept"].value, found.coefficients["aligned"].value, found.language_sd]
    assert values == pytest.approx([known.x[0], known.x[1], abs(known.x[2])], abs=0.005)
    assert found.loglik == pytest.approx(-known.fun, abs=0.05)
    curvature = sm.tools.numdiff.approx_hess(known.x, lambda p: -integrated(p, correct, aligned, language))
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    estimate = found.coefficients["aligned"]
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 * errors[1], rel=0.01)
    assert math.isnan(found.question_sd)


@pytest.mark.parametrize("with_questions", [True, False])
def test_the_gradient_is_that_of_the_likelihood(with_questions):
    correct, aligned, language, question = simulated(np.random.default_rng(2), 5, 30, 0.7, 0.6, 0.9)
    design = np.column_stack([np.ones(len(correct)), aligned])
    likelihood = _Laplace(correct, design, language, question if with_questions else None)
    for at in ([0.2, 0.5, 0.7, 0.9], [1.5, -1.0, -0.4, 2.0]):
        at = np.array(at[: 3 + with_questions])
        numeric = [(likelihood(at + d)[0] - likelihood(at - d)[0]) / 2e-5 for d in np.eye(len(at)) * 1e-5]
        assert likelihood(at)[1] == pytest.approx(numeric, abs=1e-4)


def test_the_likelihood_of_crossed_intercepts_is_laplaces_by_the_book():
    """Dense linear algebra and a general optimiser for the mode, for 3 languages and 6 questions."""
    correct, aligned, language, question = simulated(np.random.default_rng(3), 3, 6, 0.7, 0.6, 0.9)
    design = np.column_stack([np.ones(len(correct)), aligned])
    parameters = np.array([0.1, 0.4, 0.8, 1.1])
    loadings = np.hstack([0.8 * np.eye(3)[language], 1.1 * np.eye(6)[question]])

    def penalised(intercepts):
        odds = design @ parameters[:2] + loadings @ intercepts
        return float((correct * odds - np.logaddexp(0, odds)).sum() - intercepts @ intercepts / 2)

    mode = scipy.optimize.minimize(lambda b: -penalised(b), np.zeros(9), method="BFGS", options={"gtol": 1e-8}).x
    chance = 1 / (1 + np.exp(-(design @ parameters[:2] + loadings @ mode)))
    hessian = np.eye(9) + loadings.T @ (loadings * (chance * (1 - chance))[:, None])
    expected = penalised(mode) - np.linalg.slogdet(hessian)[1] / 2
    assert _Laplace(correct, design, language, question)(parameters)[0] == pytest.approx(expected, abs=1e-6)


def test_without_differences_it_is_plain_logistic_regression():
    correct, aligned, language, question = simulated(np.random.default_rng(6), 6, 300, 0.5, 0.0, 0.0)
    plain = sm.Logit(correct, sm.add_constant(aligned)).fit(disp=0)
    found = mixed_logistic(correct, {"aligned": aligned}, language, question)
    assert found.loglik >= plain.llf - 1e-3
    assert found.coefficients["aligned"].value == pytest.approx(plain.params[1], abs=0.05)


def test_it_finds_what_was_put_in_and_covers_as_often_as_it_says():
    rng, found = np.random.default_rng(4), []
    for _ in range(80):
        correct, aligned, language, question = simulated(rng, 8, 200, 0.5, 0.5, 1.0)
        found.append(mixed_logistic(correct, {"aligned": aligned}, language, question))
    effects = [f.coefficients["aligned"] for f in found]
    values = np.array([e.value for e in effects])
    assert abs(values.mean() - 0.5) < 3 * values.std() / math.sqrt(80) + 0.01
    assert np.mean([e.low <= 0.5 <= e.high for e in effects]) >= 0.88
    assert np.mean([f.question_sd for f in found]) == pytest.approx(1.0, abs=0.1)
    assert np.mean([f.language_sd for f in found]) == pytest.approx(0.5, abs=0.1)


def test_nothing_between_them_gives_few_small_p():
    rng, p = np.random.default_rng(5), []
    for _ in range(120):
        correct, aligned, language, question = simulated(rng, 6, 100, 0.0, 0.5, 1.0)
        p.append(mixed_logistic(correct, {"aligned": aligned}, language, question).coefficients["aligned"].p)
    assert np.mean(np.array(p) < 0.05) < 0.12
    assert 0.35 < np.mean(np.array(p) < 0.5) < 0.65


def test_language_means_separate_what_differs_between_languages():
    """Within languages alignment does nothing; languages with more alignment are better."""
    rng = np.random.default_rng(7)
    language = np.repeat(np.arange(30), 100)
    level = rng.uniform(-1.5, 1.5, 30)[language]
    aligned = (rng.random(3000) < 1 / (1 + np.exp(-level))).astype(float)
    correct = (rng.random(3000) < 1 / (1 + np.exp(-1.2 * level))).astype(float)
    between = language_means(aligned, language)
    found = mixed_logistic(correct, {"aligned": aligned, "language rate": between}, language).coefficients
    assert found["aligned"].low < 0 < found["aligned"].high
    assert found["language rate"].low > 2


def test_scale_and_holes_of_a_covariate_change_nothing_else():
    correct, aligned, language, question = simulated(np.random.default_rng(8), 5, 60, 0.5, 0.5, 0.5)
    found = mixed_logistic(correct, {"x": aligned}, language, question)
    scaled = mixed_logistic(correct, {"x": 100 + 1000 * aligned}, language, question)
    assert scaled.coefficients["x"].value * 1000 == pytest.approx(found.coefficients["x"].value, abs=1e-4)
    assert scaled.coefficients["x"].p == pytest.approx(found.coefficients["x"].p, rel=1e-3)
    holes = mixed_logistic(
        np.append(correct, [NAN, 1.0]),
        {"x": np.append(aligned, [1.0, NAN])},
        np.append(language, [0, 90]),
        np.append(question, [0, 900]),
    )
    assert holes.coefficients["x"] == pytest.approx(found.coefficients["x"], abs=1e-9)
    assert holes.n == found.n


@pytest.mark.parametrize("case", ["all correct", "constant covariate", "separated", "empty"])
def test_what_cannot_be_fitted_is_undefined(case):
    correct, aligned, language, question = simulated(np.random.default_rng(9), 4, 30, 0.5, 0.5, 0.5)
    if case == "all correct":
        correct = np.ones_like(correct)
    if case == "constant covariate":
        aligned = np.ones_like(aligned)
    if case == "separated":
        correct = aligned.copy()
    if case == "empty":
        correct, aligned, language, question = (v[:0] for v in (correct, aligned, language, question))
    found = mixed_logistic(correct, {"aligned": aligned}, language, question)
    assert math.isnan(found.coefficients["aligned"].value) and math.isnan(found.loglik)
    assert list(found.coefficients) == ["intercept", "aligned"]
