"""Quality against alignment: paired by sentence, per language, along the margin; differences of texts; who is one model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crossalign.statistics import mann_whitney, pooled_difference
from crossalign.statistics.panels import within_units
from crossalign.translation import relations
from crossalign.translation.differences import MOST_TOKENS, differences
from crossalign.translation.findings import Direction, told
from crossalign.translation.sentences import SentenceFilter, faults, matching


def panel(seed: int, missing: float = 0.0, effect: float = 1.5) -> tuple[np.ndarray, ...]:
    """Values, aligned, language and sentence: languages that are aligned more are also better, easy sentences too."""
    rng = np.random.default_rng(seed)
    language, sentence = np.repeat(np.arange(7), 50), np.tile(np.arange(50), 7)
    kept = rng.random(350) >= missing
    language, sentence = language[kept], sentence[kept]
    easy = rng.normal(size=50)
    aligned = (rng.normal(size=len(language)) + 0.4 * language + easy[sentence] > 1).astype(float)
    values = 2.0 * language + 3 * easy[sentence] + effect * aligned + rng.normal(size=len(language))
    return values, aligned, language, sentence


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_paired_by_sentence_is_the_regression_with_a_level_for_each_sentence_and_language(missing: float) -> None:
    values, aligned, language, sentence = panel(1, missing)
    design = np.column_stack([aligned, np.eye(7)[language], np.eye(50)[sentence][:, 1:]])
    slopes = np.linalg.lstsq(design, values, rcond=None)[0]
    left, inverse = values - design @ slopes, np.linalg.pinv(design.T @ design)
    sums = [design[sentence == s].T @ left[sentence == s] for s in range(50)]
    whole = inverse @ sum(np.outer(s, s) for s in sums) @ inverse * 50 / 49
    single = inverse @ (design.T @ (design * left[:, None] ** 2)) @ inverse
    error = np.sqrt(max(whole[0, 0], single[0, 0]))
    found = within_units(values, aligned, language, sentence)
    assert found.value == pytest.approx(slopes[0], abs=1e-6)
    assert (found.high - found.low) / 2 / 1.959964 == pytest.approx(error, rel=1e-4)
    assert found.low < 1.5 < found.high, "the plain difference takes languages and sentences for alignment:"
    assert values[aligned == 1].mean() - values[aligned == 0].mean() > 5


def test_paired_by_sentence_is_undefined_where_nothing_is_paired() -> None:
    values, aligned, language, sentence = panel(2)
    assert within_units(values, np.ones(350), language, sentence).n == 0
    alone = within_units(values, aligned, language, np.arange(350))
    assert alone.n == 0 and np.isnan(alone.value)
    assert np.isnan(within_units(np.full(350, np.nan), aligned, language, sentence).value)
    coverage = [within_units(*panel(seed, effect=0.0)) for seed in range(40)]
    assert sum(f.low <= 0 <= f.high for f in coverage) >= 34


def points(seed: int = 0) -> pd.DataFrame:
    values, aligned, language, sentence = panel(seed)
    margin = np.random.default_rng(seed).normal(size=len(values)) * 0.1 + 0.3 * (aligned - 0.5)
    names = {
        "language": [f"l{i}" for i in language],
        "instance_id": sentence.astype(str),
        "group": sentence.astype(str),
    }
    return pd.DataFrame(names | {"chrf": values, "aligned": aligned, "margin": margin})


def test_effects_per_language_and_within_languages() -> None:
    frame = points()
    found = relations.by_language(frame, "chrf", "rank").set_index("language")
    mine = frame[frame["language"] == "l3"]
    expected = mann_whitney(mine["chrf"].to_numpy(), mine["aligned"].to_numpy(), np.arange(50))
    assert found.loc["l3", ["estimate", "low", "high", "p", "n"]].tolist() == pytest.approx(list(expected))
    assert (found["p_holm"].dropna() >= found["p"].dropna()).all()
    language, sentence = (pd.factorize(frame[c])[0] for c in ("language", "group"))
    expected = pooled_difference(frame["chrf"].to_numpy(), frame["aligned"].to_numpy(), language, sentence)
    assert relations.over_languages(frame, "chrf", "difference") == expected
    ranks = relations.over_languages(frame, "chrf", "rank")
    assert -1 <= ranks.low < ranks.value < ranks.high <= 1
    sides = relations.means_by_alignment(frame, "chrf").set_index("language").loc["l3"]
    assert sides["aligned"] - sides["not_aligned"] == pytest.approx(
        relations.by_language(frame, "chrf", "difference").set_index("language").loc["l3", "estimate"]
    )


def test_languages_with_one_sentence_on_a_side_are_not_counted_among_the_pooled() -> None:
    frame = points()
    assert relations.languages_pooled(frame, "chrf", "rank") == 7
    few = frame[(frame["language"] == "l0") & (frame["aligned"] == 1)].index[1:]
    assert relations.languages_pooled(frame.drop(index=few), "chrf", "rank") == 6
    assert relations.over_languages(frame.drop(index=few), "chrf", "rank").n == 300


def test_bins_hold_all_sentences_and_the_smooth_curve_follows_a_line() -> None:
    frame = points().assign(chrf=lambda f: 10 * f["margin"])
    found = relations.bins(frame, "chrf", "margin")
    assert found["n"].sum() == 350 and len(found) == relations.BINS and found["margin"].is_monotonic_increasing
    assert found["chrf"].to_numpy() == pytest.approx(10 * found["margin"].to_numpy())
    assert (found["low"] <= found["chrf"]).all() and (found["from"] <= found["margin"]).all()
    curve = relations.smooth(frame, "chrf", "margin")
    assert curve["y"].to_numpy() == pytest.approx(10 * curve["x"].to_numpy(), abs=1e-6)
    assert relations.smooth(frame.head(10), "chrf", "margin").empty
    assert relations.bins(frame.assign(margin=np.nan), "chrf", "margin").empty
    middle = relations.centred(frame, "chrf").groupby("language")["chrf"].mean()
    assert middle.to_numpy() == pytest.approx(0, abs=1e-12)


def test_differences_join_to_the_texts_and_mark_words_only() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        texts = [" ".join(rng.choice(["a", "b", "今日", "ก", "ا", "\n", "—"], rng.integers(0, 9))) for _ in range(2)]
        found = differences(*texts)
        assert found is not None
        for side, text in zip(found, texts, strict=True):
            assert "".join(piece.text for piece in side) == text
        same = ["".join("".join(p.text for p in side if p.shared).split()) for side in found]
        assert same[0] == same[1]
    assert all(piece.shared for side in differences("one two", "one  two") or ((),) for piece in side)
    assert differences("a " * MOST_TOKENS, "b") is None


def test_findings_say_by_how_much_aligned_sentences_are_better() -> None:
    codes = ("swh_Latn", "deu_Latn", "tha_Thai", "arb_Arab")
    sides = {True: 60.0, False: 50.0}
    rows = [
        (c, f"{c}{i}", float(i % 2), sides[bool(i % 2)] + 10 * k + i % 3)
        for k, c in enumerate(codes)
        for i in range(60)
    ]
    sentences = pd.DataFrame(rows, columns=["language", "group", "aligned", "chrf"])
    languages = pd.DataFrame(
        {"language": codes, "name": codes, "rate": [0.1, 0.2, 0.4, 0.5], "chrf": [50.0, 61.0, 72.0, 80.0]}
    ).assign(bleu=np.nan, comet=np.nan, cometkiwi=np.nan, chrf_low=1.0, chrf_high=99.0)
    found = told(Direction("en-xx", "from English", languages, sentences))
    assert {f.page for f in found} == {"translation"} and all(f.query == {"direction": "en-xx"} for f in found)
    level, over, between = (f.text for f in found)
    assert "65.8 on average over 4 languages, from 50.0 [1.0, 99.0] (swh_Latn) to 80.0" in level
    assert over.startswith("MEXA (best layer) and chrF++ over 4 languages: r = 0.9")
    assert "are translated 10.0 points of chrF++ better than the others [" in between and "p < 0.0001" in between
    assert "n = 240. After correction they are better in 4 and worse in 0 of 4 languages." in between
    worse = told(Direction("en-xx", "", languages, sentences.assign(aligned=1 - sentences["aligned"])))[2].text
    assert "10.0 points of chrF++ worse" in worse and "better in 0 and worse in 4" in worse
    alone = told(Direction("en-xx", "", languages.drop(columns="rate"), sentences.assign(aligned=np.nan)))
    assert len(alone) == 1
    assert told(Direction("en-xx", "", languages.assign(chrf=np.nan), sentences)) == []


def test_the_filter_of_sentences() -> None:
    frame = pd.DataFrame({"aligned": [1.0, 0.0, np.nan], "chrf": [10.0, 50.0, np.nan], "problem": ["", "", "too long"]})
    flags = {name: pd.array([False, True, pd.NA], "boolean") for name in ("off_target", "wrong_script", "copied")}
    frame = frame.assign(
        **flags, empty=pd.array([pd.NA] * 3, "boolean"), truncated=pd.array([True, False, pd.NA], "boolean")
    )
    texts = pd.DataFrame(
        {
            "instance_id": list("abc"),
            "source": ["Éins", "x", None],
            "reference": ["y", "y", "y"],
            "output": ["z", "ein z", None],
        }
    )
    asks = {
        SentenceFilter(): [1, 1, 1], SentenceFilter(aligned="no"): [0, 1, 0], SentenceFilter(faults=("problem",)): [0, 0, 1],
        SentenceFilter(low=10.0, high=20.0): [1, 0, 0], SentenceFilter(words="eins"): [1, 0, 0], SentenceFilter(words='"ein z"'): [0, 1, 0],
    }  # fmt: skip
    for asked, kept in asks.items():
        assert matching(frame, texts, asked, "chrf").tolist() == [bool(k) for k in kept], asked
    assert faults(frame).tolist() == [("truncated",), ("off_target", "wrong_script", "copied"), ("problem",)]
