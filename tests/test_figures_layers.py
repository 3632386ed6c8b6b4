"""Curves over layers and the heat map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_frames import HOSTILE, assert_sound, is_empty, rate_rows

from crossalign.figures.layers import Depth, curves, heatmap

DEPTH = Depth(32)


def named(figure, mode: str = "lines+markers") -> list:
    return [t for t in figure.data if t.mode == mode]


@pytest.mark.parametrize("n", [1, 2, 10, 122])
@pytest.mark.parametrize("relative", [False, True])
def test_every_language_has_its_curve(n: int, relative: bool) -> None:
    table = rate_rows(n)
    drawing = curves(table, DEPTH._replace(relative=relative))
    assert_sound(drawing)
    points = {tuple(p) for t in named(drawing.figure) for p in t.customdata if p[0]}
    assert points == set(zip(table["language"], table["layer"].tolist(), strict=True))
    assert f"{n} curve" in drawing.alt
    across = np.concatenate([np.asarray(t.x, float) for t in named(drawing.figure)])
    assert np.nanmax(across) == (1 if relative else 32)


def test_few_curves_have_their_values_peaks_and_ribbons() -> None:
    table = rate_rows(3)
    figure = curves(table, DEPTH).figure
    first = table[table["language"] == "l00_Latn"]
    line = named(figure)[0]
    assert (
        np.allclose(line.y, first["rate"])
        and "relabelled 0.050" in line.hovertext[0]
        and "n = 500" in line.hovertext[0]
    )
    peaks = [t for t in figure.data if t.mode == "markers"]
    assert [t.customdata[0] for t in peaks] == [["l00_Latn", 0], ["l01_Latn", 1], ["l02_Latn", 2]]
    assert sum(t.fill == "toself" for t in figure.data) == 3
    assert sum(t.fill == "toself" for t in curves(table, DEPTH, intervals=False).figure.data) == 0


def test_many_curves_are_one_grey_trace_under_the_highlighted_ones() -> None:
    figure = curves(rate_rows(122), DEPTH, highlight=["l05_Latn", "l99_Latn", "unknown"]).figure
    grey, *coloured = named(figure)
    assert grey.name == "120 other languages" and [t.name for t in coloured] == [
        "Language number 5",
        "Language number 99",
    ]
    assert np.isnan(np.asarray(grey.y, float)).sum() == 120, "a gap after each language"
    assert sum(t.fill == "toself" for t in figure.data) == 2


def test_a_curve_keeps_its_look_when_another_is_highlighted() -> None:
    def looks(highlight: list[str]) -> dict:
        return {
            t.name: (t.line.color, t.marker.symbol)
            for t in named(curves(rate_rows(10), DEPTH, highlight=highlight).figure)
        }

    assert looks([]) == looks(["l03_Latn"])
    assert named(curves(rate_rows(10), DEPTH, highlight=["l03_Latn"]).figure)[-1].name == "Language number 3"


def test_ten_curves_all_look_different() -> None:
    lines = named(curves(rate_rows(12), DEPTH).figure)
    assert len({(t.line.color, t.line.dash, t.marker.symbol) for t in lines}) == 12


def test_the_relabelled_rate_is_drawn_beside() -> None:
    def dotted(n: int) -> list:
        return [t for t in curves(rate_rows(n), DEPTH).figure.data if t.line.dash == "dot" and t.mode == "lines"]

    assert [t.name for t in dotted(1)] == ["Language number 0, relabelled"]
    assert [t.name for t in dotted(5)] == ["relabelled, mean"] and np.allclose(dotted(5)[0].y, 0.05)
    assert not [
        t for t in curves(rate_rows(2), DEPTH, relabelled=False).figure.data if t.mode == "lines" and not t.fill
    ]


def test_no_relabelled_rate_is_drawn_for_models_of_different_depth() -> None:
    both = rate_rows(2).assign(last=[32 if name.endswith("0") else DEPTH.last for name in rate_rows(2)["name"]])
    drawn = curves(both, DEPTH._replace(relative=True)).figure
    assert not [t for t in drawn.data if t.line.dash == "dot" and t.mode == "lines"]


def test_cohorts_have_their_known_look() -> None:
    table = pd.concat([rate_rows(1).drop(columns=["name"]).assign(cohort=c) for c in ("EW-XW", "EC-XC")])
    lines = named(curves(table, DEPTH, series="cohort").figure)
    assert [t.name for t in lines] == ["EW-XW: both wrong", "EC-XC: both right"]
    assert lines[0].customdata[4] == ["EW-XW", 4]


@pytest.mark.parametrize("relative", [False, True])
def test_special_layers_are_marked(relative: bool) -> None:
    figure = curves(rate_rows(2), Depth(32, relative, degenerate=(0,), after_norm=True)).figure
    ties, norm = figure.layout.annotations
    assert (ties.text, norm.text) == ("ties", "after norm") and len(figure.layout.shapes) == 2
    assert (ties.x, norm.x) == (figure.layout.shapes[0].x0, figure.layout.shapes[1].x1), "at the outer edge of its band"


def test_the_words_over_marked_layers_cover_neither_curve_nor_legend() -> None:
    for n in (2, 10):
        figure = curves(rate_rows(n), Depth(32, degenerate=(0, 1), after_norm=True)).figure
        notes = figure.layout.annotations
        assert [note.text for note in notes] == ["ties", "after norm"], "neighbours share their word"
        assert all((note.yref, note.y, note.yanchor) == ("paper", 1, "bottom") for note in notes), "above the plot"
        legend, line = figure.layout.legend, 16
        left_by_plotly = min(8, figure.layout.margin.t)  # between a legend and the plot
        room = figure.layout.margin.t if legend.orientation != "h" else legend.borderwidth + left_by_plotly
        assert room >= line  # that none is covered in a window of any width, the browser shows


def test_missing_layers_and_single_layers_are_no_error() -> None:
    table = rate_rows(2)
    table.loc[3:5, ["rate", "low", "high"]] = np.nan
    assert_sound(curves(table, DEPTH))
    assert_sound(curves(rate_rows(2, n_layers=1), Depth(0, relative=True)))
    assert_sound(heatmap(rate_rows(2, n_layers=1), Depth(0)))
    for draw in (curves, heatmap):
        assert is_empty(draw(table.assign(rate=np.nan), DEPTH)) and is_empty(draw(table.iloc[:0], DEPTH))


def test_the_heat_map_has_the_highest_peak_on_top_and_marks_peaks() -> None:
    table = rate_rows(122)
    drawing = heatmap(table, DEPTH)
    assert_sound(drawing, 150_000)
    cells, peaks = drawing.figure.data
    z = np.asarray(cells.z)
    assert z.shape == (122, 33) and (np.diff(z.max(axis=1)) <= 0).all()
    grid = table.pivot_table(index="language", columns="layer", values="rate")
    assert np.allclose(z[0], grid.loc[peaks.customdata[0][0]])
    assert [layer for _, layer in peaks.customdata] == z.argmax(axis=1).tolist()
    assert drawing.figure.layout.yaxis.ticktext[0] in cells.text[0]


def test_a_heat_map_shows_gaps_as_gaps() -> None:
    cells, peaks = heatmap(rate_rows(2).iloc[:-3], DEPTH).figure.data
    row = [code for code, _ in peaks.customdata].index("l01_Latn")
    z = np.asarray(cells.z)
    assert np.isnan(z[row, -3:]).all() and not np.isnan(z[1 - row]).any()


def test_hostile_names_stay_text() -> None:
    table = rate_rows(14).assign(name=HOSTILE)
    assert_sound(curves(table, DEPTH), 200_000)
    assert_sound(curves(table.iloc[:66], DEPTH), 60_000)
    assert_sound(heatmap(table, DEPTH), 60_000)
