"""How two quantities of languages go together: alignment and accuracy, or either and the share of the training text.

Frames of one row per language in, small frames of estimates out; each has its interval, its p value and its n beside it.
A coefficient "pearson" looks at values, "spearman" and "kendall" at ranks.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from crossalign.alignment import metric_label
from crossalign.amounts import in_brackets, p_value
from crossalign.languages import language, matching_code
from crossalign.reference import N_LAYERS, reference_table
from crossalign.statistics import (
    COEFFICIENTS,
    FEWEST_POINTS,
    correlation,
    indicators,
    layer_correlations,
    leave_one_out,
    linear_fit,
    partial_correlation,
)
from crossalign.tables import best_layers


class Pair(NamedTuple):
    """Two columns of `language_points` that are set against each other.

    Attributes:
        x: column on the horizontal axis.
        y: column on the vertical axis.
        label: both in words.
    """

    x: str
    y: str
    label: str

    @property
    def other(self) -> str:
        """What alignment is set against at each layer and for each metric."""
        return self.x if self.y == "rate" else self.y


PAIRS = {
    "accuracy": Pair("rate", "accuracy", "alignment and accuracy"),
    "training": Pair("training_share", "accuracy", "training share and accuracy"),
    "training-alignment": Pair("training_share", "rate", "training share and alignment"),
}

RULES = {"max": "best layer", "mean": "mean over layers", "layer": "one layer", "depth": "relative depth"}
RULES |= {"max_published": "best layer, as published", "mean_published": "mean over layers, as published"}
"""From rates by layer to one number per language. As published: without layer L, as in the published correlations."""

WORDS: dict[str, Callable[[str], str | None]] = {
    "metric": metric_label,
    "rule": RULES.get,
    "coefficient": str.title,
}
"""Column of a table of estimates → how its values are written for readers; files keep the names."""


def worded(table: pd.DataFrame) -> pd.DataFrame:
    """A table of estimates with names as they are read."""
    return table.assign(**{column: table[column].map(WORDS[column]) for column in WORDS if column in table})


CONTROLLED = {"resource_level": "resource level", "script": "script"}
"""Facts on languages that a partial correlation holds fixed: the level as a number, the script as a category."""


def known_pairs(languages: pd.DataFrame) -> list[str]:
    """The pairs that can be compared: those with the training share where it is known of at least one language."""
    known = "training_share" in languages and bool(languages["training_share"].count())
    return list(PAIRS) if known else ["accuracy"]


def language_points(facts: pd.DataFrame, rates: pd.DataFrame, rule: str, layer: int = 0) -> pd.DataFrame:
    """One row per language: its facts, and its alignment rate under a rule that makes one number of all layers.

    Args:
        facts: as `tables.languages`; its n becomes n_scored.
        rates: as `tables.rates`, of one metric and pooling.
        rule: "max" (each language's best layer), "mean" (over all layers; without interval, at layer -1), or any other
            word for one layer.
        layer: that layer.

    Returns:
        The facts, and layer, rate, low, high, relabelled_rate, tie_rate, best_layer, mean_rate, n; the largest rate first.
    """
    best = best_layers(rates)[["language", "layer", "mean_rate"]].rename(columns={"layer": "best_layer"})
    rows = rates.merge(best, on="language")
    rows = rows[rows["layer"] == (rows["best_layer"] if rule in ("max", "mean") else layer)]
    if rule == "mean":
        undefined = {name: np.nan for name in ("low", "high", "relabelled_rate", "tie_rate")}
        rows = rows.assign(rate=rows["mean_rate"], layer=-1, **undefined)
    wanted = ["language", "layer", "rate", "low", "high", "relabelled_rate", "tie_rate", "best_layer", "mean_rate", "n"]
    merged = facts.rename(columns={"n": "n_scored"}).merge(rows[wanted], on="language")
    return merged.sort_values("rate", ascending=False, ignore_index=True)


ACCURACY = ("accuracy", "accuracy_low", "accuracy_high")


def with_accuracy(facts: pd.DataFrame, other: pd.DataFrame, columns: Sequence[str] = ACCURACY) -> pd.DataFrame:
    """The facts on languages, with the accuracy that another run found for them; NaN where it has none.

    So MEXA on parallel sentences, or the quality of translations, can be set against the accuracy of a task, as in the
    paper. Codes of different systems (it, ita_Latn) are matched by `languages.matching_code`.

    Args:
        facts: one row per language.
        other: as `tables.languages`.
        columns: what is taken over from it.
    """
    theirs = [matching_code(code, other["language"]) for code in facts["language"]]
    found = other.set_index("language")[list(columns)].reindex(theirs)
    return facts.assign(**{column: found[column].to_numpy(float) for column in columns})


def coefficients(points: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """All coefficients of a pair, and Pearson and Spearman with a fact on the languages held fixed.

    Columns coefficient, held_fixed ("" for nothing), r, low, high, p, n. p is two-sided, by permutation where nothing is
    held fixed, else by a t test. Languages without the fact are left out of its rows.
    """
    x, y = _values(points, pair.x), _values(points, pair.y)
    rows = [(name, "", *correlation(x, y, name)) for name in COEFFICIENTS]
    for column, label in CONTROLLED.items():
        covariates = _covariates(points, column)
        rows += [(c, label, *partial_correlation(x, y, covariates, c)) for c in ("pearson", "spearman")]
    return pd.DataFrame(rows, columns=["coefficient", "held_fixed", "r", "low", "high", "p", "n"])


def coefficients_by_model(points: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """`coefficients` with nothing held fixed for each value of the column model, which comes first."""
    found = [coefficients(part, pair).assign(model=model) for model, part in points.groupby("model", sort=False)]
    columns = ["model", "coefficient", "r", "low", "high", "p", "n"]
    if not found:
        return pd.DataFrame(columns=columns)
    table = pd.concat(found, ignore_index=True)
    return table[table["held_fixed"] == ""][columns]


def fitted_line(points: pd.DataFrame, pair: Pair, ranks: bool = False) -> pd.DataFrame:
    """The least-squares line through the languages, with the 95 % band of its mean; empty where there are too few for a
    correlation.

    Columns x, y, low, high, in the units drawn: values, or ranks from 1 over the languages in which both are defined.
    """
    known = points[[pair.x, pair.y]].astype(float).dropna()
    if len(known) < FEWEST_POINTS:
        return pd.DataFrame(columns=["x", "y", "low", "high"], dtype=float)
    known = known.rank() if ranks else known
    fit = linear_fit(known[pair.x].to_numpy(), known[pair.y].to_numpy())
    return pd.DataFrame({"x": fit.at, "y": fit.fitted, "low": fit.low, "high": fit.high}).dropna()


def influence(points: pd.DataFrame, pair: Pair, coefficient: str = "pearson") -> pd.DataFrame:
    """The coefficient without each language in turn: columns language, name, r, low, high, n."""
    found = leave_one_out(_values(points, pair.x), _values(points, pair.y), coefficient)
    return points[["language", "name"]].assign(**pd.DataFrame(found, index=points.index))


class LayerCorrelations(NamedTuple):
    """Correlation over languages at each layer.

    Attributes:
        table: columns layer, r, low, high, p (for a layer named beforehand), p_best (corrected for having looked at all
            layers, by the largest of each permutation), n; a row per layer.
        threshold: |r| that the largest over all layers exceeds in 5 % of permutations.
        best: layer, r and corrected p of the best layer; empty where none is defined.
    """

    table: pd.DataFrame
    threshold: float
    best: pd.DataFrame


def by_layer(rates: pd.DataFrame, points: pd.DataFrame, other: str, coefficient: str = "pearson") -> LayerCorrelations:
    """Alignment at each layer against another quantity, over the languages of `points`.

    Languages that lack a layer are left out, so that all layers speak of the same languages.

    Args:
        rates: as `tables.rates`, of one metric and pooling.
        points: one row per language, with the column `other`.
        other: accuracy or training_share.
        coefficient: "pearson" or "spearman".
    """
    grid = rates.pivot_table(index="language", columns="layer", values="rate", sort=True)
    grid = grid.reindex(points["language"]).dropna(axis="columns", how="all")
    found = layer_correlations(grid.to_numpy(float), _values(points, other), coefficient)
    columns = {"layer": grid.columns, "r": found.value, "low": found.low, "high": found.high}
    table = pd.DataFrame(columns | {"p": found.p, "p_best": found.p_best, "n": found.n})
    best = table.iloc[[] if found.best is None else [found.best]][["layer", "r", "p_best"]]
    return LayerCorrelations(table, found.threshold, best.rename(columns={"p_best": "p"}))


def best_layer_in_words(found: LayerCorrelations) -> str:
    """The best layer with its interval, its corrected p and n; or why there is none."""
    if found.best.empty:
        return "No layer has a defined correlation."
    row = found.table.set_index("layer").loc[found.best["layer"].iloc[0]]
    return (
        f"Best layer: {found.best['layer'].iloc[0]}, r = {row['r']:.2f}{in_brackets(row['low'], row['high'], '{:.2f}'.format)}, "
        f"n = {row['n']:.0f} languages; {p_value(row['p_best'])} corrected for having looked at {len(found.table)} layers "
        f"({p_value(row['p'])} had it been named beforehand)."
    )


def published_points(task: str, metric: str, rule: str, layer: int = 0) -> pd.DataFrame:
    """The published figures as `language_points`; without the layer after the final norm, as they were published.

    Raises:
        UserError: there are no published figures for the task.
    """
    table = reference_table(task)
    chosen = table[(table["metric"] == metric) & (table["layer"] < N_LAYERS)]
    unknown = {name: np.nan for name in ("relabelled_rate", "tie_rate")}
    rates = chosen.assign(pooling="last_token", **unknown).astype({"layer": "int16"})
    facts = table.drop_duplicates("language")[["language", "name", "accuracy", "accuracy_low", "accuracy_high"]]
    about = [language(code) for code in facts["language"]]
    levels = pd.array([a.resource_level for a in about], dtype="Int8")
    facts = facts.assign(script=[a.script for a in about], family=[a.family for a in about], resource_level=levels)
    return language_points(facts, rates, rule, layer)


def _values(points: pd.DataFrame, column: str) -> Float[np.ndarray, "language"]:
    return points[column].to_numpy(float, na_value=np.nan)


def _covariates(points: pd.DataFrame, column: str) -> Float[np.ndarray, "language covariate"]:
    if column == "script":
        return indicators(points[column].tolist())
    return _values(points, column)[:, None]
