"""Two runs beside each other, the map of states, and translation quality."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from figure_frames import HOSTILE, assert_sound, instance_rows, is_empty, language_rows, rate_rows

from crossalign.figures.compare import OUTCOMES, curves_overlaid, differences, outcomes
from crossalign.figures.layers import Depth
from crossalign.figures.space import MOST_LINES, WEBGL_FROM, state_map
from crossalign.figures.theme import Measure
from crossalign.figures.translation import quality_by_alignment, quality_by_margin

RUNS = ("Model one", "Model two")
CHRF = Measure("quality", "chrF++", "quality_low", "quality_high", 1)


def paired(n: int) -> pd.DataFrame:
    rows = language_rows(n)[["language", "name"]]
    difference = np.linspace(-0.1, 0.15, n)
    return rows.assign(
        a=0.6 + difference, b=0.6, difference=difference, low=difference - 0.03, high=difference + 0.03, n=500, p=0.02
    )


@pytest.mark.parametrize("n", [1, 11, 122])
def test_differences_are_sorted_and_filled_where_clear(n: int) -> None:
    drawing = differences(paired(n), RUNS)
    assert_sound(drawing, 100_000)
    _, b, a, difference = drawing.figure.data
    table = paired(n).sort_values("difference", ascending=False)
    assert [c[0] for c in difference.customdata] == table["language"].tolist()
    assert np.allclose(a.x, table["a"]) and np.allclose(b.x, 0.6)
    clear = ((table["low"] > 0) | (table["high"] < 0)).tolist()
    assert [s == "square" for s in difference.marker.symbol] == clear
    assert f"leaves out 0 in {sum(clear)}" in drawing.alt
    assert drawing.figure.layout.xaxis2.title.text.startswith("Difference, A − B")


def test_nothing_to_compare() -> None:
    assert is_empty(differences(paired(3).assign(difference=np.nan), RUNS))
    assert is_empty(outcomes(counted(3).assign(both=0, a_only=0, b_only=0, neither=0), RUNS))
    assert is_empty(curves_overlaid(rate_rows(1), rate_rows(1).assign(language="other"), (Depth(32), Depth(32)), RUNS))


def counted(n: int) -> pd.DataFrame:
    rows = language_rows(n)[["language", "name"]]
    return rows.assign(both=np.arange(n) + 10, a_only=5, b_only=3, neither=2)


@pytest.mark.parametrize("n", [1, 11, 122])
def test_outcomes_fill_the_whole_bar(n: int) -> None:
    drawing = outcomes(counted(n), RUNS)
    assert_sound(drawing, 100_000)
    total = np.sum([t.x for t in drawing.figure.data], axis=0)
    assert np.allclose(total, 1) and len(drawing.figure.data) == len(OUTCOMES)
    assert len({t.marker.pattern.shape for t in drawing.figure.data}) == 4, "told apart without colour"
    assert drawing.figure.data[0].customdata[0] == [f"l{n - 1:02d}_Latn"]
    assert f"{n + 9:,} of {n + 19:,}" in drawing.figure.data[0].hovertext[0]


def test_overlaid_curves_show_relative_depth_where_layers_differ() -> None:
    drawing = curves_overlaid(
        rate_rows(11), rate_rows(11, n_layers=41), (Depth(32), Depth(40)), RUNS, highlight=["l03_Latn"]
    )
    assert_sound(drawing)
    lines = [t for t in drawing.figure.data if t.mode == "lines+markers"]
    assert [t.line.dash for t in lines] == ["solid", "dash"] and lines[0].line.color == lines[1].line.color
    assert max(lines[0].x) == max(lines[1].x) == 1 and len(lines[1].x) == 41
    assert lines[1].customdata[40] == ["l03_Latn", 40]
    assert "1 of 11 languages shown" in drawing.alt
    same = curves_overlaid(rate_rows(122), rate_rows(122), (Depth(32), Depth(32)), RUNS)
    assert_sound(same)
    assert sum(t.mode == "lines+markers" for t in same.figure.data) == 8


# --- space -------------------------------------------------------------------------------------------------------


def states(n: int, languages: int, k: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size = n * languages * k
    return pd.DataFrame(
        {
            "language": np.repeat([f"l{i:02d}" for i in range(languages)], n * k),
            "name": np.repeat([f"Language {i}" for i in range(languages)], n * k),
            "instance_id": np.tile(np.repeat([f"q{i}" for i in range(n)], k), languages),
            "option": np.tile(np.arange(k), n * languages),
            "gold": np.tile(np.arange(k) == 1, n * languages),
            "x": rng.normal(size=size),
            "y": rng.normal(size=size),
        }
    )


@pytest.mark.parametrize("shape", ["gold", "option"])
def test_a_click_on_the_map_gives_the_row(shape: str) -> None:
    table = states(20, 3)
    table.loc[[5, 17], "x"] = np.nan
    drawing = state_map(table, shape=shape, pivot="l00", label="principal component")
    assert_sound(drawing)
    clouds = [t for t in drawing.figure.data if t.customdata is not None]
    rows = {int(r): (x, y) for t in clouds for r, x, y in zip(t.customdata, t.x, t.y, strict=True)}
    assert sorted(rows) == [i for i in range(240) if i not in (5, 17)]
    assert np.allclose([rows[100][0], rows[100][1]], table.loc[100, ["x", "y"]].astype(float))
    assert len({(t.marker.color, t.marker.symbol) for t in clouds}) == 3 * (2 if shape == "gold" else 4)
    assert "Translations are joined" in drawing.alt and "238 states of 20 instances in 3 languages" in drawing.alt


def test_translations_are_joined_with_the_pivot() -> None:
    table = states(5, 3)
    lines = state_map(table, pivot="l00", highlight="q2").figure.data
    assert np.isnan(np.asarray(lines[0].x, float)).sum() == 5 * 4 * 2
    strong = [t for t in lines if t.mode == "lines"][-1]
    assert np.isnan(np.asarray(strong.x, float)).sum() == 4 * 2 and strong.line.width > lines[0].line.width
    assert all(t.mode == "markers" for t in state_map(table).figure.data)


def test_a_whole_benchmark_stays_small() -> None:
    table = states(900, 2)
    drawing = state_map(table, pivot="l00", shape="option")
    assert_sound(drawing, 400_000)
    assert len(table) > WEBGL_FROM and len(table) / 2 > MOST_LINES
    assert any(isinstance(t, go.Scattergl) for t in drawing.figure.data)
    assert not any(t.mode == "lines" for t in drawing.figure.data)
    assert_sound(state_map(states(100, 60), pivot="l55"), 600_000)


def test_the_pivot_keeps_its_colour_among_many_languages() -> None:
    names = [t.name for t in state_map(states(2, 30), pivot="l29").figure.data]
    assert "Language 29" in names and "others" in names


def test_an_empty_map() -> None:
    assert is_empty(state_map(states(2, 2).iloc[:0])) and is_empty(state_map(states(2, 2).assign(x=np.nan)))
    assert_sound(state_map(states(1, 1, 1)))


# --- translation -------------------------------------------------------------------------------------------------


def bins(n: int = 10) -> pd.DataFrame:
    middle = np.linspace(-0.1, 0.1, n) if n > 1 else np.array([0.05])
    quality = 50 + 100 * middle
    ends = {"from": middle - 0.01, "to": middle + 0.01, "quality_low": quality - 2, "quality_high": quality + 2}
    return pd.DataFrame({"margin": middle, "quality": quality, "n": np.arange(1, n + 1) * 10} | ends)


def test_quality_by_margin_shows_bins_by_size() -> None:
    smooth = pd.DataFrame({"x": [-0.1, 0.1], "y": [40, 60], "low": [38, 58], "high": [42, 62]})
    drawing = quality_by_margin(bins(), CHRF, smooth=smooth)
    assert_sound(drawing)
    filled, curve, points = drawing.figure.data
    assert filled.fill == "toself" and curve.name == "smooth" and (np.diff(points.marker.size) > 0).all()
    assert "from −0.110 to −0.090" in points.hovertext[0] and "n = 10" in points.hovertext[0]
    assert "550 sentences: 40.0 [38.0, 42.0] in the lowest, 60.0 [58.0, 62.0] in the highest." in drawing.alt
    assert_sound(quality_by_margin(bins(1), CHRF))
    assert is_empty(quality_by_margin(bins().assign(quality=np.nan), CHRF))


def test_quality_of_aligned_and_not_aligned_sentences() -> None:
    table = instance_rows().assign(quality=lambda t: 50 + 100 * t["margin"])
    drawing = quality_by_alignment(table, CHRF)
    assert_sound(drawing)
    assert "aligned: median" in drawing.alt
    assert is_empty(quality_by_alignment(table.iloc[:0], CHRF))


def test_hostile_names_stay_text() -> None:
    runs = (HOSTILE, HOSTILE)
    assert_sound(differences(paired(3).assign(name=HOSTILE), runs), 20_000)
    assert_sound(outcomes(counted(3).assign(name=HOSTILE), runs), 20_000)
    table = rate_rows(2).assign(name=HOSTILE)
    assert_sound(curves_overlaid(table, table, (Depth(32), Depth(32)), runs), 80_000)
    assert_sound(state_map(states(2, 2).assign(name=HOSTILE, instance_id=HOSTILE), note=HOSTILE), 20_000)
