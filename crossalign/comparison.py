"""Two runs, or two poolings of one run, on the same instances. Frames in, frames out, but for the check of the texts."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crossalign.schema import UserError
from crossalign.statistics import holm, mcnemar_exact, paired_counts, paired_difference, rate
from crossalign.store import parts
from crossalign.store.runs import Run

TEXTS = ("premise", "options", "gold")
"""What must be the same in both runs for an instance to be the same. Prompts may differ: that is what is compared."""


def shared_languages(a: Run, b: Run) -> list[str]:
    """Languages that both runs have, in the order of A.

    Raises:
        UserError: the runs are of different tasks, have different pivots, or no language in common.
    """
    if a.spec.task != b.spec.task:
        raise UserError(f"A is on {a.spec.task} and B on {b.spec.task}: choose two runs of one task.")
    if a.spec.pivot != b.spec.pivot:
        raise UserError(f"A is aligned with {a.spec.pivot} and B with {b.spec.pivot}: choose two runs of one pivot.")
    shared = [code for code in a.languages() if code in set(b.languages())]
    if not shared:
        raise UserError("A and B have no language in common: compute a language of one for the other, too.")
    return shared


def check_texts(a: Run, b: Run, codes: Sequence[str]) -> None:
    """Makes sure that an id means the same question in both runs.

    A text that one of the runs lacks (imported results may) is not compared.

    Raises:
        UserError: some instances of a language differ.
    """
    for code in codes:
        mine, theirs = a.manifest(code), b.manifest(code)
        if mine and theirs and mine.content_digest == theirs.content_digest:
            continue
        differing = _differing(_texts(a, code), _texts(b, code))
        if differing:
            raise UserError(
                f"{len(differing)} instances of {code} have another text or another right answer in B than in A (the "
                f"first is {differing[0]!r}), so the runs cannot be compared: compute both from the same data."
            )


def _texts(run: Run, code: str) -> dict[str, tuple]:
    table = parts.read_table(run, code, "instances.parquet", ["instance_id", *TEXTS])
    columns = (table[name].to_pylist() for name in TEXTS)
    return dict(zip(table["instance_id"].to_pylist(), zip(*columns, strict=True), strict=True))


def _differing(mine: dict[str, tuple], theirs: dict[str, tuple]) -> list[str]:
    def known(value: object) -> bool:
        return value is not None and value != []

    return [
        name
        for name, values in mine.items()
        if name in theirs and any(known(x) and known(y) and x != y for x, y in zip(values, theirs[name], strict=True))
    ]


def joined(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """The instances that both have, on language and instance_id: columns language, instance_id, group, a, b.

    Args:
        a, b: columns language, instance_id, group, value (1.0, 0.0 or NaN).

    Raises:
        UserError: there is no such instance.
    """
    keys = ["language", "instance_id"]
    sides = [side.astype({"language": "str", "instance_id": "str"}) for side in (a, b)]
    both = (
        sides[0]
        .rename(columns={"value": "a"})[[*keys, "group", "a"]]
        .merge(sides[1].rename(columns={"value": "b"})[[*keys, "b"]], on=keys, validate="one_to_one")
    )
    if both.empty:
        raise UserError("A and B have no instance in common: compute both from the same instances.")
    return both


def by_language(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per language of `joined`: both rates, their paired difference, and the four outcomes.

    Columns language; a, b with _low and _high (95 % Wilson, widened by groups); difference (A − B), low, high and p
    (clustered by group where instances come in groups, else McNemar's exact); mcnemar (exact, instances independent);
    p_holm (of p, over the languages); both, a_only, b_only, neither, n. Instances where a side is undefined are left out.
    """
    found = []
    for code, part in rows.groupby("language", sort=False):
        first, second = (part[side].to_numpy(float) for side in ("a", "b"))
        kept = ~(np.isnan(first) | np.isnan(second))
        first, second = first[kept], second[kept]
        groups = np.unique(part["group"].to_numpy(str)[kept], return_inverse=True)[1]
        row: dict[str, object] = {"language": code}
        for side, values in (("a", first), ("b", second)):
            row |= dict(zip((side, f"{side}_low", f"{side}_high"), rate(values, groups)[:3], strict=True))
        names = ("difference", "low", "high", "p", "n")
        row |= dict(zip(names, paired_difference(first, second, groups), strict=True))
        counts = paired_counts(first, second)
        row |= {"mcnemar": mcnemar_exact(counts) if len(first) else np.nan}
        found.append(row | dict(zip(("both", "a_only", "b_only", "neither"), counts, strict=True)))
    table = pd.DataFrame(found)
    return table.assign(p_holm=holm(table["p"].to_numpy(float)))
