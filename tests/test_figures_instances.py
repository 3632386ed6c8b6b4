"""Distributions and associations: counts are kept, groups are told apart, nothing grows with the instances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_frames import HOSTILE, assert_sound, instance_rows, is_empty, language_rows

from crossalign.figures.association import aligned_versus_not, forest, two_by_two
from crossalign.figures.instances import KINDS, aligned_layers, distribution


def layered(n: int = 100, n_layers: int = 33) -> pd.DataFrame:
    rows = instance_rows(n)
    return pd.concat([rows.assign(layer=layer, margin=rows["margin"] + layer) for layer in range(n_layers)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["correct", "cohort", "aligned", None])
def test_distributions_of_any_size_stay_small(kind: str, by: str | None) -> None:
    drawing = distribution(instance_rows(100_000), "margin", by, kind=kind)
    assert_sound(drawing, 60_000)
    assert "n = " in drawing.alt and "median" in drawing.alt


def test_a_histogram_counts_every_instance_once() -> None:
    table = instance_rows(900)
    figure = distribution(table, "margin", "correct").figure
    right = int(table["correct"].sum())
    assert [t.y.sum() for t in figure.data if t.mode == "markers"] == pytest.approx([1, 1])
    assert [t.name for t in figure.data if t.mode == "lines"] == [
        f"correct (n = {right})",
        f"incorrect (n = {900 - right})",
    ]


def test_groups_share_their_bins() -> None:
    figure = distribution(instance_rows(), "margin", "cohort").figure
    middles = [t.x.tolist() for t in figure.data if t.mode == "markers"]
    assert len(middles) == 4 and all(m == middles[0] for m in middles)


def test_an_ecdf_ends_at_one() -> None:
    for trace in distribution(instance_rows(), "margin", "cohort", kind="ecdf").figure.data:
        assert trace.y[0] == 0 and trace.y[-1] == 1 and (np.diff(trace.y) >= 0).all()


def test_a_violin_marks_the_median() -> None:
    table = instance_rows().query("correct")
    body, bar, median = distribution(table, "margin", "correct", kind="violin").figure.data
    assert body.fill == "toself" and median.y[0] == pytest.approx(table["margin"].median(), abs=1e-6)
    assert bar.y.tolist() == pytest.approx(table["margin"].quantile([0.25, 0.75]).tolist(), abs=1e-6)
    assert "n = " in median.hovertext


@pytest.mark.parametrize("kind", KINDS)
def test_undefined_few_and_equal_values(kind: str) -> None:
    table = instance_rows(5)
    assert is_empty(distribution(table.iloc[:0], "margin", kind=kind))
    assert is_empty(distribution(table.assign(margin=np.nan), "margin", kind=kind))
    assert is_empty(distribution(table.assign(correct=pd.array([None] * 5, dtype="boolean")), "margin", kind=kind))
    assert_sound(distribution(table.iloc[:1], "margin", kind=kind))
    assert_sound(distribution(table.assign(margin=0.25), "margin", kind=kind))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        distribution(instance_rows(3), "margin", kind="pie")


def test_shares_by_number_of_aligned_layers() -> None:
    table = pd.DataFrame({"layers_aligned": [0.0, 0.0, 2 / 3, 1.0, np.nan], "correct": [True, True, True, False, True]})
    drawing = aligned_layers(table, 3)
    assert_sound(drawing)
    right, wrong = drawing.figure.data
    assert right.y.tolist() == pytest.approx([2 / 3, 0, 1 / 3, 0]) and wrong.y.tolist() == [0, 0, 0, 1]
    assert wrong.marker.pattern.shape, "told apart without colour"
    assert is_empty(aligned_layers(table.iloc[:0], 3))


# --- association -------------------------------------------------------------------------------------------------


def test_the_mosaic_has_the_areas_of_the_table() -> None:
    counts = pd.DataFrame({"aligned": [True, True, False], "correct": [True, False, True], "n": [30, 10, 60]})
    drawing = two_by_two(counts)
    assert_sound(drawing)
    areas = {}
    for trace in drawing.figure.data:
        name = trace.text.split("<br>")[0]
        areas[name] = (max(trace.x) - min(trace.x)) * (max(trace.y) - min(trace.y))
    assert areas["aligned and correct"] == pytest.approx(0.30, abs=0.02)
    assert areas["aligned and incorrect"] == pytest.approx(0.10, abs=0.02)
    assert areas["not aligned and correct"] == pytest.approx(0.60, abs=0.02)
    assert "aligned: 30 of 40 right (75.0%); not aligned: 60 of 60 right (100.0%)" in drawing.alt


def test_narrow_tiles_have_no_text_to_spill_over() -> None:
    counts = pd.DataFrame({"aligned": [True, False, False], "correct": [True, True, False], "n": [25, 300, 251]})
    notes = [note.text for note in two_by_two(counts).figure.layout.annotations]
    assert notes == ["aligned: 25", "not aligned: 551", "correct<br><b>300</b> (54%)", "incorrect<br><b>251</b> (46%)"]


def test_an_empty_column_of_the_table_is_no_error() -> None:
    counts = pd.DataFrame({"aligned": [False], "correct": [True], "n": [5]})
    assert "aligned: 0 of 0 right (none)" in two_by_two(counts).alt
    assert is_empty(two_by_two(counts.iloc[:0])) and is_empty(two_by_two(counts.assign(n=0)))


def pairs(n: int) -> pd.DataFrame:
    rows = language_rows(n)[["language", "name"]]
    up = np.linspace(-0.1, 0.2, n)
    ends = {f"{c}_{e}": 0.6 for c in ("aligned", "not_aligned") for e in ("low", "high")}
    return rows.assign(aligned=0.6 + up, not_aligned=0.6, n_aligned=40, n_not_aligned=60, **ends)


def test_dumbbells_are_sorted_by_the_difference() -> None:
    drawing = aligned_versus_not(pairs(11))
    assert_sound(drawing)
    _, without, aligned = drawing.figure.data
    assert aligned.customdata[0] == ["l10_Latn"] and aligned.x[0] == pytest.approx(0.8)
    assert "n = 40" in aligned.hovertext[0] and "n = 60" in without.hovertext[0]
    assert without.marker.symbol != aligned.marker.symbol
    assert is_empty(aligned_versus_not(pairs(3).assign(aligned=np.nan, not_aligned=np.nan)))
    assert_sound(aligned_versus_not(pairs(2).assign(aligned=np.nan)))


def effects(n: int) -> pd.DataFrame:
    rows = language_rows(n)[["language", "name"]]
    value = np.exp(np.linspace(-0.5, 1.5, n))
    return rows.assign(estimate=value, low=value / 1.5, high=value * 1.5, n=500, p=0.01)


def test_the_forest_fills_what_leaves_out_no_effect_and_ends_with_the_diamond() -> None:
    pooled = pd.DataFrame({"name": ["All"], "estimate": [1.6], "low": [1.4], "high": [1.9]})
    drawing = forest(effects(11), "Odds ratio", null=1, log=True, pooled=pooled)
    assert_sound(drawing)
    dots, _, diamond = drawing.figure.data
    table = effects(11).iloc[::-1]
    clear = ((table["low"] > 1) | (table["high"] < 1)).tolist()
    assert [symbol == "square" for symbol in dots.marker.symbol] == clear
    assert diamond.fill == "toself" and diamond.x.tolist() == pytest.approx([1.4, 1.6, 1.9, 1.6, 1.4])
    assert drawing.figure.layout.yaxis.ticktext[-1] == "All" and "All: 1.60 [1.40, 1.90]" in drawing.alt
    assert f"the interval leaves out 1 in {sum(clear)}" in drawing.alt


def test_infinite_and_zero_ends_stay_inside_the_plot() -> None:
    table = effects(4)
    table.loc[0, ["estimate", "low", "high"]] = [np.inf, 2.0, np.inf]
    table.loc[1, ["low"]] = 0.0
    drawing = forest(table, "Odds ratio", null=1, log=True)
    assert_sound(drawing)
    dots, arrows = drawing.figure.data
    assert np.isfinite(dots.x).all() and (dots.x > 0).all() and np.isfinite(dots.error_x.array).all()
    assert set(arrows.marker.symbol) == {"triangle-left", "triangle-right"}


def test_forests_without_anything_to_show() -> None:
    assert is_empty(forest(effects(3).assign(estimate=np.nan), "Odds ratio"))
    assert is_empty(forest(effects(3).iloc[:0], "Odds ratio"))
    assert_sound(forest(effects(1).assign(low=np.nan, high=np.nan), "Odds ratio", null=1, log=True))


def test_hostile_names_stay_text() -> None:
    assert_sound(forest(effects(3).assign(name=HOSTILE), "Odds ratio", pooled=effects(1).assign(name=HOSTILE)), 20_000)
    assert_sound(aligned_versus_not(pairs(3).assign(name=HOSTILE)), 20_000)
    assert_sound(distribution(instance_rows(9).assign(kind=HOSTILE), "margin", "kind"), 20_000)


def test_122_languages_fit() -> None:
    assert_sound(forest(effects(122), "Odds ratio", null=1, log=True), 60_000)
    assert_sound(aligned_versus_not(pairs(122)), 80_000)
