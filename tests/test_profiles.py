"""Alignment over layers: peaks, cohorts, mean margins, differences between cohorts, layers full of ties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from crossalign import profiles
from crossalign.alignment import aligned
from crossalign.statistics import delta, means, rate

MARGINS = np.array([[0.5, 0.1, -0.2, 0.3, np.nan, 0.2], [-0.1, -0.1, 0.4, 0.0, 0.2, 0.2]], dtype=np.float32)
PIVOT_CORRECT = np.array([1.0, 1.0, 1.0, 0.0, 0.0, np.nan])
CORRECT = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 1.0])
ALONE = np.arange(6)


def rate_rows(rates: list[list[float]], ties: list[list[float]]) -> pd.DataFrame:
    rows = [
        {
            "language": f"l{i}",
            "pooling": "mean",
            "metric": "dali",
            "layer": layer,
            "rate": r,
            "tie_rate": ties[i][layer],
        }
        for i, line in enumerate(rates)
        for layer, r in enumerate(line)
    ]
    return pd.DataFrame(rows).assign(low=0.0, high=1.0, relabelled_rate=0.1, n=9)


def test_layers_full_of_ties_in_the_median_language_are_degenerate() -> None:
    same = [[0.1, 0.2, 0.3]] * 3
    assert profiles.degenerate_layers(rate_rows(same, [[1, 0, 0], [0.9, 0, 0], [0, 1, 0]])) == (0,)
    assert profiles.degenerate_layers(rate_rows(same, [[0.5, 0, 0]] * 3)) == ()
    assert profiles.degenerate_layers(rate_rows(same, [[math.nan] * 3] * 3)) == ()


def test_peaks_are_the_first_highest_layers() -> None:
    rates = rate_rows([[0.1, 0.3, 0.3], [0.9, 0.2, math.nan]], [[0.0] * 3] * 2)
    languages = pd.DataFrame({"language": ["l0", "l1"], "name": ["A", "B"], "accuracy": [0.5, math.nan]})
    table = profiles.peaks(rates, languages, 2)
    assert table["name"].tolist() == ["B", "A"] and table["layer"].tolist() == [0, 1]
    assert table["relative_depth"].tolist() == [0, 0.5] and table["mean_rate"].tolist() == pytest.approx(
        [0.55, 0.7 / 3]
    )


def test_names_carry_the_accuracy_where_it_is_known() -> None:
    languages = pd.DataFrame({"language": ["a", "b"], "name": ["N" * 50, "B"], "accuracy": [0.25, math.nan]})
    assert profiles.names_with_accuracy(languages) == {"a": "N" * 20 + " (0.25)", "b": "B"}


def test_mean_margins_with_the_textbook_interval() -> None:
    table = profiles.margin_curves([("sw", MARGINS, ALONE), ("it", -MARGINS, ALONE)])
    row = table[(table["language"] == "sw") & (table["layer"] == 0)].iloc[0]
    known = MARGINS[0][~np.isnan(MARGINS[0])].astype(float)
    half = 2.776445 * known.std(ddof=1) / math.sqrt(5)  # t with 4 degrees of freedom
    assert row["n"] == 5 and row["margin"] == pytest.approx(known.mean())
    assert (row["low"], row["high"]) == pytest.approx((known.mean() - half, known.mean() + half), rel=1e-5)
    assert table["margin"][2:].to_numpy() == pytest.approx(-table["margin"][:2].to_numpy())
    assert list(profiles.margin_curves([]).columns) == list(table.columns) and profiles.margin_curves([]).empty


def test_copies_of_one_instance_in_a_group_do_not_narrow_the_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=(3, 40))
    alone = means(values)
    doubled = means(np.repeat(values, 4, axis=1), np.repeat(np.arange(40), 4))
    for once, again in zip(alone[:3], doubled[:3], strict=True):
        assert once == pytest.approx(again)
    assert np.isnan(means(values, np.zeros(40, int))[1:3]).all()  # one group says nothing of the spread


def test_intervals_of_grouped_means_cover() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 3)
    draws = rng.normal(size=(400, 60)).repeat(3, axis=1) + rng.normal(size=(400, 180))
    _, low, high, _ = means(draws, groups)
    _, low_alone, high_alone, _ = means(draws)
    assert 0.91 < np.mean((low < 0) & (high > 0)) < 0.98
    assert np.mean((low_alone < 0) & (high_alone > 0)) < 0.9


def test_a_mean_of_nothing_is_undefined() -> None:
    mean, low, high, n = means(np.array([[np.nan, np.nan], [np.nan, 2.0]]), np.array([0, 1]))
    assert math.isnan(mean[0]) and mean[1] == 2 and n.tolist() == [0, 1] and np.isnan([*low, *high]).all()


def test_cohorts_by_hand() -> None:
    table = profiles.cohort_curves(aligned(MARGINS), PIVOT_CORRECT, CORRECT, ALONE).set_index(["cohort", "layer"])
    assert table["n"].unstack().to_numpy().tolist() == [[2, 2], [1, 1], [1, 1], [0, 1]]
    assert table["rate"].unstack().fillna(-1).to_numpy().tolist() == [[1, 0], [0, 1], [1, 0], [-1, 1]]
    assert tuple(table.loc[("EC-XC", 0)]) == pytest.approx(rate(np.ones(2)))
    margins = profiles.cohort_curves(MARGINS, PIVOT_CORRECT, CORRECT, ALONE, "margin").set_index(["cohort", "layer"])
    assert margins.loc[("EC-XC", 0), "margin"] == pytest.approx(0.3)
    assert profiles.cohort_sizes_in_words(table.reset_index()) == "n: EC-XC 2, EC-XW 1, EW-XC 1, EW-XW 1"


def drawn(effect: float, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins at 5 layers; at layer 3 instances that are right are aligned more often."""
    rng = np.random.default_rng(2)
    pivot, correct = (rng.uniform(size=(2, n)) < 0.7).astype(float)
    margins = rng.normal(size=(5, n)) - 0.5
    margins[3] += 0.3 + effect * (correct - 0.5)
    return margins.astype(np.float32), pivot, correct


def test_differences_between_cohorts_by_three_rules() -> None:
    margins, pivot, correct = drawn(1.2)
    table = profiles.deltas(aligned(margins), pivot, correct, np.arange(400))
    assert table["layer"].tolist()[0] == 3 and table["layer"].tolist()[2] == 3 and table["layer"].isna().tolist() == [False, True, False]  # fmt: skip
    decided = (margins[3] > 0).astype(float)
    both, only = (decided[(pivot == 1) & (correct == side)].mean() for side in (1, 0))
    assert table["delta"][0] == table["delta"][2] == pytest.approx(both - only)
    assert (table["p"] < 0.01).all() and set(table["n"]) == {int(pivot.sum())}
    assert table["low"][0] == pytest.approx(delta(decided, np.where(pivot == 1, np.where(correct == 1, 0, 1), 2)).low)


def test_the_published_choice_leaves_the_last_layer_out() -> None:
    margins, pivot, correct = drawn(1.2)
    margins[4] = margins[3] + 0.3  # after the final norm; most aligned of all
    tables = [profiles.deltas(aligned(margins), pivot, correct, np.arange(400), last) for last in (None, 4)]
    assert [table["layer"][0] for table in tables] == [4, 3]
    assert tables[0]["delta"][1:].tolist() == tables[1]["delta"][1:].tolist(), "the other choices have all layers"


def test_no_difference_where_there_is_none() -> None:
    margins, pivot, correct = drawn(0.0)
    table = profiles.deltas(aligned(margins), pivot, correct, np.arange(400))
    assert (table["p"] > 0.05).all() and (table["low"][:2] < 0).all() and (table["high"][:2] > 0).all()


def test_differences_without_answers_are_undefined() -> None:
    nothing = np.full(6, np.nan)
    table = profiles.deltas(aligned(MARGINS), nothing, nothing, ALONE)
    assert table["delta"].isna().all() and table["p"].isna().all()


def test_published_curves_are_of_a_model_of_32_layers() -> None:
    table = profiles.published_curves("xcopa", "mexa_t")
    assert set(table["last"]) == {32} and table["layer"].max() == 32
    assert table.groupby("series")["layer"].count().eq(33).all() and table["name"].str.endswith(", published").all()
