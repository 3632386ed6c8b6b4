"""Alignment with fewer options: by layer of a language, and as mean over languages."""

from __future__ import annotations

import numpy as np
import pytest

from crossalign import fewer_options
from crossalign.alignment import aligned, dali
from crossalign.alignment_tables import AlignedLayers
from crossalign.distractors import kept_cosines, without_least_likely
from crossalign.fewer_options import OptionCount
from crossalign.similarity import OptionCosines
from crossalign.statistics import rate

N, LAYERS, OPTIONS = 30, 4, 4
GROUPS = np.arange(N) // 2


def drawn(seed: int) -> tuple[AlignedLayers, np.ndarray, np.ndarray]:
    """Cosines, log-likelihoods (one is missing) and gold of a language."""
    rng = np.random.default_rng(seed)
    blocks = rng.random((3, N, LAYERS, OPTIONS, OPTIONS))
    blocks[0][..., range(OPTIONS), range(OPTIONS)] += 0.4
    cosines = OptionCosines(blocks[0], *((b + b.swapaxes(-1, -2)) / 2 for b in blocks[1:]))
    layers = AlignedLayers(cosines, *(np.zeros((N, LAYERS)) for _ in range(3)), np.zeros(LAYERS))
    logliks, gold = rng.normal(size=(N, OPTIONS)), rng.integers(0, OPTIONS, N)
    logliks[3, 1] = np.nan
    return layers, logliks, gold


def counts(seed: int) -> list[OptionCount]:
    return fewer_options.option_counts(*drawn(seed), "dali")


def test_curves_by_number_of_options() -> None:
    layers, logliks, gold = drawn(5)
    found = fewer_options.option_curves(counts(5), GROUPS)
    assert found["options"].unique().tolist() == [4, 3, 2] and set(found["n"]) == {N - 1}
    assert found.groupby("options")["chance"].first().tolist() == pytest.approx([1 / 6, 720 * 6 / 362880, 1 / 1820])
    known = np.delete(np.arange(N), 3)
    two = without_least_likely(logliks[known], gold[known], 2)
    left = kept_cosines(OptionCosines(*(b[known] for b in layers.cosines)), two.kept)
    expected = rate(aligned(dali(left, two.gold))[:, 1], GROUPS[known])
    row = found[(found["options"] == 2) & (found["layer"] == 1)].iloc[0]
    assert tuple(row[["rate", "low", "high"]]) == pytest.approx(tuple(expected)[:3])
    at = [found[found["options"] == count]["rate"].to_numpy() for count in (4, 3, 2)]
    assert (at[0] <= at[1]).all() and (at[1] <= at[2]).all()
    peaks = fewer_options.option_peaks(found)
    assert peaks["options"].tolist() == [4, 3, 2] and peaks["rate"].tolist() == [a.max() for a in at]
    assert peaks["mean_rate"].tolist() == pytest.approx([a.mean() for a in at])
    with pytest.raises(ValueError, match="does not compare options"):
        fewer_options.option_counts(layers, logliks, gold, "mexa_t")


def test_the_mean_of_one_language_is_that_language() -> None:
    mean = fewer_options.mean_option_curves([(counts(5), GROUPS)])
    alone = fewer_options.option_curves(counts(5), GROUPS)
    assert mean.to_numpy(float) == pytest.approx(alone.to_numpy(float))


def test_the_mean_over_languages_by_hand() -> None:
    languages = [(counts(seed), np.array([f"passage {g}" for g in GROUPS])) for seed in range(3)]
    found = fewer_options.mean_option_curves(languages)
    alone = [fewer_options.option_curves(c, GROUPS) for c, _ in languages]
    for column in ("rate", "relabelled_rate", "chance"):
        assert found[column].to_numpy() == pytest.approx(np.mean([a[column] for a in alone], axis=0))
    assert set(found["n"]) == {3 * (N - 1)}
    peaks = fewer_options.mean_option_peaks(languages)
    together, apart = (peaks[peaks["choice"].str.startswith(word)] for word in ("one", "each"))
    assert peaks["options"].tolist() == [4, 4, 3, 3, 2, 2] and apart["layer"].isna().all()
    best = [a.groupby("options")["rate"].max()[[4, 3, 2]] for a in alone]
    assert apart["rate"].to_numpy() == pytest.approx(np.mean(best, axis=0))
    assert together["rate"].tolist() == found.groupby("options")["rate"].max()[[4, 3, 2]].tolist()
    assert (apart["rate"].to_numpy() >= together["rate"].to_numpy()).all()
    assert (peaks["low"] < peaks["rate"]).all() and (peaks["rate"] < peaks["high"]).all()


def test_the_same_questions_in_another_language_do_not_narrow_the_interval() -> None:
    alone = np.arange(N)
    one, two = (fewer_options.mean_option_curves([(counts(1), alone)] * k) for k in (1, 2))
    assert (two["rate"] == one["rate"]).all()
    widths = [found["high"] - found["low"] for found in (one, two)]
    assert widths[1].to_numpy() == pytest.approx(widths[0].to_numpy(), rel=0.02)  # variances differ by 29 / 28
    other = fewer_options.mean_option_curves([(counts(1), alone), (counts(1), alone + 100)])
    assert (other["high"] - other["low"] < 0.85 * widths[0]).all()


def test_a_language_without_scores_does_not_hide_the_others() -> None:
    known, unknown = counts(1), [c._replace(decided=c.decided * np.nan, relabelled_rate=c.relabelled_rate * np.nan) for c in counts(2)]  # fmt: skip
    both = [(c, np.arange(N)) for c in (known, unknown)]
    found, alone = fewer_options.mean_option_curves(both), fewer_options.mean_option_curves(both[:1])
    assert found["relabelled_rate"].to_numpy() == pytest.approx(alone["relabelled_rate"].to_numpy())
    assert fewer_options.mean_option_peaks(both)["relabelled_rate"].notna().all()


def test_the_mean_of_no_language_is_empty() -> None:
    assert fewer_options.mean_option_curves([]).empty and fewer_options.mean_option_peaks([]).empty
