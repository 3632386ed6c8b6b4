"""How all metrics go together with another quantity of languages, and whether one of them does better than the others."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

import numpy as np
import pandas as pd

from crossalign.statistics import benjamini_hochberg, correlation_difference, holm, layer_correlations, pearson
from crossalign.tables import best_layers


def by_metric(rates: pd.DataFrame, points: pd.DataFrame, other: str, coefficient: str = "pearson") -> pd.DataFrame:
    """Every metric, at each language's best layer and as mean over layers, against another quantity.

    Columns metric, rule (max or mean), r, low, high, p, p_holm, p_bh, p_best, n. All p are two-sided, by permutation; the
    last three answer for having tried all rows: Holm, Benjamini-Hochberg, and the largest |r| of each permutation.

    Args:
        rates: as `tables.rates`, of one pooling.
        points: one row per language, with the column `other`.
        other: accuracy or training_share.
        coefficient: "pearson" or "spearman".
    """
    grid = _every_metric(rates, points)
    found = layer_correlations(grid.to_numpy(float), points[other].to_numpy(float, na_value=np.nan), coefficient)
    rows = {"metric": [m for m, _ in grid.columns], "rule": [rule for _, rule in grid.columns]}
    rows |= {"r": found.value, "low": found.low, "high": found.high, "p": found.p}
    rows |= {"p_holm": holm(found.p), "p_bh": benjamini_hochberg(found.p), "p_best": found.p_best, "n": found.n}
    return pd.DataFrame(rows)


def metric_differences(
    rates: pd.DataFrame, points: pd.DataFrame, other: str, metric: str, rule: str = "max"
) -> pd.DataFrame:
    """Does one metric go with another quantity better than the others do? Pearson's r of it minus theirs.

    Columns metric, rule, r (of the other metric), difference, low, high, p, p_holm, n; a row per other metric and rule
    where both coefficients are defined, over the languages that have both rates. Interval and two-sided p as in
    `statistics.correlation_difference`; p_holm answers for having tried all rows. Empty where the chosen metric has no rate.

    Args:
        rates: as `tables.rates`, of one pooling.
        points: one row per language, with the column `other`.
        other: accuracy or training_share.
        metric: the one that the others are compared with.
        rule: "max" or "mean", how one number is made of its layers.
    """
    grid = _every_metric(rates, points)
    names = ["metric", "rule", "r", "difference", "low", "high", "p", "n"]
    rows, y = [], points[other].to_numpy(float, na_value=np.nan)
    if (metric, rule) in grid:
        chosen = grid[metric, rule].to_numpy(float)
        for column in grid.columns.drop((metric, rule)):
            theirs = grid[column].to_numpy(float)
            both = np.where(np.isnan(chosen), np.nan, theirs)
            rows.append((*column, pearson(both, y).r, *correlation_difference(chosen, theirs, y)))
    table = pd.DataFrame(rows, columns=names).dropna(subset=["difference"], ignore_index=True)
    table.insert(7, "p_holm", holm(table["p"].to_numpy(float)))
    return table


def _every_metric(rates: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """[language, (metric, rule)] rates at each language's best layer ("max") and as mean over layers ("mean").

    Metrics are in the order of `rates`; one without a rate in any of the languages is left out.
    """
    best = best_layers(rates).set_index(["metric", "language"])
    known = set(best.index.get_level_values("metric"))
    columns = {
        (metric, rule): best.loc[metric, column].reindex(points["language"])
        for metric in dict.fromkeys(rates["metric"])
        for rule, column in (("max", "rate"), ("mean", "mean_rate"))
        if metric in known
    }
    return pd.DataFrame(columns, index=points["language"]).dropna(axis="columns", how="all")
