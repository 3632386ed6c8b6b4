"""One 2×2 table per language: the odds ratio they share, and whether they share one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from crossalign.statistics.estimates import Z95, Estimate, two_sided, undefined

Tables = Float[np.ndarray, "stratum 2 2"]


class CommonOddsRatio(NamedTuple):
    """The odds ratio over all strata.

    Attributes:
        odds_ratio: with interval, two-sided p of odds ratio 1, and n instances.
        homogeneity_p: p of Breslow and Day's test (Tarone's correction) that all strata have the same odds ratio; small:
            they do not, and the common value is an average of different things.
        n_strata: tables in which both facts vary; the others say nothing and drop out.
    """

    odds_ratio: Estimate
    homogeneity_p: float
    n_strata: int


def stratified_tables(
    aligned: Float[np.ndarray, "instance"], correct: Float[np.ndarray, "instance"], stratum: Int[np.ndarray, "instance"]
) -> Tables:
    """A table per stratum, [aligned?, correct?] with yes first; strata in the order of their numbers, from 0."""
    kept = ~(np.isnan(aligned) | np.isnan(correct))
    cell = ((1 - aligned[kept]) * 2 + 1 - correct[kept]).astype(int)
    n = int(stratum.max()) + 1 if len(stratum) else 0
    return np.bincount(stratum[kept] * 4 + cell, minlength=n * 4).reshape(n, 2, 2).astype(float)


def mantel_haenszel(tables: Tables) -> CommonOddsRatio:
    """The Mantel–Haenszel odds ratio of independent instances, stratum by stratum.

    Interval of Robins, Breslow & Greenland; p of the Cochran–Mantel–Haenszel test without continuity correction.

    Args:
        tables: counts, one table per stratum.

    Returns:
        NaN where no stratum has both facts varying; value 0 or infinite, without interval, where a diagonal is empty.

    >>> found = mantel_haenszel(np.array([[[8.0, 2.0], [4.0, 6.0]], [[5.0, 5.0], [2.0, 8.0]]]))
    >>> [round(v, 3) for v in found.odds_ratio], round(found.homogeneity_p, 3)
    ([4.889, 1.198, 19.948, 0.026, 40], 0.778)
    """
    tables = _informative(tables)
    n = int(tables.sum())
    if len(tables) == 0:
        return CommonOddsRatio(undefined(0), math.nan, 0)
    ratio = _log_ratio(tables)
    p = _cmh(tables)
    if not math.isfinite(ratio):
        return CommonOddsRatio(undefined(n, math.exp(ratio))._replace(p=p), math.nan, len(tables))
    half = Z95 * math.sqrt(_robins_breslow_greenland(tables))
    found = Estimate(math.exp(ratio), math.exp(ratio - half), math.exp(ratio + half), p, n)
    return CommonOddsRatio(found, _breslow_day(tables, found.value), len(tables))


def clustered_mantel_haenszel(
    aligned: Float[np.ndarray, "instance"],
    correct: Float[np.ndarray, "instance"],
    stratum: Int[np.ndarray, "instance"],
    groups: Int[np.ndarray, "instance"],
) -> CommonOddsRatio:
    """The Mantel–Haenszel odds ratio where the same question stands in many languages, and questions come in groups.

    The variance of its logarithm is the infinitesimal jackknife over groups (each weighs a little less in all strata at
    once), not below that of independent instances; interval and two-sided p follow from the normal distribution. The
    test of homogeneity is that of `mantel_haenszel` and takes instances as independent, so it errs towards finding
    differences. Where the odds ratio is 0 or infinite there is no interval, and no p unless instances are independent.

    Args:
        aligned: 1.0, 0.0 or NaN, over all instances of all languages, one after the other.
        correct: likewise.
        stratum: language of each instance, numbered from 0.
        groups: resampling unit of each instance; the same number in every language.

    Source: Efron 1982 (infinitesimal jackknife); leaving groups out fails where one holds all of a cell.
    """
    found = mantel_haenszel(stratified_tables(aligned, correct, stratum))
    kept = ~(np.isnan(aligned) | np.isnan(correct))
    _, group = np.unique(groups[kept], return_inverse=True)
    n_groups, n_strata = int(group.max(initial=-1)) + 1, int(stratum.max(initial=-1)) + 1
    if n_groups == len(group):
        return found
    if n_groups < 2 or math.isnan(found.odds_ratio.low):
        return found._replace(odds_ratio=undefined(found.odds_ratio.n, found.odds_ratio.value))
    apart = stratified_tables(aligned[kept], correct[kept], group * n_strata + stratum[kept])
    apart = np.concatenate([apart, np.zeros((n_groups * n_strata - len(apart), 2, 2))]).reshape(
        n_groups, n_strata, 2, 2
    )
    jackknife = n_groups / (n_groups - 1) * float((_group_influence(apart) ** 2).sum())
    ratio = math.log(found.odds_ratio.value)
    independent = ((math.log(found.odds_ratio.high) - ratio) / Z95) ** 2
    error = math.sqrt(max(jackknife, independent))
    low, high, p = math.exp(ratio - Z95 * error), math.exp(ratio + Z95 * error), two_sided(ratio / error)
    return found._replace(odds_ratio=found.odds_ratio._replace(low=low, high=high, p=p))


def _informative(tables: Tables) -> Float[np.ndarray, "informative 2 2"]:
    """The tables in which both facts vary."""
    varies = (tables.sum(axis=1) > 0).all(axis=1) & (tables.sum(axis=2) > 0).all(axis=1)
    return tables[varies]


def _log_ratio(tables: Tables) -> float:
    """Log Mantel–Haenszel odds ratio."""
    n, ((a, b), (c, d)) = tables.sum(axis=(1, 2)), tables.transpose(1, 2, 0)
    with np.errstate(divide="ignore"):
        return float(np.log((a * d / n).sum()) - np.log((b * c / n).sum()))


def _group_influence(apart: Float[np.ndarray, "group stratum 2 2"]) -> Float[np.ndarray, "group"]:
    """Derivative of the log Mantel–Haenszel odds ratio by the weight of each group; sums to 0."""
    whole = apart.sum(axis=0)
    n, of_group = np.maximum(whole.sum(axis=(1, 2)), 1), apart.sum(axis=(2, 3))

    def relative(first: tuple[int, int], second: tuple[int, int]) -> Float[np.ndarray, "group"]:
        """Of one diagonal's Σ (product ÷ n), relative to that sum."""
        x, y = whole[:, *first], whole[:, *second]
        moved = apart[:, :, *first] * y + x * apart[:, :, *second] - x * y * of_group / n
        return (moved / n).sum(axis=1) / (x * y / n).sum()

    return relative((0, 0), (1, 1)) - relative((0, 1), (1, 0))


def _robins_breslow_greenland(tables: Tables) -> float:
    """Variance of the log odds ratio, consistent for few large strata and for many small ones."""
    n = tables.sum(axis=(1, 2))
    (a, b), (c, d) = tables.transpose(1, 2, 0)
    p, q, r, s = (a + d) / n, (b + c) / n, a * d / n, b * c / n
    total_r, total_s = r.sum(), s.sum()
    mixed = (p * s + q * r).sum() / (2 * total_r * total_s)
    return float((p * r).sum() / (2 * total_r**2) + mixed + (q * s).sum() / (2 * total_s**2))


def _cmh(tables: Tables) -> float:
    n = tables.sum(axis=(1, 2))
    row, column = tables[:, 0].sum(axis=1), tables[:, :, 0].sum(axis=1)
    expected = row * column / n
    variance = row * column * (n - row) * (n - column) / (n * n * (n - 1))
    return two_sided(float((tables[:, 0, 0] - expected).sum()) / math.sqrt(variance.sum()))


def _breslow_day(tables: Tables, ratio: float) -> float:
    """Chi-square of the first cells against what the common odds ratio expects, with Tarone's correction."""
    from scipy.special import chdtrc

    if len(tables) < 2:
        return math.nan
    n = tables.sum(axis=(1, 2))
    row, column = tables[:, 0].sum(axis=1), tables[:, :, 0].sum(axis=1)
    expected = _first_cell(row, column, n, ratio)
    variance = 1 / (1 / expected + 1 / (row - expected) + 1 / (column - expected) + 1 / (n - row - column + expected))
    off = tables[:, 0, 0] - expected
    chi_square = (off**2 / variance).sum() - off.sum() ** 2 / variance.sum()
    return float(chdtrc(len(tables) - 1, max(0.0, chi_square)))


def _first_cell(row: np.ndarray, column: np.ndarray, n: np.ndarray, ratio: float) -> np.ndarray:
    """The first cell of a table with these margins and this odds ratio."""
    if abs(ratio - 1) < 1e-9:
        return row * column / n
    a, b, c = ratio - 1, -(n - row - column + ratio * (row + column)), ratio * row * column
    # The root inside the table's range, in the form that loses no digits.
    return 2 * c / (-b + np.sqrt(b * b - 4 * a * c))
