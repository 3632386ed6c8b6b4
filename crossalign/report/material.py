"""What a report shows of a run, read and computed once."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crossalign import outcomes, relations
from crossalign.alignment import metric_label
from crossalign.imported import Aligned, aligned_instances, side_by_side
from crossalign.run_tables import RunTables, read_tables
from crossalign.schema import UserError
from crossalign.store.runs import Run


@dataclass(frozen=True)
class Material:
    """A run under one metric and pooling; frames may be empty, as a run need not have all of them.

    Attributes:
        run: description, languages, rates of all metrics.
        metric, pooling: what is looked at; "" where the run holds no alignment.
        rates: of that metric and pooling, as `tables.rates`.
        points: `relations.language_points` at each language's best layer.
        decided: language → decisions and margins of its instances, where the run has them.
        instances: `outcomes.at_layers` of these languages.
    """

    run: RunTables
    metric: str
    pooling: str
    rates: pd.DataFrame
    points: pd.DataFrame
    decided: dict[str, Aligned]
    instances: pd.DataFrame

    @property
    def label(self) -> str:
        """The metric as the field writes it."""
        return metric_label(self.metric)

    @property
    def scored(self) -> bool:
        """Whether accuracy is known of a language."""
        return bool(self.run.languages["accuracy"].notna().any())

    @property
    def answered(self) -> bool:
        """Whether single instances are known to be right or wrong."""
        return bool(len(self.instances) and self.instances["correct"].notna().any())


def read_material(run: Run, metric: str = "", pooling: str = "") -> Material:
    """Reads a run for a report.

    Args:
        metric, pooling: "" for the run's first.

    Raises:
        UserError: the run does not have them.
    """
    tables = read_tables(run)
    metric = one_of("metric", metric, tables.metrics, run)
    rates = tables.rates[tables.rates["metric"] == metric]
    pooling = one_of("pooling", pooling, tables.poolings_of(metric), run)
    rates = rates[rates["pooling"] == pooling]
    points = relations.language_points(tables.languages, rates, "max")
    read = ((code, aligned_instances(run, code, pooling, metric)) for code in points["language"])
    decided = {code: mine for code, mine in read if mine is not None}
    layers = dict(zip(points["language"], points["best_layer"].astype(int), strict=True))
    instances = pd.DataFrame()
    if decided:
        instances = outcomes.at_layers(outcomes.outcomes(run, list(decided)), decided, layers)
    return Material(tables, metric, pooling, rates, points, decided, instances)


def one_of(name: str, asked: str, offered: list[str], run: Run) -> str:
    """What was asked for, or the first that is offered; "" where nothing is.

    Raises:
        UserError: the run does not offer it.
    """
    if asked and asked not in offered:
        raise UserError(f"{run.run_id} has no {name} {asked!r}; it has {', '.join(offered) or 'none'}.")
    return asked or next(iter(offered), "")


def all_decided(material: Material) -> np.ndarray:
    """Decisions [layer, instance] of all languages one after the other, as the rows of `instances`."""
    return side_by_side(mine.decided for mine in material.decided.values())
