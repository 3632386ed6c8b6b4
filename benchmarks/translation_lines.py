"""The released translations beside our statistics, for `reproduce.py`: COMET and COMETKIWI on 100 sentences of FLORES.

The release has per language a mean and a median, which ours are compared with. It has no correlation with alignment and no
test of aligned against not aligned sentences in numbers (its paper draws them), so those lines stand without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from release import Translated, read_translations

from crossalign.statistics import mann_whitney, pearson, pooled_auc, spearman

METRICS = ("comet", "cometkiwi")

Found = tuple[str, float, str]
"""What it is, ours, and the published number; "" where there is none."""


def translation_lines(folder: Path, layers: int) -> Iterator[Found]:
    """Means and medians, correlations over languages, and aligned against not aligned sentences, in both directions.

    Args:
        layers: how many layers from the embeddings on are looked at.
    """
    translated = read_translations(folder)
    for direction in ("en-xx", "xx-en"):
        for metric in METRICS:
            yield from _means(translated, direction, metric)
    for direction in ("en-xx", "xx-en"):
        for metric in METRICS:
            yield from _correlations(translated, direction, metric, layers)
            yield from _aligned_or_not(translated, direction, metric, layers)


def _means(translated: Translated, direction: str, metric: str) -> Iterator[Found]:
    for code, scores in translated.scores[direction, metric].items():
        mean, median = translated.published[direction, metric][code]
        yield f"flores {direction} {code} {metric}, mean", float(scores.mean()), f"{mean:.4f}"
        yield f"flores {direction} {code} {metric}, median", float(np.median(scores)), f"{median:.4f}"


def _correlations(translated: Translated, direction: str, metric: str, layers: int) -> Iterator[Found]:
    scores = translated.scores[direction, metric]
    quality = np.array([values.mean() for values in scores.values()])
    rates = np.array([translated.decisions[code][:, :layers].mean(axis=0) for code in scores])
    for aggregation, values in (("max", rates.max(axis=1)), ("mean", rates.mean(axis=1))):
        for coefficient in (pearson, spearman):
            name = f"flores {direction} {metric}, mexa {aggregation} over layers, {coefficient.__name__}"
            yield name, coefficient(values, quality).r, ""


def _aligned_or_not(translated: Translated, direction: str, metric: str, layers: int) -> Iterator[Found]:
    """At each language's best layer: chosen on the sentences it is tested on, as in the paper."""
    aligned, scores, language = [], [], []
    for place, (code, values) in enumerate(translated.scores[direction, metric].items()):
        decisions = translated.decisions[code][:, :layers]
        mine = decisions[:, int(decisions.mean(axis=0).argmax())]
        aligned.append(mine)
        scores.append(values)
        language.append(np.full(len(mine), place))
        found = mann_whitney(values, mine)
        if not np.isnan(found.value):
            yield f"flores {direction} {code} {metric}, aligned or not: r", found.value, ""
            yield f"flores {direction} {code} {metric}, aligned or not: p", found.p, ""
    sentence = np.tile(np.arange(len(scores[0])), len(scores))
    found = pooled_auc(np.concatenate(scores), np.concatenate(aligned), np.concatenate(language), sentence)
    yield f"flores {direction} {metric}, aligned or not, within languages: r", 2 * found.value - 1, ""
    yield f"flores {direction} {metric}, aligned or not, within languages: p", found.p, ""
