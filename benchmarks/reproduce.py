"""Do our statistics give the published numbers? Reads the released results of the DALI paper and prints both.

    python benchmarks/reproduce.py DIR

DIR is a copy of github.com/Kartik21/XLingAlignment, or of the part of it that holds Llama-3.1-8B on XCOPA, on the 25
Belebele languages named below and on FLORES-100. Every correlation, rate, best layer, difference, p value, cohort size and
mean or median of COMET is one line; exits with 1 when one differs from the published value by more than its rounding. The
correlations of COMET with MEXA and the tests of aligned against not aligned sentences follow the paper's rule, but no
numbers of them were published; these lines end in "none". Source of the numbers: Ravisankar et
al. 2025 (arXiv 2504.09378), recomputed from the release over layers 0 to 31, as its own plots do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from release import Released, read_release
from translation_lines import translation_lines

from crossalign.schema import UserError
from crossalign.statistics import cohort_sizes, cohorts, pearson, published_delta, spearman

LAYERS = 32
"""The release's plots stop at layer 31, although its MEXA files go on to 32 (after the final norm)."""

METRICS = ("dali", "dali_s", "mexa_t", "mexa")

CORRELATIONS = {
    "xcopa": "0.749/0.778 0.535/0.619 0.166/0.527 -0.089/0.571 0.914/0.881 0.762/0.810 0.640/0.830 0.827/0.738",
    "belebele": "0.8201/0.7974 0.7898/0.8463 0.6850/0.8433 0.6638/0.8436 0.7923/0.8205 0.7932/0.8451 0.8649/0.8575 "
    "0.9267/0.8524",
}
"""Task → Pearson/Spearman with accuracy over languages, for each of METRICS the maximum, then the mean, over layers."""

BELEBELE = """acm_Arab afr_Latn amh_Ethi arb_Arab bul_Cyrl ces_Latn deu_Latn eus_Latn fin_Latn fra_Latn hin_Deva hun_Latn
ind_Latn jpn_Jpan kat_Geor kor_Hang mya_Mymr pol_Latn spa_Latn swh_Latn tam_Taml tha_Thai tur_Latn vie_Latn zho_Hans""".split()

LANGUAGES = {
    "zh": "0.742 0.814 0.486 8 0.004 0.348 17",
    "id": "0.776 0.782 0.680 8 0.068 0.204 18",
    "it": "0.786 0.840 0.740 8 0.134 0.416 23",
    "sw": "0.570 0.692 0.350 8 0.004 0.016 0",
    "ta": "0.586 0.750 0.580 16 0.000 0.002 0",
    "th": "0.600 0.672 0.502 16 0.202 0.070 24",
    "tr": "0.650 0.760 0.486 8 0.010 0.104 9",
    "vi": "0.752 0.790 0.652 8 0.070 0.280 16",
}
"""XCOPA: accuracy, accuracy in English, DALI at its best layer, that layer, DALI_S likewise, MEXA_T likewise, its layer."""

DELTAS = {
    "zh": "0.502 0.419 0.083 0.099",
    "id": "0.683 0.614 0.069 0.154",
    "it": "0.747 0.733 0.014 0.410",
    "sw": "0.368 0.296 0.072 0.091",
    "ta": "0.588 0.686 -0.099 0.966",
    "th": "0.534 0.518 0.016 0.403",
    "tr": "0.524 0.372 0.152 0.007",
    "vi": "0.687 0.567 0.120 0.035",
}
"""XCOPA, DALI at its best layer: rate in EC-XC, rate in EC-XW, their difference, one-sided p."""

COHORT_SIZES = {
    "zh": "333 74 38 55",
    "id": "334 57 54 55",
    "it": "360 60 33 47",
    "sw": "231 115 54 100",
    "ta": "257 118 36 89",
    "th": "253 83 47 117",
    "tr": "294 86 31 89",
    "vi": "335 60 41 64",
}
"""XCOPA: instances in EC-XC, EC-XW, EW-XC, EW-XW."""


class Line(NamedTuple):
    """One number: ours, and the published one as it was printed; "" where none was."""

    quantity: str
    ours: float
    published: str

    @property
    def agrees(self) -> bool:
        """Whether ours rounds to the published number; NaN never does. True where there is none."""
        if not self.published:
            return True
        decimals = len(self.published.partition(".")[2])
        return abs(self.ours - float(self.published)) <= 0.5 * 10**-decimals + 1e-9


def correlation_lines(task: str, released: Released, languages: list[str]) -> Iterator[Line]:
    """Pearson and Spearman of each metric, maximum and mean over layers, with accuracy."""
    accuracy = np.array([released.accuracy[code] for code in languages])
    published = iter(CORRELATIONS[task].split())
    for metric in METRICS:
        rates = np.array([released.decisions[metric][code][:, :LAYERS].mean(axis=0) for code in languages])
        for aggregation, values in (("max", rates.max(axis=1)), ("mean", rates.mean(axis=1))):
            expected = next(published).split("/")
            for coefficient, number in zip((pearson, spearman), expected, strict=True):
                name = f"{task} {metric} {aggregation} over layers, {coefficient.__name__}"
                yield Line(name, coefficient(values, accuracy).r, number)


def language_lines(released: Released) -> Iterator[Line]:
    """Accuracies, rates and best layers of XCOPA."""
    names = ("accuracy", "accuracy in English", "dali", "dali layer", "dali_s", "mexa_t", "mexa_t layer")
    for code, published in LANGUAGES.items():
        best = {m: best_layer(released, m, code) for m in ("dali", "dali_s", "mexa_t")}
        rates = {m: float(released.decisions[m][code][:, layer].mean()) for m, layer in best.items()}
        ours = (released.accuracy[code], released.pivot_accuracy[code], rates["dali"], best["dali"], rates["dali_s"],
                rates["mexa_t"], best["mexa_t"])  # fmt: skip
        for name, value, number in zip(names, ours, published.split(), strict=True):
            yield Line(f"xcopa {code} {name}", value, number)


def cohort_lines(released: Released) -> Iterator[Line]:
    """Rates, Δ, p and sizes of the cohorts of XCOPA."""
    for code, published in DELTAS.items():
        cohort = cohorts(released.pivot_correct[code], released.correct[code])
        aligned = released.decisions["dali"][code][:, best_layer(released, "dali", code)]
        found = published_delta(aligned, cohort)
        ours = (float(aligned[cohort == 0].mean()), float(aligned[cohort == 1].mean()), found.value, found.p)
        for name, value, number in zip(("rate EC-XC", "rate EC-XW", "Δ", "p"), ours, published.split(), strict=True):
            yield Line(f"xcopa {code} {name}", value, number)
        sizes = zip(("EC-XC", "EC-XW", "EW-XC", "EW-XW"), cohort_sizes(cohort), COHORT_SIZES[code].split(), strict=True)
        for name, size, number in sizes:
            yield Line(f"xcopa {code} size of {name}", float(size), number)


def best_layer(released: Released, metric: str, code: str) -> int:
    """The layer with the highest rate over all instances, the first of equals."""
    return int(released.decisions[metric][code][:, :LAYERS].mean(axis=0).argmax())


def lines(folder: Path) -> list[Line]:
    """Every published number beside ours."""
    xcopa, belebele = (read_release(folder, task) for task in ("xcopa", "belebele"))
    return [
        *correlation_lines("xcopa", xcopa, list(LANGUAGES)),
        *correlation_lines("belebele", belebele, BELEBELE),
        *language_lines(xcopa),
        *cohort_lines(xcopa),
        *(Line(*found) for found in translation_lines(folder, LAYERS)),
    ]


def main() -> int:
    """Prints the table; 1 when a number differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the release: holds accuracy_outputs, alignment_outputs"
    )
    try:
        found = lines(parser.parse_args().folder)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyError as error:
        print(
            f"The release in DIR has no file for language {error}; all languages named in reproduce.py are needed.",
            file=sys.stderr,
        )
        return 2
    for line in found:
        print(f"{line.quantity:62} {line.ours:9.4f} {line.published or 'none':>8} {'' if line.agrees else 'DIFFERS'}")
    published, different = (sum(bool(line.published) for line in found), sum(not line.agrees for line in found))
    print(f"{published} numbers, {different} differ by more than rounding")
    print(f"{len(found) - published} numbers more, of which no value was published")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
