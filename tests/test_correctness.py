"""Alignment and being right, cell by cell: shares, confidence, pivot against language, a model over all."""

import math

import numpy as np
import pandas as pd
import pytest
from figure_frames import HOSTILE, assert_sound, is_empty

from crossalign import correctness
from crossalign.figures import correctness as figures
from crossalign.figures.association import aligned_versus_not
from crossalign.statistics import COHORTS, mixed_logistic, odds_ratio, paired_difference, rate
from crossalign.statistics import cohorts as cohort_numbers
from crossalign.ui.answers import ALIGNED, NOT_ALIGNED

NAN = float("nan")


def instances(n: int = 100, codes: tuple[str, ...] = ("sw", "ar"), seed: int = 0) -> pd.DataFrame:
    """The same questions, two to a passage, in some languages; alignment goes with being right."""
    rng = np.random.default_rng(seed)
    easy = rng.normal(size=n)
    pivot = (easy + rng.normal(size=n) > -0.8).astype(float)
    frames = []
    for i, code in enumerate(codes):
        aligned = (rng.random(n) < 0.4 + 0.2 * i).astype(float)
        correct = (easy + 0.8 * aligned + rng.normal(size=n) > 0.2).astype(float)
        aligned[5] = correct[3] = NAN
        cohort = pd.Categorical.from_codes(cohort_numbers(pivot, correct), categories=list(COHORTS))
        ids = {"instance_id": [f"q{k}" for k in range(n)], "group": [f"p{k // 2}" for k in range(n)]}
        numbers = {"aligned": aligned, "correct": correct, "pivot_correct": pivot, "cohort": cohort}
        more = {"margin": aligned - 0.5, "layers_aligned": aligned, "logprob_margin": 2 * correct - 1 + aligned}
        frames.append(pd.DataFrame({"language": code, **ids, **numbers, **more}))
    return pd.concat(frames, ignore_index=True)


def test_conditional_shares_by_hand() -> None:
    frame = instances().iloc[[0] * 5]
    frame = frame.assign(
        language="sw", group=list("abcde"), aligned=[1.0, 1.0, 1.0, 0.0, 1.0], correct=[1.0, 1.0, 0.0, 0.0, NAN]
    )
    (row,) = correctness.conditional_shares(frame).to_dict("records")
    assert (row["correct_if_aligned"], row["n_correct_if_aligned"]) == (pytest.approx(2 / 3), 3)
    assert (row["correct_if_not"], row["n_correct_if_not"]) == (0, 1)
    assert (row["aligned_if_correct"], row["n_aligned_if_correct"]) == (1, 2)
    assert (row["aligned_if_wrong"], row["n_aligned_if_wrong"]) == (0.5, 2)
    alone = correctness.conditional_shares(frame[frame["aligned"] == 1.0]).iloc[0]
    assert math.isnan(alone["correct_if_not"]) and alone["n_correct_if_not"] == 0


def test_over_all_languages_a_passage_counts_once() -> None:
    frame = instances()
    table = correctness.conditional_shares(frame)
    assert table["language"].tolist() == ["sw", "ar", ""]
    among = frame[(frame["aligned"] == 1) & frame["correct"].notna()]
    expected = rate(among["correct"].to_numpy(float), pd.factorize(among["group"])[0])
    last = table.iloc[2]
    assert tuple(last[["correct_if_aligned", "correct_if_aligned_low", "correct_if_aligned_high"]]) == pytest.approx(
        tuple(expected)[:3]
    )
    apart = correctness.conditional_shares(frame, independent=True).iloc[2]
    assert apart["correct_if_aligned"] == last["correct_if_aligned"]
    assert apart["correct_if_aligned_low"] > last["correct_if_aligned_low"]


def test_eight_cells_of_confidence() -> None:
    frame = instances(codes=("sw",))
    table = correctness.confidence(frame)
    assert len(table) == 8 and table["share"].sum() == pytest.approx(1)
    assert table["n"].sum() == 98  # one without answer, one without alignment
    for row in table.itertuples():
        mine = frame[(frame["cohort"] == row.cohort) & (frame["aligned"] == float(row.aligned))]["logprob_margin"]
        assert row.n == len(mine) and (row.n == 0 or row.mean == pytest.approx(mine.mean()))
        assert row.n < 2 or row.low <= row.mean <= row.high
    nothing = correctness.confidence(frame.assign(logprob_margin=NAN))
    assert nothing["n"].sum() == 0 and nothing["mean"].isna().all()


def test_pivot_and_language_on_the_same_instances() -> None:
    frame = instances()
    table = correctness.against_pivot(frame).set_index("language")
    mine = frame[frame["language"] == "ar"]
    pivot, correct = (mine[c].to_numpy(float) for c in ("pivot_correct", "correct"))
    found = paired_difference(pivot, correct, pd.factorize(mine["group"])[0])
    row = table.loc["ar"]
    assert tuple(row[["difference", "low", "high", "p"]]) == pytest.approx(tuple(found)[:4])
    assert row[["both", "pivot_only", "language_only", "neither"]].sum() == row["n"] == 99
    assert row["mcnemar"] == pytest.approx(paired_difference(pivot, correct).p)
    assert row["pivot_accuracy"] - row["accuracy"] == pytest.approx(row["difference"])
    assert (table["p_holm"] >= table["p_bh"]).all() and (table["p_bh"] >= table["p"]).all()
    without = correctness.against_pivot(frame.assign(pivot_correct=NAN, cohort=pd.Categorical([None] * 200)))
    assert without["n"].tolist() == [0, 0] and without["difference"].isna().all()


def test_the_model_over_all_is_the_mixed_one_beside_mantel_haenszel() -> None:
    frame = instances(codes=("sw", "ar", "de", "fr"))
    table, spread = correctness.over_all(frame)
    assert table["effect"].tolist()[0] == "aligned, within languages" and len(table) == 3
    language = np.repeat([0, 1, 2, 3], 100)
    aligned, correct = (frame[c].to_numpy(float) for c in ("aligned", "correct"))
    means = np.array([np.nanmean(np.where(np.isnan(correct), NAN, aligned)[language == i]) for i in range(4)])[language]
    expected = mixed_logistic(correct, {"a": aligned, "b": means}, language, np.tile(np.arange(100), 4))
    assert table["odds_ratio"][1] == pytest.approx(math.exp(expected.coefficients["a"].value), rel=1e-4)
    assert table["odds_ratio"][2] == pytest.approx(math.exp(0.1 * expected.coefficients["b"].value), rel=1e-3)
    assert spread["sd"].tolist() == pytest.approx([expected.language_sd, expected.question_sd], abs=1e-3)
    assert table["p"][1] == pytest.approx(expected.coefficients["a"].p, rel=1e-3)
    assert table["n"][2] == 4 and table["p"][2] > expected.coefficients["b"].p, "languages are the observations"
    few, _ = correctness.over_all(frame[frame["language"] != "fr"])
    assert len(few) == 2, "two degrees of freedom need four languages"
    one, alone = correctness.over_all(frame[frame["language"] == "sw"])
    assert len(one) == 2 and one["odds_ratio"].notna().all() and np.isnan(alone["sd"][1]), "no question was asked twice"
    assert one["odds_ratio"][0] == pytest.approx(odds_ratio(aligned[:100], correct[:100]).value)
    nothing, spread = correctness.over_all(frame.assign(correct=NAN))
    assert nothing["odds_ratio"].isna().all() and spread["sd"].isna().all()


def test_the_figures_show_every_cell_and_language() -> None:
    frame = instances()
    cells = correctness.confidence(frame)
    drawing = figures.confidence(cells)
    assert_sound(drawing, 20_000)
    assert [len(t.x) for t in drawing.figure.data] == [4, 4] and "EC-XC aligned" in drawing.alt
    assert is_empty(figures.confidence(cells.assign(n=0)))
    table = correctness.against_pivot(frame).assign(name=["Swahili", HOSTILE])
    drawing = figures.against_pivot(table)
    assert_sound(drawing, 30_000)
    assert [t.name.split(":")[0] for t in drawing.figure.data] == list(COHORTS)
    assert np.sum([t.x for t in drawing.figure.data], axis=0) == pytest.approx([1, 1], abs=1e-6)
    assert is_empty(figures.against_pivot(table.assign(n=0)))
    shares = correctness.conditional_shares(frame).assign(name=["Swahili", "Arabic", correctness.ALL])
    drawing = aligned_versus_not(shares, measures=(ALIGNED, NOT_ALIGNED))
    assert drawing.figure.layout.yaxis.ticktext[-1] == correctness.ALL
