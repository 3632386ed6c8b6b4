"""What the numbers mean, taken from the docstrings of the functions that compute them; and who to cite."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from crossalign import alignment, scoring, statistics
from crossalign.alignment import ALIGNMENT_METRICS

PACKAGE = Path(__file__).parent

SECTION = re.compile(r"(Args|Returns|Raises|Attributes):$")
ITEM = re.compile(r"([A-Z][a-z]+(?: [a-z]+)?): (.*)")


class Definition(NamedTuple):
    """What one number means.

    Attributes:
        label: as the field writes it.
        summary: the first paragraph.
        items: (heading, text), e.g. ("Margin", "…"), ("Chance", "…"), ("Source", "…"); heading "" for plain paragraphs.
        chance: its value for the number of options or texts at hand; NaN where there is none.
    """

    label: str
    summary: str
    items: tuple[tuple[str, str], ...]
    chance: float = math.nan


def parsed(label: str, docstring: str, chance: float = math.nan) -> Definition:
    """A docstring in the style of this package, without its sections on arguments and its examples.

    >>> found = parsed("X", "One line.\\n\\nMargin: a - b,\\nin cosines.\\n\\nArgs:\\n    a: no.\\n\\n>>> f(1)\\n2")
    >>> found.summary, found.items
    ('One line.', (('Margin', 'a - b, in cosines.'),))
    """
    blocks: list[list[str]] = [[]]
    for line in inspect.cleandoc(docstring).splitlines():
        starts_anew = not line.strip() or SECTION.match(line) or ITEM.match(line) or line.startswith(">>>")
        if starts_anew:
            blocks.append([])
        if line.strip():
            blocks[-1].append(line)
    kept = [b for b in blocks if b and not b[0].startswith((">>>", " ")) and not SECTION.match(b[0])]
    texts = [" ".join(line.strip() for line in block).replace("`", "") for block in kept]
    items = [ITEM.match(text) for text in texts[1:]]
    pairs = ((m[1], m[2]) if m else ("", text) for m, text in zip(items, texts[1:], strict=True))
    return Definition(label, texts[0] if texts else "", tuple(pairs), chance)


def of(function: Callable[..., Any], label: str = "") -> Definition:
    """The definition in a function's docstring."""
    return parsed(label or function.__name__.replace("_", " "), inspect.getdoc(function) or "")


def metrics(n_options: int, n: int, wanted: tuple[str, ...] = tuple(ALIGNMENT_METRICS)) -> list[Definition]:
    """The alignment metrics, with chance for so many options, or for so many texts where premises are compared."""
    found = []
    for metric in (ALIGNMENT_METRICS[name] for name in wanted if name in ALIGNMENT_METRICS):
        size = n_options if metric.margin else n
        chance = metric.chance(size) if size else math.nan
        definition = of(metric.margin or alignment.mexa, metric.label)
        summary = definition.summary.partition(": ")[2]  # its name stands beside it
        found.append(definition._replace(summary=summary[:1].upper() + summary[1:], chance=chance))
    return found


def poolings() -> Definition:
    """How states become one vector per text; read from the source, as the module itself loads torch."""
    tree = ast.parse((PACKAGE / "forward" / "pooling.py").read_text(encoding="utf-8"))
    pooler = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Pooler")
    return parsed("Pooling", ast.get_docstring(pooler) or "")


BESIDE = (of(alignment.relabelled_rate, "Relabelled rate"), of(alignment.ties, "Tie rate"))

SCORING = (
    of(scoring.prediction, "Prediction"),
    of(scoring.correct, "Accuracy"),
    of(scoring.logprob_margin, "Log-probability margin"),
)

STATISTICS = (
    of(statistics.rate, "Interval of a rate"),
    of(statistics.correlation, "Correlation over languages"),
    of(statistics.layer_correlations, "Correlation at the best layer"),
    of(statistics.delta, "Δ between cohorts"),
    of(statistics.published_delta, "Δ as published"),
    of(statistics.held_out_delta, "Δ with the layer chosen on the other half"),
    of(statistics.odds_ratio, "Odds ratio"),
    of(statistics.clustered_mantel_haenszel, "Common odds ratio over languages"),
    of(statistics.auc, "AUC"),
    of(statistics.paired_difference, "Paired difference of two runs"),
    of(statistics.mcnemar_exact, "McNemar's test"),
    of(statistics.holm, "Correction for many tests"),
    of(statistics.mixed_logistic, "Mixed model"),
)

CITATIONS = (
    "Ravisankar, Han, Wiegreffe, Carpuat 2025: Can you map it to English? The Role of Cross-Lingual Alignment in "
    "Multilingual Performance of LLMs. arXiv 2504.09378. (DALI, DALI_S, MEXA_T)",
    "Kargaran et al. 2024: MEXA. arXiv 2410.05873. (MEXA, position-weighted mean)",
    "Al Ali et al. 2026: arXiv 2608.03446. (DALI gold-only)",
    "Gao et al.: lm-evaluation-harness, EleutherAI. (scoring conventions)",
)
"""Who to cite for what; the task's own source stands in its declaration."""
