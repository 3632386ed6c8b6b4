"""One instance: the cosines that decide, its margin over layers, the other languages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_frames import HOSTILE, assert_sound, is_empty, language_rows

from crossalign.alignment import option_margins
from crossalign.figures.cosines import similarity, verdict
from crossalign.figures.instance import aligned_by_layer, at_a_glance, margin_by_layer
from crossalign.figures.layers import Depth
from crossalign.similarity import OptionCosines, option_cosines

METRICS = ("dali", "dali_s", "dali_rowwise", "dali_gold")


def cosines(k: int, seed: int) -> OptionCosines:
    rng = np.random.default_rng(seed)
    pivot = rng.normal(size=(1, k, 8))
    stacked = option_cosines(pivot, pivot + rng.normal(0, 0.8, size=(1, k, 8)))
    return OptionCosines(*(block[0] for block in stacked))


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("metric", METRICS)
def test_the_two_cosines_shown_give_the_margin_of_the_metric(metric: str, k: int) -> None:
    for seed in range(30):
        blocks, gold = cosines(k, seed), seed % k
        found = verdict(blocks, metric, gold)
        margins = option_margins(OptionCosines(*(b[None, None] for b in blocks)), np.array([gold]))
        assert found.matched.value - found.rival.value == pytest.approx(margins[metric][0, 0], abs=1e-12)
        assert blocks[found.matched.block][found.matched.row, found.matched.column] == found.matched.value
        assert found.matched.row == found.matched.column and found.rival.row != found.rival.column
        assert found.words.startswith("aligned") == (margins[metric][0, 0] > 0)


def test_ties_and_undefined_cosines_are_not_aligned() -> None:
    same = np.full((2, 2), 0.5)
    tie = verdict(OptionCosines(same, same, same), "dali", 0)
    assert tie.words == "not aligned, a tie: match and rival are both 0.5000"
    broken = np.array([[0.9, np.nan], [0.1, 0.8]])
    assert verdict(OptionCosines(broken, same, same), "dali", 0).words == "undefined: a state is not finite"
    assert verdict(OptionCosines(broken, same, same), "dali_gold", 1).words.startswith("aligned")
    with pytest.raises(KeyError):
        verdict(OptionCosines(same, same, same), "mexa_t", 0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [2, 4])
def test_the_matrix_names_the_gold_option_and_marks_the_verdict(metric: str, k: int) -> None:
    blocks = cosines(k, 3)
    drawing = similarity(blocks, metric, gold=1)
    assert_sound(drawing, 20_000)
    assert len(drawing.figure.data) == (3 if metric == "dali_s" else 1)
    assert drawing.figure.layout.xaxis.ticktext[1] == "B gold"
    assert np.allclose(np.asarray(drawing.figure.data[0].z), blocks.cross, atol=1e-6)
    marks = [cell for trace in drawing.figure.data for row in trace.text for cell in row if "<br>" in cell]
    assert {mark[0] for mark in marks} == {"▲", "●"} and len(marks) == 2
    assert drawing.figure.layout.annotations[-1].text.count("weakest match") == 1


def test_cosines_of_a_text_with_itself_are_left_blank() -> None:
    within = similarity(cosines(3, 0), "dali_s").figure.data[1]
    assert np.isnan(np.diagonal(np.asarray(within.z))).all() and within.text[1][1] == ""


def test_a_matrix_without_any_defined_cosine_is_no_error() -> None:
    nothing = np.full((2, 2), np.nan)
    drawing = similarity(OptionCosines(nothing, nothing, nothing), "dali_s")
    assert_sound(drawing)
    assert "undefined" in drawing.alt


def test_the_margin_is_filled_where_aligned() -> None:
    one = pd.DataFrame({"layer": [2, 0, 1], "margin": [0.3, -0.1, 0.0]})
    everyone = pd.DataFrame({"layer": np.repeat([0, 1, 2], 50), "margin": np.tile(np.linspace(-1, 1, 50), 3)})
    drawing = margin_by_layer(one, Depth(2), everyone=everyone, layer=1)
    assert_sound(drawing)
    *grey, line = drawing.figure.data
    assert len(grey) == 3 and line.x.tolist() == [0, 1, 2] and line.customdata[2] == [2]
    assert list(line.marker.symbol) == ["circle-open", "circle-open", "circle"], "a tie is not aligned"
    assert "aligned in 1 of 3 layers, margin highest at layer 2" in drawing.alt
    assert is_empty(margin_by_layer(one.assign(margin=np.nan), Depth(2)))
    assert_sound(margin_by_layer(one.iloc[:1], Depth(2, relative=True), layer=2))


def test_languages_at_a_glance() -> None:
    table = language_rows(122)[["language", "name"]].assign(margin=np.linspace(-1, 1, 122))
    table["correct"] = pd.array([True, False, None] * 40 + [True, False], dtype="boolean")
    table["aligned"] = pd.array(table["margin"] > 0, dtype="boolean")
    drawing = at_a_glance(table, current="l60_Latn")
    assert_sound(drawing, 60_000)
    unknown, wrong, right, ring = drawing.figure.data
    assert [len(t.x) for t in (right, wrong, unknown, ring)] == [41, 41, 40, 1]
    assert set(right.y) == {2} and set(wrong.y) == {1} and set(unknown.y) == {0}
    assert right.marker.symbol != wrong.marker.symbol and right.customdata[0] == ["l00_Latn"]
    assert "correct in 41, aligned in 61" in drawing.alt
    assert "l60_Latn" in [t for trace in (right, wrong, unknown) for t in trace.text]


def test_few_unknown_and_hostile_languages() -> None:
    table = language_rows(1)[["language", "name"]].assign(margin=0.1, aligned=True, correct=True, name=HOSTILE)
    assert_sound(at_a_glance(table), 10_000)
    assert is_empty(at_a_glance(table.assign(margin=np.nan))) and is_empty(at_a_glance(table.iloc[:0]))


def test_decisions_without_margins_are_shown_layer_by_layer() -> None:
    table = pd.DataFrame(
        {"metric": ["DALI"] * 3 + [HOSTILE] * 2, "layer": [0, 1, 2, 0, 1], "aligned": [0.0, 1.0, np.nan, 1.0, 1.0]}
    )
    drawing = aligned_by_layer(table, Depth(2), layer=1)
    assert_sound(drawing, 20_000)
    aligned, not_aligned = drawing.figure.data
    assert list(aligned.x) == [1, 0, 1] and list(aligned.y) == [0, 1, 1] and list(not_aligned.x) == [0]
    assert aligned.marker.symbol != not_aligned.marker.symbol and "DALI: aligned in 1 of 2 layers" in drawing.alt
    assert is_empty(aligned_by_layer(table.assign(aligned=np.nan), Depth(2)))


def test_shares_of_aligned_layers_stand_in_for_margins() -> None:
    table = language_rows(3)[["language", "name"]].assign(margin=np.nan, layers_aligned=[0.1, 0.5, 0.9], correct=True)
    drawing = at_a_glance(table.assign(aligned=True), value="layers_aligned", label="Share of aligned layers")
    assert_sound(drawing, 10_000)
    assert "aligned in 3" in drawing.alt and "share of aligned layers 0.5" in drawing.figure.data[0].hovertext[1]
