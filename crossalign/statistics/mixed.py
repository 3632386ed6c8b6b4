"""A mixed-effects logistic model: does alignment go with being right, language by language and question by question?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from crossalign.statistics.estimates import Z95, Estimate, two_sided, undefined

Facts = Float[np.ndarray, "observation"]
Factor = Int[np.ndarray, "observation"]

STEPS = 50
"""Newton steps of the search for the random intercepts; it needs 3 to 8."""

FARTHEST = 12.0
"""Log odds per standard deviation of a covariate at which chances are 1e-5: a search that comes here runs to infinity."""


class MixedLogistic(NamedTuple):
    """Coefficients in log odds: exp(value) is an odds ratio within the same language and question.

    Attributes:
        coefficients: covariate → estimate with Wald interval and two-sided p; "intercept" first. NaN where the model could
            not be fitted, because correctness or a covariate does not vary or separates right from wrong.
        language_sd: standard deviation of the languages' intercepts.
        question_sd: likewise of the questions; NaN where they were not asked for.
        loglik: Laplace's approximation of the maximised log-likelihood.
        n: observations.
    """

    coefficients: dict[str, Estimate]
    language_sd: float
    question_sd: float
    loglik: float
    n: int


def mixed_logistic(
    correct: Facts, covariates: Mapping[str, Facts], language: Factor, question: Factor | None = None
) -> MixedLogistic:
    """Logistic regression with a random intercept for each language and, crossed with it, for each question.

    Maximum likelihood by Laplace's approximation. Where a question stands in few languages it understates how much
    questions differ: simulated with a deviation of 1, the estimate was 0.97 with 8 languages, 0.91 with 4, 0.72 with 2, and
    a coefficient of 0.50 was 0.51, 0.50 and 0.48. 10 languages of 500 questions take 0.05 s, 122 of 900 take 1.6 s.

    A covariate that differs between languages as a whole, as alignment does, mixes two effects: pass it with its
    `language_means` as a second covariate, then its own coefficient is the effect within languages.

    Args:
        correct: 1.0, 0.0 or NaN; observations of all languages, one after the other.
        covariates: name → values, NaN where undefined; such observations are left out.
        language: language of each observation, as integers.
        question: question (or passage) of each observation, the same number in every language; None for no such effect.

    Source: Breslow & Clayton 1993; the same model as `glmer` of lme4 fits.
    """
    design = np.column_stack([np.ones(len(correct)), *covariates.values()])
    kept = ~(np.isnan(correct) | np.isnan(design).any(axis=1))
    design, correct = design[kept], correct[kept]
    names, n, width = ["intercept", *covariates], int(kept.sum()), design.shape[1]
    nothing = MixedLogistic({name: undefined(n) for name in names}, math.nan, math.nan, math.nan, n)
    if n == 0 or len(np.unique(correct)) < 2 or np.linalg.matrix_rank(design) < width:
        return nothing
    middle, scale = design[:, 1:].mean(axis=0), design[:, 1:].std(axis=0)
    standard = np.column_stack([np.ones(n), (design[:, 1:] - middle) / scale])  # equal scales for the search
    likelihood = _Laplace(correct, standard, language[kept], None if question is None else question[kept])
    found = _maximum(likelihood)
    if found is None:
        return nothing
    best, covariance = found
    back = np.diag(np.concatenate([[1.0], 1 / scale]))
    back[0, 1:] = -middle / scale
    values, errors = back @ best[:width], np.sqrt(np.diag(back @ covariance[:width, :width] @ back.T))
    coefficients = {
        name: Estimate(float(v), float(v - Z95 * e), float(v + Z95 * e), two_sided(float(v / e)), n)
        for name, v, e in zip(names, values, errors, strict=True)
    }
    question_sd = math.nan if question is None else abs(float(best[-1]))
    return MixedLogistic(coefficients, abs(float(best[width])), question_sd, likelihood(best)[0], n)


def language_means(values: Facts, language: Factor) -> Facts:
    """The mean of each observation's language, NaN left out: what differs between languages rather than within.

    >>> language_means(np.array([1.0, 0.0, 1.0, np.nan]), np.array([0, 0, 1, 1])).tolist()
    [0.5, 0.5, 1.0, 1.0]
    """
    _, index = np.unique(language, return_inverse=True)
    defined = ~np.isnan(values)
    counts = np.bincount(index, weights=defined)
    with np.errstate(invalid="ignore"):
        return (np.bincount(index, weights=np.where(defined, values, 0.0)) / counts)[index]


def between_languages(found: Estimate, n: int) -> Estimate:
    """A coefficient of `mixed_logistic` whose covariate differs between n languages only, with t interval and p.

    A straight line over n languages leaves n − 2 degrees of freedom, and maximum likelihood divides their variance by n
    instead; where languages hardly differ beyond their instances the interval is therefore too wide. n takes the place of
    the number of observations.

    >>> [round(v, 3) for v in between_languages(Estimate(1.0, 0.02, 1.98, 0.046, 4000), 6)]
    [1.0, -0.7, 2.7, 0.178, 6]
    """
    from scipy.special import stdtr, stdtrit

    error = (found.high - found.low) / (2 * Z95) * math.sqrt(n / (n - 2))
    half = float(stdtrit(n - 2, 0.975)) * error
    return Estimate(
        found.value, found.value - half, found.value + half, 2 * float(stdtr(n - 2, -abs(found.value) / error)), n
    )


class _Inverse(NamedTuple):
    """The inverse Hessian of the random intercepts, as far as it is needed, and the log determinant.

    The Hessian is diagonal but for the questions × languages block, so eliminating the questions leaves a languages ×
    languages system.
    """

    reduced: Float[np.ndarray, "language language"]
    crossed: Float[np.ndarray, "question language"]
    questions: Float[np.ndarray, "question"]
    log_determinant: float

    def solve(self, at_language: np.ndarray, at_question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse times a vector."""
        first = self.reduced @ (at_language - self.crossed.T @ (at_question / self.questions))
        return first, (at_question - self.crossed @ first) / self.questions

    def elements(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Diagonal over languages, questions × languages block, diagonal over questions."""
        shrunk = self.crossed / self.questions[:, None]
        block = -shrunk @ self.reduced
        return np.diag(self.reduced), block, 1 / self.questions - (shrunk * block).sum(axis=1)


class _Laplace:
    """Log-likelihood of (coefficients, language sd, question sd) and its gradient, random intercepts integrated out."""

    def __init__(
        self, correct: np.ndarray, design: np.ndarray, language: np.ndarray, question: np.ndarray | None
    ) -> None:
        self.correct, self.design = correct, design
        self.with_questions = question is not None
        _, self.language = np.unique(language, return_inverse=True)
        _, self.question = np.unique(language * 0 if question is None else question, return_inverse=True)
        self.shape = int(self.question.max()) + 1, int(self.language.max()) + 1
        self.cell = self.question * self.shape[1] + self.language
        self.a, self.b = np.zeros(self.shape[1]), np.zeros(self.shape[0])

    @property
    def start(self) -> np.ndarray:
        """The overall odds, no effects, and half a unit of deviation."""
        columns = self.design.shape[1]
        point = np.zeros(columns + 1 + self.with_questions)
        point[0] = np.log(self.correct.mean() / (1 - self.correct.mean()))
        point[columns:] = 0.5
        return point

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """The log-likelihood at the mode of the intercepts less half the log determinant there, and its gradient."""
        fixed, sd_a, sd_b = self._parts(parameters)
        a, b = self._mode(fixed, sd_a, sd_b)
        odds, chance, inverse = self._hessian(fixed, sd_a, sd_b, a, b)
        value = self._penalised(odds, a, b) - inverse.log_determinant / 2
        weight, left = chance * (1 - chance), self.correct - chance
        at_a, block, at_b = inverse.elements()
        both = block[self.question, self.language]
        leverage = sd_a**2 * at_a[self.language] + sd_b**2 * at_b[self.question] + 2 * sd_a * sd_b * both
        bend = leverage * weight * (1 - 2 * chance)  # how the log determinant follows the odds of each observation
        moved_a, moved_b = inverse.solve(sd_a * self._over_a(bend), sd_b * self._over_b(bend))
        moved = sd_a * moved_a[self.language] + sd_b * moved_b[self.question]
        pull = left - (bend - weight * moved) / 2
        slope_a = a @ self._over_a(pull) - moved_a @ self._over_a(left) / 2
        slope_a -= weight @ (sd_a * at_a[self.language] + sd_b * both)
        slope_b = b @ self._over_b(pull) - moved_b @ self._over_b(left) / 2
        slope_b -= weight @ (sd_b * at_b[self.question] + sd_a * both)
        slopes = [slope_a, slope_b] if self.with_questions else [slope_a]
        return value, np.concatenate([self.design.T @ pull, slopes])

    def _parts(self, parameters: np.ndarray) -> tuple[np.ndarray, float, float]:
        columns = self.design.shape[1]
        sd_b = float(parameters[-1]) if self.with_questions else 0.0
        return self.design @ parameters[:columns], float(parameters[columns]), sd_b

    def _mode(self, fixed: np.ndarray, sd_a: float, sd_b: float) -> tuple[np.ndarray, np.ndarray]:
        """The most likely intercepts, by Newton's method from those of the last call; the function is concave."""
        a, b = self.a, self.b
        for _ in range(STEPS):
            odds, chance, inverse = self._hessian(fixed, sd_a, sd_b, a, b)
            left, value, size = self.correct - chance, self._penalised(odds, a, b), 1.0
            step_a, step_b = inverse.solve(sd_a * self._over_a(left) - a, sd_b * self._over_b(left) - b)
            while size > 1e-6:
                new_a, new_b = a + size * step_a, b + size * step_b
                if self._penalised(self._odds(fixed, sd_a, sd_b, new_a, new_b), new_a, new_b) >= value - 1e-9:
                    break
                size /= 2
            a, b = new_a, new_b
            if max(np.abs(step_a).max(), np.abs(step_b).max()) < 1e-7:
                break
        self.a, self.b = a, b
        return a, b

    def _odds(self, fixed: np.ndarray, sd_a: float, sd_b: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return fixed + sd_a * a[self.language] + sd_b * b[self.question]

    def _penalised(self, odds: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
        return float((self.correct * odds - np.logaddexp(0, odds)).sum() - (a @ a + b @ b) / 2)

    def _hessian(
        self, fixed: np.ndarray, sd_a: float, sd_b: float, a: np.ndarray, b: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, _Inverse]:
        """Odds and chances of being correct, and the inverse Hessian of the intercepts."""
        odds = self._odds(fixed, sd_a, sd_b, a, b)
        chance = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
        cells = np.bincount(self.cell, chance * (1 - chance), self.shape[0] * self.shape[1]).reshape(self.shape)
        questions, crossed = 1 + sd_b**2 * cells.sum(axis=1), sd_a * sd_b * cells
        reduced = np.diag(1 + sd_a**2 * cells.sum(axis=0)) - crossed.T @ (crossed / questions[:, None])
        log_determinant = float(np.linalg.slogdet(reduced)[1] + np.log(questions).sum())
        return odds, chance, _Inverse(np.linalg.inv(reduced), crossed, questions, log_determinant)

    def _over_a(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.language, values, self.shape[1])

    def _over_b(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.question, values, self.shape[0])


def _maximum(likelihood: _Laplace) -> tuple[np.ndarray, np.ndarray] | None:
    """The parameters at the maximum and their covariance; None where there is no maximum.

    A standard deviation may go below 0 on the way: the likelihood is the same at both signs, and smooth at 0.
    """
    from scipy.optimize import minimize

    def downhill(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihood(parameters)
        return -value, -gradient

    best = minimize(downhill, likelihood.start, jac=True, method="BFGS", options={"gtol": 1e-4}).x
    steps = np.eye(len(best)) * 1e-4
    rows = [(downhill(best + step)[1] - downhill(best - step)[1]) / 2e-4 for step in steps]
    information = (np.array(rows) + np.array(rows).T) / 2
    separated = np.abs(best).max() > FARTHEST
    if separated or not np.isfinite(information).all() or np.linalg.eigvalsh(information).min() <= 1e-8:
        return None
    return best, np.linalg.inv(information)
