"""How good translations are: chrF++ and BLEU by sacrebleu, per sentence and corpus, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from crossalign.languages import language

RESAMPLES = 1000
"""Bootstrap samples; the seed is fixed, so that a run computed again has the same intervals."""

SEED = 12345

METRICS = ("chrf", "bleu")

WITHOUT_SPACES = frozenset({"Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
"""Scripts that put no space between words; without a trained tokenizer BLEU counts their characters."""


class Score(NamedTuple):
    """A corpus score from 0 to 100 with its 95 % percentile interval over n sentences; NaN where n is 0."""

    score: float
    low: float
    high: float
    n: int


class Difference(NamedTuple):
    """Score of the second system minus the first, its 95 % interval, two-sided bootstrap p, and n sentences."""

    difference: float
    low: float
    high: float
    p: float
    n: int


def has_flores200() -> bool:
    """Whether sacrebleu has its FLORES-200 tokenizer on disk; it is downloaded on first use, never from here."""
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
    from sacrebleu.utils import SACREBLEU_DIR

    return (Path(SACREBLEU_DIR) / "models" / Path(SPM_MODELS["flores200"]["url"]).name).is_file()


def bleu_tokenizer(choice: str, target: str) -> str:
    """sacrebleu's name of the tokenizer for a target language.

    Args:
        choice: "flores200" for all languages, or "by-script": zh for Chinese, characters where words are not set
            apart by spaces, else 13a.

    >>> [bleu_tokenizer("by-script", code) for code in ("zho_Hans", "tha_Thai", "swh_Latn")]
    ['zh', 'char', '13a']
    """
    if choice == "flores200":
        return choice
    script = language(target).script
    return "zh" if script in ("Hans", "Hant") else "char" if script in WITHOUT_SPACES else "13a"


class Scorer:
    """One metric on one set of translations; sentences and corpus are scored from the same counts.

    Source: Popović 2017 (chrF++), Papineni et al. 2002 (BLEU), Post 2018 (sacrebleu).

    Args:
        name: "chrf" (chrF++, words up to order 2) or "bleu".
        tokenizer: of BLEU, see `bleu_tokenizer`.
        outputs, references: one each per sentence.

    >>> scorer = Scorer("chrf", "13a", ["The cat sat.", "No"], ["The cat sat.", "Yes"])
    >>> scorer.sentences().round(1).tolist()
    [100.0, 0.0]
    """

    def __init__(self, name: str, tokenizer: str, outputs: Sequence[str], references: Sequence[str]) -> None:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        self._corpus: Any = CHRF(word_order=2) if name == "chrf" else BLEU(tokenize=tokenizer, force=True)
        # With few words most sentences have no matching 4-gram; sacrebleu's advice for sentences is this flag.
        self._sentence: Any = (
            self._corpus if name == "chrf" else BLEU(tokenize=tokenizer, force=True, effective_order=True)
        )
        # The counts are what sacrebleu's own significance tests resample.
        counts = self._corpus._extract_corpus_statistics(list(outputs), [list(references)]) if outputs else []
        self.counts = np.asarray(counts, dtype=np.float64)

    @property
    def signature(self) -> str:
        """sacrebleu's description of the corpus score, for a paper."""
        return str(self._corpus.get_signature()) if len(self.counts) else ""

    def sentences(self) -> Float[np.ndarray, "sentence"]:
        """Score of each sentence from 0 to 100 (BLEU with its orders limited to the sentence's)."""
        return np.array([self._sentence._compute_score_from_stats(list(row)).score for row in self.counts])

    def corpus(self, weights: Float[np.ndarray, "sentence"] | None = None) -> float:
        """Score of all sentences together, each counted as often as its weight; NaN without sentences."""
        if not len(self.counts):
            return float("nan")
        summed = self.counts.sum(0) if weights is None else weights @ self.counts
        return float(self._corpus._compute_score_from_stats(list(summed)).score)

    def interval(self, groups: Int[np.ndarray, "sentence"]) -> Score:
        """The corpus score with its bootstrap interval; groups of sentences are drawn as a whole."""
        n = len(self.counts)
        if n == 0:
            return Score(np.nan, np.nan, np.nan, 0)
        drawn = [self.corpus(weights) for weights in _resamples(groups)]
        low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (np.nan, np.nan)
        return Score(self.corpus(), float(low), float(high), n)


def paired_difference(first: Scorer, second: Scorer, groups: Int[np.ndarray, "sentence"]) -> Difference:
    """How much better the second system is on the same sentences, drawn together for both.

    The p value is the share of resamples whose difference is as far from the resamples' mean as the observed one is
    from zero, as in sacrebleu's paired bootstrap. Source: Koehn 2004; Riezler & Maxwell 2005.

    Raises:
        ValueError: the systems have different numbers of sentences.
    """
    if len(first.counts) != len(second.counts):
        raise ValueError(f"{len(first.counts)} and {len(second.counts)} sentences cannot be paired.")
    observed = second.corpus() - first.corpus()
    drawn = np.array([second.corpus(w) - first.corpus(w) for w in _resamples(groups)])
    if not len(drawn):
        return Difference(observed, np.nan, np.nan, np.nan, len(first.counts))
    low, high = np.percentile(drawn, [2.5, 97.5])
    beyond = int((np.abs(drawn - drawn.mean()) >= abs(observed)).sum())
    return Difference(observed, float(low), float(high), (beyond + 1) / (len(drawn) + 1), len(first.counts))


def _resamples(groups: Int[np.ndarray, "sentence"]) -> Float[np.ndarray, "resample sentence"]:
    """How often each sentence is drawn in each resample; none where there is but one group."""
    _, index = np.unique(groups, return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    if count < 2:
        return np.zeros((0, len(index)))
    draws = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return draws[:, index].astype(np.float64)
