"""One run as pages and reports read it: its description, and the tables of its languages."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from crossalign import tables
from crossalign.alignment import ALIGNMENT_METRICS
from crossalign.schema import RunSpec
from crossalign.store.runs import Run

Version = tuple[Any, ...]


@dataclass(frozen=True)
class RunTables:
    """A few megabytes at most; never changed in place, as sessions share it.

    Attributes:
        version: changes when a part appears or is replaced; the key of every cache of the dashboard.
        languages: `tables.languages`, one row per complete language, pivot first.
        rates: `tables.rates`, one row per language, pooling, metric and layer.
    """

    run: Run
    version: Version
    languages: pd.DataFrame
    rates: pd.DataFrame

    @property
    def run_id(self) -> str:
        return self.run.folder.name

    @property
    def spec(self) -> RunSpec:
        return self.run.spec

    @property
    def facts(self) -> dict[str, Any]:
        return self.run.facts

    @cached_property
    def codes(self) -> list[str]:
        """Complete languages but the pivot, in the order of their English names."""
        others = self.languages[self.languages["language"] != self.spec.pivot]
        return others.sort_values("name")["language"].tolist()

    def poolings_of(self, metric: str) -> list[str]:
        """Poolings of the rates of a metric: of one that was imported perhaps not all of the run."""
        return list(dict.fromkeys(self.rates.loc[self.rates["metric"] == metric, "pooling"]))

    @cached_property
    def metrics(self) -> list[str]:
        """Alignment metrics of the run, in the order of `ALIGNMENT_METRICS`."""
        order = list(ALIGNMENT_METRICS)
        return sorted(dict.fromkeys(self.rates["metric"]), key=lambda m: order.index(m) if m in order else len(order))

    @cached_property
    def aligned_codes(self) -> list[str]:
        """Those of `codes` that have alignment; an import may lack it for some."""
        known = set(self.rates["language"])
        return [code for code in self.codes if code in known]

    @property
    def n_layers(self) -> int:
        """L: layers run from 0 (embeddings) to L."""
        return int(self.facts.get("n_layers") or (self.rates["layer"].max() if len(self.rates) else 0))

    @property
    def after_norm(self) -> int | None:
        """The layer that comes after the final norm in most models: L; None where an import does not tell.

        Of the files of the paper only MEXA's reach it; DALI's end before it, so that alone they do not say where it is.
        """
        reaching = self.rates.loc[self.rates["metric"].isin(("mexa", "mexa_t")), "layer"]
        return self.n_layers if "imported" not in self.facts or self.n_layers in set(reaching) else None

    @property
    def missing(self) -> list[str]:
        """Languages that were asked for and are not complete."""
        done = set(self.languages["language"])
        return [code for code in self.facts.get("languages", []) if code not in done]

    def name(self, code: str) -> str:
        """English name of a language; its code where it has none."""
        return self.names.get(code) or tables.facts_of(code).name

    @cached_property
    def names(self) -> dict[str, str]:
        """Code → English name."""
        return dict(zip(self.languages["language"], self.languages["name"], strict=True))


def read_tables(run: Run, version: Version = ()) -> RunTables:
    """Reads what all pages need of a run."""
    return RunTables(run, version, tables.languages(run), tables.rates(run))
