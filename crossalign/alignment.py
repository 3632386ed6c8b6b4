"""Alignment metrics: from cosines to margins, decisions and rates.

A metric's margin is in cosine units; an instance is aligned iff its margin is above 0, so a tie is not aligned, and NaN
where a state is not finite. Cosines nearer than `similarity.TIE` are ties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from crossalign.similarity import TIE, OptionCosines

Margins = Float[np.ndarray, "instance layer"]
OptionMargin = Callable[[OptionCosines, Int[np.ndarray, "instance"]], Margins]


@dataclass(frozen=True, slots=True)
class AlignmentMetric:
    """One way of calling an instance aligned at a layer.

    Attributes:
        name: as on the command line and in the tables.
        label: as the field writes it.
        chance: rate for n options if all cosines were exchangeable.
        margin: cosines [instance, layer, option, option] and gold → margins; None for MEXA, which compares premises.
    """

    name: str
    label: str
    chance: Callable[[int], float]
    margin: OptionMargin | None


def dali(cosines: OptionCosines, gold: Int[np.ndarray, "instance"]) -> Margins:
    """DALI: every option is closer to its own translation than any two different options are.

    Margin: min_i s_ii - max_{i≠j} s_ij, s_ij = cos(pivot option i, language option j).

    Chance: n! (n² - n)! / (n²)!; 1/6 for 2 options, 1/1820 for 4.
    Source: Ravisankar et al. 2025 (arXiv 2504.09378), code compute_dali_*.py.

    >>> s = np.array([[[[0.9, 0.2], [0.3, 0.8]]]])
    >>> dali(OptionCosines(s, s, s), np.array([0])).round(3).tolist()
    [[0.5]]
    """
    return _snapped(_matched(cosines.cross) - _mismatched(cosines.cross))


def dali_s(cosines: OptionCosines, gold: Int[np.ndarray, "instance"]) -> Margins:
    """DALI_S (strong): translations are also closer than different options within either language.

    Margin: min_i s_ii - max(max_{i≠j} s_ij, max_{i<j} u_ij, max_{i<j} v_ij), u within the pivot, v within the
    language. Aligned by DALI_S implies aligned by DALI.

    Chance: with n matched and 2 (n² - n) other exchangeable cosines, n! (2n² - 2n)! / (2n² - n)!.
    Source: Ravisankar et al. 2025, code compute_dalistrong_*.py.

    >>> s, w = np.array([[[[0.9, 0.2], [0.3, 0.8]]]]), np.array([[[[1.0, 0.7], [0.7, 1.0]]]])
    >>> dali_s(OptionCosines(s, w, s), np.array([0])).round(3).tolist()
    [[0.1]]
    """
    others = (_mismatched(block) for block in cosines)
    return _snapped(_matched(cosines.cross) - np.maximum.reduce(list(others)))


def dali_rowwise(cosines: OptionCosines, gold: Int[np.ndarray, "instance"]) -> Margins:
    """DALI, one direction: every pivot option is closest to its own translation.

    Margin: min_i (s_ii - max_{j≠i} s_ij).

    Chance: (1/n)^n.
    Source: the formula as printed in Ravisankar et al. 2025; their code uses `dali`.

    >>> s = np.array([[[[0.9, 0.2], [0.3, 0.8]]]])
    >>> dali_rowwise(OptionCosines(s, s, s), np.array([0])).round(3).tolist()
    [[0.5]]
    """
    return _snapped((_diagonal(cosines.cross) - _off_diagonal(cosines.cross).max(axis=-1)).min(axis=-1))


def dali_gold(cosines: OptionCosines, gold: Int[np.ndarray, "instance"]) -> Margins:
    """DALI for the gold option only: it is closer to its own translation than to any other option.

    Margin: s_cc - max_{j≠c} s_cj, c = gold.

    Chance: 1/n.
    Source: Al Ali et al. 2026 (arXiv 2608.03446).

    >>> s = np.array([[[[0.9, 0.2], [0.3, 0.8]]]])
    >>> dali_gold(OptionCosines(s, s, s), np.array([1])).round(3).tolist()
    [[0.5]]
    """
    rows = _diagonal(cosines.cross) - _off_diagonal(cosines.cross).max(axis=-1)
    return _snapped(np.take_along_axis(rows, gold[:, None, None], axis=-1)[..., 0])


def mexa(matched: Margins, best_in_row: Margins, best_in_column: Margins) -> Margins:
    """MEXA and MEXA_T: a text is closer to its translation than to any other text, in both directions.

    Margin: c_ii - max(max_{j≠i} c_ij, max_{j≠i} c_ji) over the texts of the run. MEXA_T is the same rule on a task's
    premises without options. The rate depends on how many texts compete.

    Chance: 1 / (2n - 1) for n texts.
    Source: Kargaran et al. 2024 (arXiv 2410.05873), code compute_mexa.py; MEXA_T: Ravisankar et al. 2025.

    >>> mexa(np.array([[0.9]]), np.array([[0.5]]), np.array([[0.7]])).round(3).tolist()
    [[0.2]]
    """
    return _snapped(matched - np.maximum(best_in_row, best_in_column))


def _exchangeable(matched: int, others: int) -> float:
    """Probability that the smallest of `matched` exchangeable values exceeds the largest of `others` more."""
    return float(np.prod([i / (others + i) for i in range(1, matched + 1)]))


ALIGNMENT_METRICS: dict[str, AlignmentMetric] = {
    m.name: m
    for m in (
        AlignmentMetric("dali", "DALI", lambda n: _exchangeable(n, n * n - n), dali),
        AlignmentMetric("dali_s", "DALI_S", lambda n: _exchangeable(n, 2 * (n * n - n)), dali_s),
        AlignmentMetric("dali_rowwise", "DALI row-wise", lambda n: n**-n, dali_rowwise),
        AlignmentMetric("dali_gold", "DALI gold-only", lambda n: 1 / n, dali_gold),
        AlignmentMetric("mexa_t", "MEXA_T", lambda n: 1 / (2 * n - 1), None),
        AlignmentMetric("mexa", "MEXA", lambda n: 1 / (2 * n - 1), None),
    )
}


def metric_label(name: str) -> str:
    """The metric as the field writes it.

    >>> metric_label("dali_rowwise")
    'DALI row-wise'
    """
    return ALIGNMENT_METRICS[name].label if name in ALIGNMENT_METRICS else name


def aligned(margins: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """1.0 where the margin is above 0, 0.0 where not, NaN where it is undefined."""
    return np.where(np.isnan(margins), np.nan, (margins > 0).astype(float))


def ties(margins: Margins) -> Float[np.ndarray, "layer"]:
    """Share of the defined margins that are exactly 0, by layer; NaN where none is defined."""
    return _mean(np.where(np.isnan(margins), np.nan, (margins == 0).astype(float)))


def relabelled_rate(
    metric: OptionMargin, cosines: OptionCosines, gold: Int[np.ndarray, "instance"]
) -> Float[np.ndarray, "layer"]:
    """The rate that the same rule gives when no pair is a translation: what per-text effects alone produce.

    The options of the language are shifted cyclically, so that each pivot option meets another option's translation;
    mean over the n - 1 shifts. NaN where no instance is defined.
    """
    n = cosines.cross.shape[-1]
    rates = []
    for shift in range(1, n):
        order = (np.arange(n) + shift) % n
        shifted = OptionCosines(cosines.cross[..., order], cosines.pivot, cosines.language[..., order, :][..., order])
        rates.append(_mean(aligned(metric(shifted, gold))))
    return np.mean(rates, axis=0) if rates else np.full(cosines.cross.shape[1], np.nan)


def layers_aligned(decided: Float[np.ndarray, "layer instance"]) -> Float[np.ndarray, "instance"]:
    """Share of the layers at which each instance is aligned, of those with a decision; NaN where there is none.

    >>> layers_aligned(np.array([[1.0, 0.0], [np.nan, 1.0], [0.0, 1.0]])).round(3).tolist()
    [0.5, 0.667]
    """
    known = (~np.isnan(decided)).sum(axis=0)
    return np.where(known > 0, np.nansum(decided, axis=0) / np.maximum(known, 1), np.nan)


def option_margins(cosines: OptionCosines, gold: Int[np.ndarray, "instance"]) -> Mapping[str, Margins]:
    """All metrics that compare options: name → margins."""
    return {m.name: m.margin(cosines, gold) for m in ALIGNMENT_METRICS.values() if m.margin is not None}


def _mean(values: Margins) -> Float[np.ndarray, "layer"]:
    """Mean over the defined instances, by layer."""
    defined = ~np.isnan(values)
    counts = defined.sum(axis=0)
    sums = np.where(defined, values, 0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _diagonal(block: np.ndarray) -> np.ndarray:
    return np.diagonal(block, axis1=-2, axis2=-1)


def _off_diagonal(block: np.ndarray) -> np.ndarray:
    """The block with its diagonal at -inf (NaN elsewhere is kept)."""
    return np.where(np.eye(block.shape[-1], dtype=bool), -np.inf, block)


def _matched(block: np.ndarray) -> np.ndarray:
    return _diagonal(block).min(axis=-1)


def _mismatched(block: np.ndarray) -> np.ndarray:
    return _off_diagonal(block).max(axis=(-2, -1))


def _snapped(margins: np.ndarray) -> np.ndarray:
    """Ties become exactly 0."""
    return np.where(np.abs(margins) <= TIE, 0.0, margins)
